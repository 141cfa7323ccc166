"""One evaluation: what a stage's variables draw, what is seen of it, and how far that is away.

Functions called image_... are of ONE image and one start. The others are of a lane, which is one
image or a group of images that share a variable; `stages` lifts them to many lanes.
"""

from __future__ import annotations

from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxinv.inversion.initialization import starts
from jaxinv.inversion.locality import locality_features
from jaxinv.inversion.shared_variables import image_keys, over_images
from jaxinv.latents.auxiliary_variables import apply_output_variables, overlay
from jaxinv.latents.codecs import stop_frozen_gradients, to_std_units
from jaxinv.latents.spaces import decode
from jaxinv.losses.base import TermInputs
from jaxinv.losses.terms import are_squares, evaluate, extract_features, residuals
from jaxinv.losses.views import named_mask
from jaxinv.models.statistics import STATISTICS
from jaxinv.nn.resample import area_reduce, resize
from jaxinv.operators import build as build_operator
from jaxinv.solvers.schedules import schedule_value
from jaxinv.specs import labels
from jaxinv.specs.vocabulary import CLASSES, LATENT_SPACES

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.inversion.problem import Lane, NetworkParams, Problem
    from jaxinv.specs import Stage, Term
    from jaxinv.types import Array, Key, Latents, Params, Tree


JITTERED_SPACES = {"z", "z+", "w", "w+"}
# Folded into the key of a lane's start, as the number of a step is into a step's.
START_KEY = 2**31 - 1


def image_latents(problem: Problem, params: Params, codes: dict[str, Tree], lane: Lane) -> Latents:
    """Latents of one image: the stage's variables from their codes, others from earlier stages.

    A free code takes the place of one from an earlier stage, and so does a free class; features and
    weights join those that earlier stages changed elsewhere.
    """
    previous, free = lane.previous, set(problem.stage.spaces)
    replaced = {name for few in (LATENT_SPACES, CLASSES) if free & set(few) for name in few}
    if "label" in previous and "label" not in free:
        replaced.discard("label")  # what a free embedding started from still names the class
    latents = {name: value for name, value in previous.items() if name not in replaced}
    for variable in problem.stage.variables:
        value = decode(params, variable, codes[variable.space])
        if variable.mask:
            value = mask_features(value, named_mask(lane.named_masks, variable.mask))
        latents[variable.space] = overlay(previous, variable.space, value)
    return latents


def jittered(
    problem: Problem, params: Params, latents: Latents, moment: tuple[Key, Array]
) -> Latents:
    """Latents with the stage's Gaussian jitter on the code (Karras et al. 2020, appendix D)."""
    jitter = problem.stage.jitter
    if jitter is None:
        return latents
    key, progress = moment
    scale = jitter.scale * schedule_value(jitter.schedule, progress)
    noisy: Latents = {}
    for name in JITTERED_SPACES.intersection(latents):
        std = params[STATISTICS]["std"] if name in ("w", "w+") else 1.0
        noisy[name] = latents[name] + scale * std * jax.random.normal(key, latents[name].shape)
    return {**latents, **noisy}


def mask_features(features: dict[str, Array], mask: Array) -> dict[str, Array]:
    """Features {step: [h, w, channels]} times the mask [h', w', 1], resized to each."""
    return {name: x * resize(mask, (x.shape[0], x.shape[1])) for name, x in features.items()}


def routes(stage: Stage) -> dict[tuple[str, ...], dict[str, Term]]:
    """The stage's terms by label that are counted, grouped by the spaces that they move."""
    found: dict[tuple[str, ...], dict[str, Term]] = {}
    for label, term in zip(labels(stage.terms), stage.terms, strict=True):
        if not term.removed_from:
            found.setdefault(term.moves or stage.spaces, {})[label] = term
    return found


def removals(stage: Stage) -> list[tuple[Term, dict[str, Term]]]:
    """Terms from whose gradient that of others is removed, and those others by label."""
    named = dict(zip(labels(stage.terms), stage.terms, strict=True))
    found: dict[str, dict[str, Term]] = {}
    for label, term in named.items():
        if term.removed_from:
            found.setdefault(term.removed_from, {})[label] = term
    return [(named[label], others) for label, others in found.items()]


def component(gradient: Array, along: Array) -> Array:
    """What each row [..., d] of a gradient has in the direction of that of another."""
    share = jnp.sum(gradient * along, axis=-1, keepdims=True)
    length = jnp.sum(along * along, axis=-1, keepdims=True)
    return jnp.where(length > 0, share / jnp.where(length > 0, length, 1), 0) * along


