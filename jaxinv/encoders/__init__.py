"""Learned guesses of a latent code from a picture."""
