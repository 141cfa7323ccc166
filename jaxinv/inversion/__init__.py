"""The engine: a preset, a generator and images in, latents out."""
