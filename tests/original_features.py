"""Features of the original code, and where ours are: one line per way of naming them.

Original arrays are [1, C, h, w] or [1, n], of the first sample. Some were taken before an
activation or a normalisation that is part of our step; it is applied to them here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxinv.models.generators.base import Generator
from jaxinv.nn.layer_chain import ACTIVATIONS
from jaxinv.nn.linear import leaky_relu, pixel_norm
from jaxinv.nn.resample import blur_double
from jaxinv.types import Array, State
from weights_convert.networks.chains import Step


class Place(NamedTuple):
    """A step, what of its state is meant, and what is still to be done to the original array."""

    step: str
    key: str = "x"
    change: Callable[[Array], Array] = jnp.asarray


def places(gen: Generator, names: list[str], steps: Sequence[Step] = ()) -> dict[str, Place]:
    """Places of those arrays among `names` that the surface gives; others lie inside a step.

    `steps` are the layers of a chain, with the names that the original code gave them.
    """
    if gen.spec.architecture == "dcgan":
        return dict(_chain(gen, names, steps))
    found = {name: _place(gen.steps, name) for name in names}
    return {name: place for name, place in found.items() if place is not None}


def _place(steps: tuple[str, ...], name: str) -> Place | None:
    kind, *numbers = re.split(r"[_.:]?(\d+)[_.]?", name)
    number = int(numbers[0]) if numbers else 0
    after = f"b{number}_conv1"
    normed = pixel_norm if steps[0] == "dense" else jnp.asarray  # on entry to the next layer there
    numbered = {"feat_layer": number + (steps[0] == "linear"), "feat_conv": number}
    if kind in numbered:
        return Place(steps[numbered[kind]], change=normed)
    table = {
        "feat_b": Place(after),
        "rgb_b": Place(after, "image"),
        "feat_L": Place(f"layer{number}"),
        "feat_block": Place(("block", "attention")[name.endswith(".1")] + str(number)),
        "linear_out": Place("linear"),
        "gen_z_out": Place("linear", change=_channels_last),
        # pytorch_GAN_zoo: before activation and normalisation.
        "feat_formatLayer": Place("dense", change=lambda x: _grown(x.reshape(4, 4, -1))),
        "feat_groupScale": Place("b4_conv1", change=_grown),
        "feat_scaleLayers": Place(f"b{8 << number}_conv{name[-1]}", change=_grown),
        "feat_toRGBLayers": Place(f"b{4 << number}_conv1", "image"),
    }
    if kind == "feat_output" and steps[0] != "b4_const":  # an image that the first StyleGAN ends in
        key = "image" if steps[0] == "dense" else "own"
        return Place(f"b{4 << number}_conv1", key)
    return table.get(kind)


def _channels_last(x: Array) -> Array:
    """A flat [h w C] that was taken for [C h w] put right."""
    return x.transpose(2, 0, 1).ravel().reshape(x.shape)


def _grown(x: Array) -> Array:
    return pixel_norm(leaky_relu(x))


def _chain(gen: Generator, names: list[str], steps: Sequence[Step]) -> Iterator[tuple[str, Place]]:
    """The last array of every layer, with the layer's activation unless it has had it.

    What is called neither as a linear part nor as its norm comes after the activation.
    """
    layers = dict(gen.spec.facts)["layers"]
    last: dict[int, str] = {}
    index = 0
    for name in names:
        plain = name.removeprefix("feat_")
        index = next((i for i, step in enumerate(steps) if _begins(step, plain)), index)
        if plain != "formatLayer":  # before its normalisation, which our step includes
            last[index] = name
    for index, name in last.items():
        plain, activation = name.removeprefix("feat_"), layers[index][2]
        if plain != steps[index].norm and not _begins(steps[index], plain):
            activation = "doubled" if activation == "sigmoid" else "none"
        yield name, Place(f"layer{index}", change={**ACTIVATIONS, "doubled": _doubled}[activation])


def _begins(step: Step, name: str) -> bool:
    """Whether an array comes from the linear part of a layer, or from a block that holds it."""
    return step.linear == name or step.linear.startswith(f"{name}.")


def _doubled(x: Array) -> Array:
    return 2 * x - 1


def ours(states: dict[str, State], steps: tuple[str, ...], place: Place) -> np.ndarray:
    """The array of our states; "own" is what a block of StyleGAN2 adds to the image."""
    state = states[place.step]
    if place.key != "own":
        return np.asarray(state[place.key])
    number = steps.index(place.step)
    if number == 0:
        return np.asarray(state["image"])
    return np.asarray(state["image"] - blur_double(states[steps[number - 1]]["image"]))


def theirs(array: np.ndarray, place: Place, shape: tuple[int, ...]) -> np.ndarray:
    """The first sample of an original array as ours is laid out: [h, w, C], cropped, or flat."""
    x = array[0]
    if x.ndim == 1 and len(shape) == 3:
        x = x.reshape(shape[-1], *shape[:2])
    if x.ndim == 3:
        x = x.transpose(1, 2, 0)[: shape[0], : shape[1]]
    return np.asarray(place.change(jnp.asarray(x)))
