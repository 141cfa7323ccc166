"""Methods by name that learn what an edit does: of pixels, or of a direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.discovery import first_layer_walks
from jaxinv.edits.discovery.affines import FirstLayer, first_layer
from jaxinv.edits.discovery.distillation import distil
from jaxinv.edits.discovery.requests import Request, direction, learning, side
from jaxinv.edits.discovery.samples import draw_codes, pictures
from jaxinv.edits.discovery.steerability import EDITS, STEPS, linear_walk, nonlinear_walk
from jaxinv.edits.discovery.training import Training
from jaxinv.edits.editing import edit
from jaxinv.edits.students import Student
from jaxinv.edits.walks import Walk

if TYPE_CHECKING:
    from jaxinv.edits.directions import Direction
    from jaxinv.types import Array, Key

AMOUNTS = {"zoom": 1.2, "rotate": 15.0}  # of a step through the first layer; else 1 cell
UNITS = {"zoom": "a factor of 1.2", "rotate": "15 degrees"}
CELL = "a cell of the first features"


def _training(asked: Request, rate: float, label: str) -> Training:
    return Training(asked.steps, rate, seed=asked.seed, label=label, report=asked.report)


def steerability(asked: Request) -> list[Direction]:
    """A direction that does to pictures what an edit of pixels does."""
    draw, sample = learning(asked)
    training = _training(asked, 1e-2, asked.edit)
    vector, _ = linear_walk(draw, asked.params, sample, asked.edit, training)
    return [direction(asked, vector, f"the slider of the edit {asked.edit!r}")]


def steerability_steps(asked: Request) -> list[Walk]:
    """Steps of two nets that do what an edit of pixels does."""
    draw, sample = learning(asked)
    training = _training(asked, 2e-3, asked.edit)
    nets = nonlinear_walk(draw, asked.params, sample, asked.edit, training).params
    unit = f"{EDITS[asked.edit].most / STEPS:.3g} of the slider of the edit {asked.edit!r}"
    return [Walk(asked.name, "steps", asked.space, nets, unit=unit)]


def _asked_of_layer(
    asked: Request,
) -> tuple[FirstLayer, first_layer_walks.Transformation, np.ndarray]:
    layer = first_layer(asked.gen, asked.params)
    amount = AMOUNTS.get(asked.edit, 1.0)
    change, defined = first_layer_walks.transform(asked.edit, amount, layer.grid[:2])
    return layer, change, np.asarray(defined)


def first_layer_line(asked: Request) -> list[Direction]:
    """A step in closed form, from the first layer."""
    vector = first_layer_walks.linear_walk(*_asked_of_layer(asked))
    return [direction(asked, vector, UNITS.get(asked.edit, CELL))]


def first_layer_steps(asked: Request) -> list[Walk]:
    """The recursion z <- M z + q in closed form, from the first layer."""
    scale, shift = first_layer_walks.affine_walk(*_asked_of_layer(asked))
    arrays = {"scale": scale, "shift": shift}
    return [Walk(asked.name, "recursion", "z", arrays, unit=UNITS.get(asked.edit, CELL))]


def student(asked: Request) -> list[Student]:
    """A net that makes an edit of pictures, learned of pairs of the generator."""
    if asked.move is None:
        return []
    gen, params, (way, amount) = asked.gen, asked.params, asked.move
    _, latents = draw_codes(gen, params, asked.space, asked.samples, asked.seed)
    moved = edit(gen, params, latents, [(way, amount)])
    drawn = [
        np.concatenate(list(pictures(gen, params, one, side(asked)))) for one in (latents, moved)
    ]
    data = jnp.asarray(np.concatenate(drawn))  # the edit of picture i is picture i + samples

    def look(shown: Array, rows: Array) -> Array:
        return shown[rows].astype(float) / 127.5 - 1

    def choose(shown: Array, key: Key, count: int) -> Array:
        return jax.random.randint(key, (count,), 0, len(shown) // 2)

    training = _training(asked, 3e-3, f"learning {way.name!r} of pairs")
    count = asked.samples
    found = distil(look, data, choose, lambda rows: rows + count, training)
    return [
        Student(
            asked.name,
            found.params,
            side(asked),
            unit=f"{amount:g} of {way.name!r}",
            source=f"pairs of {way.name!r} by {amount:g}",
        )
    ]