class ImageObjective:
    """The loss of one image as a function of its codes; one render per call."""

    def __init__(
        self, problem: Problem, weights: NetworkParams, lane: Lane, progress: Array
    ) -> None:
        self.problem, self.weights, self.lane, self.progress = problem, weights, lane, progress
        self.initial = _initial_codes(problem, weights, lane)

    def __call__(self, codes: dict[str, Tree], key: Key) -> tuple[Array, dict[str, Array]]:
        """(loss, value of every term by label); of routed terms, a render for every route."""
        losses: list[Array] = []
        values: dict[str, Array] = {}
        for moves, named in routes(self.problem.stage).items():
            seen = {
                name: code if name in moves else jax.lax.stop_gradient(code)
                for name, code in codes.items()
            }
            loss, found = evaluate(*self._given(tuple(named.values()), seen, key))
            losses.append(loss)
            values |= dict(zip(named, found.values(), strict=True))
        for term, others in removals(self.problem.stage):
            nothing, found = self._removed(term, tuple(others.values()), codes, key)
            losses.append(nothing)
            values |= dict(zip(others, found.values(), strict=True))
        return reduce(jnp.add, losses), values

    def _removed(
        self, term: Term, others: tuple[Term, ...], codes: dict[str, Tree], key: Key
    ) -> tuple[Array, dict[str, Array]]:
        """0, with the gradient that takes out of `term`'s what it has along that of the `others`.

        Of the code, row by row; also the values of the others.
        """
        code = {name: value for name, value in codes.items() if name in LATENT_SPACES}

        def loss(few: tuple[Term, ...], at: dict[str, Tree]) -> tuple[Array, dict[str, Array]]:
            return evaluate(*self._given(few, {**codes, **at}, key))

        held = jax.lax.stop_gradient(code)
        pull, _ = jax.grad(partial(loss, (term,)), has_aux=True)(held)
        along, values = jax.grad(partial(loss, others), has_aux=True)(held)
        taken = jax.lax.stop_gradient(jax.tree.map(component, pull, along))
        change = -reduce(jnp.add, [jnp.vdot(taken[name], code[name]) for name in code])
        return change - jax.lax.stop_gradient(change), jax.lax.stop_gradient(values)

    def residuals(self, codes: dict[str, Tree], key: Key) -> tuple[Array, dict[str, Array]]:
        """(vector whose squared norm is the loss, value of every term by label)."""
        given = self._given(self.problem.stage.terms, codes, key)
        return residuals(*given), evaluate(*given)[1]

    def _given(self, terms: tuple[Term, ...], codes: dict[str, Tree], key: Key) -> tuple[Any, ...]:
        inputs, target = self._inputs(codes, key), (self.lane.target, self.lane.mask)
        return terms, self.weights.feature_params, inputs, target, self.progress

    def _inputs(self, codes: dict[str, Tree], key: Key) -> TermInputs:
        """What is drawn, and what is seen of it."""
        problem, weights, lane = self.problem, self.weights, self.lane
        codes = {v.space: stop_frozen_gradients(v, codes[v.space]) for v in problem.stage.variables}
        latents = image_latents(problem, weights.params, codes, lane)
        drawn = jittered(problem, weights.params, latents, (key, self.progress))
        render, image = draw(problem, weights.params, drawn)
        visible = mask_out(apply_operator(problem, image), lane.mask)
        discriminator = problem.gen.discriminator
        return TermInputs(
            codes=_penalty_units(problem, weights, codes),
            latents=latents,
            image=image,
            features=extract_features(
                problem.stage.terms, weights.feature_params, visible, discriminator
            ),
            params=weights.params,
            start=self.initial,
            render=render,
            pivot=lane.pivot,
            discriminator=discriminator,
            elsewhere_features=locality_features(problem, weights, latents, key),
            named_masks=lane.named_masks,
        )


