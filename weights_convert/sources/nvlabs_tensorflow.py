"""The pickles of NVlabs' TensorFlow code: PGGAN, StyleGAN, StyleGAN2 and ADA."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from weights_convert.networks import discriminators, pggan, stylegan1, stylegan2
from weights_convert.sources.base import Arrays, DiscriminatorParams, Facts, Source


def network_arrays(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Variables of a Network and of its components, by path."""
    for name, value in node.get("variables", ()):
        yield f"{prefix}{name}", np.asarray(value, np.float32)
    for name, inner in (node.get("components") or {}).items():
        yield from network_arrays(inner, f"{prefix}{name}/")


def _tensorflow(tree: Any) -> Any:
    """The averaged generator, alone or the last of a 3-tuple of Networks, and its arrays."""
    node = tree[2] if isinstance(tree, tuple) and len(tree) == 3 else tree
    if not isinstance(node, dict):
        return None
    return (node, dict(network_arrays(node))) if node.get("class") == "Network" else None


def _tensorflow_with(marker: str) -> Callable[[Any], Any]:
    def find(tree: Any) -> Any:
        found = _tensorflow(tree)
        return found if found is not None and marker in found[1] else None

    return find


def _static(node: Any, name: str, usual: Any) -> Any:
    """An argument that the network was built with, from its synthesis or from the whole."""
    inner = (node.get("components") or {}).get("synthesis") or {}
    whole, part = (one.get("static_kwargs") or {} for one in (node, inner))
    return part.get(name, whole.get(name, usual))


def _convert_tensorflow(found: Any) -> Facts:
    node, arrays = found
    arrays = {name: array for name, array in arrays.items() if name != "lod"}
    clamp = _static(node, "conv_clamp", None)
    return stylegan2.convert(arrays, stylegan2.TENSORFLOW, clamp=clamp)


def _convert_tensorflow_stylegan1(found: Any) -> Facts:
    node, arrays = found
    return stylegan1.convert(
        arrays, stylegan1.TENSORFLOW, fused=_static(node, "fused_scale", "auto")
    )


def _progressive(tree: Any) -> tuple[Arrays, pggan.Source] | None:
    found = _tensorflow(tree)
    source = None if found is None else pggan.tensorflow(found[1])
    return None if found is None or source is None else (found[1], source)


def _discriminator_tensorflow(kind: str) -> Callable[[Any, Any], DiscriminatorParams | None]:
    def discriminator(tree: Any, facts: Any) -> DiscriminatorParams | None:
        del facts
        node = tree[1] if isinstance(tree, tuple) else None
        if not isinstance(node, dict) or node.get("class") != "Network":
            return None
        arrays = dict(network_arrays(node))
        fused = kind == "pooled" and any("Conv1_down" in name for name in arrays)
        group, clamp = (_static(node, name, None) for name in ("mbstd_group_size", "conv_clamp"))
        return discriminators.convert(
            arrays,
            discriminators.TENSORFLOW,
            "plain" if fused else kind,
            group=group,
            clamp=clamp,
        )

    return discriminator


SOURCES: tuple[Source, ...] = (
    Source(
        "StyleGAN2, NVlabs TensorFlow",
        _tensorflow_with("synthesis/4x4/Conv/mod_weight"),
        _convert_tensorflow,
        discriminator=_discriminator_tensorflow("residual"),
    ),
    Source(
        "StyleGAN, NVlabs TensorFlow",
        _tensorflow_with("synthesis/4x4/Const/StyleMod/weight"),
        _convert_tensorflow_stylegan1,
        discriminator=_discriminator_tensorflow("smooth"),
    ),
    Source(
        "PGGAN, NVlabs TensorFlow",
        _progressive,
        lambda found: pggan.convert(*found, tanh=False),
        discriminator=_discriminator_tensorflow("pooled"),
    ),
)
