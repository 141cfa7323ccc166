"""Discriminators in files of their own: one reader for each code that writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weights_convert.errors import UnsafeFileError
from weights_convert.networks import chains, dcgan, residual_discriminators, sagan_discriminators
from weights_convert.sources.base import DiscriminatorParams
from weights_convert.sources.state_dicts import bare

KERAS = "/.ATTRIBUTES/VARIABLE_VALUE"  # of an object graph
Reader = Callable[[Any, Mapping[str, Any]], DiscriminatorParams | None]


def _chain(reader: Callable[[dcgan.Arrays], Any]) -> Reader:
    def read(tree: Any, facts: Mapping[str, Any]) -> DiscriminatorParams | None:
        arrays = bare(tree) or {}
        steps = reader(arrays)
        return None if steps is None else chains.discriminator(arrays, steps, facts["resolution"])

    return read


def _ajbrock(tree: Any, facts: Mapping[str, Any]) -> DiscriminatorParams | None:
    return residual_discriminators.ajbrock(bare(tree) or {}, facts)


def _keras(tree: Any, facts: Mapping[str, Any]) -> DiscriminatorParams | None:
    """Keras' checkpoints of weights alone are refused: guessing would make a wrong network."""
    del facts
    if not isinstance(tree, dict) or not any(str(name).endswith(KERAS) for name in tree):
        return None
    raise UnsafeFileError(
        "a checkpoint of Keras' weights alone: strides, paddings and activations of its layers are "
        "not in the file, nor whether real images score high; a discriminator of that kind is not "
        "read"
    )


# Parameters and plan of the discriminator in a tree, for a generator's fields; None: another file.
READERS: tuple[Reader, ...] = (
    *(_chain(reader) for reader in dcgan.JUDGES),
    _ajbrock,
    sagan_discriminators.sagan,
    sagan_discriminators.ylg,
    _keras,
)
