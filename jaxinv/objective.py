"""One evaluation: what a stage's variables draw, what is seen of it, and how far that is away.

Everything is written for ONE lane (one image, one start); `stages` lifts it to many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.additions import onto, through
from jaxinv.inits import starts
from jaxinv.losses import evaluate, observe
from jaxinv.nn.resample import area_reduce
from jaxinv.operators import build as build_operator
from jaxinv.penalties import Sample, Seen
from jaxinv.solvers.base import factor
from jaxinv.spaces import STATISTICS, hold, in_deviations, lift
from jaxinv.specs import Term
from jaxinv.squares import are_squares, residuals
from jaxinv.vocabulary import CHAIN, CLASSES, DISCRIMINATOR, IMAGE_TERMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.generators.base import Generator
    from jaxinv.specs import OperatorSpec, Stage
    from jaxinv.types import Array, Key, Latents, Params, Tree


SHAKEN = {"z", "z+", "w", "w+"}
START = 2**31 - 1  # folded into the key of a lane's start, as the number of a step is into a step's


class Problem(NamedTuple):
    """What a compiled program depends on; `size` is the loss resolution, `width` lanes at once.

    `watch`: labels of the terms whose value is kept for every evaluation, beside the loss.
    `operator`: what a render of `size` px goes through before it is compared.
    """

    gen: Generator
    stage: Stage
    size: int
    width: int
    watch: tuple[str, ...] = ()
    operator: OperatorSpec | None = None

    @property
    def drawn(self) -> int:
        """Size of the render: the loss resolution, or more if a term looks closer."""
        terms, full = self.stage.terms, self.gen.spec.resolution
        closer = [term.view.size or 0 for term in terms if term.name == "weave"]
        closer += [full for term in terms if term.name == "realism"]
        return min(max(self.size, *closer, 0), full)


class Weights(NamedTuple):
    """Arrays that all lanes share, always arguments of the compiled functions."""

    params: Params
    nets: dict[str, Params]

    @property
    def eyes(self) -> dict[str, Params]:
        """The nets and the discriminator, whose parameters are among the generator's."""
        return {**self.nets, DISCRIMINATOR: self.params}


class Lane(NamedTuple):
    """What one lane is given; the mask is [h, w, 1], `previous` the latents of earlier stages."""

    target: Seen
    mask: Array | None
    key: Key
    restart: Array
    previous: Latents


def likeness(stage: Stage) -> tuple[Term, ...]:
    """The stage's image terms that any size of image can be seen by: not the discriminator's."""
    seen = (term for term in stage.terms if term.name in IMAGE_TERMS and not term.judged)
    return tuple(seen) or (Term("mse"),)


def decode(problem: Problem, params: Params, codes: dict[str, Tree], previous: Latents) -> Latents:
    """Latents of one lane: the stage's variables from their codes, others from earlier stages.

    A free code takes the place of one from an earlier stage, and so does a free class; features and
    weights join those that earlier stages changed elsewhere.
    """
    free = set(problem.stage.spaces)
    replaced = {name for few in (CHAIN, CLASSES) if free & set(few) for name in few}
    if "label" in previous and "label" not in free:
        replaced.discard("label")  # what a free embedding started from still names the class
    latents = {name: value for name, value in previous.items() if name not in replaced}
    for variable in problem.stage.variables:
        value = lift(params, variable, codes[variable.space])
        latents[variable.space] = onto(previous, variable.space, value)
    return latents


def jittered(
    problem: Problem, params: Params, latents: Latents, moment: tuple[Key, Array]
) -> Latents:
    """Latents with the stage's Gaussian jitter on the code (Karras et al. 2020, appendix D)."""
    jitter = problem.stage.jitter
    if jitter is None:
        return latents
    key, progress = moment
    scale = jitter.scale * factor(jitter.schedule, progress)
    noisy: Latents = {}
    for name in SHAKEN.intersection(latents):
        std = params[STATISTICS]["std"] if name in ("w", "w+") else 1.0
        noisy[name] = latents[name] + scale * std * jax.random.normal(key, latents[name].shape)
    return {**latents, **noisy}


