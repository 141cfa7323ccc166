"""What methods that find directions claim, measured: `python -m tests.benchmarks navigation`.

Everything is measured in pictures: of the small renderer, whose factors are known, of small
generators of others, and of faces. A row says what was found whether or not the claim holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.conditions import conditioned
from jaxinv.edits.directions import Direction
from jaxinv.edits.discovery import boundaries, flows, latent_discovery
from jaxinv.edits.discovery import regressor_walks as walks
from jaxinv.edits.discovery.training import Training
from jaxinv.latents.spaces import draw_prior
from jaxinv.models import zoo
from jaxinv.reports.markdown import head, line
from jaxinv.specs.checks import check_choice
from jaxinv.types import Array, Key, Params
from tests.benchmarks.face_regions import PARTS, transferred
from tests.benchmarks.methods.sources import WEIGHTS, trained
from tests.edits.renderer import (
    DIM,
    FACTORS,
    codes,
    factors,
    pictures,
    renderer,
    shown,
)

HEAD = ("claim", "measured", "holds", "seconds")
PAIR = renderer()
ERRORS = 3  # standard errors that a difference must have


class Found(NamedTuple):
    """What was measured, in words, and whether the claim holds."""

    measured: str
    holds: bool


class Ratio(NamedTuple):
    """Change of the target per unit of drift: mean over seeds, and its standard error."""

    mean: float
    error: float

    def above(self, other: Ratio) -> float:
        """The difference in standard errors."""
        return (self.mean - other.mean) / float(np.hypot(self.error, other.error))


def ratio(values: Sequence[float] | np.ndarray) -> Ratio:
    """Of the values that several seeds gave."""
    return Ratio(float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5))


# --- Voynov & Babenko: the accuracy of a reconstructor --------------------------------------------


class Setting(NamedTuple):
    """Directions, steps, rate and the largest shift for one generator."""

    count: int
    steps: int
    rate: float
    scale: float


SETTINGS = {"mnist28": Setting(16, 600, 2e-3, 6.0), "celeba32": Setting(64, 500, 2e-3, 6.0)}


def reconstructed(
    name: str, matrix: str, *, shuffled: bool = False, steps: int | None = None
) -> float:
    """The RCA of a small net; with `shuffled`, moves belong to the label of another pair."""
    gen, params = trained(name)
    setting = SETTINGS[name]

    def draw(params: Params, z: Array, moves: Array) -> Array:
        moves = jnp.roll(moves, 1, axis=0) if shuffled else moves
        return jax.vmap(lambda one: gen.synthesize(params, {"z": one}))(z + moves)

    def sample(params: Params, key: Key, count: int) -> Array:
        del params
        return jax.vmap(lambda k: draw_prior(gen.spec, k)["z"])(jax.random.split(key, count))

    found = latent_discovery.discover(
        draw,
        params,
        sample,
        (setting.count, gen.spec.z_dim, gen.spec.resolution),
        Training(steps or setting.steps, setting.rate),
        matrix=matrix,
        shifts=latent_discovery.Shifts(setting.scale),
    )
    return found.accuracy


def told_apart(name: str) -> Found:
    learned, drawn = (reconstructed(name, matrix) for matrix in ("ortho", "random"))
    control, count = reconstructed(name, "random", shuffled=True, steps=100), SETTINGS[name].count
    # 3200 pairs: what chance gives lies within 4 standard errors.
    by_chance = abs(control - 1 / count) < 4 * (1 / count / 3200) ** 0.5
    return Found(
        f"{count} directions: RCA {learned:.3f} learned, {drawn:.3f} random; shuffled labels "
        f"{control:.3f} (chance {1 / count:.3f})",
        learned > drawn and by_chance,
    )


# --- StyleFlow ------------------------------------------------------------------------------------


def entangled(w: np.ndarray) -> np.ndarray:
    """Contrast and level [n, 2] of pictures of codes: both hang on brightness and background."""
    seen = shown(pictures(PAIR, w.astype(np.float32)))
    return np.stack(
        [seen["brightness"] - seen["background"], seen["brightness"] + seen["background"]], 1
    )


def separate(w: np.ndarray) -> np.ndarray:
    """Background and brightness [n, 2]: each hangs on a factor of its own."""
    seen = shown(pictures(PAIR, w.astype(np.float32)))
    return np.stack([seen["background"], seen["brightness"]], 1)


class Kept(NamedTuple):
    """Root mean square changes that an edit should not make, in standard deviations."""

    other: float
    factors: float
    short: float


def flow_against_lines(
    measure: Callable[[np.ndarray], np.ndarray], seed: int = 0, steps: int = 1500
) -> dict[str, Kept]:
    """The first attribute of 100 codes changed by as much by a flow and along lines.

    The other attribute is to stay, and so are the factors that show in neither.
    """
    w, asked = codes(4000, seed), codes(100, seed + 1)
    values = measure(w)
    mean, spread = values.mean(0), values.std(0)
    scaled = lambda x: (measure(x) - mean) / spread  # noqa: E731
    training = Training(steps, 3e-3, seed=seed)
    flow = flows.train(w, (values - mean) / spread, training, hidden=(64, 64), batch=256).params
    own = scaled(asked)
    goal = own.copy()
    goal[:, 0] = np.random.default_rng(seed).uniform(-1.5, 1.5, len(own))
    x, a, b = (jnp.asarray(one, float) for one in (asked, own, goal))
    ends = {"flow": np.asarray(flows.edit(flow, x, a, b))}
    normals = [
        Direction(str(i), "w", boundaries.boundary(w, values[:, i]).normal) for i in range(2)
    ]
    paths = {"line": normals[0], "conditioned line": conditioned(normals[0], normals[1:])}
    reached = scaled(ends["flow"])[:, 0]
    for name, one in paths.items():
        ends[name] = along(asked, np.asarray(one.vector), reached, lambda x: scaled(x)[:, 0])
    hidden = [i for i, name in enumerate(FACTORS) if name not in ("brightness", "background")]
    deviations = factors(PAIR, w).std(0)

    def kept(end: np.ndarray) -> Kept:
        moved = ((factors(PAIR, end) - factors(PAIR, asked)) / deviations)[:, hidden]
        now = scaled(end)
        size = lambda x: float(np.sqrt(np.mean(np.square(x))))  # noqa: E731
        return Kept(size(now[:, 1] - own[:, 1]), size(moved), size(now[:, 0] - goal[:, 0]))

    return {name: kept(end) for name, end in ends.items()}


def along(
    w: np.ndarray,
    vector: np.ndarray,
    reached: np.ndarray,
    measure: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Codes moved along a line until what is measured has `reached` [n], or comes nearest."""
    amounts = np.linspace(-6, 6, 241)
    values = np.stack([measure(w + amount * vector) for amount in amounts])
    best = amounts[np.abs(values - reached).argmin(0)]
    return w + best[:, None] * vector


