"""The DCGAN family: a chain of dense layers and transposed convolutions (Radford et al. 2016).

arXiv:1511.06434; the same chain serves WGAN (Arjovsky et al. 2017, arXiv:1701.07875), WGAN-GP
(Gulrajani et al. 2017, arXiv:1704.00028) and plain multi-layer perceptrons. Batch normalisation by
running statistics is folded into the weights. Grey images come as three equal channels. A class,
where there are classes, is the last inputs beside z (Mirza & Osindero 2014, arXiv:1411.1784).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from jaxinv.models.generators import base
from jaxinv.nn.layer_chain import Layer, Step
from jaxinv.nn.module import Module
from jaxinv.nn.resample import area_reduce

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, State


class Chain(Module):
    """z, or (z, class) -> image."""

    layers: tuple[Layer, ...]

    @property
    def steps(self) -> tuple[str, ...]:
        """One per layer."""
        return tuple(f"layer{index}" for index in range(len(self.layers)))

    def setup(self) -> None:
        self.chain = [
            Step(layer, name=name) for layer, name in zip(self.layers, self.steps, strict=True)
        ]

    def step(self, index: int, state: State, code: Any, noise: None) -> State:
        """One layer: {"x": [h, w, channels], or flat}, and "attention" where it is one."""
        del noise
        inputs = jnp.concatenate(code) if isinstance(code, tuple) else code
        return self.chain[index](state.get("x", inputs))

    def finish(self, state: State, code: Any, size: int) -> Array:
        """-> image [size, size, 3]."""
        del code
        x = state["x"]
        return area_reduce(jnp.broadcast_to(x, (*x.shape[:2], 3)), size)


def build(spec: GeneratorSpec) -> base.Generator:
    """The generator of a `spec` whose fact "layers" lists the chain."""
    layers = tuple(Layer(*fields) for fields in dict(spec.facts)["layers"])
    chain, z = Chain(layers), jnp.ones(spec.z_dim)
    if not spec.labels:
        return base.from_z(spec, base.Synthesis(chain, z))
    code = (z, jnp.ones(spec.labels))
    return base.from_z(spec, base.Synthesis(chain, code), lambda params, label: label)
