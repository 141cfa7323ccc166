"""StyleGAN3 of NVlabs' torch code and StyleGAN-XL: pickles of modules; state dicts, both ways.

In a pickle the plan of the layers comes from the modules themselves. A state dict holds arrays
only: there it follows from the layers' names and filters, by the constants of the original code.
StyleGAN-XL (Sauer et al. 2022, arXiv:2202.00273) has the same layers, of which those of lower
resolutions may have been replaced; its classes have fixed vectors and an average w each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxinv.specs import GeneratorSpec
from weights_convert.errors import UnsafeFileError
from weights_convert.networks.layouts import Widths, coloured, convolution, dense, plain
from weights_convert.networks.rules import Rule, apply_rules, undo_rules

Arrays = Mapping[str, np.ndarray]
States = Mapping[str, Mapping[str, Any]]
MARGIN, TAPS = 10, 6  # pixels around the image; filter taps per pixel of the higher resolution
FIRST_CUTOFF, CLAMP, SCALE, SLOPE = 2.0, 256.0, 0.25, 0.2
VECTORS = "mapping.embed.weight"
LAYER = re.compile(r"synthesis\.(L(\d{1,2})_(\d{1,4})_\d{1,5})\.weight")


def convert(arrays: Arrays, states: States) -> tuple[dict[str, Any], dict[str, Any]]:
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
        mapping = Widths.of(arrays, "mapping.fc{}.weight".format, tf=False)
        resolution, scale = int(top["img_resolution"]), float(synthesis["output_scale"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UnsafeFileError(f"the source lacks the fact {error!s:.80}") from error
    if sizes:
        raise UnsafeFileError("an input that is not square; allowed: square")
    extra = mapping.fan_in - z_dim  # what the embedded label adds
    projected = is_xl(arrays)
    rules = _rules(names, plans, grid[0], _Codes(mapping, w_dim, labels, extra, projected))
    if projected and not labels:  # class vectors that nothing uses
        arrays = {name: array for name, array in arrays.items() if name != VECTORS}
    facts: dict[str, Any] = {**mapping.facts, "grid": grid, "layers": plans}
    facts |= {"scale": scale} | ({"label": "embed", "label_width": extra} if labels else {})
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


def is_xl(arrays: Arrays) -> bool:
    """Whether the arrays are those of StyleGAN-XL: class vectors are a table, without a bias."""
    return VECTORS in arrays and "mapping.embed.bias" not in arrays


def export(params: Mapping[str, Any], spec: GeneratorSpec) -> dict[str, np.ndarray]:
    """The state dict that `convert` would read as the parameters; weights have mean square 1.

    Raises `ValueError` for parameters that are not those of the `spec`.
    """
    facts = dict(spec.facts)
    plans, (channels, side, *_) = facts["layers"], facts["grid"]
    extra = facts.get("label_width", 0)
    mapping = Widths.of_facts(facts, spec.z_dim + extra, spec.w_dim)
    codes = _Codes(mapping, spec.w_dim, spec.labels, extra)
    return undo_rules(_rules(list(_names(plans, side)), plans, channels, codes), params)


def _names(plans: Iterable[Sequence[Any]], side: int) -> Iterator[str]:
    """Layers are called after their number, the side of what they give and its channels."""
    for index, (_, outside, size, up, down, taps, _, padding, _, image) in enumerate(plans):
        if not image:
            wide = (side + size - 1) * up + sum(padding[:2]) - sum(n - 1 for n in taps if n)
            side = -(-wide // down)
        yield f"L{index}_{side}_{outside}"


def _plan(state: Mapping[str, Any], arrays: Arrays, name: str) -> list[Any]:
    """The fields of a `Plan` of `jaxinv.models.generators.stylegan3`."""
    filters = [arrays.get(f"synthesis.{name}.{kind}_filter") for kind in ("up", "down")]
    left, right, top, bottom = (int(n) for n in state["padding"])
    outside, image = int(state["out_channels"]), bool(state["is_torgb"])
    return [
        int(state["in_channels"]),
        3 if image and outside == 1 else outside,  # see `coloured`
        int(state["conv_kernel"]),
        int(state["up_factor"]),
        int(state["down_factor"]),
        [0 if one is None else len(one) for one in filters],
        filters[1] is not None and filters[1].ndim == 2,
        [top, bottom, left, right],
        float(state["conv_clamp"]),
        image,
    ]


class _Codes(NamedTuple):
    """The sizes of a mapping, of w, and of classes and what they are embedded in.

    `projected`: as in StyleGAN-XL, by a table and a layer behind it.
    """

    mapping: Widths
    w_dim: int
    labels: int
    extra: int
    projected: bool = False


def _rules(
    names: Sequence[str], plans: Iterable[Sequence[Any]], channels: int, codes: _Codes
) -> Iterator[Rule]:
    """The table: mapping, input, layers."""
    yield from _mapping(codes)
    yield from _input(channels, codes.w_dim)
    for index, (name, plan) in enumerate(zip(names, plans, strict=True)):
        yield from _layer(f"synthesis/layer{index}", f"synthesis.{name}", plan, codes.w_dim)


def _mapping(codes: _Codes) -> Iterator[Rule]:
    shape = (codes.labels, codes.extra)
    if codes.labels and codes.projected:
        yield from _projected(codes)
    elif codes.labels:
        yield dense("mapping/embed/kernel", VECTORS, shape, False)
        yield plain("mapping/embed/bias", "mapping.embed.bias", shape[1:])
    yield from codes.mapping.rules(lambda i: (f"mapping.fc{i}.weight", f"mapping.fc{i}.bias"))
    if not (codes.labels and codes.projected):
        yield plain("mapping/average", "mapping.w_avg", (codes.w_dim,))


def _projected(codes: _Codes) -> Iterator[Rule]:
    """Class vectors behind the layer that follows them, and the average w of every class."""
    names = (VECTORS, "mapping.embed_proj.weight", "mapping.embed_proj.bias")

    def embedded(table: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        x = table[: codes.labels].astype(np.float64) @ weight.T / np.sqrt(weight.shape[1]) + bias
        return np.sqrt(2) * np.maximum(x, SLOPE * x)

    yield Rule("mapping/embed/kernel", names, embedded, (codes.labels, codes.extra))
    yield Rule("mapping/embed/bias", (), lambda: np.zeros(codes.extra), (codes.extra,))
    yield plain("mapping/averages", "mapping.w_avg", (codes.labels, codes.w_dim))
    yield Rule("mapping/average", ("mapping.w_avg",), lambda x: x.mean(0), (codes.w_dim,))


def _input(channels: int, w_dim: int) -> Iterator[Rule]:
    base, source = "synthesis/input", "synthesis.input"
    for name, shape in (("freqs", (channels, 2)), ("phases", (channels,)), ("transform", (3, 3))):
        yield plain(f"{base}/{name}", f"{source}.{name}", shape)
    yield dense(f"{base}/weight", f"{source}.weight", (channels, channels), False)
    yield dense(f"{base}/style/kernel", f"{source}.affine.weight", (w_dim, 4), False)
    yield plain(f"{base}/style/bias", f"{source}.affine.bias", (4,))


def _layer(base: str, source: str, plan: Sequence[Any], w_dim: int) -> Iterator[Rule]:
    inside, outside, size, _, _, taps, radial, _, _, image = plan
    layout = convolution(tf=False, flip=False, gain=1 / np.sqrt(inside) if image else 1.0)

    def normal(x: np.ndarray) -> np.ndarray:
        own = layout.read(x)
        return own if image else own / np.sqrt(np.mean(np.square(own), (0, 1, 2)))

    shape = (size, size, inside, outside)
    drawn = [
        Rule(f"{base}/kernel", (f"{source}.weight",), normal, shape, layout.write),
        plain(f"{base}/bias", f"{source}.bias", (outside,)),
    ]
    yield from coloured(*drawn) if image else drawn
    magnitude = (f"{source}.magnitude_ema",)
    yield Rule(f"{base}/gain", magnitude, lambda m: 1 / np.sqrt(m), (), lambda gain: gain**-2.0)
    for kind, count in zip(("up", "down"), taps, strict=True):
        if count:
            shape = (count, count) if kind == "down" and radial else (count,)
            yield plain(f"{base}/{kind}_filter", f"{source}.{kind}_filter", shape)
    yield dense(f"{base}/style/kernel", f"{source}.affine.weight", (w_dim, inside), False)
    yield plain(f"{base}/style/bias", f"{source}.affine.bias", (inside,))


def states_of(arrays: Arrays) -> dict[str, dict[str, Any]]:
    """The attributes of the modules that a state dict belongs to, as `convert` asks for them.

    Raises `UnsafeFileError` where the sides in the layers' names contradict the filters.
    """
    found = sorted((int(m[2]), m[1], int(m[3])) for m in map(LAYER.fullmatch, arrays) if m)
    names, sides = [name for _, name, _ in found], [side for _, _, side in found]
    if len(names) < 2 or [number for number, _, _ in found] != list(range(len(names))):
        raise UnsafeFileError(f"layers {', '.join(names)[:80] or 'none'}; allowed: L0, L1 ...")
    # The last two layers have the image's own rate and no margin.
    plan = list(zip(sides, [side - 2 * MARGIN for side in sides[:-2]] + sides[-2:], strict=True))
    states = {
        f"synthesis.{name}.": _layer_state(arrays, name, plan[max(i - 1, 0)], plan[i])
        for i, name in enumerate(names)
    }
    channels, w_dim = len(arrays["synthesis.input.phases"]), len(arrays["mapping.w_avg"])
    embed = arrays.get("mapping.embed.weight", np.zeros((0, 0)))
    extra, labels = embed.shape
    z_dim = arrays["mapping.fc0.weight"].shape[1] - extra
    states[""] = {"z_dim": z_dim, "w_dim": w_dim, "c_dim": labels, "img_resolution": sides[-1]}
    states["synthesis."] = {"layer_names": names, "output_scale": SCALE}
    states["synthesis.input."] = {
        "channels": channels,
        "size": (sides[0],) * 2,
        "sampling_rate": plan[0][1],
        "bandwidth": FIRST_CUTOFF,
    }
    return states


def _layer_state(
    arrays: Arrays, name: str, before: tuple[int, int], after: tuple[int, int]
) -> dict[str, Any]:
    """Attributes of one layer, from (side in pixels, sampling rate) before and after it.

    What must be padded follows from the sides; it is split evenly.
    """
    outside, inside, size, _ = arrays[f"synthesis.{name}.weight"].shape
    filters = (arrays.get(f"synthesis.{name}.{kind}_filter") for kind in ("up", "down"))
    taps = [1 if one is None else len(one) for one in filters]
    up, down = (1 if count == 1 else count / TAPS for count in taps)
    if not (up * before[1] == down * after[1] > 0 and up % 1 == down % 1 == 0):
        raise UnsafeFileError(
            f"{name}: rates {before[1]} and {after[1]} with filters of {taps} taps; "
            f"allowed: {TAPS} taps for each pixel"
        )
    total = (after[0] - 1) * down + 1 - (before[0] + size - 1) * up + sum(taps) - 2
    low = (total + up) // 2
    return {
        "in_channels": inside,
        "out_channels": outside,
        "conv_kernel": size,
        "up_factor": up,
        "down_factor": down,
        "padding": (low, total - low) * 2,
        "conv_clamp": CLAMP,
        "is_torgb": max(taps) == 1,
    }
