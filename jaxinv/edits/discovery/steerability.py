"""Walks learned from edits of pictures (Jahanian et al. 2020, arXiv:1907.07171).

A walk is right when the generator draws, of the moved code, the edited picture of the code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.discovery.first_layer_walks import warped
from jaxinv.edits.discovery.training import USUAL, Fitted, Training, fit
from jaxinv.specs.checks import check_choice, check_number, check_whole

if TYPE_CHECKING:
    from jaxinv.types import Array, Key, Params, Tree

Draw: TypeAlias = Callable[["Tree", "Array"], "Array"]  # (data, codes [n, d]) -> images
STEPS = 5  # of a nonlinear walk at the end of the slider


class Edit(NamedTuple):
    """(image [h, w, 3], slider) -> (edited, mask [h, w] of where the edit is defined).

    Sliders are drawn evenly from -`most` to `most`.
    """

    apply: Callable[[Array, Array], tuple[Array, Array]]
    most: float


def _whole(image: Array) -> Array:
    return jnp.ones(image.shape[:2])


def _brighten(image: Array, slider: Array) -> tuple[Array, Array]:
    return image + 2 * slider, _whole(image)  # images are in [-1, 1], sliders of [0, 1]


def _colour(channel: int) -> Callable[[Array, Array], tuple[Array, Array]]:
    def apply(image: Array, slider: Array) -> tuple[Array, Array]:
        return image.at[..., channel].add(2 * slider), _whole(image)

    return apply


def _warp(
    kind: str, amount: Callable[[Array, int], Array]
) -> Callable[[Array, Array], tuple[Array, Array]]:
    def apply(image: Array, slider: Array) -> tuple[Array, Array]:
        change, defined = warped(
            kind, amount(slider, image.shape[0]), (image.shape[0], image.shape[1])
        )
        return change(image), defined

    return apply


EDITS: dict[str, Edit] = {
    "luminance": Edit(_brighten, 0.5),
    "red": Edit(_colour(0), 0.5),
    "green": Edit(_colour(1), 0.5),
    "blue": Edit(_colour(2), 0.5),
    # Half of the picture at 1; the logarithm of the factor; 45 degrees at 1.
    "shift-x": Edit(_warp("shift-x", lambda a, size: a * size / 2), 0.5),
    "shift-y": Edit(_warp("shift-y", lambda a, size: a * size / 2), 0.5),
    "zoom": Edit(_warp("zoom", lambda a, size: jnp.exp(a)), float(np.log(4))),
    "rotate": Edit(_warp("rotate", lambda a, size: 45 * a), 1.0),
}


def edited(name: str, images: np.ndarray, slider: float) -> tuple[np.ndarray, np.ndarray]:
    """Images [n, h, w, 3] after the edit `name` of `EDITS`, and where it is defined [h, w]."""
    check_choice("edit", name, tuple(EDITS))
    check_number("slider", slider)
    apply = EDITS[name].apply
    found, masks = jax.vmap(lambda x: apply(x, jnp.asarray(slider)))(jnp.asarray(images))
    return np.asarray(found), np.asarray(masks[0])


def linear_walk(
    draw: Draw,
    data: Tree,
    sample: Callable[[Tree, Key, int], Array],
    name: str,
    training: Training = USUAL,
    *,
    batch: int = 4,
) -> tuple[np.ndarray, np.ndarray]:
    """The vector w [d] such that code + slider * w draws the edit, and the losses; equation 1.

    `draw` and `sample` (data, key, n) -> codes [n, d] as in `latent_discovery.discover`. Where the
    edit is not defined nothing is compared.
    """
    found = _learn(draw, data, sample, training, name, _straight, batch, _zero_vector)
    return np.asarray(found.params), found.losses


def nonlinear_walk(
    draw: Draw,
    data: Tree,
    sample: Callable[[Tree, Key, int], Array],
    name: str,
    training: Training = USUAL,
    *,
    batch: int = 4,
) -> Fitted:
    """Two nets, forward and back, whose repeated steps draw the edit; section 3.2.

    A step is z + T2 relu(T1 z), at the length of z; a slider asks for `STEPS` of them at most.
    `curves.learned_steps` makes a path of `step` by either net.
    """
    return _learn(draw, data, sample, training, name, _bent(name), batch, _two_nets)


def _straight(walk: Array, code: Array, slider: Array) -> Array:
    return code + slider * walk


def _zero_vector(key: Key, width: int) -> Array:
    return 0.1 * jax.random.normal(key, (width,))


def _two_nets(key: Key, width: int) -> Params:
    def net(own: Key) -> Params:
        first, second = jax.random.split(own)
        shape = (width, 2 * width)
        return {
            "in": jax.random.normal(first, shape) / width**0.5,
            "out": 0.01 * jax.random.normal(second, shape[::-1]),
        }

    one, two = jax.random.split(key)
    return {"forward": net(one), "back": net(two)}


def step(net: Params, z: Array) -> Array:
    """One step of a nonlinear walk from codes [..., d], by its net "forward" or "back"."""
    moved = z + jax.nn.relu(z @ net["in"]) @ net["out"]
    lengths = [jnp.linalg.norm(x, axis=-1, keepdims=True) for x in (z, moved)]
    return moved * lengths[0] / lengths[1]


def _bent(name: str) -> Callable[[Params, Array, Array], Array]:
    """(params, code, slider) -> the code moved by whole steps, for sliders that jax traces."""
    most = EDITS[name].most

    def move(params: Params, code: Array, slider: Array) -> Array:
        count = jnp.round(jnp.abs(slider) / most * STEPS)
        sides = (params["forward"], params["back"])
        side = jax.tree.map(lambda one, two: jnp.where(slider > 0, one, two), *sides)
        for index in range(STEPS):
            code = jnp.where(index < count, step(side, code), code)
        return code

    return move


def _learn(
    draw: Draw,
    data: Tree,
    sample: Callable[[Tree, Key, int], Array],
    training: Training,
    *how: Any,
) -> Fitted:
    name, move, batch, first = how
    check_choice("edit", name, tuple(EDITS))
    check_whole("batch", batch, 1)
    edit, key = EDITS[name], jax.random.key(training.seed)
    width = jax.eval_shape(lambda: sample(data, key, 1)).shape[-1]
    whole = move is not _straight  # steps are whole: the edit goes as far as they do

    def loss(params: Tree, data: Tree, key: Key) -> Array:
        one, two = jax.random.split(key)
        codes = sample(data, one, batch)
        slider = jax.random.uniform(two, (batch,), minval=-edit.most, maxval=edit.most)
        if whole:
            slider = jnp.round(slider / edit.most * STEPS) * edit.most / STEPS
        goal, mask = jax.vmap(edit.apply)(draw(data, codes), slider)
        moved = draw(data, jax.vmap(lambda z, a: move(params, z, a))(codes, slider))
        return (mask[..., None] * (moved - goal) ** 2).sum() / jnp.maximum(3 * mask.sum(), 1)

    return fit(loss, first(key, width), data, training)
