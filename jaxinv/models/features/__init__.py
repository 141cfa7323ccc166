"""Frozen nets that see images: perceptual trunks today."""
