"""Checks of the newer generators' fixtures, a module for each family: `CHECKS` by kind."""
