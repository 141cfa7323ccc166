"""StyleGAN3 from NVlabs' torch pickles: plans and filters come from the modules themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.layouts import dense, fully_connected, kernel
from weights_convert.rules import Rule, apply_rules

Arrays = Mapping[str, np.ndarray]


def convert(
    arrays: Arrays, states: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`).

    `states` are the attributes of all modules by dotted path, "" for the generator. Raises
    `UnsafeFileError` for a missing fact and for arrays that the rules do not cover.
    """
    try:
        top, synthesis, source = states[""], states["synthesis."], states["synthesis.input."]
        names = [str(name) for name in synthesis["layer_names"]]
        plans = [_plan(states[f"synthesis.{name}."], arrays, name) for name in names]
        sizes = {int(n) for n in np.ravel(source["size"])}
        grid = [
            int(source["channels"]),
            sizes.pop(),
            float(source["sampling_rate"]),
            float(source["bandwidth"]),
        ]
        z_dim, w_dim, labels = (int(top[name]) for name in ("z_dim", "w_dim", "c_dim"))
        resolution, scale = int(top["img_resolution"]), float(synthesis["output_scale"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnsafeFileError(f"the source lacks the fact {error!s:.80}") from error
    if sizes:
        raise UnsafeFileError("an input that is not square; allowed: square")
    layers = sum(f"mapping.fc{i}.weight" in arrays for i in range(64))
    rules = [*_mapping(layers, z_dim, w_dim, labels), *_input(grid[0], w_dim)]
    for index, (name, plan) in enumerate(zip(names, plans, strict=True)):
        rules += _layer(f"synthesis/layer{index}", f"synthesis.{name}", plan, w_dim)
    facts: dict[str, Any] = {"mapping_layers": layers, "grid": grid, "layers": plans}
    facts |= {"scale": scale} | ({"label": "embed", "label_width": w_dim} if labels else {})
    spec = {
        "architecture": "stylegan3",
        "resolution": resolution,
        "z_dim": z_dim,
        "w_dim": w_dim,
        "rows": 1 + len(plans),
        "styles": [4, *(plan[0] for plan in plans)],
        "labels": labels,
        "facts": sorted(facts.items()),
    }
    return apply_rules(rules, arrays), spec


def _plan(state: Mapping[str, Any], arrays: Arrays, name: str) -> list[Any]:
    """The fields of a `Plan` of `jaxinv.generators.stylegan3`."""
    filters = [arrays.get(f"synthesis.{name}.{kind}_filter") for kind in ("up", "down")]
    left, right, top, bottom = (int(n) for n in state["padding"])
    return [
        int(state["in_channels"]),
        int(state["out_channels"]),
        int(state["conv_kernel"]),
        int(state["up_factor"]),
        int(state["down_factor"]),
        [0 if one is None else len(one) for one in filters],
        filters[1] is not None and filters[1].ndim == 2,
        [top, bottom, left, right],
        float(state["conv_clamp"]),
        bool(state["is_torgb"]),
    ]


def _mapping(layers: int, z_dim: int, w_dim: int, labels: int) -> Iterator[Rule]:
    if labels:
        yield dense("mapping/embed/kernel", "mapping.embed.weight", (labels, w_dim), False)
        yield Rule("mapping/embed/bias", ("mapping.embed.bias",), np.asarray, (w_dim,))
    for i in range(layers):
        fan_in = w_dim if i else z_dim + (w_dim if labels else 0)
        names = (f"mapping.fc{i}.weight", f"mapping.fc{i}.bias")
        yield from fully_connected(i, names, (fan_in, w_dim))
    yield Rule("mapping/average", ("mapping.w_avg",), np.asarray, (w_dim,))


def _input(channels: int, w_dim: int) -> Iterator[Rule]:
    base, source = "synthesis/input", "synthesis.input"
    for name, shape in (("freqs", (channels, 2)), ("phases", (channels,)), ("transform", (3, 3))):
        yield Rule(f"{base}/{name}", (f"{source}.{name}",), np.asarray, shape)
    yield dense(f"{base}/weight", f"{source}.weight", (channels, channels), False)
    yield dense(f"{base}/style/kernel", f"{source}.affine.weight", (w_dim, 4), False)
    yield Rule(f"{base}/style/bias", (f"{source}.affine.bias",), np.asarray, (4,))


def _layer(base: str, source: str, plan: list[Any], w_dim: int) -> Iterator[Rule]:
    inside, outside, size, _, _, taps, radial, _, _, image = plan

    def normal(x: np.ndarray) -> np.ndarray:
        own = kernel(x, tf=False, flip=False).astype(np.float64)
        if image:
            return own / np.sqrt(inside)
        return own / np.sqrt(np.mean(np.square(own), (0, 1, 2)))

    yield Rule(f"{base}/kernel", (f"{source}.weight",), normal, (size, size, inside, outside))
    yield Rule(f"{base}/bias", (f"{source}.bias",), np.asarray, (outside,))
    yield Rule(f"{base}/gain", (f"{source}.magnitude_ema",), lambda m: 1 / np.sqrt(m), ())
    for kind, count in zip(("up", "down"), taps, strict=True):
        if count:
            shape = (count, count) if kind == "down" and radial else (count,)
            yield Rule(f"{base}/{kind}_filter", (f"{source}.{kind}_filter",), np.asarray, shape)
    yield dense(f"{base}/style/kernel", f"{source}.affine.weight", (w_dim, inside), False)
    yield Rule(f"{base}/style/bias", (f"{source}.affine.bias",), np.asarray, (inside,))
