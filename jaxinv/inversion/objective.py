"""One evaluation: what a stage's variables draw, what is seen of it, and how far that is away.

Everything is written for ONE image and one start; `groups` lifts it to images that share a
variable, and `stages` to many lanes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.inversion.initialization import starts
from jaxinv.latents.auxiliary_variables import apply_output_variables, overlay
from jaxinv.latents.codecs import stop_frozen_gradients, to_std_units
from jaxinv.latents.sampling import truncate
from jaxinv.latents.spaces import SPACES, decode
from jaxinv.losses.base import Features, TermInputs
from jaxinv.losses.terms import (
    are_squares,
    evaluate,
    extract_features,
    locality_terms,
    residuals,
)
from jaxinv.models.statistics import STATISTICS
from jaxinv.nn.resample import area_reduce
from jaxinv.operators import build as build_operator
from jaxinv.solvers.schedules import schedule_value
from jaxinv.specs import Term
from jaxinv.specs.term_kinds import IMAGE
from jaxinv.specs.vocabulary import CLASSES, DISCRIMINATOR, LATENT_SPACES

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import OperatorSpec, Stage
    from jaxinv.types import Array, Key, Latents, Params, Tree


JITTERED_SPACES = {"z", "z+", "w", "w+"}
LOCALITY_TRUNCATION = 0.5  # truncation of the random w of "locality"
LOCALITY_KEY = 1  # folded into a step's key for that w
START_KEY = (
    2**31 - 1
)  # folded into the key of a lane's start, as the number of a step is into a step's


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
    def render_size(self) -> int:
        """Size of the render: the loss resolution, or more if a term looks closer."""
        terms, full = self.stage.terms, self.gen.spec.resolution
        closer = [term.view.size or 0 for term in terms if term.name == "checkerboard"]
        closer += [full for term in terms if term.name == "realism"]
        return min(max(self.size, *closer, 0), full)


class NetworkParams(NamedTuple):
    """Arrays that all lanes share, always arguments of the compiled functions."""

    params: Params
    nets: dict[str, Params]

    @property
    def feature_params(self) -> dict[str, Params]:
        """The nets and the discriminator, whose parameters are among the generator's."""
        return {**self.nets, DISCRIMINATOR: self.params}


class Lane(NamedTuple):
    """What one lane is given; the mask is [h, w, 1], `previous` the latents of earlier stages."""

    target: Features
    mask: Array | None
    key: Key
    restart: Array
    previous: Latents


def image_terms(stage: Stage) -> tuple[Term, ...]:
    """The stage's image terms that any size of image can be seen by: not the discriminator's."""
    seen = (
        term for term in stage.terms if term.kind.family == IMAGE and not term.needs_discriminator
    )
    return tuple(seen) or (Term("mse"),)


def decode_latents(
    problem: Problem, params: Params, codes: dict[str, Tree], previous: Latents
) -> Latents:
    """Latents of one lane: the stage's variables from their codes, others from earlier stages.

    A free code takes the place of one from an earlier stage, and so does a free class; features and
    weights join those that earlier stages changed elsewhere.
    """
    free = set(problem.stage.spaces)
    replaced = {name for few in (LATENT_SPACES, CLASSES) if free & set(few) for name in few}
    if "label" in previous and "label" not in free:
        replaced.discard("label")  # what a free embedding started from still names the class
    latents = {name: value for name, value in previous.items() if name not in replaced}
    for variable in problem.stage.variables:
        value = decode(params, variable, codes[variable.space])
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


