"""Everyday directions of generators of faces, learned at first use from their own samples.

Pictures of random codes are scored, scores are regressed on the codes, and every direction is the
shortest step, in the metric of W, that changes its own score and none of those that it must hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.edits.directions import Direction
from jaxinv.edits.discovery.samples import draw_codes, pictures
from jaxinv.edits.discovery.scores import check_scores
from jaxinv.edits.editing import edit
from jaxinv.edits.kept import kept_or_learned
from jaxinv.io.progress import track
from jaxinv.latents.sampling import truncate
from jaxinv.metrics.attributes import ATTRIBUTES, attributes, read_faces
from jaxinv.metrics.identity import identity, measurable
from jaxinv.models.arguments import check_generator
from jaxinv.models.loading import generator_hash
from jaxinv.models.statistics import STATISTICS
from jaxinv.specs.checks import check_choice, check_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jaxinv.edits.ways import Way
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params

    Report = Callable[[str], object] | None


@dataclass(frozen=True)
class Entry:
    """One direction of the catalogue.

    Attributes:
        attribute: the score that it changes, of `ATTRIBUTES`.
        rows: the rows of W+ that move, as fractions of their number.
        free: attributes of other entries that it may change, since they go with it.
    """

    attribute: str
    rows: tuple[float, float] = (0.0, 1.0)
    free: tuple[str, ...] = ()


CATALOGUE = {
    "age": Entry("age", (0.09, 1.0), ("hair_luma", "eyes_open")),
    "gender": Entry("male", free=("hair_luma", "age")),
    "smile": Entry("smile", (0.17, 0.52), ("mouth_open", "age")),
    "mouth-open": Entry("mouth_open", free=("smile",)),
    "eyes-open": Entry("eyes_open", (0.09, 0.52)),
    "yaw": Entry("yaw", (0.0, 0.35)),
    "pitch": Entry("pitch", (0.0, 0.35)),
    "hair-lightness": Entry("hair_luma", (0.26, 1.0), ("age", "male")),
    "lighting": Entry("light_side", (0.22, 1.0)),
    "glasses": Entry("glasses", (0.0, 0.35)),
}
SCORES = tuple(entry.attribute for entry in CATALOGUE.values())
SAMPLES, TRUNCATION, SIDE = 400, 0.8, 256  # codes, how near the mean of W they lie, px
PROBES, AMOUNTS = 4, (-3.0, -1.5, 1.5, 3.0)  # codes on which effects are measured, and how far
SAME_PERSON = 0.6  # identity distance up to which a picture shows the same person
SEED = 0
SOURCE = (  # one that is kept is used while this is what it says
    "ridge regression of scores on {n} codes of W, seed {seed}; the shortest step, in W's "
    "covariance, that holds the scores of the others among {scores} (jaxinv.edits.catalogue)"
)


def catalogue_direction(
    gen: Generator, params: Params, generator_name: str, name: str, *, report: Report = None
) -> Way:
    """A direction of the catalogue, kept or, for want of it, learned now with all the others.

    One that was learned in another way, or beside other scores, is learned anew.

    Raises `ValueError` for an unknown name and where `learn_catalogue` does.
    """
    check_choice("direction of the catalogue", name, tuple(CATALOGUE))

    def fits(found: Way) -> bool:
        return found.generator == generator_hash(params) and found.source == _source(SAMPLES)

    def learn() -> dict[str, Direction]:
        return learn_catalogue(gen, params, generator_name, samples=SAMPLES, report=report)

    return kept_or_learned(generator_name, name, fits, learn)


def learn_catalogue(
    gen: Generator,
    params: Params,
    generator_name: str,
    *,
    samples: int = SAMPLES,
    report: Report = None,
) -> dict[str, Direction]:
    """All directions of `CATALOGUE` for a generator of faces framed as FFHQ, by name.

    An amount of 1 is about one standard deviation of the score among random faces. `effects` are
    measured changes of every score per unit of the amount, its own first, and `usable` ends where
    the same person is no longer recognised (identity distance 0.6, median of some faces) or at the
    largest amount that was tried. Lines about the progress go to `report`, or to stderr.

    Raises `ValueError` for a generator without W or of other pictures, for fewer than 100 samples,
    and where `jaxinv pull attributes` has not been run.
    """
    check_generator(gen, params)
    check_whole("samples", samples, 100)
    spec = gen.spec
    if spec.alignment != "ffhq" or not spec.w_dim:
        raise ValueError(
            f"generator {spec.name!r} draws other pictures; allowed for the catalogue: generators "
            f"with a W, of faces framed as FFHQ"
        )
    read_faces(np.zeros((1, 64, 64, 3), np.uint8))  # says so where the nets are missing
    codes = draw_codes(gen, params, "w", samples, SEED)[1]["w"]
    codes = np.asarray(truncate(params, codes, TRUNCATION))
    scores = _scores(gen, params, {"w": codes}, samples, report)
    steps = shortest_steps(
        codes, scores, params[STATISTICS], [(e.attribute, e.free) for e in CATALOGUE.values()]
    )
    found, own = dict[str, Direction](), generator_hash(params)  # over all weights: once
    for (name, entry), step in zip(CATALOGUE.items(), steps, strict=True):
        first, last = (round(edge * spec.rows) for edge in entry.rows)
        found[name] = Direction(
            name=name,
            space="w+",
            vector=step,
            rows=tuple(range(first, last)),
            generator=own,
            generator_name=generator_name,
            unit=f"about {_deviation(entry.attribute, scores)}",
            source=_source(samples),
        )
    return _with_effects(gen, params, found, report)


def shortest_steps(
    codes: np.ndarray,
    scores: dict[str, np.ndarray],
    statistics: Params,
    wanted: list[tuple[str, tuple[str, ...]]],
    shares: Sequence[str] = tuple(n for n, one in ATTRIBUTES.items() if one.unit == "share"),
) -> list[np.ndarray]:
    """For every (score, scores that are free) a step [d] in W: one deviation of the score.

    codes [n, d] are of W, scores [n] by name; `statistics` hold W's mean, axes and scales. With the
    covariance S of W and the slopes B [d, k] of the scores that count, the step is the first column
    of S B (B' S B)^-1: of all steps that change these scores so, the one with the least distance of
    Mahalanobis. Scores called in `shares` are regressed by their log odds. Slopes are those of
    ridge regression, its penalty chosen by leaving one sample out. Raises `ValueError` for scores
    that are all the same.
    """
    from sklearn.linear_model import RidgeCV

    mean, axes, scales = (np.asarray(statistics[k], np.float64) for k in ("mean", "axes", "scales"))
    covariance = (axes * scales**2) @ axes.T
    slopes: dict[str, np.ndarray] = {}
    for name, values in scores.items():
        target = _log_odds(values) if name in shares else values
        target = check_scores(target, f"scores of {name!r}")
        target = (target - target.mean()) / target.std()
        fitted = RidgeCV(np.logspace(-1, 5, 25)).fit(codes - mean, target)
        slopes[name] = np.asarray(fitted.coef_)
    steps = []
    for name, free in wanted:
        held = [name, *(other for other in slopes if other != name and other not in free)]
        b = np.stack([slopes[one] for one in held], axis=1)
        steps.append(np.linalg.solve(b.T @ covariance @ b, (covariance @ b).T)[0])
    return steps


def _source(samples: int) -> str:
    return SOURCE.format(n=samples, seed=SEED, scores=", ".join(SCORES))


def _side(gen: Generator) -> int:
    return min(SIDE, gen.spec.resolution)


def _log_odds(shares: np.ndarray) -> np.ndarray:
    inside = np.clip(shares, 0.01, 0.99)
    return np.log(inside / (1 - inside))


def _deviation(attribute: str, scores: dict[str, np.ndarray]) -> str:
    return f"{scores[attribute].std():.2g} {ATTRIBUTES[attribute].unit}".strip()


def _scores(
    gen: Generator, params: Params, latents: Latents, count: int, report: Report
) -> dict[str, np.ndarray]:
    """Scores of the pictures of `count` latents, float64 [count] by name."""
    label = f"learning everyday directions of {gen.spec.name} (pictures scored)"

    def one_by_one() -> Iterator[dict[str, np.ndarray]]:
        for stack in pictures(gen, params, latents, _side(gen)):
            for picture in stack:
                yield attributes(picture[None], SCORES)

    found = list(track(one_by_one(), count, label, report))
    return {name: np.concatenate([one[name] for one in found]) for name in SCORES}


def _with_effects(
    gen: Generator, params: Params, found: dict[str, Direction], report: Report
) -> dict[str, Direction]:
    """The directions with what they do to some faces that were not learned from."""
    codes = draw_codes(gen, params, "w", PROBES, SEED + 1)[1]["w"]
    rows = np.asarray(truncate(params, codes, TRUNCATION))[:, None]
    latents: Latents = {"w+": np.repeat(rows, gen.spec.rows, axis=1)}
    base = np.concatenate(list(pictures(gen, params, latents, _side(gen))))
    before = attributes(base, SCORES)
    label = f"measuring what they do to {PROBES} faces (directions)"

    def measured() -> Iterator[Direction]:
        for direction in found.values():
            yield _measured(gen, params, direction, (latents, base, before))

    return dict(zip(found, track(measured(), len(found), label, report), strict=True))


def _measured(
    gen: Generator,
    params: Params,
    direction: Direction,
    given: tuple[Latents, np.ndarray, dict[str, np.ndarray]],
) -> Direction:
    (latents, base, before), own = given, CATALOGUE[direction.name].attribute
    changes: list[dict[str, np.ndarray]] = []
    distances: list[float] = []
    for amount in AMOUNTS:
        moved = edit(gen, params, latents, [(direction, amount)])
        drawn = np.concatenate(list(pictures(gen, params, moved, _side(gen))))
        after = attributes(drawn, SCORES)
        changes.append({name: after[name] - before[name] for name in SCORES})
        distances.append(float(np.nanmedian(identity(drawn, base))) if measurable() else 0.0)
    near = [i for i, amount in enumerate(AMOUNTS) if abs(amount) < max(AMOUNTS)]
    effects = {
        name: float(np.mean([np.median(changes[i][name]) / AMOUNTS[i] for i in near]))
        for name in (own, *(other for other in SCORES if other != own))
    }
    return replace(direction, effects=effects, usable=usable_range(AMOUNTS, distances))


def usable_range(amounts: tuple[float, ...], distances: list[float]) -> tuple[float, float]:
    """Least and greatest amount within `SAME_PERSON`, by lines between measured distances.

    `amounts` rise and lie on both sides of 0, where the distance is 0. NaN, where no face is found,
    is beyond it. The result has one digit after the point.
    """

    def end(side: list[tuple[float, float]]) -> float:
        last, before = 0.0, 0.0
        for amount, distance in side:
            if not distance <= SAME_PERSON:
                share = (SAME_PERSON - before) / (distance - before) if distance > before else 0.0
                return last + share * (amount - last)
            last, before = amount, distance
        return last

    pairs = list(zip(amounts, distances, strict=True))
    low = end([pair for pair in reversed(pairs) if pair[0] < 0])
    high = end([pair for pair in pairs if pair[0] > 0])
    return float(np.ceil(low * 10) / 10), float(np.floor(high * 10) / 10)
