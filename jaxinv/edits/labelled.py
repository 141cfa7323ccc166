"""Directions of a generator whose pictures' labels are known to a net: learned at first use.

As those of the catalogue of faces are: pictures of random codes are scored, scores are regressed on
the codes, and every direction is the shortest step, in the metric of W, that changes its own score.
What else changes with it is told, and held where an edit asks for it (`--condition`): steps that
hold all other labels are about twice as long, and leave what a small generator can draw.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.edits.catalogue import shortest_steps
from jaxinv.edits.directions import Direction
from jaxinv.edits.discovery.samples import draw_codes, pictures
from jaxinv.edits.editing import edit
from jaxinv.edits.kept import kept_or_learned
from jaxinv.io.progress import announce
from jaxinv.metrics.labels import all_label_scores, label_attributes
from jaxinv.models.arguments import check_generator
from jaxinv.models.loading import generator_hash
from jaxinv.models.statistics import STATISTICS
from jaxinv.specs.checks import check_choice, check_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.edits.ways import Way
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params

    Report = Callable[[str], object] | None

SAMPLES, PROBES, AMOUNTS = 2000, 16, (-2.0, 2.0)
SEED = 0
SOURCE = (
    "ridge regression of scores on {n} codes of W; the shortest step, in W's covariance, that "
    "changes the score (jaxinv.edits.labelled)"
)


def labelled_direction(
    gen: Generator, params: Params, generator_name: str, name: str, *, report: Report = None
) -> Way:
    """The direction of an attribute, kept or, for want of it, learned now with all the others.

    Raises `ValueError` for an attribute that the pictures of the generator have not, and where
    `learn_labelled` does.
    """
    check_choice("attribute", name, tuple(label_attributes(generator_name)))

    def fits(found: Way) -> bool:
        return found.generator == generator_hash(params)

    def learn() -> dict[str, Direction]:
        return learn_labelled(gen, params, generator_name, report=report)

    return kept_or_learned(generator_name, name, fits, learn)


def learn_labelled(
    gen: Generator,
    params: Params,
    generator_name: str,
    *,
    samples: int = SAMPLES,
    report: Report = None,
) -> dict[str, Direction]:
    """A direction of W for every attribute that the labels of its pictures give, by name.

    An amount of 1 is one standard deviation of W along the direction. `effects` are measured
    changes of every score per unit of the amount, its own first.
    A line about the progress goes to `report`, or to stderr.

    Raises `ValueError` for a generator without W or without a net of labels, and for fewer than 100
    samples.
    """
    check_generator(gen, params)
    check_whole("samples", samples, 100)
    known = label_attributes(generator_name)
    if not known or not gen.spec.w_dim:
        raise ValueError(
            f"generator {generator_name!r} has {'no W' if known else 'no net of labels'}; allowed: "
            f"generators with both"
        )
    (report or announce)(f"learning {len(known)} directions of {gen.spec.name}")
    codes, latents = draw_codes(gen, params, "w", samples, SEED)
    scores = _scores(gen, params, generator_name, latents)
    shares = [name for name, one in known.items() if one.unit == "share"]
    wanted = [(name, tuple(known)) for name in known]
    steps = shortest_steps(codes, scores, params[STATISTICS], wanted, shares)
    own = generator_hash(params)
    found = {
        name: Direction(
            name=name,
            space="w",
            vector=step / deviations(step, params[STATISTICS]),
            generator=own,
            generator_name=generator_name,
            unit="one deviation of W",
            source=SOURCE.format(n=samples),
        )
        for name, step in zip(known, steps, strict=True)
    }
    return _with_effects(gen, params, generator_name, found)


def deviations(step: np.ndarray, statistics: Params) -> float:
    """How many standard deviations of W, measured along its axes, a step [d] is long."""
    axes, scales = (np.asarray(statistics[name], np.float64) for name in ("axes", "scales"))
    return float(np.linalg.norm(step @ axes / scales))


def _scores(
    gen: Generator, params: Params, generator_name: str, latents: Latents
) -> dict[str, np.ndarray]:
    stacks = [all_label_scores(generator_name, one) for one in pictures(gen, params, latents)]
    return {name: np.concatenate([one[name] for one in stacks]) for name in stacks[0]}


def _with_effects(
    gen: Generator, params: Params, generator_name: str, found: dict[str, Direction]
) -> dict[str, Direction]:
    """The directions with what they do to some pictures that were not learned from."""
    latents = draw_codes(gen, params, "w", PROBES, SEED + 1)[1]
    measured: dict[str, Direction] = {}
    for name, direction in found.items():
        ends = [
            _scores(gen, params, generator_name, edit(gen, params, latents, [(direction, amount)]))
            for amount in AMOUNTS
        ]
        span = AMOUNTS[1] - AMOUNTS[0]
        changes = {other: float(np.mean(ends[1][other] - ends[0][other])) / span for other in found}
        order = (name, *(other for other in found if other != name))
        measured[name] = replace(direction, effects={other: changes[other] for other in order})
    return measured
