"""Directions found in a generator: one file per family, functions of plain arrays."""
