"""Generators: one file per architecture behind the same `Generator` of pure single-sample functions."""
