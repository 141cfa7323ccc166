"""`study`: several methods on the same images from the same seeds, and how they compare."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxinv.inversion.arguments import check_images, read_pixels
from jaxinv.inversion.bind import check_problem
from jaxinv.inversion.compatibility import check_preset
from jaxinv.inversion.invert import invert
from jaxinv.inversion.objective import num_candidates
from jaxinv.inversion.presets import find_preset, with_steps
from jaxinv.inversion.result import Inversion, Progress
from jaxinv.inversion.statistics import with_statistics
from jaxinv.latents.spaces import SPACES
from jaxinv.metrics.convergence import at_selected, evaluations_to, psnr_of, selected_index
from jaxinv.models.arguments import check_generator, check_latents
from jaxinv.models.generators.base import convert
from jaxinv.models.loading import load_features
from jaxinv.models.rendering import render
from jaxinv.specs import Preset, Term, View
from jaxinv.specs import labels as labels_of
from jaxinv.specs.checks import (
    check_above,
    check_callable,
    check_choice,
    check_list,
    check_seed,
    check_whole,
)
from jaxinv.specs.vocabulary import LATENT_SPACES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Stage
    from jaxinv.types import Array, Latents, Params, Tree

PLAIN = Term("mse")
# Never enlarged, so that it sees every pixel; of no weight, and of a label that no preset has.
MSE_PROBE = Term("mse", 0.0, view=View(2**30))
DRAWS = 256
LINE = np.linspace(-0.25, 1.25, 25)  # places on the line between two solutions, which are 0 and 1


@dataclass(frozen=True)
class Trial:
    """One method on B images from R seeds, in T steps.

    Distances of codes are root mean squares over their coordinates, NaN where unknown.

    Attributes:
        preset: the method.
        loss: [B, R, T] of the best point so far, NaN while there is none.
        psnr: [B, R, T] of that point, in dB.
        evaluations: [B, R] of every search.
        diverged: [B, R], whether its loss left the finite numbers.
        spent: [B, R, T], evaluations up to there, those of starts that were compared included.
        seconds: [B, R, T] of the search up to there.
        rms_between_seeds: [B, R], mean distance to the solutions from the other seeds ("apart" in
            the tables).
        from_centre: [B, R], distance to the mean of W, or to 0 of z.
        from_truth: [B, R], distance to the code that the image was drawn from.
        prior_rms: distance of random draws from that centre.
        interpolation_errors: [B, 25], mean squared error of what is drawn on the straight line
            through the two best solutions, from a quarter before the best to a quarter behind the
            second ("slices" in the tables).
    """

    preset: Preset
    loss: np.ndarray
    psnr: np.ndarray
    evaluations: np.ndarray
    diverged: np.ndarray
    spent: np.ndarray
    seconds: np.ndarray
    rms_between_seeds: np.ndarray
    from_centre: np.ndarray
    from_truth: np.ndarray
    prior_rms: float
    interpolation_errors: np.ndarray


@dataclass(frozen=True)
class Study:
    """What `study` measured.

    Attributes:
        trials: one for each method.
        target: [B], the PSNR in dB that counts as success.
        aim: that target in words.
        seed: number of the first seed.
    """

    trials: tuple[Trial, ...]
    target: np.ndarray
    aim: str
    seed: int = 0

    def reached(self, trial: Trial) -> np.ndarray:
        """Evaluations [B, R] after which a trial's searches held the target; infinite if never."""
        return evaluations_to(trial.psnr, self.target[:, None], trial.spent)


@dataclass
class ChunkTimer:
    """Times the engine's chunks; `seconds` per stage and evaluation, of one lane.

    Only the time between two reports of one stage and batch counts: the first chunk of a stage
    also compiles.
    """

    last: tuple[int, int, float] = (0, 0, 0.0)
    chunks: dict[int, list[float]] = field(default_factory=dict)

    def __call__(self, at: Progress) -> None:
        """Called by the engine after every chunk."""
        now = time.monotonic()
        stage, step, then = self.last
        if at.stage == stage and at.step > step:
            share = (now - then) / (at.step - step) / len(at.losses)
            self.chunks.setdefault(stage, []).append(share)
        self.last = (at.stage, at.step, now)

    def pace(self, preset: Preset) -> np.ndarray:
        """Seconds [T] of every step of one search; NaN in a stage of one chunk."""
        spent = [
            np.full(stage.steps, np.median(self.chunks.get(number, [np.nan])))
            for number, stage in enumerate(preset.stages, start=1)
        ]
        return np.concatenate(spent)


def with_rate(preset: Preset, rate: float) -> Preset:
    """The preset with that learning rate in every stage, and in its name."""
    stages = tuple(
        replace(stage, solver=replace(stage.solver, learning_rate=rate)) for stage in preset.stages
    )
    return replace(preset, name=f"{preset.name} {rate:g}", stages=stages)