def objective(
    problem: Problem, weights: NetworkParams, lane: Lane, progress: Array
) -> Callable[..., Any]:
    """The function (codes, key) -> (loss, terms) that a solver lowers; one render per call.

    If the loss is a sum of squares, it says so: see `solvers.base.Solver`.
    """
    terms, discriminator = problem.stage.terms, problem.gen.discriminator
    target, origin = (lane.target, lane.mask), _initial_codes(problem, weights, lane)

    def evaluate_codes(codes: dict[str, Tree], key: Key) -> TermInputs:
        codes = {v.space: stop_frozen_gradients(v, codes[v.space]) for v in problem.stage.variables}
        latents = decode_latents(problem, weights.params, codes, lane.previous)
        jittered_latents = jittered(problem, weights.params, latents, (key, progress))
        render = problem.gen.synthesize(weights.params, jittered_latents, problem.render_size)
        image = apply_output_variables(jittered_latents, render)
        masked_render = mask_out(apply_operator(problem, image), lane.mask)
        seen = extract_features(terms, weights.feature_params, masked_render, discriminator)
        plain = _penalty_units(problem, weights, codes)
        other = locality_features(problem, weights, latents, key)
        return TermInputs(
            plain, latents, image, seen, weights.params, origin, render, discriminator, other
        )

    def fn(codes: dict[str, Tree], key: Key) -> tuple[Array, dict[str, Array]]:
        return evaluate(terms, weights.feature_params, evaluate_codes(codes, key), target, progress)

    def squares(codes: dict[str, Tree], key: Key) -> tuple[Array, dict[str, Array]]:
        given = terms, weights.feature_params, evaluate_codes(codes, key), target, progress
        return residuals(*given), evaluate(*given)[1]

    found: Any = fn
    if are_squares(terms):
        found.residuals = squares
    return found


def locality_features(
    problem: Problem, weights: NetworkParams, latents: Latents, key: Key
) -> tuple[Features, Features]:
    """What changed weights and unchanged ones draw at one other code, as "locality" sees it.

    The code is the lane's, moved by the term's radius towards a random w, half way from the mean
    of W (Roich et al. 2021, PTI, section 3.3, and its code's truncation).
    """
    looks = locality_terms(problem.stage.terms)
    if not looks:
        return {}, {}
    gen, params = problem.gen, weights.params
    name = "w+" if "w+" in latents else "w"
    if name not in latents:
        raise ValueError(f"term 'locality' with codes {', '.join(latents)}; allowed: w, w+")
    named = {one: latents[one] for one in CLASSES if one in latents}
    here = jax.lax.stop_gradient(latents[name])
    w: Array = SPACES["w"].sample(gen, params, jax.random.fold_in(key, LOCALITY_KEY), named)
    step = truncate(params, w, LOCALITY_TRUNCATION) - here
    rows = gen.spec.rows if name == "w" else 1
    length = jnp.sqrt(rows * jnp.sum(jnp.square(step)))
    radius = next(term.radius for term in problem.stage.terms if term.name == "locality")
    there = here + radius * step / length
    pair: list[Features] = []
    for kept in ({"weights": latents["weights"]}, {}):
        image = gen.synthesize(params, {name: there, **kept}, problem.render_size)
        pair.append(
            extract_features(looks, weights.feature_params, area_reduce(image, problem.size))
        )
    return pair[0], jax.lax.stop_gradient(pair[1])


def _initial_codes(problem: Problem, weights: NetworkParams, lane: Lane) -> dict[str, Tree]:
    """The codes at the start, if a term asks for them (then none is the best of several)."""
    asked = any(term.name == "anchor" for term in problem.stage.terms)
    return _penalty_units(problem, weights, choose_start(problem, weights, lane)) if asked else {}


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


def choose_start(problem: Problem, weights: NetworkParams, lane: Lane) -> dict[str, Tree]:
    """Initial codes of one lane: the best of its `num_candidates`."""
    count = num_candidates(problem.stage)
    key = jax.random.fold_in(lane.key, START_KEY)

    def draw(number: Array) -> dict[str, Tree]:
        own = jax.random.fold_in(key, number) if count else key
        few = problem.stage.variables, lane.previous
        return starts(problem.gen, weights.params, *few, (own, lane.restart))

    if not count:
        return draw(jnp.zeros((), jnp.int32))
    fn = objective(problem, weights, lane, jnp.zeros(()))
    numbers = jnp.arange(count)
    losses = jax.lax.map(lambda n: fn(draw(n), jax.random.fold_in(key, n))[0], numbers)
    return draw(jnp.argmin(jnp.where(jnp.isfinite(losses), losses, jnp.inf)))
