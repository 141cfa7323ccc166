"""Rules of the gated units of FastGAN and its kin, with their normalisations folded in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from weights_convert.networks.layouts import Layout, permuted
from weights_convert.networks.rules import Rule

Arrays = Mapping[str, np.ndarray]
EPSILON = 1e-5  # of batch normalisation


class Unit(NamedTuple):
    """Names of a convolution, of its noise's strength ("" without) and of its normalisation."""

    conv: str
    noise: str
    norm: str


def first_rules(conv: str, norm: str, arrays: Arrays) -> Iterator[Rule]:
    """The transposed convolution of one pixel to 4 x 4, as a dense layer with its norm."""
    source, norms = f"{conv}.weight", _norm_names(norm)
    own = (f"{conv}.bias",) if f"{conv}.bias" in arrays else ()
    inside, wide = arrays[source].shape[:2]

    def kernel(x: np.ndarray, *norms: np.ndarray) -> np.ndarray:
        return (x.transpose(0, 2, 3, 1) * _scale(norms)).reshape(inside, 16 * wide)

    def bias(*given: np.ndarray) -> np.ndarray:
        return np.tile(_shift(given[len(own) :], given[0] if own else 0.0), 16)

    yield Rule("synthesis/init/kernel", (source, *norms), kernel, (inside, 16 * wide))
    yield Rule("synthesis/init/bias", (*own, *norms), bias, (16 * wide,))


def unit_rules(base: str, unit: Unit, arrays: Arrays) -> Iterator[Rule]:
    """A `GatedUnit` without its noise map; of classes, their scales and shifts stay layers."""
    wide, inside, size, _ = arrays[f"{unit.conv}.weight"].shape
    classes = f"{unit.norm}.stored_mean" in arrays
    norms = _norm_names(unit.norm, classes=classes)
    scale: Callable[[tuple[np.ndarray, ...]], np.ndarray] = _plain_scale if classes else _scale
    own = (f"{unit.conv}.bias",) if f"{unit.conv}.bias" in arrays else ()

    def kernel(x: np.ndarray, *norms: np.ndarray) -> np.ndarray:
        return x.transpose(2, 3, 1, 0) * scale(norms)

    def bias(*given: np.ndarray) -> np.ndarray:
        norms, before = given[len(own) :], given[0] if own else 0.0
        return (before - norms[-2]) * scale(norms) if classes else _shift(norms, before)

    def strength(x: np.ndarray, *norms: np.ndarray) -> np.ndarray:
        return x.reshape(()) * scale(norms)

    shape = (size, size, inside, wide)
    yield Rule(f"{base}/conv/kernel", (f"{unit.conv}.weight", *norms), kernel, shape)
    yield Rule(f"{base}/conv/bias", (*own, *norms), bias, (wide,))
    if unit.noise:
        yield Rule(f"{base}/strength", (unit.noise, *norms), strength, (wide,))
    if classes:
        for ours, theirs in (("gain", "gain"), ("shift", "bias")):
            name = f"{unit.norm}.{theirs}"
            vector = arrays[f"{name}.weight"].shape[1]
            turned = Layout((1, 0))
            yield permuted(f"{base}/{ours}/kernel", f"{name}.weight", (vector, wide), turned)
            yield Rule(f"{base}/{ours}/bias", (f"{name}.bias",), np.asarray, (wide,))


def _norm_names(norm: str, *, classes: bool = False) -> tuple[str, ...]:
    """Gain and shift, unless a class gives them, and mean and variance of a normalisation."""
    if classes:
        return f"{norm}.stored_mean", f"{norm}.stored_var"
    return tuple(f"{norm}.{end}" for end in ("weight", "bias", "running_mean", "running_var"))


def _plain_scale(norms: tuple[np.ndarray, ...]) -> np.ndarray:
    return 1 / np.sqrt(norms[-1].astype(np.float64) + EPSILON)


def _scale(norms: tuple[np.ndarray, ...]) -> np.ndarray:
    return norms[0] * _plain_scale(norms)


def _shift(norms: tuple[np.ndarray, ...], before: np.ndarray | float) -> np.ndarray:
    """What a normalisation adds, behind a layer with the bias `before`."""
    return (before - norms[2]) * _scale(norms) + norms[1]