def with_mse_term(preset: Preset, side: int) -> tuple[Preset, str]:
    """The preset and the label of a term that is the mean squared error of images of `side` px.

    Where a stage has none, or enlarged images are compared, one without weight is added to all.
    """
    grown = preset.enlarge is not None
    if not grown and all(map(_is_plain, preset.stages)):
        return preset, PLAIN.label
    witness = replace(MSE_PROBE, view=View(side)) if grown else MSE_PROBE
    stages = tuple(replace(stage, terms=(*stage.terms, witness)) for stage in preset.stages)
    return replace(preset, stages=stages), labels_of(stages[0].terms)[-1]


def _is_plain(stage: Stage) -> bool:
    first = next((term for term in stage.terms if term.label == PLAIN.label), MSE_PROBE)
    return replace(first, weight=1.0) == PLAIN


def study(
    gen: Generator,
    params: Params,
    images: np.ndarray,
    presets: Sequence[Preset | str],
    *,
    seeds: int = 4,
    steps: int | None = None,
    target: float | str | None = None,
    labels: Sequence[int] | None = None,
    truth: Latents | None = None,
    nets: dict[str, Params] | None = None,
    seed: int = 0,
    batch: int | str | None = None,
    report: Callable[[str], object] = lambda line: None,
) -> Study:
    """Run every preset on every image from the same seeds, side by side.

    Args:
        gen: the generator, with its `params`.
        params: its parameters.
        images: [B, S, S, 3] in [-1, 1].
        presets: methods, or their names.
        seeds: starts per image. Searches draw from keys of their image, `seed` and their number,
            the same for all presets.
        steps: evaluations, instead of the presets'.
        target: the PSNR in dB that counts as success, or the name of the preset whose median final
            PSNR on an image is that image's (default: the first).
        labels: the class of every image, for generators that draw classes.
        truth: the latents [B, ...] that the images were drawn from, if known.
        nets: parameters of the feature networks; loaded if left out.
        seed: number of the first seed.
        batch: images that go together, as in `invert`.
        report: called with a line of text after each preset.

    Raises:
        ValueError: something cannot be studied; before anything is compiled.
    """
    check_generator(gen, params)
    check_list("presets", presets, "presets, or of names of presets")
    images = read_pixels(images)
    chosen = [with_steps(find_preset(preset), steps) for preset in presets]
    check_study(gen, images, chosen, seeds=seeds, target=target)
    check_callable("report", report)
    if truth is not None:
        check_latents(gen, params, truth, "truth")
    nets = load_features(tuple({n for p in chosen for n in p.nets})) if nets is None else nets
    check_seed(seed)
    for preset in chosen:
        check_problem(gen, params, images, preset, nets=nets, labels=labels, batch=batch)
    trials = []
    for preset in chosen:
        timer, (seeing, label) = ChunkTimer(), with_mse_term(preset, images.shape[1])
        own = with_statistics(gen, params, preset, nets)
        settings: dict[str, Any] = {"nets": nets, "labels": labels, "seed": seed, "batch": batch}
        settings |= {
            "restarts": seeds,
            "record_terms": (label,),
            "keep_all_restarts": True,
            "report": timer,
        }
        found = invert(gen, own, images, preset=seeing, **settings)
        trial = make_trial(gen, own, images, (preset, found, timer.pace(preset)), truth=truth)
        trials.append(trial)
        report(f"{preset.name}: {trial.seconds[..., -1].sum():.1f} s of search")
    return Study(tuple(trials), *targets(trials, target), seed)


def check_study(
    gen: Generator,
    images: np.ndarray,
    presets: Sequence[Preset],
    *,
    seeds: int,
    target: float | str | None,
) -> None:
    """Raise `ValueError` unless all presets can be run on the images, and their names differ."""
    check_whole("seeds", seeds, 1)
    names = [preset.name for preset in presets]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"presets {', '.join(names) or '(none)'}; allowed: some, each name once")
    if isinstance(target, str):
        check_choice("baseline", target, tuple(names))
    elif target is not None:
        check_above("target", target, 0.0)
    check_images(gen, images)
    for preset in presets:
        check_preset(gen.spec, preset, images.shape[1])


def targets(trials: Sequence[Trial], target: float | str | None) -> tuple[np.ndarray, str]:
    """The PSNR [B] that counts as success, and what it is in words."""
    if isinstance(target, int | float):
        return np.full(len(trials[0].loss), float(target)), f"{target:g} dB"
    base = next(t for t in trials if target in (None, t.preset.name))
    words = f"the median over seeds of what {base.preset.name} reaches at its end, per image"
    return np.median(base.psnr[..., -1], axis=1), words


