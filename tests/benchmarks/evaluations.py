"""Evaluations that our search needs for the quality of the best-tuned Adam, case by case.

Adam is tuned first: every rate with every length of a cosine schedule; the best is the one whose
mean PSNR (or LPIPS) at its end is best, lengths up to the budget. What it reaches on an image at
its end is that image's target; its cost is its own length. Ours is one run of the budget's length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jaxinv.inversion.invert import invert
from jaxinv.latents.sampling import sample_latents
from jaxinv.metrics.convergence import evaluations_to, psnr_of
from jaxinv.models.loading import load_features, load_generator
from jaxinv.models.rendering import render
from jaxinv.models.zoo import is_present
from jaxinv.presets import PRESETS
from jaxinv.specs import GeneratorSpec, Preset, Schedule, SolverSpec, Stage, Term, Variable, View
from tests.benchmarks.methods.sources import faces, trained
from tests.tiny import mobile

COSINE = Schedule("cosine")
PIXELS = (Term("mse"),)


@dataclass(frozen=True)
class Case:
    """What is searched for, where Adam may begin and how far it may go, and what we set against it.

    `label` names the term whose value counts: "mse" (as PSNR) or one of LPIPS. Adam is tuned on the
    first `tuned` pictures, 0: on all.
    """

    name: str
    goal: float
    pair: Callable[[], tuple[Any, Any]]
    images: Callable[[Any, Any], np.ndarray]
    adams: tuple[Variable, ...]
    ours: dict[str, tuple[Variable, SolverSpec]]
    rates: tuple[float, ...]
    lengths: tuple[int, ...]
    terms: tuple[Term, ...] = PIXELS
    label: str = "mse"
    budget: int = 400
    tuned: int = 0


def lbfgs(**options: float) -> SolverSpec:
    return SolverSpec("lbfgs", options.pop("rate", 0.1), options=tuple(options.items()))


def adam(rate: float) -> SolverSpec:
    return SolverSpec("adam", rate, COSINE)


def small_net() -> Any:
    """A StyleGAN2 of 32 px with random weights and a W of 128."""
    spec = GeneratorSpec(
        name="stylegan2-32",
        architecture="stylegan2",
        resolution=32,
        z_dim=128,
        w_dim=128,
        rows=8,
        styles=(128, 128, 128, 128, 128, 128, 64, 64, 64, 32, 32)[:11],
        noise=(4, 8, 8, 16, 16, 32, 32),
        facts=(("mapping_layers", 4),),
    )
    return mobile(spec)


def drawn(
    count: int, space: str = "z", size: int | None = None
) -> Callable[[Any, Any], np.ndarray]:
    """Pictures that the generator can reach, from one w or from a w of its own in every row."""

    def make(gen: Any, params: Any) -> np.ndarray:
        latents = sample_latents(
            gen, params, count * (gen.spec.rows if space == "w+" else 1), seed=7
        )
        if space == "w+":
            latents = {"w+": latents["w"].reshape(count, gen.spec.rows, gen.spec.w_dim)}
        return render(gen, params, latents)

    return make


def photographs(count: int, size: int) -> Callable[[Any, Any], np.ndarray]:
    return lambda gen, params: faces(count, size)


def foreign(count: int) -> Callable[[Any, Any], np.ndarray]:
    """Pictures of the same size and contrast that the generator cannot draw: enlarged noise."""

    def make(gen: Any, params: Any) -> np.ndarray:
        del params
        side = gen.spec.resolution
        coarse = np.random.default_rng(3).uniform(-1, 1, (count, 4, 4, 3)).astype(np.float32)
        return coarse.repeat(side // 4, 1).repeat(side // 4, 2)

    return make


Z, W, WP = Variable("z"), Variable("w"), Variable("w+")
WHITE, WHITEP = Variable("w", codec="whiten"), Variable("w+", codec="whiten")
PLUS = PRESETS["default"].stages[0].variables[0]
SMALL_RATES, LENGTHS = (0.03, 0.1, 0.3), (200, 400)
USUAL = PRESETS["default"].stages[0].solver
SMALL = {
    "L-BFGS": (W, lbfgs(history=20)),
    "L-BFGS, history 60": (W, lbfgs(history=60)),
    "L-BFGS, adaptive": (W, USUAL),
    "L-BFGS whitened": (WHITE, lbfgs(history=20)),
    "L-BFGS whitened after 10 of Adam": (WHITE, lbfgs(history=20, warmup=10)),
    "LM": (WHITE, SolverSpec("lm")),
}
CODES = {
    "L-BFGS": (Z, lbfgs(history=20)),
    "L-BFGS, history 60": (Z, lbfgs(history=60)),
    "L-BFGS, adaptive": (Z, USUAL),
    "L-BFGS after 5 of Adam": (Z, lbfgs(history=40, warmup=5)),
}
NATURAL = {"of `default`": (PLUS, USUAL)}


def plus(ours: dict[str, tuple[Variable, SolverSpec]]) -> dict[str, tuple[Variable, SolverSpec]]:
    return {name: (replace(v, space="w+"), solver) for name, (v, solver) in ours.items()}


LIKENESS = tuple(t for t in PRESETS["default"].stages[0].terms if t.name in ("mse", "lpips"))
ALEX = Term("lpips", net="alexnet", view=View(256)).label
CASES = {
    "celeba32-z": Case(
        "celeba32, z, own pictures", 8,
        lambda: trained("celeba32"), drawn(8), (Z,), CODES,
        (0.01, *SMALL_RATES), LENGTHS,
    ),
    "sg2-w": Case(
        "StyleGAN2 32 px, W, own pictures", 8, small_net, drawn(4), (W, WHITE), SMALL,
        SMALL_RATES, LENGTHS,
    ),
    "sg2-w+": Case(
        "StyleGAN2 32 px, W+, own pictures", 6, small_net, drawn(4, "w+"), (WP, WHITEP),
        plus(SMALL), SMALL_RATES, LENGTHS,
    ),
    "sg2-out": Case(
        "StyleGAN2 32 px, W+, foreign pictures", 3, small_net, foreign(4), (WP, WHITEP),
        plus(SMALL), SMALL_RATES, LENGTHS,
    ),
    "celeba32-faces": Case(
        "celeba32, z, faces it did not draw", 3,
        lambda: trained("celeba32"), photographs(8, 32), (Z,), CODES, SMALL_RATES, LENGTHS,
    ),
    "mnist28-z": Case(
        "mnist28, z, own pictures", 8, lambda: trained("mnist28"), drawn(8), (Z,), CODES,
        SMALL_RATES, LENGTHS,
    ),
    "ffhq-pixels": Case(
        "ffhq, W+, faces, pixels at 64 px", 3, lambda: load_generator("ffhq"), photographs(4, 64),
        (WHITEP,), NATURAL, (0.05, 0.1, 0.2), (100,), budget=100,
    ),
    "ffhq-lpips": Case(
        "ffhq, W+, 16 faces, pixels and LPIPS", 3, lambda: load_generator("ffhq"),
        photographs(16, 256), (WHITEP,), NATURAL, (0.1, 0.2, 0.4), (100,), LIKENESS, ALEX,
        budget=50, tuned=2,
    ),
    "ffhq-lpips-400": Case(
        "the same after 400", 3, lambda: load_generator("ffhq"),
        photographs(16, 256), (WHITEP,), NATURAL, (0.1, 0.2), (400,), LIKENESS, ALEX,
        budget=100, tuned=2,
    ),
}  # fmt: skip


def report(names: Iterable[str]) -> None:
    print(
        "| case | best Adam | reached | ours | evaluations to that (median, worst) | ratio (goal) |"
    )
    print("|---|---|---|---|---|---|")
    for name in names or CASES:
        case = CASES[name]
        if name.startswith("ffhq") and not (is_present("ffhq") and is_present("lpips")):
            print(f"| {case.name} | needs `jaxinv pull ffhq lpips` | | | | |")
            continue
        for line in lines(case):
            print(line, flush=True)


def lines(case: Case) -> list[str]:
    """One row of the table for each of our searches."""
    gen, params = case.pair()
    images = case.images(gen, params)
    nets = load_features(tuple(sorted({t.net for t in case.terms if t.net})))

    def scores(variable: Variable, solver: SolverSpec, steps: int, few: slice) -> np.ndarray:
        """Best so far [B, steps], higher is better: PSNR, or LPIPS with its sign turned."""
        stage = Stage((variable,), case.terms, steps, solver)
        preset = Preset("p", (stage,), "", "")
        some = images[few]
        settings: dict[str, Any] = {"nets": nets, "record_terms": (case.label,), "batch": len(some)}
        found = invert(gen, params, some, preset=preset, **settings)
        values = found.terms[case.label][:, 0]
        score = psnr_of(values) if case.label.startswith("mse") else -values
        return np.fmax.accumulate(score, axis=1)

    first, others = slice(case.tuned or None), slice(case.tuned or len(images), None)
    tried = {
        (variable, rate, length): scores(variable, adam(rate), length, first)
        for variable in case.adams
        for rate in case.rates
        for length in case.lengths
    }
    best = max(tried, key=lambda key: float(np.mean(tried[key][:, -1])))
    variable, rate, cost = best
    target = tried[best][:, -1]
    if case.tuned:
        target = np.append(target, scores(variable, adam(rate), cost, others)[:, -1])
    rows = []
    told = f"{variable.codec}, rate {rate:g}, {cost} | {abs(np.mean(target)):.4g}"
    for name, (unknown, solver) in case.ours.items():
        needed = evaluations_to(scores(unknown, solver, case.budget, slice(None)), target)
        ratio = cost / np.median(needed)
        found = f"{np.median(needed):.0f}, {np.max(needed):.0f} | {ratio:.1f} ({case.goal:g})"
        rows.append(f"| {case.name} | {told} | {name} | {found} |")
    return rows
