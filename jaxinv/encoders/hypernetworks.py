"""Heads that change the generator's weights for one picture: hypernetworks.

HyperStyle (Alaluf et al. 2022, arXiv:2111.15666, section 3.2) multiplies every kernel by one plus
what a small network makes of the features; several kernels of equal size share the last layers of
theirs. HyperInverter (Dinh et al. 2022, arXiv:2112.00719, section 3.3) makes them in a like way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from jaxinv.models.generators.weight_deltas import NETWORK, nested
from jaxinv.nn.conv import Conv
from jaxinv.nn.linear import Linear, leaky_relu
from jaxinv.specs.checks import check_choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxinv.encoders.backbones import Maps
    from jaxinv.encoders.base import Beside, Outputs
    from jaxinv.encoders.layers import Network
    from jaxinv.types import Array, Params

    Shape = tuple[int, int, int]  # out, in, pixels along a side
    Shared = Mapping[Shape, tuple[Linear, Linear]]

SLOPE = 0.01
SHARED, POOLED, SEPARABLE, IMAGE = KINDS = ("shared", "pooled", "separable", "image")
SHARED_NAME = "shared_weight_hypernet"
TAPS = 3  # along a side of the kernels that are changed


class Change(NamedTuple):
    """One kernel that is changed: its number, how, its channels, and those of the block inside.

    The layers of a generator are numbered as the authors do: convolution and image layer at 4 px,
    then two convolutions and an image layer for every further size.
    """

    number: int
    kind: str
    inside: int
    outside: int
    hidden: int

    @property
    def path(self) -> tuple[str, ...]:
        """Where the kernel lies in the parameters of a StyleGAN2."""
        block, place = divmod(self.number + 1, 3)
        part = ("conv0/kernel", "conv1/kernel", "torgb/weight")[place]
        return (NETWORK, *f"b{4 << block}_{part}".split("/"))

    @property
    def flipped(self) -> bool:
        """Whether the kernel doubles the resolution, which turns it by 180 degrees here."""
        return self.number > 1 and (self.number + 1) % 3 == 0


def head(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """Factors less 1 for the kernels that the fact "changes" lists (see `Change`)."""
    del beside
    found: list[tuple[tuple[str, ...], Params]] = []
    changes = [Change(*one) for one in net.fact("changes", ())]
    shapes = {(one.outside, one.inside, TAPS) for one in changes if one.kind == SHARED}
    width = maps[0].shape[-1]
    shared = {shape: two_layers(SHARED_NAME, width, shape) for shape in sorted(shapes)}
    for change in changes:
        check_choice("kind of change", change.kind, KINDS)
        block = f"refinement_blocks.{change.number}"
        delta = factors(net, block, maps[0], change, shared)
        delta = delta[::-1, ::-1] if change.flipped else delta
        if change.kind == IMAGE:
            delta = delta[0, 0]
        found.append((change.path, {"times": delta}))
    return {"weights": nested(found)}


def factors(net: Network, name: str, x: Array, change: Change, shared: Shared) -> Array:
    """The factors [h, w, in, out] less 1 that a block makes of a map [h, w, c].

    `shared` are the layers that blocks share, by the shape of what they make.
    """
    x = _reduced(net, f"{name}.convs", x, change)
    if change.kind == SHARED:
        z = net.equalised(f"{name}.linear", x[0, 0], x.shape[-1])
        shape = (change.outside, change.inside, TAPS)
        return two_maps(shared[shape], z, shape)
    if change.kind == SEPARABLE:
        return _separable(net, f"{name}.output.0", x[0, 0], change)
    pooled = jnp.mean(x, (0, 1), keepdims=True)
    layer = f"{name}.output.{0 if change.kind == IMAGE else 1}"
    numbers = net.conv(layer, pooled, change.outside * change.inside, 1)
    one = numbers.reshape(change.outside, change.inside).T[None, None]
    taps = 1 if change.kind == IMAGE else TAPS
    return jnp.broadcast_to(one, (taps, taps, *one.shape[2:]))


def _reduced(net: Network, name: str, x: Array, change: Change) -> Array:
    """Convolutions that halve a map until one pixel is left, or two where a mean is taken."""
    widest, number = x.shape[-1], 0
    least = 2 if change.kind == POOLED else 1
    while x.shape[0] > least:
        last = x.shape[0] <= 2 * least
        stride = 1 if change.kind == SHARED and number == 0 else 2
        x = net.conv(f"{name}.{number}", x, widest if last else change.hidden, 3, stride)
        x, number = leaky_relu(x, SLOPE), number + 2
    return x


def two_layers(name: str, width: int, shape: Shape) -> tuple[Linear, Linear]:
    """The layers of `two_maps` for vectors of a width."""
    outside, inside, taps = shape
    first = Linear(inside * width, name=f"{name}.first")
    return first, Linear(outside * taps * taps, name=f"{name}.second")


def two_maps(layers: tuple[Linear, Linear], z: Array, shape: Shape) -> Array:
    """A kernel [k, k, in, out] of z [d]: two layers, of which the second is the same for every row.

    The rows are the input's channels, and yet the authors read the result as (out, in, k, k).
    """
    outside, inside, taps = shape
    first, second = layers
    numbers = second(first(z).reshape(inside, z.shape[-1]))
    return numbers.reshape(outside, inside, taps, taps).transpose(2, 3, 1, 0)


def _separable(net: Network, name: str, x: Array, change: Change) -> Array:
    """A kernel whose taps are products of one vector per side, mixed along the channels."""
    taps = TAPS * TAPS
    one = net.dense(f"{name}.make_kernel_in", x, taps * change.inside)
    other = net.dense(f"{name}.make_kernel_out", x, taps * change.outside)
    product = one.reshape(taps, 1, change.inside) * other.reshape(taps, change.outside, 1)
    mixed = net.dense(f"{name}.kernel_linear_in", product, change.inside)
    mixed = net.dense(f"{name}.kernel_linear_out", mixed.transpose(0, 2, 1), change.outside)
    return mixed.reshape(TAPS, TAPS, change.inside, change.outside)


def regressed(net: Network, name: str, maps: tuple[Array, Array], shape: tuple[int, ...]) -> Array:
    """A kernel or matrix [..., in, out] of two maps [8, 8, c], of the picture and of what is drawn.

    HyperInverter's, for a weight that its authors keep as `shape`: (out, in), maybe with (k, k).
    """
    x = net.conv(f"{name}.fusion.0", jnp.concatenate(maps, axis=-1), maps[0].shape[-1], 1)
    x = nn.relu(_instance_normal(x))
    return _of_features(net, name, _features(net, f"{name}.feature_extractor", x), shape)


def _instance_normal(x: Array, epsilon: float = 1e-5) -> Array:
    centred = x - jnp.mean(x, (0, 1))
    return centred * lax.rsqrt(jnp.mean(jnp.square(centred), (0, 1)) + epsilon)


def _features(net: Network, name: str, x: Array) -> Array:
    """[8, 8, c] -> [hidden]."""
    hidden = net.fact("hidden", x.shape[-1])
    x, number = nn.relu(net.conv(f"{name}.0", x, x.shape[-1])), 2
    while x.shape[0] > 1:
        features = hidden if x.shape[0] == 2 else x.shape[-1]
        x = nn.relu(Conv(features, 4, 2, 1, name=f"{name}.{number}")(x))
        number += 2
    return x[0, 0]


def _of_features(net: Network, name: str, z: Array, shape: tuple[int, ...]) -> Array:
    outside, inside, taps = (*shape, 1)[:3]
    kernel_shape = (outside, inside, taps)
    kernel = two_maps(two_layers(name, z.shape[-1], kernel_shape), z, kernel_shape)
    return kernel if len(shape) > 2 else kernel[0, 0]