def flowing(measure: Callable[[np.ndarray], np.ndarray]) -> Found:
    runs = [flow_against_lines(measure, seed) for seed in range(3)]
    words, means = [], {}
    for name in runs[0]:
        means[name] = np.mean([run[name] for run in runs], axis=0)
        other, rest, short = means[name]
        words.append(f"{name}: other {other:.2f}, rest {rest:.2f}, short of goal {short:.2f}")
    drift = {name: float(np.hypot(*mean[:2])) for name, mean in means.items()}
    return Found("; ".join(words), drift["flow"] < min(drift["line"], drift["conditioned line"]))


# --- walks led by measurements, against random directions -----------------------------------------


def draw(params: Params, w: Array) -> Array:
    return jax.vmap(lambda one: PAIR[0].synthesize(params, {"w": one}))(w)


def sample(params: Params, key: Key, count: int) -> Array:
    del params
    return jax.random.normal(key, (count, DIM))


def looks(images: Any) -> Any:
    """Background, brightness and hue [n, 3] of pictures, as probabilities."""
    middle = images[:, 8, 8]
    seen = [images[:, 0, 0].mean(-1) + 0.5, middle.mean(-1) - 0.2, middle[:, 2] - middle[:, 1]]
    return jax.nn.sigmoid(3 * jnp.stack(seen, -1))


SEEN = ("background", "brightness", "hue")


def gain(before: np.ndarray, after: np.ndarray, target: int) -> float:
    """Change of what is seen of a target over the drift of all other factors, both in deviations.

    Means of sizes over codes; a random direction counts as well whether it raises or lowers.
    """
    many = codes(4000, 99)
    spread = np.asarray(looks(pictures(PAIR, many))).std(0)[target]
    ends = [np.asarray(looks(pictures(PAIR, w.astype(np.float32)))) for w in (before, after)]
    moved = np.abs(ends[1] - ends[0])[:, target].mean() / spread
    others = np.arange(DIM) != FACTORS.index(SEEN[target])
    drift = (factors(PAIR, after) - factors(PAIR, before)) / factors(PAIR, many).std(0)
    return float(moved / np.sqrt(np.mean(np.square(drift[:, others]))))