def objective(
    problem: Problem, weights: Weights, lane: Lane, progress: Array
) -> Callable[..., Any]:
    """The function (codes, key) -> (loss, terms) that a solver lowers; one render per call.

    If the loss is a sum of squares, it says so: see `solvers.base.Solver`.
    """
    terms, judge = problem.stage.terms, problem.gen.discriminator
    aim, origin = (lane.target, lane.mask), _origin(problem, weights, lane)

    def sampled(codes: dict[str, Tree], key: Key) -> Sample:
        codes = {v.space: hold(v, codes[v.space]) for v in problem.stage.variables}
        latents = decode(problem, weights.params, codes, lane.previous)
        shaken = jittered(problem, weights.params, latents, (key, progress))
        render = problem.gen.synthesize(weights.params, shaken, problem.drawn)
        image = through(shaken, render)
        looked = covered(measured(problem, image), lane.mask)
        seen = observe(terms, weights.eyes, looked, judge)
        plain = _plain(problem, weights, codes)
        return Sample(plain, latents, image, seen, weights.params, origin, render, judge)

    def fn(codes: dict[str, Tree], key: Key) -> tuple[Array, dict[str, Array]]:
        return evaluate(terms, weights.eyes, sampled(codes, key), aim, progress)

    def squares(codes: dict[str, Tree], key: Key) -> tuple[Array, dict[str, Array]]:
        given = terms, weights.eyes, sampled(codes, key), aim, progress
        return residuals(*given), evaluate(*given)[1]

    found: Any = fn
    if are_squares(terms):
        found.residuals = squares
    return found


def _origin(problem: Problem, weights: Weights, lane: Lane) -> dict[str, Tree]:
    """The codes at the start, if a term asks for them (then none is the best of several)."""
    asked = any(term.name == "anchor" for term in problem.stage.terms)
    return _plain(problem, weights, choose_start(problem, weights, lane)[0]) if asked else {}


def _plain(problem: Problem, weights: Weights, codes: dict[str, Tree]) -> dict[str, Tree]:
    """The codes in the units in which penalties are meant."""
    return {
        v.space: in_deviations(weights.params, v, codes[v.space]) for v in problem.stage.variables
    }


def covered(image: Array, mask: Array | None) -> Array:
    """Images [..., h, w, c], mid-grey where they have no weight: no net sees what is there."""
    return image if mask is None else jnp.where(mask > 0, image, 0.0)


def measured(problem: Problem, image: Array) -> Array:
    """What would have been measured of a render [h, w, 3]: an image, or [count, 1, 1]."""
    image = area_reduce(image, problem.size)
    if problem.operator is None:
        return image
    seen = build_operator(problem.operator, image.shape).apply(image)
    return seen if seen.ndim == 3 else seen[:, None, None]


def choose_start(problem: Problem, weights: Weights, lane: Lane) -> tuple[dict[str, Tree], int]:
    """Initial codes of one lane, and how often the objective was evaluated to find them."""
    counts = [v.init.count for v in problem.stage.variables if v.init.kind == "best-of"]
    key = jax.random.fold_in(lane.key, START)

    def draw(number: Array) -> dict[str, Tree]:
        own = jax.random.fold_in(key, number) if counts else key
        few = problem.stage.variables, lane.previous
        return starts(problem.gen, weights.params, *few, (own, lane.restart))

    if not counts:
        return draw(jnp.zeros((), jnp.int32)), 0
    fn = objective(problem, weights, lane, jnp.zeros(()))
    numbers = jnp.arange(max(counts))
    losses = jax.lax.map(lambda n: fn(draw(n), jax.random.fold_in(key, n))[0], numbers)
    return draw(jnp.argmin(jnp.where(jnp.isfinite(losses), losses, jnp.inf))), max(counts)