def make_trial(
    gen: Generator,
    params: Params,
    images: np.ndarray,
    result: tuple[Preset, Inversion, np.ndarray],
    *,
    truth: Latents | None,
) -> Trial:
    """The figures of one preset's searches; `result` is (preset, what was found, its pace [T])."""
    preset, found, pace = result
    if found.all_restarts is None:
        raise ValueError("every restart is needed; allowed: invert(..., keep_all_restarts=True)")
    stages = preset.stages
    index = selected_index(found.losses, [s.steps for s in stages], [s.keep for s in stages])
    (errors,) = found.terms.values()
    made = ~np.isnan(found.losses)
    codes, space = solutions(found.all_restarts.latents)
    centre, draws = prior_codes(gen, params, space)
    copies = codes.shape[-1] // centre.size  # of the code, where a preset mixes several
    whole = np.tile(centre, copies)
    true = true_codes(gen, params, truth if copies == 1 else None, space)
    return Trial(
        preset=preset,
        loss=at_selected(found.losses, index),
        psnr=psnr_of(at_selected(errors, index)),
        evaluations=found.all_restarts.evaluations,
        diverged=found.all_restarts.diverged,
        spent=np.cumsum(made, axis=-1) + starts_compared(preset),
        seconds=np.cumsum(np.where(made, pace, 0), axis=-1),
        rms_between_seeds=spread(codes),
        from_centre=rms(codes - whole),
        from_truth=rms(codes - true),
        prior_rms=float(np.sqrt(np.mean(np.square(draws - centre)))),
        interpolation_errors=interpolation_errors(gen, params, images, found),
    )


def starts_compared(preset: Preset) -> np.ndarray:
    """Evaluations [T] of starts, among which stages choose, up to every step."""
    before = np.cumsum([num_candidates(stage) for stage in preset.stages])
    return np.repeat(before, [stage.steps for stage in preset.stages])


def prior_codes(gen: Generator, params: Params, space: str) -> tuple[np.ndarray, np.ndarray]:
    """The centre [D] of a space, and random draws [DRAWS, D] from it."""

    def one(key: Array) -> Tree:
        return SPACES[space].sample(gen, params, key, {})

    draws = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), DRAWS))
    return flat(SPACES[space].mean(gen, params), 0), flat(draws, 1)


def flat(code: Tree, axes: int) -> np.ndarray:
    """All numbers of a code, or of several with leading axes, in one last axis."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(code)]
    return np.concatenate([leaf.reshape(*leaf.shape[:axes], -1) for leaf in leaves], axis=-1)


def rms(values: np.ndarray) -> np.ndarray:
    """Root mean square over the last axis."""
    return np.sqrt(np.mean(np.square(values), axis=-1))


def solutions(latents: Latents) -> tuple[np.ndarray, str]:
    """Codes [B, R, D] without noise maps, and the name of their space."""
    space = next(name for name in reversed(LATENT_SPACES) if name in latents)
    return flat(latents[space], 2), space


def spread(codes: np.ndarray) -> np.ndarray:
    """Mean distance [B, R] of codes [B, R, D] to the others of their image; NaN without others."""
    seeds = codes.shape[1]
    if seeds == 1:
        return np.full(codes.shape[:2], np.nan)
    return np.sum(rms(codes[:, :, None] - codes[:, None]), axis=2) / (seeds - 1)


def true_codes(gen: Generator, params: Params, truth: Latents | None, space: str) -> np.ndarray:
    """The codes [B, 1, D] that images were drawn from; NaN where they cannot be given in `space`.

    The chain of spaces is walked forward only.
    """
    known = [] if truth is None else [name for name in LATENT_SPACES if name in truth]
    if truth is None or LATENT_SPACES.index(known[0]) > LATENT_SPACES.index(space):
        return np.full((1, 1, 1), np.nan)

    def carried(one: Latents) -> Array:
        return convert(gen, params, one, space)

    return flat(jax.jit(jax.vmap(carried))(truth), 1)[:, None]


def interpolation_errors(
    gen: Generator, params: Params, images: np.ndarray, found: Inversion
) -> np.ndarray:
    """Mean squared error [B, len(LINE)] on the straight line through the two best solutions.

    NaN with one seed alone.
    """
    rows = np.full((len(images), len(LINE)), np.nan)
    if found.all_restarts is None or found.all_restarts.loss.shape[1] == 1:
        return rows
    for row, image, losses, latents in zip(
        rows, images, found.all_restarts.loss, _of_images(found.all_restarts.latents), strict=True
    ):
        ends = np.argsort(losses, kind="stable")[:2]
        line = jax.tree.map(lambda leaf, ends=ends: _line(*leaf[ends]), latents)
        drawn = render(gen, params, line, size=images.shape[1])
        row[:] = np.mean(np.square(drawn - image), axis=(1, 2, 3))
    return rows


def _of_images(latents: Latents) -> list[Latents]:
    count = jax.tree.leaves(latents)[0].shape[0]
    return [jax.tree.map(lambda leaf, i=i: leaf[i], latents) for i in range(count)]


def _line(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    at = LINE.reshape(-1, *[1] * first.ndim).astype(first.dtype)
    return (1 - at) * first + at * second
