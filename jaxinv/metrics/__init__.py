"""How close a reconstruction is to its target."""

from jaxinv.metrics.reconstruction import psnr, ssim

__all__ = ["psnr", "ssim"]
