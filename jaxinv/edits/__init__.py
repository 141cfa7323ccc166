"""Directions in latent spaces, paths along them, and what is made of them: edits of pictures."""
