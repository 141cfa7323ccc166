"""tree-GAN (Shu et al. 2019, arXiv:1905.06292): z -> a cloud of points, by a tree that branches.

A generator draws pictures here, so a cloud is one: its points (x, y, z) in about [-1, 1], one a
pixel, line by line in the smallest square that holds them; what is left repeats the first points,
so that the set of points is that of the cloud.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.models.generators import base
from jaxinv.models.generators.wavegan import side_of
from jaxinv.nn.linear import Linear, leaky_relu
from jaxinv.nn.module import Module

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, State


class Branching(Module):
    """A graph convolution of a tree: every node becomes `degree` children.

    A child is a sum of a term of its parent alone (of `support` times as many features inside) and
    of one of each ancestor.
    """

    features: int
    degree: int
    support: int
    last: bool

    @nn.compact
    def __call__(self, ancestors: list[Array]) -> Array:
        """Nodes [n_k, c_k] of all layers so far -> [n * degree, features]."""
        parents = ancestors[-1]
        count, channels = parents.shape
        shape = (count, channels, self.degree * channels)
        kernel = self.param("branch_kernel", nn.initializers.glorot_uniform(), shape)
        split = leaky_relu(jnp.einsum("nc,ncd->nd", parents, kernel))
        split = split.reshape(count * self.degree, channels)
        inner = Linear(channels * self.support, bias=False, name="loop0")(split)
        found = Linear(self.features, bias=False, name="loop1")(inner)
        for index, nodes in enumerate(ancestors):
            own = Linear(self.features, bias=False, name=f"ancestor{index}")(nodes)
            found = found + jnp.repeat(own, count * self.degree // len(nodes), axis=0)
        if self.last:
            return found
        bias = self.param("bias", nn.initializers.zeros, (self.degree, self.features))
        return leaky_relu(found + jnp.tile(bias, (count, 1)))


class Cloud(Module):
    """z -> a cloud, as a picture. `layers`: features and degree of each."""

    layers: tuple[tuple[int, int], ...]
    support: int

    @property
    def steps(self) -> tuple[str, ...]:
        """The branchings."""
        return tuple(f"branch{index}" for index in range(len(self.layers)))

    def setup(self) -> None:
        last = len(self.layers) - 1
        self.chain = [
            Branching(features, degree, self.support, index == last, name=name)
            for (index, (features, degree)), name in zip(
                enumerate(self.layers), self.steps, strict=True
            )
        ]

    def step(self, index: int, state: State, z: Array, noise: None) -> State:
        """One branching: {"x": [nodes, 1, features]}, and the layers above it by number."""
        del noise
        above = {"above0": z[None]} if index == 0 else dict(state)
        if index:
            above[f"above{index}"] = above.pop("x")[:, 0]
        nodes = self.chain[index]([above[f"above{k}"] for k in range(index + 1)])
        return {**above, "x": nodes[:, None]}

    def finish(self, state: State, z: Array, size: int) -> Array:
        """-> picture [size, size, 3]; `ValueError` for another side than the cloud's."""
        del z
        points = state["x"][:, 0]
        side = side_of(len(points))
        if size != side:
            raise ValueError(f"a cloud as {size}x{size} points; allowed: {side}x{side}")
        whole = jnp.concatenate([points, points[: side * side - len(points)]])
        return whole.reshape(side, side, 3)


def build(spec: GeneratorSpec) -> base.Generator:
    """The generator of a `spec` with the facts layers and support.

    Raises `ValueError` where its points are not those of the tree.
    """
    facts = dict(spec.facts)
    layers = tuple((features, degree) for features, degree in facts["layers"])
    count = math.prod(degree for _, degree in layers)
    if layers[-1][0] != 3 or count != spec.points or side_of(count) != spec.resolution:
        raise ValueError(
            f"a tree of {count} nodes of {layers[-1][0]} numbers for {spec.points} points at "
            f"{spec.resolution} px; allowed: {count} points of 3 numbers at {side_of(count)} px"
        )
    network = Cloud(layers, facts["support"])
    return base.from_z(spec, base.Synthesis(network, jnp.ones(spec.z_dim)))
