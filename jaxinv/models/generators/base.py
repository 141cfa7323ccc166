"""The interface of every generator, and the chain of latent spaces z -> w -> w+ -> s."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.models.generators.weight_deltas import patched
from jaxinv.nn.conv import BACKWARD_KERNELS
from jaxinv.specs.checks import check_choice
from jaxinv.specs.vocabulary import LATENT_SPACES

if TYPE_CHECKING:
    from collections.abc import Callable

    from flax.linen import Module

    from jaxinv.models.discriminators.base import Discriminator
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Key, Latents, Params, State, Tree


class StepRange(NamedTuple):
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
    run: Callable[[Params, Tree, tuple[Array, ...] | None, State, StepRange], Any]
    stored_noise: Callable[[Params], tuple[Array, ...]]
    discriminator: Discriminator | None = None

    def synthesize(self, params: Params, latents: Latents, size: int | None = None) -> Array:
        """Image [size, size, 3] of one sample's latents in any space (default: full size).

        It is area-reduced when `size` is below the resolution. Beside a code, `latents` may hold
        "noise"; "features", {cut: a change of x there, see `changed_features`}; "weights", changes
        of the parameters (see `weight_deltas`); and "mix", {cut: [n, channels]}, the shares of n
        codes (Gu et al. 2020, mGANPrior, equation 3).
        """
        if "mix" not in latents:
            return self.suffix(params, latents, None, {}, size)
        ((cut, shares),) = latents["mix"].items()
        codes = {name: latents[name] for name in LATENT_SPACES if name in latents}
        rest = {name: latents[name] for name in latents if name not in ("mix", *codes)}
        states = jax.vmap(lambda one: self.prefix(params, {**rest, **one}, cut))(codes)
        middle = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), codes)
        return self.suffix(params, {**rest, **middle}, cut, mix_features(states, shares), size)

    def prefix(self, params: Params, latents: Latents, cut: str) -> State:
        """The features after step `cut`: "x" [h, w, channels], and "image" where one is carried.

        With `suffix` it makes the whole: the spaces "F" of the literature. Raises `ValueError` for
        a `cut` that is none of `steps`.
        """
        return self._walk(params, latents, {}, StepRange(0, self.after(cut)))

    def suffix(
        self, params: Params, latents: Latents, cut: str | None, state: State, size: int | None
    ) -> Array:
        """Image [size, size, 3] from the features `state` after step `cut` and the latents."""
        part = StepRange(self.after(cut), None, size or self.spec.resolution)
        return self._walk(params, latents, state, part)

    def features(self, params: Params, latents: Latents) -> dict[str, State]:
        """What `prefix` gives for every one of `steps`, in one pass."""
        found: dict[str, State] = {}
        state: State = {}
        for index, name in enumerate(self.steps):
            part = StepRange(index, index + 1)
            found[name] = state = self._walk(params, latents, state, part)
        return found

    def _walk(self, params: Params, latents: Latents, state: State, part: StepRange) -> Any:
        """Make the steps of `part`, adding the features of `latents` where they belong."""
        params = patched(params, latents.get("weights"))
        code, noise = synthesis_code(self, params, latents), latents.get("noise")
        added = {self.after(cut): x for cut, x in latents.get("features", {}).items()}
        last = len(self.steps) if part.last is None else part.last
        for stop in sorted(place for place in added if part.first < place <= last):
            state = self.run(params, code, noise, state, StepRange(part.first, stop))
            state = {**state, "x": changed_features(state["x"], added[stop])}
            part = part._replace(first=stop)
        return self.run(params, code, noise, state, part)

    def after(self, cut: str | None) -> int:
        """Number of steps up to and with `cut`; `ValueError` where there is none of that name."""
        if cut is None:
            return 0
        check_choice(f"cut of generator {self.spec.name!r}", cut, self.steps)
        return self.steps.index(cut) + 1


def changed_features(x: Array, change: Any) -> Array:
    """Features x with a change: an array is added; {"times": t, "add": d} makes it x (1 + t) + d.

    The second is how HFGI and FeatureStyle change a layer: their scales and shifts, and a share of
    another map (t = -share, d = share times the map).
    """
    return x * (1 + change["times"]) + change["add"] if isinstance(change, dict) else x + change


def mix_features(states: State, shares: Array) -> State:
    """The sum of n states weighted by `shares` [n, channels]; all but "x" by their mean share."""
    mean = jnp.mean(shares, axis=-1)
    return {
        name: jnp.einsum("n...c,nc->...c", x, shares)
        if name == "x"
        else jnp.tensordot(mean, x, axes=1)
        for name, x in states.items()
        if name != "attention"
    }


class Synthesis(NamedTuple):
    """A module with `steps` (names), step(index, state, code, noise) and finish(state, code, size).

    `stored_noise` gives its noise maps, `code` an example of what it draws from, and `beside` one
    of what it is given beside the styles, such as a camera.
    """

    module: Any
    code: Tree
    stored_noise: Callable[[Params], tuple[Array, ...]] = lambda params: ()
    beside: Tree = None


def block_steps(blocks: int) -> tuple[str, ...]:
    """Names of the two convolutions of every block at 4, 8 ... px."""
    return tuple(f"b{4 << block}_conv{k}" for block in range(blocks) for k in (0, 1))


def _walk(module: Any, code: Tree, noise: Any, state: State, part: StepRange) -> Any:
    for index in range(part.first, len(module.steps) if part.last is None else part.last):
        state = module.step(index, state, code, noise)
    return module.finish(state, code, part.size) if part.last is None else state


def _run_all(module: Any, code: Tree, beside: Tree, size: int) -> Array:
    # All of it at once, so that initialisation reaches every parameter.
    given = module.affine(code) if hasattr(module, "affine") else code
    given = given if beside is None else (given, beside)
    return _walk(module, given, None, {}, StepRange(size=size))


def from_w(spec: GeneratorSpec, mapping: Module, synthesis: Synthesis) -> Generator:
    """The generator of two modules: mapping(z, label) -> w, and a synthesis with affine(w+) -> s.

    The synthesis draws from s.
    """

    def init(key: Key) -> Params:
        first, second = jax.random.split(key)
        conditions = spec.labels or spec.conditions
        label = jnp.zeros(conditions) if conditions else None
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
        embed=missing_capability(spec, "class embedding"),
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
        map=missing_capability(spec, "W"),
        affine=missing_capability(spec, "style"),
        embed=embed or missing_capability(spec, "class embedding"),
        run=lambda params, *given: apply(params, *given, method=_walk),
        stored_noise=synthesis.stored_noise,
    )


def _initial(key: Key, synthesis: Synthesis, spec: GeneratorSpec) -> Params:
    given = (synthesis.code, synthesis.beside, spec.resolution)
    return synthesis.module.init(key, *given, method=_run_all)["params"]


def _bound(network: Module) -> Callable[..., Any]:
    """`network` as a function of the parameters and their backward kernels."""

    def run(params: Params, *given: object, method: Any) -> Any:
        variables = {
            "params": params["synthesis"],
            BACKWARD_KERNELS: params.get(BACKWARD_KERNELS, {}).get("synthesis", {}),
        }
        return network.apply(variables, *given, method=method)

    return run


def missing_capability(spec: GeneratorSpec, space: str) -> Callable[..., Any]:
    """Stands for a part that a generator does not have: a `ValueError` that says so."""

    def missing(*given: object) -> Any:
        del given
        raise ValueError(
            f"generator {spec.name!r} has no {space} space; allowed: {', '.join(spec.spaces)}"
        )

    return missing


def synthesis_code(gen: Generator, params: Params, latents: Latents) -> Tree:
    """What the synthesis draws from: s; z without a W space; (z, embedding) with classes.

    (s, camera) where there is one: the camera in front, unless `latents` say another.
    """
    code = convert(gen, params, latents, "s" if gen.spec.w_dim else "z")
    if gen.spec.camera:
        return code, latents.get("camera", jnp.zeros(gen.spec.camera))
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
    """The code of `latents` carried forward to `space` along z -> w -> w+ -> s, or z -> z+ -> w+.

    Raises `ValueError` when the latents only hold a later space: there is no inverse.
    """
    held = [name for name in reversed(LATENT_SPACES) if name in latents and space_path(name, space)]
    if not held:
        reach = ", ".join(name for name in LATENT_SPACES if space_path(name, space))
        raise ValueError(
            f"latents with {', '.join(sorted(latents)) or 'nothing'} cannot give {space!r}; "
            f"allowed: {reach}"
        )
    code = latents[held[0]]
    for name, following in itertools.pairwise(space_path(held[0], space)):
        code = _forward(gen, params, (name, following), {**latents, name: code})
    return code


def space_path(start: str, space: str) -> tuple[str, ...]:
    """The spaces passed from `start` to `space`, both included; empty if out of reach."""
    ways = (("z", "w", "w+", "s"), ("z", "z+", "w+", "s"))
    for names in ways:
        if start in names and space in names and names.index(start) <= names.index(space):
            return names[names.index(start) : names.index(space) + 1]
    return ()


def _forward(gen: Generator, params: Params, step: tuple[str, str], latents: Latents) -> Tree:
    code, (space, following) = latents[step[0]], step
    if space in ("z", "z+") and following != "z+":
        label = [label_of(gen, latents)] if gen.spec.labels else []
        if space == "z":
            return gen.map(params, code, *label)
        return jax.vmap(lambda row: gen.map(params, row, *label))(code)
    if following in ("z+", "w+"):
        return jnp.broadcast_to(code, (gen.spec.rows, *code.shape))
    return gen.affine(params, code)
