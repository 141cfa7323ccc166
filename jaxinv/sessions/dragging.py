"""Points of a picture dragged to other places (Pan et al. 2023, DragGAN, arXiv:2305.10973).

Every step tracks the points in the features of one layer, and lowers `motion_loss` once; it ends
when all points have arrived. Points are looked at in a picture of 256 px, whatever the generator
draws; what may not move is compared at the size of the features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.paths import code_at, with_code
from jaxinv.losses import motion_supervision as motion
from jaxinv.nn.resample import area_reduce
from jaxinv.sessions.operations import DragPoints
from jaxinv.sessions.places import SIDE, check_mask, check_places, to_rows
from jaxinv.sessions.stepping import Search
from jaxinv.solvers.registry import build
from jaxinv.specs import SolverSpec
from jaxinv.specs.checks import check_above

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.solvers.base import Solver
    from jaxinv.types import Array, Key, Latents, Params

FEATURE_SIDE = 128  # px of the features that are looked at: block 5 of StyleGAN2
MOVED_ROWS = 6  # of StyleGAN2's layout; the other rows of w+ stay
MOST_POINTS = 16
RATE = 0.01  # of Adam
SIZE = (SIDE, SIDE)
HELD = (
    1.0  # weight of what may not move; with the published 20 it holds the rest of the picture, too
)
STEPS = 200  # at most, unless more are asked for


class Pull(NamedTuple):
    """What is dragged: latents of ONE sample, points and targets [n, 2], rows and columns at 256.

    used: [n], 1 for points that there are: programs have room for `MOST_POINTS`.
    fixed: [256, 256], 1 where nothing may move; prepared, of the features' size.
    looks, first: features of the points, and all of them, before the first step.
    """

    latents: Latents
    points: Array
    targets: Array
    used: Array
    fixed: Array
    looks: Any = ()
    first: Any = ()


@dataclass(frozen=True)
class DragTask:
    """Dragging in one generator: the layer that is looked at, the rows of w+ that move, the rate.

    Without W, z is moved.
    """

    gen: Generator
    cut: str
    rows: tuple[int, ...]
    rate: float = RATE
    keep_best: bool = False

    @property
    def solver(self) -> Solver:
        """Adam, as published."""
        return _adam(self.rate)

    @property
    def space(self) -> str:
        """Where codes are moved."""
        return "w+" if self.gen.spec.w_dim else "z"

    def prepare(self, weights: Params, given: Pull) -> Pull:
        """With the features before the first step."""
        first = self._features(weights, given.latents)
        looks = motion.references(first, given.points, SIZE)
        fixed = area_reduce(given.fixed[..., None], (first.shape[0], first.shape[1]))[..., 0]
        return given._replace(looks=looks, first=first, fixed=fixed)

    def begin(self, weights: Params, given: Pull) -> tuple[Array, Array]:
        """The rows that move, and where the points are."""
        code = code_at(self.gen, weights, given.latents, self.space)
        rows = code[jnp.asarray(self.rows)] if self.rows else code
        return rows, given.points

    def loss(
        self, weights: Params, given: Pull, codes: Array, memory: Array, key: Key
    ) -> tuple[Array, Array]:
        """Equation 1 at the points as they are tracked here, and these points."""
        del key
        pulled, searched = motion.radii(SIDE)
        features = self._features(weights, self.latents(weights, given, codes))
        seen = jax.lax.stop_gradient(features)
        tracked = motion.track(seen, memory, given.looks, searched, SIZE)
        points = jnp.where(given.used[:, None] > 0, tracked.astype(memory.dtype), given.targets)
        moving = motion.motion_loss(features, points, given.targets, pulled, SIZE)
        kept = motion.change_where_fixed(features, given.first, given.fixed)
        return moving + HELD * kept, points

    def over(self, given: Pull, memory: Array) -> Array:
        """Whether all points are within 2 px of their targets, at 256 px."""
        return motion.arrived(memory, given.targets, SIDE)

    def latents(self, weights: Params, given: Pull, codes: Array) -> Latents:
        """The latents with the rows that move."""
        code = code_at(self.gen, weights, given.latents, self.space)
        moved = code.at[jnp.asarray(self.rows)].set(codes) if self.rows else codes
        return with_code(given.latents, self.space, moved)

    def _features(self, weights: Params, latents: Latents) -> Array:
        return self.gen.prefix(weights, latents, self.cut)["x"]


@lru_cache
def _adam(rate: float) -> Solver:
    return build(SolverSpec("adam", rate))


@lru_cache
def drag_task(gen: Generator, rate: float = RATE) -> DragTask:
    """How points are dragged in a generator: the last layer of at most 128 px is looked at.

    Raises `ValueError` for a rate that is not above 0.
    """
    check_above("rate", rate, 0)
    shapes = jax.eval_shape(lambda: gen.features(gen.init(jax.random.key(0)), _blank(gen)))
    sides = {name: state["x"].shape for name, state in shapes.items()}
    spatial = {n: s[0] for n, s in sides.items() if len(s) == 3 and 1 < s[0] <= FEATURE_SIDE}
    cut = max(spatial, key=lambda name: (spatial[name], gen.steps.index(name)))
    layout = gen.spec.layout18 or range(gen.spec.rows)
    rows = tuple(i for i, row in enumerate(layout) if row < MOVED_ROWS) if gen.spec.w_dim else ()
    return DragTask(gen, cut, rows, float(rate))


def _blank(gen: Generator) -> Latents:
    spec = gen.spec
    code: Latents = {"w": jnp.zeros(spec.w_dim)} if spec.w_dim else {"z": jnp.zeros(spec.z_dim)}
    return code | ({"label": jnp.zeros(spec.labels)} if spec.labels else {})


class Drag(Search):
    """A dragging that is under way: see `Session.dragging`."""

    def __init__(
        self,
        gen: Generator,
        params: Params,
        latents: Latents,
        handles: tuple[Any, Any],
        *,
        mask: np.ndarray | None = None,
        rate: float = RATE,
    ) -> None:
        """Prepare it: handles are points and targets [n, 2], x and y in px of the full picture.

        Raises `ValueError`, before anything is compiled, for handles outside of the picture, for
        as many targets as there are no points, for more than 16, and for a mask that hides all.
        """
        side = gen.spec.resolution
        points, targets = self.handles = check_handles(handles, side)
        self.count, self.scale, self.rate = len(points), side / SIDE, float(rate)
        self.mask = None if mask is None else check_mask(mask, "mask")
        fixed = np.zeros((SIDE, SIDE), np.float32) if self.mask is None else 1 - self.mask
        rows, ends = to_rows(points, side), to_rows(targets, side)
        pad = ((0, MOST_POINTS - self.count), (0, 0))
        # What fills the room up lies on its target, so that it pulls nothing.
        whole = np.pad(rows, pad), np.pad(ends, pad)
        used = (np.arange(MOST_POINTS) < self.count).astype(np.float32)
        given = Pull(latents, *map(jnp.asarray, (*whole, used, fixed)))
        super().__init__(drag_task(gen, rate), params, given)

    def operation(self) -> DragPoints:
        """What was dragged, for as many steps as were made."""
        return DragPoints(*self.handles, self.steps, self.rate, self.mask)

    @property
    def points(self) -> np.ndarray:
        """Where the points are now: [n, 2], x and y in px of the full picture."""
        rows = np.asarray(self.now.memory)[: self.count]
        return (rows[:, ::-1] + 0.5) * self.scale - 0.5

    @property
    def distance(self) -> float:
        """The mean distance of the points from their targets, in px at 256 px."""
        ends = np.asarray(self.given.targets)[: self.count]
        rows = np.asarray(self.now.memory)[: self.count]
        return float(np.linalg.norm(rows - ends, axis=-1).mean())

    @property
    def arrived(self) -> bool:
        """Whether all points have arrived."""
        return bool(self.task.over(self.given, self.now.memory))


def check_handles(handles: Any, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and targets [n, 2] of a picture of `side` px; `ValueError` as `Drag` says."""
    points, targets = (
        check_places(what, places, side)
        for what, places in zip(("handles", "targets"), handles, strict=True)
    )
    if len(points) != len(targets):
        raise ValueError(f"{len(points)} handles, {len(targets)} targets; allowed: as many")
    if len(points) > MOST_POINTS:
        raise ValueError(f"{len(points)} handles; allowed: at most {MOST_POINTS}")
    return points, targets
