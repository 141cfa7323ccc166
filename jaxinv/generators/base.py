"""The one surface of every generator, and the chain of latent spaces z -> w -> w+ -> s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.checks import check_choice
from jaxinv.nn.conv import FROZEN
from jaxinv.vocabulary import CHAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from flax.linen import Module

    from jaxinv.generators.discriminator import Discriminator
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Key, Latents, Params, State, Tree


class Part(NamedTuple):
    """Which steps of a synthesis are run: `first` to before `last`; None: to the end, an image."""

    first: int = 0
    last: int | None = None
    size: int = 0


class Generator(NamedTuple):
    """Pure functions of ONE sample; `params` is the nested dict that the checkpoint stores.

    init(key) -> params; map(params, z) -> w, or map(params, z, label [labels]) where there are
    classes; affine(params, w+ [rows, w_dim]) -> s, a tuple of style vectors; embed(params, label)
    -> the vector that stands for a class inside a generator without W. run(params, code, noise,
    state, part) makes some `steps` of the synthesis: it gives the state after them, or the image
    [size, size, 3] in [-1, 1]. `code` is s; where there is no W, z, or (z, embedding). `noise` is a
    tuple of unit-variance maps [r, r], or None for the stored ones. `discriminator` is the one that
    it was trained against, where the checkpoint has it.
    """

    spec: GeneratorSpec
    steps: tuple[str, ...]
    init: Callable[[Key], Params]
    map: Callable[..., Array]
    affine: Callable[[Params, Array], tuple[Array, ...]]
    embed: Callable[[Params, Array], Array]
    run: Callable[[Params, Tree, tuple[Array, ...] | None, State, Part], Any]
    stored_noise: Callable[[Params], tuple[Array, ...]]
    discriminator: Discriminator | None = None

    def synthesize(self, params: Params, latents: Latents, size: int | None = None) -> Array:
        """Image [size, size, 3] of one sample's latents in any space (default: full size).

        It is area-reduced when `size` is below the resolution.
        """
        return self.suffix(params, latents, None, {}, size)

    def prefix(self, params: Params, latents: Latents, cut: str) -> State:
        """The features after step `cut`: "x" [h, w, channels], and "image" where one is carried.

        With `suffix` it makes the whole: the spaces "F" of the literature. Raises `ValueError` for
        a `cut` that is none of `steps`.
        """
        part = Part(0, self._after(cut))
        code = synthesis_code(self, params, latents)
        return self.run(params, code, latents.get("noise"), {}, part)

    def suffix(
        self, params: Params, latents: Latents, cut: str | None, state: State, size: int | None
    ) -> Array:
        """Image [size, size, 3] from the features `state` after step `cut` and the latents."""
        part = Part(self._after(cut), None, size or self.spec.resolution)
        code = synthesis_code(self, params, latents)
        return self.run(params, code, latents.get("noise"), state, part)

    def features(self, params: Params, latents: Latents) -> dict[str, State]:
        """What `prefix` gives for every one of `steps`, in one pass."""
        code = synthesis_code(self, params, latents)
        found: dict[str, State] = {}
        state: State = {}
        for index, name in enumerate(self.steps):
            part = Part(index, index + 1)
            found[name] = state = self.run(params, code, latents.get("noise"), state, part)
        return found

    def _after(self, cut: str | None) -> int:
        if cut is None:
            return 0
        check_choice(f"cut of generator {self.spec.name!r}", cut, self.steps)
        return self.steps.index(cut) + 1


class Synthesis(NamedTuple):
    """A module with `steps` (names), step(index, state, code, noise) and finish(state, code, size).

    `stored_noise` gives its noise maps, `code` an example of what it draws from.
    """

    module: Any
    code: Tree
    stored_noise: Callable[[Params], tuple[Array, ...]] = lambda params: ()


def block_steps(blocks: int) -> tuple[str, ...]:
    """Names of the two convolutions of every block at 4, 8 ... px."""
    return tuple(f"b{4 << block}_conv{k}" for block in range(blocks) for k in (0, 1))


def _walk(module: Any, code: Tree, noise: Any, state: State, part: Part) -> Any:
    for index in range(part.first, len(module.steps) if part.last is None else part.last):
        state = module.step(index, state, code, noise)
    return module.finish(state, code, part.size) if part.last is None else state


def _whole(module: Any, code: Tree, size: int) -> Array:
    # All of it at once, so that initialisation reaches every parameter.
    given = module.affine(code) if hasattr(module, "affine") else code
    return _walk(module, given, None, {}, Part(size=size))


def from_w(spec: GeneratorSpec, mapping: Module, synthesis: Synthesis) -> Generator:
    """The generator of two modules: mapping(z, label) -> w, and a synthesis with affine(w+) -> s.

    The synthesis draws from s.
    """

    def init(key: Key) -> Params:
        first, second = jax.random.split(key)
        label = jnp.zeros(spec.labels) if spec.labels else None
        own = mapping.init(first, jnp.ones(spec.z_dim), label)["params"]
        return {"mapping": own, "synthesis": _initial(second, synthesis, spec)}

    def to_w(params: Params, z: Array, label: Array | None = None) -> Any:
        return mapping.apply({"params": params["mapping"]}, z, label)

    apply = _bound(synthesis.module)
    return Generator(
        spec=spec,
        steps=synthesis.module.steps,
        init=init,
        map=to_w,
        affine=lambda params, w: apply(params, w, method="affine"),
        embed=refuse(spec, "class embedding"),
        run=lambda params, *given: apply(params, *given, method=_walk),
        stored_noise=synthesis.stored_noise,
    )


def from_z(
    spec: GeneratorSpec,
    synthesis: Synthesis,
    embed: Callable[[Params, Array], Array] | None = None,
) -> Generator:
    """The generator of one synthesis without a W space, and of its class embedding if it has one.

    The synthesis draws from z, or from (z, embedding).
    """
    apply = _bound(synthesis.module)
    return Generator(
        spec=spec,
        steps=synthesis.module.steps,
        init=lambda key: {"synthesis": _initial(key, synthesis, spec)},
        map=refuse(spec, "W"),
        affine=refuse(spec, "style"),
        embed=embed or refuse(spec, "class embedding"),
        run=lambda params, *given: apply(params, *given, method=_walk),
        stored_noise=synthesis.stored_noise,
    )


def _initial(key: Key, synthesis: Synthesis, spec: GeneratorSpec) -> Params:
    return synthesis.module.init(key, synthesis.code, spec.resolution, method=_whole)["params"]


def _bound(network: Module) -> Callable[..., Any]:
    """`network` as a function of the parameters and their backward kernels."""

    def run(params: Params, *given: object, method: Any) -> Any:
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


def synthesis_code(gen: Generator, params: Params, latents: Latents) -> Tree:
    """What the synthesis draws from: s; z without a W space; (z, embedding) with classes."""
    code = convert(gen, params, latents, "s" if gen.spec.w_dim else "z")
    if not gen.spec.embedding:
        return code
    if "embedding" in latents:
        return code, latents["embedding"]
    return code, gen.embed(params, label_of(gen, latents))


def label_of(gen: Generator, latents: Latents) -> Array:
    """The class vector [labels] of `latents`; `ValueError` where a class is needed and missing."""
    if "label" not in latents:
        raise ValueError(
            f"generator {gen.spec.name!r} draws classes: latents with "
            f"{', '.join(sorted(latents))} need a 'label' [{gen.spec.labels}]"
        )
    return latents["label"]


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
        code = _forward(gen, params, name, {**latents, name: code})
    return code


def _forward(gen: Generator, params: Params, space: str, latents: Latents) -> Tree:
    code = latents[space]
    if space == "z":
        return gen.map(params, code, *([label_of(gen, latents)] if gen.spec.labels else []))
    if space == "w":
        return jnp.broadcast_to(code, (gen.spec.rows, gen.spec.w_dim))
    return gen.affine(params, code)
