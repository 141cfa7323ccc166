"""Comparisons of methods: solvers x images x seeds."""
