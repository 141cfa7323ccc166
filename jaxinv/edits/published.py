"""Directions as other tools publish them: read from plain arrays, and written as arrays.

Readers of files stand elsewhere; here are only trees of arrays, lists and dicts, of which nothing
is executed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxinv.edits.directions import Direction
from jaxinv.edits.walks import Walk
from jaxinv.io.latent_files import LAYOUT
from jaxinv.latents.sampling import sample_latents
from jaxinv.models.generators.base import convert
from jaxinv.models.loading import generator_hash
from jaxinv.specs.checks import check_array, check_kind, check_whole, told

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Params

# InterFaceGAN's files: stylegan_ffhq_age_c_gender_w_boundary.npy.
BOUNDARY = re.compile(
    r"(?:.*_)?(?P<generator>(?:pggan|stylegan2?)_[^_]+)_(?P<name>.+?)(?P<w>_w)?_boundary$"
)
# GANSpace's keys: components, their deviations; those of latents before those of activations.
COMPONENTS = (("lat_comp", "lat_stdev"), ("comp", "std"), ("act_comp", "act_stdev"))
SAMPLES = 2_000  # styles whose deviations are the unit of channels
UNIT_LENGTH = "a step of length 1"


def published_directions(
    tree: Any, path: str, *, space: str | None = None, styles: Sequence[int] = ()
) -> list[Direction]:
    """Directions in what another tool saved, in the order of its file.

    Args:
        tree: the file's plain contents: an array [d], [1, d] or [1, rows, d], of several directions
            [k, d] or [k, rows, d] (InterFaceGAN, e4e, PTI, SeFa); a dict of GANSpace's components;
            a list of one array per layer of S (StyleCLIP); or a dict of "layer", "channel" and
            "value", [k] each: single channels of S, as StyleCLIP's global directions are.
        path: the file's name, of which names, spaces and generators are read where it has
            InterFaceGAN's form (`NET_DATA_NAME_boundary`, `_w_` for W; Z without).
        styles: channels of every layer of S (`GeneratorSpec.styles`), for single channels.
        space: "z", "w", "w+", "p" or "s", in which they lie; where it is None and the name does
            not say: "w+" with rows, "s" for lists, otherwise "w".

    Raises:
        ValueError: there is none.
    """
    stem = PurePath(path).stem
    named = BOUNDARY.match(stem)
    name, owner, of = stem, "", PurePath(path).name
    if named:
        name, owner = named["name"], named["generator"]
        space = space or ("w" if named["w"] else "z")
    unit = UNIT_LENGTH
    if isinstance(tree, Mapping) and {"layer", "channel", "value"} <= tree.keys():
        arrays = _single_channels(tree, tuple(styles), of)
        return [Direction(name, "s", arrays, unit="the values of the file", source=of)]
    tree, scaled = _unwrapped(tree)
    if scaled:
        unit = "a standard deviation of the component"
    if isinstance(tree, list | tuple):
        arrays = tuple(check_array(f"layer of {of}", np.ravel(one), "iuf") for one in tree)
        return [Direction(name, "s", arrays, unit=unit, source=of)]
    vectors = check_array(of, tree, "iuf", ", a direction or several")
    if vectors.ndim == 1:
        vectors = vectors[None]
    if vectors.ndim == 3 and vectors.shape[1] == 1:
        vectors = vectors[:, 0]
    if vectors.ndim not in (2, 3) or not vectors.size:
        raise ValueError(
            f"{of} has shape {list(np.shape(tree))}; allowed: [d], [k, d] or [k, rows, d]"
        )
    place = space or ("w+" if vectors.ndim == 3 else "w")
    names = [name] if len(vectors) == 1 else [f"{name}#{i}" for i in range(len(vectors))]
    return [
        Direction(one, place, vector, generator_name=owner, unit=unit, source=of)
        for one, vector in zip(names, vectors, strict=True)
    ]


def published_mapper(tree: Any, path: str) -> Walk | None:
    """The latent mapper in a file of StyleCLIP's code, if it holds one.

    `tree` are its plain contents: a dict with a "state_dict" of "mapper.NET.mapping.1.weight" and
    so on. Raises `ValueError` for one of other codes than w+.
    """
    state = tree.get("state_dict") if isinstance(tree, Mapping) else None
    if not isinstance(state, Mapping) or not any(str(key).startswith("mapper.") for key in state):
        return None
    own = {k.removeprefix("mapper."): v for k, v in state.items() if k.startswith("mapper.")}
    file, options = PurePath(path), {"axis": 1}
    unit = "a tenth of what the mapper adds, as published"
    return Walk(file.stem, "mapper", "w+", {"weights": own}, options, unit=unit, source=file.name)


def _unwrapped(tree: Any) -> tuple[Any, bool]:
    """The array or list of arrays in a dict; True with it where it is scaled by deviations."""
    if not isinstance(tree, Mapping):
        return tree, False
    for components, deviations in COMPONENTS:
        if components not in tree:
            continue
        vectors = check_array(components, tree[components], "f")
        if deviations not in tree:
            return vectors, False
        sizes = check_array(deviations, tree[deviations], "f").ravel()
        if len(sizes) != len(vectors):
            raise ValueError(f"{len(sizes)} deviations; allowed: {len(vectors)}, as components")
        return vectors * sizes.reshape(-1, *[1] * (vectors.ndim - 1)), True
    if len(tree) == 1:
        return next(iter(tree.values())), False
    keys = ", ".join(str(key)[:40] for key in list(tree)[:8])
    raise ValueError(f"a dict with {keys or 'nothing'}; allowed: one array, or GANSpace's keys")


def _single_channels(
    tree: Mapping[str, Any], styles: tuple[int, ...], of: str
) -> tuple[np.ndarray, ...]:
    """Layers of S [channels] with the file's values in the channels that it names, 0 elsewhere."""
    layers, channels, values = (
        check_array(f"{key} of {of}", tree[key], kinds).ravel()
        for key, kinds in (("layer", "iuf"), ("channel", "iuf"), ("value", "iuf"))
    )
    if not layers.shape == channels.shape == values.shape:
        raise ValueError(f"{of}: layer, channel and value differ in length; allowed: [k] each")
    found = [np.zeros(width, np.float32) for width in styles]
    for layer, channel, value in zip(layers, channels, values, strict=True):
        place = _channel(styles, layer, channel)
        found[place[0]][place[1]] += value
    return tuple(found)


