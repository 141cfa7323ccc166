"""jaxinv: GAN inversion in JAX. Importing it starts no accelerator: names load when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxinv.edits.blending import interpolate, mix, walk
    from jaxinv.edits.conditions import conditioned
    from jaxinv.edits.directions import Direction, load_direction, save_direction
    from jaxinv.edits.discovery.methods import discover
    from jaxinv.edits.editing import AmountWarning, edit
    from jaxinv.edits.pasting import paste
    from jaxinv.edits.walks import Walk
    from jaxinv.edits.ways import load_way, save_way
    from jaxinv.encoders.encoding import encode
    from jaxinv.encoders.loading import load_encoder, save_encoder
    from jaxinv.inversion.bind import BoundProblem, bind
    from jaxinv.inversion.invert import invert
    from jaxinv.inversion.result import Inversion
    from jaxinv.io.images import PhotoWarning, read_images, read_photo, write_images
    from jaxinv.io.latent_files import load_latents, save_latents
    from jaxinv.metrics.attributes import ATTRIBUTES, attribute_scores, attributes
    from jaxinv.metrics.perceptual import lpips
    from jaxinv.metrics.reconstruction import psnr, ssim
    from jaxinv.models.features.nets import embed, embed_texts, load_net
    from jaxinv.models.loading import load_features, load_generator
    from jaxinv.models.rendering import render
    from jaxinv.presets import PRESETS
    from jaxinv.sessions.session import Session
    from jaxinv.solvers.minimise import Minimum, minimise
    from jaxinv.specs import (
        GeneratorSpec,
        Hook,
        InitSpec,
        Jitter,
        MaskSpec,
        Preset,
        Schedule,
        SolverSpec,
        Stage,
        Stop,
        Term,
        Variable,
        View,
    )

__all__ = [
    "ATTRIBUTES",
    "PRESETS",
    "AmountWarning",
    "BoundProblem",
    "Direction",
    "GeneratorSpec",
    "Hook",
    "InitSpec",
    "Inversion",
    "Jitter",
    "MaskSpec",
    "Minimum",
    "PhotoWarning",
    "Preset",
    "Schedule",
    "Session",
    "SolverSpec",
    "Stage",
    "Stop",
    "Term",
    "Variable",
    "View",
    "Walk",
    "attribute_scores",
    "attributes",
    "bind",
    "conditioned",
    "discover",
    "edit",
    "embed",
    "embed_texts",
    "encode",
    "interpolate",
    "invert",
    "load_direction",
    "load_encoder",
    "load_features",
    "load_generator",
    "load_latents",
    "load_net",
    "load_way",
    "lpips",
    "minimise",
    "mix",
    "paste",
    "psnr",
    "read_images",
    "read_photo",
    "render",
    "save_direction",
    "save_encoder",
    "save_latents",
    "save_way",
    "ssim",
    "walk",
    "write_images",
]

_HOMES = {
    "edits.blending": ("interpolate", "mix", "walk"),
    "edits.conditions": ("conditioned",),
    "edits.directions": ("Direction", "load_direction", "save_direction"),
    "edits.discovery.methods": ("discover",),
    "edits.editing": ("AmountWarning", "edit"),
    "edits.pasting": ("paste",),
    "edits.walks": ("Walk",),
    "edits.ways": ("load_way", "save_way"),
    "encoders.encoding": ("encode",),
    "encoders.loading": ("load_encoder", "save_encoder"),
    "inversion.bind": ("BoundProblem", "bind"),
    "inversion.invert": ("invert",),
    "inversion.result": ("Inversion",),
    "io.images": ("PhotoWarning", "read_images", "read_photo", "write_images"),
    "io.latent_files": ("load_latents", "save_latents"),
    "metrics.attributes": ("ATTRIBUTES", "attribute_scores", "attributes"),
    "metrics.perceptual": ("lpips",),
    "metrics.reconstruction": ("psnr", "ssim"),
    "models.features.nets": ("embed", "embed_texts", "load_net"),
    "models.loading": ("load_features", "load_generator"),
    "models.rendering": ("render",),
    "presets": ("PRESETS",),
    "sessions.session": ("Session",),
    "solvers.minimise": ("Minimum", "minimise"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in __all__:
        raise AttributeError(
            f"module 'jaxinv' has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    home = next((module for module, names in _HOMES.items() if name in names), "specs")
    return getattr(import_module(f"jaxinv.{home}"), name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("jaxinv")
    except PackageNotFoundError:
        return "not installed"


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
