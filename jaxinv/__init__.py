"""jaxinv: GAN inversion in JAX. Importing it starts no accelerator: every name loads when first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "load_generator": "loading",
    "load_features": "loading",
    "read_images": "images",
    "read_photo": "images",
    "write_images": "images",
    "invert": "inversion",
    "Inversion": "inversion",
    "render": "rendering",
    "save_latents": "latents",
    "load_latents": "latents",
    "PRESETS": "presets",
    "Preset": "specs",
    "Stage": "specs",
    "Term": "specs",
    "View": "specs",
    "Variable": "specs",
    "InitSpec": "specs",
    "SolverSpec": "specs",
    "Schedule": "specs",
    "Jitter": "specs",
    "Stop": "specs",
    "GeneratorSpec": "specs",
    "psnr": "metrics.reconstruction",
    "ssim": "metrics.reconstruction",
    "lpips": "metrics.perceptual",
}
__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(
            f"module 'jaxinv' has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    return getattr(import_module(f"jaxinv.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