def randomly(seed: int, length: float) -> list[float]:
    """What a random direction gains of every target."""
    w = codes(64, 1000 + seed)
    step = np.random.default_rng(seed).standard_normal(w.shape)
    step *= length / np.linalg.norm(step, axis=1, keepdims=True)
    return [gain(w, w + step, target) for target in range(len(SEEN))]


def hijacked(seed: int, length: float) -> list[float]:
    """What walks along a proxy of the black box gain of every target, the others kept."""
    seen, asked = codes(4000, seed), codes(16, 1000 + seed)
    learned = walks.proxy(
        seen, np.asarray(looks(pictures(PAIR, seen))), Training(1000, 3e-3, seed=seed)
    )
    found, steps = [], 5
    for target in range(len(SEEN)):
        keep = tuple(i for i in range(len(SEEN)) if i != target)
        ends = [
            walks.black_box_walk(
                learned.params, w, target, keep=keep, step=length / steps, steps=steps
            )[-1]
            for w in asked
        ]
        found.append(gain(asked, np.stack(ends), target))
    return found


def enjoyed(seed: int, length: float) -> list[float]:
    """What global directions, learned through the generator, gain of every target."""
    asked = codes(64, 1000 + seed)
    vectors, _ = walks.global_directions(
        draw,
        PAIR[1],
        sample,
        lambda _, images: looks(images),
        Training(800, 1e-2, seed=seed),
        batch=16,
    )
    steps = length * vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return [gain(asked, asked + step, target) for target, step in enumerate(steps)]


def walking(method: Callable[[int, float], list[float]], seeds: int = 5) -> Found:
    """A walk of length 1 against random ones, target by target."""
    ours, others = (
        np.array([one(seed, 1.0) for seed in range(seeds)]) for one in (method, randomly)
    )
    words, sizes = [], []
    for target, name in enumerate(SEEN):
        mine, theirs = ratio(ours[:, target]), ratio(others[:, target])
        sizes.append(mine.above(theirs))
        words.append(
            f"{name} {mine.mean:.2f} ± {mine.error:.2f} against {theirs.mean:.2f} ± "
            f"{theirs.error:.2f}: {sizes[-1]:.0f} standard errors"
        )
    return Found("; ".join(words), min(sizes) >= ERRORS)


# --- Editing in Style -----------------------------------------------------------------------------

BUDGET, FACTOR = 20.0, 3.0


def locally() -> Found:
    rows = {part: transferred(part, BUDGET) for part in PARTS}
    words = (
        f"{part} ({row['pixels']:.1%} of the picture): {row['query']:.1f} times the rest (least of "
        f"8 pairs {row['least']:.1f}) by {row['channels']:.0f} channels, {row['all']:.1f} by all"
        for part, row in rows.items()
    )
    return Found("; ".join(words), all(row["query"] > FACTOR for row in rows.values()))


# --- the table ------------------------------------------------------------------------------------


class Row(NamedTuple):
    """A claim in words, how it is measured, and what of others it needs."""

    words: str
    measure: Callable[[], Found]
    present: Callable[[], bool] = lambda: True


ROWS: dict[str, Row] = {
    f"rca-{name}": Row(
        f"Voynov-Babenko on {name}: learned directions are told apart better than random ones",
        lambda name=name: told_apart(name),
        WEIGHTS.is_dir,
    )
    for name in SETTINGS
} | {
    "styleflow": Row(
        "StyleFlow drifts less than a line where attributes are entangled (contrast, level)",
        lambda: flowing(entangled),
    ),
    "styleflow-separate": Row(
        "the same where each attribute hangs on one factor (background, brightness)",
        lambda: flowing(separate),
    ),
    "editing-in-style": Row(
        f"Editing in Style changes the named region of a face {FACTOR:g} times as much as the rest",
        locally,
        lambda: zoo.is_present("ffhq"),
    ),
    "hijack-gan": Row(
        "Hijack-GAN's walks change their target more per drift than random directions",
        lambda: walking(hijacked),
    ),
    "zhuang": Row(
        "Zhuang's directions change their target more per drift than random directions",
        lambda: walking(enjoyed),
    ),
}


def report(names: Sequence[str]) -> None:
    """Print the rows of a table, one when it is measured; all of them without names."""
    for name in names:
        check_choice("row", name, tuple(ROWS))
    print(head(HEAD))
    for name in names or ROWS:
        row, began = ROWS[name], time.monotonic()
        found = row.measure() if row.present() else Found("needs files of others", False)
        holds = "yes" if found.holds else "no"
        print(line(row.words, found.measured, holds, f"{time.monotonic() - began:.0f}"), flush=True)
