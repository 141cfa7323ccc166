"""EG3D of NVlabs' code: a StyleGAN2 for the planes, a decoder, a superresolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks import stylegan2
from weights_convert.networks.layouts import (
    Layout,
    convolution,
    dense,
    permuted,
    plain,
    without_filters,
)
from weights_convert.networks.rules import Rule, apply_rules

Arrays = Mapping[str, np.ndarray]
States = Mapping[str, Mapping[str, Any]]
MARKER = "backbone.synthesis.b4.const"
BACKBONE, PLANES = "backbone.", 3
FOCAL = 4.2647  # in sides of the picture, of the cameras of FFHQ and AFHQ
# Superresolutions whose input is resized only where it is smaller.
ONLY_SMALLER = ("SuperresolutionHybrid4X", "SuperresolutionHybridDeepfp32")


def convert(
    arrays: Arrays, states: States, kind: str, focal: float = FOCAL
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`).

    `states` are the attributes of all modules by dotted path, `kind` the class of the
    superresolution; `focal`, the focal length of its cameras, is in no file. Raises
    `UnsafeFileError` for a missing fact and for arrays that the rules do not cover.
    """
    weights = without_filters(arrays, stylegan2.TAPS)
    inner = {n.removeprefix(BACKBONE): a for n, a in weights.items() if n.startswith(BACKBONE)}
    shape = stylegan2.Shape.of(inner, stylegan2.NVLABS)
    facts = shape.facts(None)
    try:
        rendering = states[""]["rendering_kwargs"]
        enlarging = _enlarging(weights, states, kind)
        plan = _plan(weights, states, (shape, enlarging, focal))
        scale = 0.0 if rendering.get("c_gen_conditioning_zero") else float(rendering["c_scale"])
        quiet = rendering["superresolution_noise_mode"] == "none"
    except (KeyError, TypeError, ValueError) as error:
        raise UnsafeFileError(f"the source lacks the fact {error!s:.80}") from error
    if rendering.get("clamp_mode") != "softplus":
        raise UnsafeFileError(f"clamp_mode {rendering.get('clamp_mode')!r:.40}; allowed: softplus")
    rules = [*_backbone(shape, scale), *_enlarging_rules(enlarging, plan, shape.w_dim, quiet=quiet)]
    rules += _decoder(weights, states)
    spec = {
        **facts,
        "architecture": "eg3d",
        "resolution": enlarging[0] << sum(enlarging[2]),
        "styles": [*facts["styles"], *_styles(plan, enlarging)],
        "layout18": [],
        "labels": 0,
        "camera": 2,
        "conditions": shape.labels,
        "facts": sorted([*map(list, facts["facts"]), ["plan", plan]]),
    }
    return apply_rules(rules, _renamed(weights)), spec


def _renamed(weights: Arrays) -> dict[str, np.ndarray]:
    """Arrays of the planes' network by the names that a StyleGAN2's have."""
    return {name.removeprefix(BACKBONE): array for name, array in weights.items()}


def _plan(weights: Arrays, states: States, parts: tuple[Any, list[Any], float]) -> list[Any]:
    """The fields of a `Plan` of `jaxinv.models.generators.eg3d`."""
    shape, enlarging, focal = parts
    top = states[""]
    kwargs = top["rendering_kwargs"]
    channels, hidden = weights["decoder.net.0.weight"].shape[::-1]
    if shape.colours != PLANES * channels:
        raise UnsafeFileError(f"{shape.colours} channels for {PLANES} planes of {channels}")
    limits = [0.0 if kwargs[name] == "auto" else float(kwargs[name])
              for name in ("ray_start", "ray_end")]  # fmt: skip
    counts = [int(kwargs["depth_resolution"]), int(kwargs["depth_resolution_importance"] or 0)]
    kinds = [bool(kwargs["disparity_space_sampling"]), bool(kwargs.get("white_back", False))]
    sampling = [*counts, *limits, float(kwargs["box_warp"]), *kinds]
    pivot = [float(number) for number in kwargs["avg_camera_pivot"]]
    orbit = [float(kwargs["avg_camera_radius"]), pivot, focal]
    clamp = states["backbone.synthesis.b4.conv1."]["conv_clamp"]
    side = int(top["neural_rendering_resolution"])
    sizes = [list(shape.widths), clamp, channels, hidden, side]
    return [*sizes, sampling, enlarging, orbit]


