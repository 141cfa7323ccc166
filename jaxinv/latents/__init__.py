"""Latent spaces, the codecs that solvers see them through, and what else a stage may move."""
