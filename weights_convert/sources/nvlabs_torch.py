"""The pickles of NVlabs' torch code and of what came of it: StyleGAN2, ADA, StyleGAN3 and XL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks import (
    discriminators,
    eg3d,
    fastgan,
    r3gan,
    stylegan2,
    stylegan3,
)
from weights_convert.sources.base import DiscriminatorParams, Facts, Source


def _nvlabs(tree: Any) -> Any:
    node = tree.get("G_ema", tree) if isinstance(tree, dict) else None
    return node if isinstance(node, dict) and "state" in node else None


def _nvlabs_with(marker: str) -> Callable[[Any], Any]:
    def find(tree: Any) -> Any:
        node = _nvlabs(tree)
        return node if node is not None and marker in dict(module_arrays(node)) else None

    return find


def _convert_stylegan3(node: Any) -> Facts:
    states = {path: state for state, path in _modules(node, "")}
    return stylegan3.convert(dict(module_arrays(node)), states)


def module_arrays(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Parameters and buffers of a torch module and all modules within, by dotted name."""
    for inner, path in _modules(node, prefix):
        for kind in ("_parameters", "_buffers"):
            for name, value in inner.get(kind, {}).items():
                if isinstance(value, np.ndarray):
                    yield f"{path}{name}", value


def _modules(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[dict[str, Any], str]]:
    state = node.get("state")
    if not isinstance(state, dict):
        raise UnsafeFileError(f"module {prefix or 'at the top'!r} has no attributes")
    yield state, prefix
    for name, child in (state.get("_modules") or {}).items():
        if isinstance(child, dict):
            yield from _modules(child, prefix if name == "_orig_mod" else f"{prefix}{name}.")


def _convert_nvlabs(node: Any) -> Facts:
    layers = [state for state, _ in _modules(node, "") if "conv_clamp" in state]
    clamps = {state["conv_clamp"] for state in layers if "weight" in state.get("_parameters", {})}
    arrays = dict(module_arrays(node))
    return stylegan2.convert(arrays, stylegan2.NVLABS, clamp=_only(clamps))


def _convert_eg3d(node: Any, focal: float = eg3d.FOCAL) -> Facts:
    states = {path: state for state, path in _modules(node, "")}
    kind = node["state"]["_modules"]["superresolution"].get("class", "")
    return eg3d.convert(dict(module_arrays(node)), states, kind, focal)


def _convert_projected(node: Any) -> Facts:
    state, prefix = node["state"], "synthesis."
    arrays = {n.removeprefix(prefix): a for n, a in module_arrays(node)}
    try:
        source = fastgan.Source(True, int(state["img_resolution"]), int(state["c_dim"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UnsafeFileError(f"the source lacks the fact {error!s:.80}") from error
    if not source.labels:
        arrays.pop("embed.weight", None)
    return fastgan.convert(arrays, source)


def _only(clamps: set[Any]) -> Any:
    """The one clamp of a network's layers, or None without any."""
    if len(clamps) > 1:
        raise UnsafeFileError(f"layers with different clamps: {clamps}; allowed: one")
    return clamps.pop() if clamps else None


def _discriminator_nvlabs(tree: Any, facts: Any) -> DiscriminatorParams | None:
    del facts
    node = tree.get("D")
    if not isinstance(node, dict) or "state" not in node:
        return None
    states = [state for state, _ in _modules(node, "")]
    clamps = {state["conv_clamp"] for state in states if state.get("conv_clamp")}
    group = next((state["group_size"] for state in states if "group_size" in state), None)
    return discriminators.convert(
        dict(module_arrays(node)),
        discriminators.NVLABS,
        "residual",
        group=group,
        clamp=_only(clamps),
    )


SOURCES: tuple[Source, ...] = (
    Source(
        "StyleGAN2, NVlabs torch",
        _nvlabs_with("synthesis.b4.const"),
        _convert_nvlabs,
        discriminator=_discriminator_nvlabs,
    ),
    Source(
        "StyleGAN3, NVlabs torch; StyleGAN-XL",
        _nvlabs_with("synthesis.input.freqs"),
        _convert_stylegan3,
        discriminator=_discriminator_nvlabs,
    ),
    Source("EG3D, NVlabs torch", _nvlabs_with(eg3d.MARKER), _convert_eg3d, ("focal",)),
    Source(
        "FastGAN, Projected GAN",
        _nvlabs_with(f"synthesis.{fastgan.MARKER}"),
        _convert_projected,
    ),
    Source(
        "R3GAN",
        _nvlabs_with(r3gan.MARKER),
        lambda node: r3gan.convert(dict(module_arrays(node))),
    ),
)