def _channel(styles: Sequence[int], layer: Any, channel: Any) -> tuple[int, int]:
    """Layer and channel as numbers; `ValueError` for those that there are not."""
    check_whole("layer", layer, 0)
    check_whole("channel", channel, 0)
    if layer >= len(styles):
        raise ValueError(f"layer {layer} of S; allowed: 0 to {len(styles) - 1}")
    if channel >= styles[int(layer)]:
        raise ValueError(
            f"channel {channel} of layer {layer}; allowed: 0 to {styles[int(layer)] - 1}"
        )
    return int(layer), int(channel)


def channel_direction(
    gen: Generator, params: Params, channels: Sequence[tuple[int, int, float]], *, name: str = ""
) -> Direction:
    """A direction in S that moves single channels: (layer, channel, standard deviations) each.

    Layers are those of `spec.styles`, which for StyleGAN2 are those of StyleSpace (Wu et al. 2021,
    with the layers of ToRGB). The unit of every channel is its standard deviation over 2000 random
    codes. Raises `ValueError` for layers and channels that there are not.
    """
    widths = gen.spec.styles
    steps = [np.zeros(width, np.float32) for width in widths]
    for layer, channel, value in channels:
        place = _channel(widths, layer, channel)
        steps[place[0]][place[1]] = value
    deviations = style_deviations(gen, params)
    vector = tuple(a * b for a, b in zip(steps, deviations, strict=True))
    shown = name or ",".join(f"{layer}:{channel}" for layer, channel, _ in channels)
    unit = f"the steps given, in standard deviations of {SAMPLES} random styles"
    return Direction(
        shown,
        "s",
        vector,
        generator=generator_hash(params),
        generator_name=gen.spec.name,
        unit=unit,
        source="StyleSpace channels",
    )


def style_deviations(gen: Generator, params: Params) -> tuple[np.ndarray, ...]:
    """Standard deviation of every channel of S over 2000 random codes, one array per layer."""
    label = 0 if gen.spec.labels else None
    latents = sample_latents(gen, params, SAMPLES, seed=0, label=label)
    styles = jax.jit(jax.vmap(lambda w: convert(gen, params, {"w": w}, "s")))(latents["w"])
    return tuple(np.asarray(layer).std(0) for layer in styles)


def published_array(direction: Direction, spec: GeneratorSpec) -> np.ndarray:
    """A direction as InterFaceGAN, e4e and PTI save one: float64 [1, d], or [1, rows, d].

    It has length 1, as theirs have; in spaces with rows each row counts. Rows are StyleGAN2's 18
    where the generator has a layout of them. Raises `ValueError` in other spaces.
    """
    check_kind("direction", direction, Direction)
    vector = direction.vector
    if not isinstance(vector, np.ndarray):
        raise ValueError(f"direction in {direction.space!r}; allowed: z, w, w+, p: {told(vector)}")
    vector = vector.astype(np.float64)
    if direction.rows is not None or vector.ndim == 2:
        moves = np.isin(np.arange(spec.rows), direction.rows or range(spec.rows))
        vector = np.broadcast_to(vector, (spec.rows, vector.shape[-1])) * moves[:, None]
        if spec.layout18:
            layout = np.asarray(spec.layout18)
            rows = [vector[layout == i].mean(0) for i in range(layout.max() + 1)]
            vector = np.stack(rows + [rows[-1]] * (LAYOUT - len(rows)))
    lengths = np.linalg.norm(vector, axis=-1)
    return (vector / lengths.max())[None]
