"""Latent spaces, codecs (coordinates in which solvers move codes), and all other variables."""
