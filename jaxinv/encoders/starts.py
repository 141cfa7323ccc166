"""Encoders as the start of a search: which one, whether it suits, and what it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxinv.encoders.encoding import (
    Given,
    as_loaded,
    chain,
    check_owner,
    encode_batches,
)
from jaxinv.specs.vocabulary import LATENT_SPACES

if TYPE_CHECKING:
    from jaxinv.encoders.encoding import Drawing, Loaded
    from jaxinv.types import Array, Latents

PREFIX = "encoder:"
SEEN = ("image", "mask", "reconstruction", "identity")  # what a search can show an encoder


def encoder_name(init: str) -> str:
    """The encoder's name, file or run in "encoder:NAME"; `ValueError` for any other text."""
    if not init.startswith(PREFIX) or init == PREFIX:
        raise ValueError(f"init {init!r}; allowed: {PREFIX}NAME, {PREFIX}FILE or {PREFIX}RUN")
    return init.removeprefix(PREFIX)


def find_start(init: Loaded | str, generator: Drawing) -> Loaded:
    """The encoder, loaded if "encoder:NAME" names it, that gives codes of this generator.

    Raises `ValueError` for an encoder of another generator, and for one that a search cannot show
    what it needs.
    """
    loaded = as_loaded(encoder_name(init) if isinstance(init, str) else init)
    spec = loaded[0].spec
    needs = {plane for one in chain(spec) for plane in one.planes} - set(SEEN)
    if needs:
        raise ValueError(
            f"encoder {spec.name!r} sees {', '.join(sorted(needs))}; allowed as a start: encoders "
            f"of {', '.join(SEEN)}"
        )
    check_owner(spec, *generator)
    return loaded


def empty_codes(loaded: Loaded, count: int) -> Latents:
    """Codes as the encoder gives them for `count` pictures, without looking at any."""
    spec = loaded[0].spec
    return {spec.output: np.zeros((count, *spec.shape), np.float32)}


def start_codes(
    loaded: Loaded, generator: Drawing, pictures: Array, masks: Array | None
) -> Latents:
    """{space: code [n, ...]} of pictures [n, h, w, 3]; masks [n, h, w, 1] are shown if it looks."""
    shown = None
    if sees_masks(loaded):
        whole = np.ones(pictures.shape[:3], np.float32)
        shown = whole if masks is None else np.asarray(masks, np.float32).reshape(whole.shape)
        shown = np.clip(shown, 0, 1)
    found: Any = encode_batches(loaded, generator, np.asarray(pictures), Given(shown))
    return jax.tree.map(np.asarray, {n: v for n, v in found.items() if n in LATENT_SPACES})


def sees_masks(loaded: Loaded) -> bool:
    """Whether an encoder is shown which pixels are known."""
    return any("mask" in one.planes for one in chain(loaded[0].spec))