def _enlarging(weights: Arrays, states: States, kind: str) -> list[Any]:
    """The fields of an `Enlarging`."""
    layers = [f"superresolution.block{index}.conv0" for index in (0, 1)]
    widths = [weights[f"{name}.weight"].shape[0] for name in layers]
    doubles = [int(states[f"{name}."]["up"]) == 2 for name in layers]
    clamp = states[f"{layers[0]}."]["conv_clamp"]
    side = int(states["superresolution."]["input_resolution"])
    return [side, widths, doubles, clamp, kind not in ONLY_SMALLER]


def _styles(plan: list[Any], enlarging: list[Any]) -> list[int]:
    first, second = enlarging[1]
    return [plan[2], first, first, first, second, second]


def _backbone(shape: Any, scale: float) -> Iterator[Rule]:
    for rule in shape.rules(stylegan2.NVLABS):
        target = rule.target
        if target.startswith("synthesis/"):
            target = target.replace("synthesis/", "synthesis/backbone/", 1)
        own = replace(rule, target=target)
        if target == "mapping/embed/kernel":
            own = replace(own, transform=lambda x, read=rule.transform: scale * read(x))
        yield own


def _decoder(weights: Arrays, states: States) -> Iterator[Rule]:
    for number, name in enumerate(("decoder.net.0", "decoder.net.2")):
        state = states[f"{name}."]
        shape = weights[f"{name}.weight"].shape[::-1]
        turned = Layout((1, 0), float(state["weight_gain"]))
        yield permuted(f"synthesis/fc{number}/kernel", f"{name}.weight", shape, turned)
        gain = float(state["bias_gain"])
        yield plain(f"synthesis/fc{number}/bias", f"{name}.bias", shape[1:], gain=gain)


def _enlarging_rules(
    enlarging: list[Any], plan: list[Any], w_dim: int, *, quiet: bool
) -> Iterator[Rule]:
    side, widths, doubles, *_ = enlarging
    inside = plan[2]
    for index, (outside, up) in enumerate(zip(widths, doubles, strict=True)):
        side = side << up
        base, source = f"synthesis/sr{index}", f"superresolution.block{index}"
        for name, channels, double in (("conv0", inside, up), ("conv1", outside, False)):
            sizes = (channels, outside, side, double)
            yield from _layer((f"{base}/{name}", f"{source}.{name}"), sizes, w_dim, quiet=quiet)
        image = Layout((1, 0), 1 / np.sqrt(outside), ones=(0, 2))
        name = f"{source}.torgb"
        yield permuted(f"{base}/torgb/weight", f"{name}.weight", (outside, 3), image)
        yield plain(f"{base}/torgb/bias", f"{name}.bias", (3,))
        yield from _style(f"{base}/torgb", name, (w_dim, outside))
        inside = outside


def _layer(
    names: tuple[str, str], sizes: tuple[int, int, int, bool], w_dim: int, *, quiet: bool
) -> Iterator[Rule]:
    """A modulated convolution; `quiet`: its noise is left out when it draws."""
    (base, source), (inside, outside, side, up) = names, sizes
    layout = convolution(tf=False, flip=up)
    yield permuted(f"{base}/kernel", f"{source}.weight", (3, 3, inside, outside), layout)
    yield plain(f"{base}/bias", f"{source}.bias", (outside,))
    strength = 0.0 if quiet else 1.0
    yield Rule(f"{base}/strength", (f"{source}.noise_strength",), lambda x: strength * x, ())
    yield plain(f"{base}/noise", f"{source}.noise_const", (side, side))
    yield from _style(base, source, (w_dim, inside))


def _style(base: str, source: str, shape: tuple[int, int]) -> Iterator[Rule]:
    yield dense(f"{base}/style/kernel", f"{source}.affine.weight", shape, False)
    yield plain(f"{base}/style/bias", f"{source}.affine.bias", shape[1:])
