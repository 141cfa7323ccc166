"""Checks of the fixtures of encoders: each module has CHECKS, by the names of their folders."""
