"""Latents in a row -> an animation, a strip, or a folder of pictures and latents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.io.animations import encode_animation, encode_strip
from jaxinv.io.images import encode_png, write_images
from jaxinv.io.latent_files import save_latents
from jaxinv.io.output_folder import check_new, check_own_folder, check_target
from jaxinv.models.arguments import samples_of
from jaxinv.models.rendering import render_uint8
from jaxinv.runs.results import write
from jaxinv.specs.vocabulary import ANIMATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params


def check_place_for(out: str | Path, read: Sequence[str | Path]) -> str:
    """The kind of result that the name `out` asks for: one of `ANIMATIONS`, "png" or "" (a folder).

    Raises `ValueError` where it would replace a file of `read`, and for other endings.
    """
    place = Path(out)
    kind = place.suffix.lower().lstrip(".")
    if kind in (*ANIMATIONS, "png"):
        for target in (place, place.with_suffix(".safetensors")):
            check_target(target, read)
        return kind
    if kind and not place.is_dir():
        allowed = ", ".join(f".{one}" for one in ("png", *ANIMATIONS))
        raise ValueError(f"{place} ends in .{kind}; allowed: {allowed}, or a folder")
    check_own_folder(place)
    return ""


def write_sequence(
    out: str | Path,
    drawn_by: tuple[Generator, Params],
    latents: Latents,
    facts: dict[str, str],
    *,
    seconds: float = 3.0,
    overwrite: bool = False,
) -> Path:
    """Draw latents with a leading axis and write them as `out` asks; returns the file or folder.

    An ending of an animation gives one, .png a strip (one picture whole), anything else a folder
    with images/ and latents/. A picture alone has its latents beside it. Raises `ValueError` where
    other pictures are there, unless with `overwrite`.
    """
    kind, place = check_place_for(out, []), Path(out)
    samples = list(samples_of(latents))
    count = len(samples)
    pictures = [render_uint8(*drawn_by, one) for one in samples]
    facts = {**facts, "space": ",".join(sorted(latents))}
    if not kind:
        names = [f"{i:03d}" for i in range(count)]
        write_images(place / "images", np.stack(pictures), names=names, overwrite=overwrite)
        (place / "latents").mkdir(parents=True, exist_ok=True)
        for name, one in zip(names, samples, strict=True):
            save_latents(place / "latents" / f"{name}.safetensors", one, facts)
        return place
    if kind in ANIMATIONS:
        data = encode_animation(pictures, kind, seconds=seconds)
    else:
        data = encode_strip(pictures) if count > 1 else encode_png(pictures[0])
    if not overwrite:
        check_new(place, data)
    write(place, data)
    if kind not in ANIMATIONS and count == 1:
        save_latents(place.with_suffix(".safetensors"), samples[0], facts)
    return place
