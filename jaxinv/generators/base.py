"""The one surface of every generator, and the chain of latent spaces z -> w -> w+ -> s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.nn.conv import FROZEN
from jaxinv.vocabulary import CHAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from flax.linen import Module

    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Key, Latents, Params, Tree


class Generator(NamedTuple):
    """Pure functions of ONE sample; `params` is the nested dict that the checkpoint stores.

    init(key) -> params; map(params, z) -> w, or map(params, z, label [classes]) for a conditional
    generator; affine(params, w+ [rows, w_dim]) -> s, a tuple of style vectors; draw(params, s,
    noise, size) -> image [size, size, 3] in [-1, 1], area-reduced when `size` is below the
    resolution. `noise` is a tuple of unit-variance maps [r, r], or None for the stored ones. A
    generator without a W space draws from z itself.
    """

    spec: GeneratorSpec
    init: Callable[[Key], Params]
    map: Callable[..., Array]
    affine: Callable[[Params, Array], tuple[Array, ...]]
    draw: Callable[[Params, Tree, tuple[Array, ...] | None, int], Array]
    stored_noise: Callable[[Params], tuple[Array, ...]]

    def synthesize(self, params: Params, latents: Latents, size: int | None = None) -> Array:
        """Image [size, size, 3] of one sample's latents in any space (default: full size)."""
        code = convert(self, params, latents, "s" if self.spec.w_dim else "z")
        return self.draw(params, code, latents.get("noise"), size or self.spec.resolution)


def from_w(
    spec: GeneratorSpec,
    mapping: Module,
    synthesis: Module,
    stored_noise: Callable[[Params], tuple[Array, ...]],
) -> Generator:
    """The generator of two modules: mapping(z, label) -> w, and synthesis(s, noise, size) -> image.

    `synthesis` has the method `affine(w+) -> s`.
    """
    draw = _bound(synthesis)

    def init(key: Key) -> Params:
        first, second = jax.random.split(key)
        label = jnp.zeros(spec.labels) if spec.labels else None
        w = jnp.ones((spec.rows, spec.w_dim))
        return {
            "mapping": mapping.init(first, jnp.ones(spec.z_dim), label)["params"],
            "synthesis": synthesis.init(second, w, spec.resolution, method=_whole)["params"],
        }

    def to_w(params: Params, z: Array, label: Array | None = None) -> Any:
        return mapping.apply({"params": params["mapping"]}, z, label)

    return Generator(
        spec=spec,
        init=init,
        map=to_w,
        affine=lambda params, w: draw(params, w, method="affine"),
        draw=draw,
        stored_noise=stored_noise,
    )


def _whole(synthesis: Any, w: Array, size: int) -> Array:
    # The whole path at once, so that initialisation reaches every parameter.
    return synthesis(synthesis.affine(w), None, size)


def from_z(spec: GeneratorSpec, network: Module) -> Generator:
    """The generator of one module, network(z, size) -> image, without a W space."""
    draw = _bound(network)

    def init(key: Key) -> Params:
        return {"synthesis": network.init(key, jnp.ones(spec.z_dim), spec.resolution)["params"]}

    return Generator(
        spec=spec,
        init=init,
        map=refuse(spec, "W"),
        affine=refuse(spec, "style"),
        draw=lambda params, z, noise, size: draw(params, z, size),
        stored_noise=lambda params: (),
    )


def _bound(network: Module) -> Callable[..., Any]:
    """`network` as a function of the parameters and their backward kernels."""

    def run(params: Params, *given: object, method: str | None = None) -> Any:
        variables = {
            "params": params["synthesis"],
            FROZEN: params.get(FROZEN, {}).get("synthesis", {}),
        }
        return network.apply(variables, *given, method=method)

    return run


def refuse(spec: GeneratorSpec, space: str) -> Callable[..., Any]:
    """Stands for a part that a generator does not have: a `ValueError` that says so."""

    def missing(*given: object) -> Any:
        del given
        raise ValueError(
            f"generator {spec.name!r} has no {space} space; allowed: {', '.join(spec.spaces)}"
        )

    return missing


def convert(gen: Generator, params: Params, latents: Latents, space: str) -> Tree:
    """The code of `latents` carried forward to `space` along z -> w -> w+ -> s.

    Raises `ValueError` when the latents only hold a later space: the chain cannot be walked back.
    """
    wanted = CHAIN.index(space)
    held = [name for name in reversed(CHAIN) if name in latents and CHAIN.index(name) <= wanted]
    if not held:
        raise ValueError(
            f"latents with {', '.join(sorted(latents)) or 'nothing'} cannot give {space!r}; "
            f"allowed: {', '.join(CHAIN[: wanted + 1])}"
        )
    code = latents[held[0]]
    for name in CHAIN[CHAIN.index(held[0]) : wanted]:
        code = _forward(gen, params, name, code)
    return code


def _forward(gen: Generator, params: Params, space: str, code: Array) -> Tree:
    if space == "z":
        return gen.map(params, code)
    if space == "w":
        return jnp.broadcast_to(code, (gen.spec.rows, gen.spec.w_dim))
    return gen.affine(params, code)
