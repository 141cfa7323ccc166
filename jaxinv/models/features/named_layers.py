"""Nets whose layers are called as in their published file, and whose sizes are those of its arrays.

Normalisations over a batch are folded into the convolution before them when a file is converted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxinv.nn.conv import BACKWARD_KERNELS, Conv
from jaxinv.nn.linear import Linear
from jaxinv.nn.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jaxinv.types import Array, Key, Params

Shapes = tuple[tuple[str, tuple[int, ...]], ...]
Taps = dict[str, jax.Array]


class Affine(Module):
    """A factor and a shift per channel."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., c] -> [..., c]."""
        shape = x.shape[-1:]
        factor = self.param("scale", nn.initializers.ones, shape)
        return x * factor + self.param("bias", nn.initializers.zeros, shape)


class Layers(Module):
    """A net by the names of its layers; `shapes` are those of the arrays, by "layer/array"."""

    shapes: Shapes

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one array; `ValueError` if there is none."""
        found = dict(self.shapes).get(name)
        if found is None:
            raise ValueError(f"the net has no array {name!r}")
        return found

    def has(self, layer: str) -> bool:
        """Whether a layer, or a group of layers, is called so."""
        return any(name.startswith((f"{layer}/", f"{layer}.")) for name, _ in self.shapes)

    def count(self, group: str) -> int:
        """How many layers or groups are called GROUP.0, GROUP.1 and so on."""
        number = 0
        while self.has(f"{group}.{number}"):
            number += 1
        return number

    def conv(self, name: str, x: Array, stride: int = 1, *, padded: bool = True) -> Array:
        """Convolution; `padded` with half of its kernel on all sides, or not at all."""
        rows, columns, _, features = self.shape(f"{name}/kernel")
        padding = (rows // 2, columns // 2) if padded else 0
        return Conv(features, (rows, columns), stride, padding, name=name)(x)

    def relu(self, name: str, x: Array, stride: int = 1, *, padded: bool = True) -> Array:
        """Convolution and ReLU."""
        return nn.relu(self.conv(name, x, stride, padded=padded))

    def dense(self, name: str, x: Array) -> Array:
        """Fully connected layer over the last axis."""
        bias = f"{name}/bias" in dict(self.shapes)
        return Linear(self.shape(f"{name}/kernel")[-1], bias, name=name)(x)

    def affine(self, name: str, x: Array) -> Array:
        """A factor and a shift per channel."""
        return Affine(name=name)(x)

    def norm(self, name: str, x: Array) -> Array:
        """Layer normalisation over the last axis (Ba et al. 2016)."""
        return nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, name=name)(x)

    def array(self, name: str) -> Array:
        """An array that is no layer's."""
        return self.param(name, nn.initializers.zeros, self.shape(name))


class Net(NamedTuple):
    """A net for pictures, converted from its published file.

    `prepare(image [h, w, 3] in [-1, 1])` is the net's own cropping, resizing and scaling, and can
    be differentiated; `run(params, prepared)` gives all named outputs; `output` names the vector
    that stands for the picture. `text(params, ids)` embeds a text, where the net can.
    """

    architecture: str
    output: str
    prepare: Callable[[Array], Array]
    init: Callable[[Key], Params]
    run: Callable[[Params, Array], Taps]
    text: Callable[[Params, Array], Array] | None = None

    def taps(self, params: Params, image: Array) -> Taps:
        """All named outputs for an image [h, w, 3] in [-1, 1]."""
        return self.run(params, self.prepare(image))

    def embed(self, params: Params, image: Array) -> Array:
        """The vector [d] that stands for an image [h, w, 3] in [-1, 1]."""
        return self.taps(params, image)[self.output]


def apply(module: Layers, params: Params, *given: Any, method: Any = None) -> Any:
    """What a module gives with parameters, using their kernels for gradients if they hold such."""
    variables = {"params": params, BACKWARD_KERNELS: params.get(BACKWARD_KERNELS, {})}
    return module.apply(variables, *given, method=method)


def initialiser(module: Layers, *given: tuple[tuple[int, ...], Any]) -> Callable[[Key], Params]:
    """Makes parameters for inputs of these shapes and types; meant for `jax.eval_shape`."""

    def init(key: Key) -> Params:
        zeros = [jnp.zeros(shape, kind) for shape, kind in given]
        return dict(module.init(key, *zeros)["params"])

    return init


def shapes_of(params: Mapping[str, Any]) -> Shapes:
    """The shapes of a net's arrays: {"conv1": {"kernel": ...}, "proj": ...}."""
    found: dict[str, tuple[int, ...]] = {}
    for layer, held in params.items():
        if layer == BACKWARD_KERNELS:
            continue
        if isinstance(held, dict):
            found.update({f"{layer}/{name}": tuple(held[name].shape) for name in held})
        else:
            found[layer] = tuple(held.shape)
    return tuple(sorted(found.items()))


def unit(x: Array) -> Array:
    """x divided by its length along the last axis (at least 1e-12, as torch's normalize)."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
