"""Files to arrays and back: images, checkpoints, latents."""
