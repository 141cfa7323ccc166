"""Paths of editing: ways through a latent space that are walked by an amount, forwards and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.directions import DIRECTION_SPACES, ROWED, Direction
from jaxinv.latents.codecs import CODECS
from jaxinv.models.generators.base import convert
from jaxinv.models.generators.weight_deltas import difference, leaves, nested
from jaxinv.specs.checks import check_callable, check_choice, check_kind, check_number
from jaxinv.specs.vocabulary import LATENT_SPACES

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params, Tree

Move = Callable[[Any, float], Any]  # (code, amount) -> code
PLAIN = {"p": "w", "p+": "w+"}  # spaces of another coordinate, and those that they are of


@dataclass(frozen=True, eq=False)
class Path:
    """A way through one latent space.

    Attributes:
        name: what it changes.
        space: where the code is moved, one of `DIRECTION_SPACES`.
        move: (code, amount) -> code; the code is as `Direction.vector` is laid out, but with all
            its rows.
        undo: (code, amount) -> the code from which `move` came by that amount; None: it moves by
            minus the amount.
        rows: those that move; None is all.
    """

    name: str
    space: str
    move: Move
    undo: Move | None = None
    rows: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_choice(f"space of path {self.name!r}", self.space, DIRECTION_SPACES)
        check_callable(f"move of path {self.name!r}", self.move)
        check_callable(f"undo of path {self.name!r}", self.undo)

    def apply(self, gen: Generator, params: Params, latents: Latents, amount: float) -> Latents:
        """Latents of ONE sample, moved by `amount`.

        They are carried forward to the path's space, and what lies before it is dropped. What they
        hold beside a code (noise, changes of weights, a class) stays. A way through W moves all
        rows of a w+ alike. Raises `ValueError` naming both spaces where the latents have left the
        path's behind them, and where the way is undefined.
        """
        return self._walk(gen, params, latents, amount, self.move)

    def inverse(self, gen: Generator, params: Params, latents: Latents, amount: float) -> Latents:
        """Latents of ONE sample from which `apply` leads to these by `amount`; errors as there."""
        undo = self.undo or (lambda code, amount: self.move(code, -amount))
        return self._walk(gen, params, latents, amount, undo)

    def _walk(
        self, gen: Generator, params: Params, latents: Latents, amount: float, move: Move
    ) -> Latents:
        check_number(f"amount of {self.name!r}", amount)
        place = place_of(self, latents)
        code = code_at(gen, params, latents, place)
        moved = move(code, amount)
        if self.rows is not None:
            moves = np.isin(np.arange(len(code)), self.rows)[:, None]
            moved = jnp.where(moves, moved, code)
        return with_code(latents, place, moved)


def place_of(path: Path, latents: Latents) -> str:
    """The space in which a path moves these latents: its own, or that with rows of it.

    Raises `ValueError` naming both spaces where they cannot be carried there.
    """
    check_kind("latents", latents, dict, ", arrays by space")
    if "mix" in latents:
        raise ValueError(f"{path.name!r} moves one code; these latents mix several: 'mix'")
    held = next((name for name in reversed(LATENT_SPACES) if name in latents), None)
    space, plus = path.space, path.space + "+"
    if space in ("weights", "embedding") or held is None:
        return space
    rowed = path.rows is not None or held in ("z+", PLAIN.get(plus, plus))
    place = plus if rowed and plus in (*ROWED, *PLAIN) else space
    goal = PLAIN.get(place, place)
    reached = ("z", "z+", "w", "w+", "s") if goal == "s" else LATENT_SPACES[: _order(goal)]
    if held not in reached:
        raise ValueError(
            f"{path.name!r} moves in {space!r}; these latents are in {held!r}, from which there "
            f"is no way back to {space!r}"
        )
    return place


def _order(space: str) -> int:
    return LATENT_SPACES.index(space) + 1


def code_at(gen: Generator, params: Params, latents: Latents, space: str) -> Tree:
    """The code of one sample in one of `DIRECTION_SPACES`: carried forward if need be.

    In "weights" it is what every array that changes gains. Raises `ValueError` where the latents
    cannot be carried there.
    """
    if space == "weights":
        return _totals(params, latents.get("weights", {}))
    if space == "embedding":
        if "embedding" in latents:
            return latents["embedding"]
        return gen.embed(params, convert_label(latents))
    plain = PLAIN.get(space, space)
    code = convert(gen, params, latents, plain)
    return code if plain == space else CODECS["p"].encode({}, code)


def convert_label(latents: Latents) -> Any:
    """The class vector of latents; `ValueError` where they have none."""
    if "label" not in latents:
        raise ValueError(f"latents with {', '.join(latents)} have no class; allowed: a 'label'")
    return latents["label"]


def with_code(latents: Latents, space: str, code: Tree) -> Latents:
    """The latents with another code, which replaces the one that they had."""
    if space == "weights":
        pairs = [(path, {"add": leaf}) for path, leaf in leaves(code)]
        return {**latents, "weights": nested(pairs)}
    if space == "embedding":
        return {**latents, "embedding": code}
    kept = {name: value for name, value in latents.items() if name not in LATENT_SPACES}
    plain = PLAIN.get(space, space)
    return {**kept, plain: code if plain == space else CODECS["p"].decode({}, code)}


def _totals(params: Params, changes: Params) -> Params:
    found: Params = {}
    for name, change in changes.items():
        end = not any(isinstance(value, dict) for value in change.values())
        found[name] = (difference if end else _totals)(params[name], change)
    return found


def linear(
    direction: Direction,
    *,
    absolute: bool = False,
    keep_norm: bool = False,
    psi: float = 1.0,
    cutoff: int | None = None,
) -> Path:
    """The straight way: code + amount * vector, in the direction's space and rows.

    Args:
        direction: as `fit_direction` lays it out for the generator.
        absolute: the amount is instead the signed distance to reach from the plane through 0 whose
            normal is the vector (InterFaceGAN's edits of z; Shen et al. 2020, section 3.2).
        keep_norm: every code keeps its length (Jahanian et al. 2020, section 3).
        psi: the truncation of the code that is moved: a step is `psi` as long, as if the code had
            been truncated after it.
        cutoff: only the first rows of w+ were truncated.

    Raises:
        ValueError: what cannot be combined.
    """
    check_kind("direction", direction, Direction)
    check_number("psi", psi)
    tree = direction.space in ("s", "weights")
    if tree and (absolute or keep_norm or cutoff is not None):
        raise ValueError(f"{direction.name!r} lies in {direction.space!r}; allowed: a plain line")
    if absolute and (keep_norm or psi != 1.0):
        raise ValueError("an absolute amount with keep_norm or psi; allowed: one of them")
    vector = direction.vector
    if tree:
        return Path(direction.name, direction.space, partial(_sum, vector))
    if absolute:
        move, undo = _to_distance(vector, direction.name), _no_way_back
    elif keep_norm:
        move, undo = _turned_by_line(vector), _turned_back(vector)
    else:
        move, undo = (lambda code, amount: code + amount * vector), None
    return Path(direction.name, direction.space, *_scaled(move, undo, psi, cutoff), direction.rows)


def _sum(vector: Tree, code: Tree, amount: float) -> Tree:
    """code + amount * vector of trees; an array that is only in one of them counts as 0 in both."""
    if isinstance(vector, tuple):
        return tuple(a + amount * b for a, b in zip(code, vector, strict=True))
    held, found = dict(leaves(code)), dict(leaves(vector))
    total = held | {path: held.get(path, 0.0) + amount * leaf for path, leaf in found.items()}
    return nested(list(total.items()))


def _scaled(move: Move, undo: Move | None, psi: float, cutoff: int | None) -> tuple[Move, Any]:
    """The moves with steps of `psi` times the amount, or only so in the first rows."""
    if psi == 1.0:
        return move, undo

    def scaled(step: Move) -> Move:
        def walk(code: Any, amount: float) -> Any:
            short = step(code, psi * amount)
            if cutoff is None or code.ndim == 1:
                return short
            return jnp.where(np.arange(len(code))[:, None] < cutoff, short, step(code, amount))

        return walk

    return scaled(move), None if undo is None else scaled(undo)


def _length(x: Any) -> Any:
    return jnp.linalg.norm(x, axis=-1, keepdims=True)


def _to_distance(vector: np.ndarray, name: str) -> Move:
    lengths = np.linalg.norm(vector, axis=-1, keepdims=True)
    if not lengths.all():
        raise ValueError(f"{name!r} has rows of zeros, which have no plane; allowed: relative")
    normal = vector / lengths
    return lambda code, amount: (
        code + (amount - jnp.sum(normal * code, axis=-1, keepdims=True)) * normal
    )


def _no_way_back(code: Any, amount: float) -> Any:
    del code
    raise ValueError(f"the distance {amount} forgets where it was reached from; allowed: apply")


def _turned_by_line(vector: np.ndarray) -> Move:
    def move(code: Any, amount: float) -> Any:
        moved = code + amount * vector
        return moved * _length(code) / _length(moved)

    return move


def _turned_back(vector: np.ndarray) -> Move:
    """The start whose line, drawn back to its length, ends here: |t code - a v| = |code|, t > 0."""

    def undo(code: Any, amount: float) -> Any:
        step = amount * vector
        square = jnp.sum(code * code, axis=-1, keepdims=True)
        along = jnp.sum(code * step, axis=-1, keepdims=True)
        under = along**2 - square * (jnp.sum(step * step, axis=-1, keepdims=True) - square)
        return code * (along + jnp.sqrt(jnp.maximum(under, 0.0))) / square - step

    return undo


def apply_all(
    gen: Generator,
    params: Params,
    latents: Latents,
    moves: Sequence[tuple[Path, float]],
) -> Latents:
    """Latents of ONE sample moved along several paths, each by its amount, in the order given.

    Straight ways in one space commute. Errors as for `Path.apply`.
    """
    for path, amount in moves:
        latents = path.apply(gen, params, latents, amount)
    return latents


def undo_all(
    gen: Generator,
    params: Params,
    latents: Latents,
    moves: Sequence[tuple[Path, float]],
) -> Latents:
    """Latents of ONE sample from which `apply_all` leads to these; errors as for `Path.inverse`."""
    for path, amount in reversed(moves):
        latents = path.inverse(gen, params, latents, amount)
    return jax.tree.map(jnp.asarray, latents)