class Objective:
    """The loss of a lane, the mean over its images: what a solver lowers.

    Called with (codes, key) it gives (loss, value of every term by label). If the loss is a sum of
    squares, `residuals` gives the vector in the place of the loss: see `solvers.base.Solver`.
    """

    def __init__(
        self, problem: Problem, weights: NetworkParams, lane: Lane, progress: Array
    ) -> None:
        self.problem, self.weights, self.lane, self.progress = problem, weights, lane, progress
        if are_squares(problem.stage.terms):
            self.residuals = self._residuals

    def __call__(self, codes: dict[str, Tree], key: Key) -> tuple[Array, dict[str, Array]]:
        """(loss, value of every term by label)."""
        found = self._of_images(ImageObjective.__call__, codes, key)
        return jax.tree.map(jnp.mean, found) if self.problem.stage.shared else found

    def _residuals(self, codes: dict[str, Tree], key: Key) -> tuple[Array, dict[str, Array]]:
        vector, terms = self._of_images(ImageObjective.residuals, codes, key)
        if not self.problem.stage.shared:
            return vector, terms
        return vector.ravel() / len(vector) ** 0.5, jax.tree.map(jnp.mean, terms)

    def _of_images(self, method: Callable[..., Any], codes: dict[str, Tree], key: Key) -> Any:
        def one(own: dict[str, Tree], given: tuple[Lane, Key]) -> Any:
            image = ImageObjective(self.problem, self.weights, given[0], self.progress)
            return method(image, own, given[1])

        given = self.lane, image_keys(self.problem, self.lane, key)
        return over_images(self.problem, one, codes, given)


def decode_latents(problem: Problem, params: Params, codes: dict[str, Tree], lane: Lane) -> Latents:
    """Latents of a lane; those of a group hold what its images share once for each of them."""

    def one(own: dict[str, Tree], member: Lane) -> Latents:
        return image_latents(problem, params, own, member)

    return over_images(problem, one, codes, lane)


def draw(problem: Problem, params: Params, latents: Latents) -> tuple[Array, Array]:
    """The generator's render, and the image that output variables make of it, at render size."""
    render = problem.gen.synthesize(params, latents, problem.render_size)
    return render, apply_output_variables(latents, render)


def draw_pivot(
    problem: Problem, weights: NetworkParams, codes: dict[str, Tree], lane: Lane
) -> Array:
    """The image [h, w, 3] of a lane's codes; those of a group, stacked."""

    def one(own: dict[str, Tree], member: Lane) -> Array:
        return draw(problem, weights.params, image_latents(problem, weights.params, own, member))[1]

    return over_images(problem, one, codes, lane)


def choose_start(problem: Problem, weights: NetworkParams, lane: Lane) -> dict[str, Tree]:
    """Initial codes; of what a group shares, those that its first image alone would choose."""
    found = over_images(problem, lambda _, one: image_start(problem, weights, one), {}, lane)
    for name in problem.stage.shared:
        found[name] = jax.tree.map(lambda leaf: leaf[0], found[name])
    return found


def _initial_codes(problem: Problem, weights: NetworkParams, lane: Lane) -> dict[str, Tree]:
    """The codes at the start, if a term asks for them (then none is the best of several)."""
    asked = any(term.kind.initial_codes for term in problem.stage.terms)
    return _penalty_units(problem, weights, image_start(problem, weights, lane)) if asked else {}


def _penalty_units(
    problem: Problem, weights: NetworkParams, codes: dict[str, Tree]
) -> dict[str, Tree]:
    """The codes in the units in which penalties are meant."""
    return {
        v.space: to_std_units(weights.params, v, codes[v.space]) for v in problem.stage.variables
    }


def mask_out(image: Array, mask: Array | None) -> Array:
    """Images [..., h, w, c], mid-grey where they have no weight: no net sees what is there."""
    return image if mask is None else jnp.where(mask > 0, image, 0.0)


def apply_operator(problem: Problem, image: Array) -> Array:
    """What would have been measured of a render [h, w, 3]: an image, or [count, 1, 1]."""
    image = area_reduce(image, problem.size)
    if problem.operator is None:
        return image
    seen = build_operator(problem.operator, image.shape).apply(image)
    return seen if seen.ndim == 3 else seen[:, None, None]


def num_candidates(stage: Stage) -> int:
    """How many starts are compared, 0 where there is nothing to choose."""
    counts = [v.init.count for v in stage.variables if v.init.kind == "best-of"]
    return max(counts, default=0)


def image_start(problem: Problem, weights: NetworkParams, lane: Lane) -> dict[str, Tree]:
    """Initial codes of one image: the best of its `num_candidates`."""
    count = num_candidates(problem.stage)
    key = jax.random.fold_in(lane.key, START_KEY)

    def draw(number: Array) -> dict[str, Tree]:
        own = jax.random.fold_in(key, number) if count else key
        few = problem.stage.variables, lane.previous
        return starts(problem.gen, weights.params, *few, (own, lane.restart))

    if not count:
        return draw(jnp.zeros((), jnp.int32))
    fn = ImageObjective(problem, weights, lane, jnp.zeros(()))
    numbers = jnp.arange(count)
    losses = jax.lax.map(lambda n: fn(draw(n), jax.random.fold_in(key, n))[0], numbers)
    return draw(jnp.argmin(jnp.where(jnp.isfinite(losses), losses, jnp.inf)))
