"""Claims about Markov chains of codes, on faces of 32 px."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.objective import mask_out
from jaxinv.inversion.problem import Lane, NetworkParams, Problem
from jaxinv.inversion.restarts import make_lanes
from jaxinv.inversion.stages import CHUNK, init_lanes, run_chunk, target_features
from jaxinv.models.rendering import render
from jaxinv.presets import PRESETS
from tests.benchmarks.methods.claims import TOGETHER, Claim, Found
from tests.benchmarks.methods.sources import faces, trained

STAGE = PRESETS["hmc"].stages[0]
OPTIONS = dict(STAGE.solver.options)
TARGET, NEAR = OPTIONS["target"], 0.05
CHAINS = 4  # of every face: rates of single chains differ by a tenth
TOLD = f"8 faces, {CHAINS} chains each"


class Chain(NamedTuple):
    """Samples of z [n, L, d] of every lane after the warm-up, and its rate of acceptance [L]."""

    samples: np.ndarray
    accepted: np.ndarray


@lru_cache
def chain(hidden: str) -> Chain:
    """The chains of every face; `hidden` ("none" or "lower") is the half without weight."""
    gen, params = trained("celeba32")
    images, masks = faces(), None
    if hidden == "lower":
        masks = np.ones(images.shape[:3], np.float32)
        masks[:, images.shape[1] // 2 :] = 0
    lanes = make_lanes(images, masks, 0, CHAINS, num_images=len(images))
    problem, weights = Problem(gen, STAGE, images.shape[1], TOGETHER), NetworkParams(params, {})
    target = target_features(problem, weights, mask_out(lanes.images, lanes.masks), {}, {})
    lane = Lane(target, lanes.masks, lanes.keys, lanes.restarts, {})
    state, samples = init_lanes(problem, weights, lane), []
    for first in range(0, STAGE.steps, CHUNK):  # as many leaps as a trajectory has
        span = jnp.asarray([first, first + CHUNK, STAGE.steps])
        state, _ = run_chunk(problem, weights, lane, state, span)
        if first >= OPTIONS["warmup"]:
            samples.append(np.asarray(state[0].sample.x))
    accepted = state[0].accepted / state[0].ended
    return Chain(np.stack(samples), np.asarray(accepted))


def acceptance() -> Found:
    rates = chain("none").accepted
    return Found(
        f"{rates.mean():.3f} on average, {rates.min():.3f} to {rates.max():.3f}",
        bool(abs(rates.mean() - TARGET) < NEAR),
        str(STAGE.steps),
        TOLD,
    )


def pixel_spread(samples: np.ndarray) -> tuple[float, float]:
    """Standard deviation of the pixels over samples [n, B, d], in the upper and the lower half."""
    drawn = np.stack([render(*trained("celeba32"), {"z": z}) for z in samples[::5]])
    apart = drawn.std(0).mean((0, 2, 3))
    middle = len(apart) // 2
    return float(apart[:middle].mean()), float(apart[middle:].mean())


def width_of_the_posterior() -> Found:
    both = [chain(hidden).samples for hidden in ("none", "lower")]
    codes = [np.sqrt(samples.var(0).mean()) for samples in both]
    (seen_top, seen_low), (top, low) = map(pixel_spread, both)
    each = [samples.var(0).mean(-1) for samples in both]
    wider = int(np.sum(each[1] > each[0]))
    return Found(
        f"deviation of z {codes[0]:.3f} with all pixels, {codes[1]:.3f} without the lower half "
        f"(wider for {wider} of {len(each[0])}); of pixels above {seen_top:.3f} / {top:.3f}, "
        f"below {seen_low:.3f} / {low:.3f}",
        bool(codes[1] > codes[0]) and 2 * wider > len(each[0]) and low > seen_low,
        str(STAGE.steps),
        TOLD,
    )


NEAL = "Neal 2011, section 5.4"
CLAIMS = (
    Claim(
        "hmc-acceptance", ("hmc",), NEAL,
        "leaps are adapted until trajectories are accepted as often as asked",
        f"within {NEAR:g} of {TARGET:g} after the warm-up", acceptance,
    ),
    Claim(
        "hmc-masked", ("hmc",), "survey, section 3.3.1",
        "what is not seen is left open: the posterior widens where pixels are hidden",
        "codes vary more on average and for most faces, and so do the hidden pixels",
        width_of_the_posterior,
    ),
)  # fmt: skip
