"""Variables that are no latent codes: changes inside a network, and of the image it renders.

Each has a neutral value, at which the generator draws as if it were not there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxinv.latents.spaces import draw_prior
from jaxinv.models.generators import weight_deltas
from jaxinv.nn.conv import SAME, trainable_conv
from jaxinv.specs.checks import check_choice

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Variable
    from jaxinv.types import Array, Key, Latents, Params, Tree

ENDS = {name for names in weight_deltas.FORMS.values() for name in names}
WIDTH = 16  # inner channels of a surrogate


def step_names(gen: Generator, at: tuple[str | float, ...]) -> tuple[str, ...]:
    """Names of steps: as given, or those at fractions of the generator's steps, rounded up."""
    count = len(gen.steps)
    names = [
        step if isinstance(step, str) else gen.steps[max(math.ceil(step * count), 1) - 1]
        for step in at
    ]
    for name in names:
        gen.after(name)
    return tuple(names)


def identity_value(gen: Generator, params: Params, variable: Variable, key: Key) -> Tree:
    """The value of a variable of features, weights, mix, transform or surrogate without effect."""
    if variable.space == "weights":
        paths = weight_deltas.select(params, gen.steps, variable.select, variable.step_range)
        return weight_deltas.nested(
            [
                (path, weight_deltas.unchanged(params, path, (variable.form, variable.rank), k))
                for path, k in zip(paths, jax.random.split(key, len(paths)), strict=True)
            ]
        )
    if variable.space == "transform":
        return {name: jnp.zeros(SHAPES[name]) for name in variable.kinds}
    if variable.space == "surrogate":
        kernel = jax.random.normal(key, (3, 3, 3, WIDTH)) * math.sqrt(2 / 27)
        second = jnp.zeros((3, 3, WIDTH, 3))
        return {
            "first": {"kernel": kernel, "bias": jnp.zeros(WIDTH)},
            "second": {"kernel": second, "bias": jnp.zeros(3)},
        }
    states = {cut: _state(gen, params, cut)["x"] for cut in step_names(gen, variable.layers)}
    if variable.space == "features":
        return {cut: jnp.zeros(x.shape, x.dtype) for cut, x in states.items()}
    shares = (variable.num_codes, *(x.shape[-1] for x in states.values()))
    return {cut: jnp.full(shares, 1 / variable.num_codes) for cut in states}


def inherit(fresh: Tree, held: Tree) -> Tree:
    """The neutral value `fresh`, with what `held` has of it, from an earlier stage or the caller.

    Raises `ValueError` for weights that were changed in another form.
    """
    if not isinstance(fresh, dict):
        return held
    if held and not set(fresh) & set(held) and set(held) & ENDS:
        raise ValueError(f"weights changed by {sorted(held)}; allowed after them: the same form")
    return {name: inherit(x, held[name]) if name in held else x for name, x in fresh.items()}


def overlay(previous: Latents, space: str, value: Tree) -> Tree:
    """The value of a free variable; features and weights that it leaves alone stay as they were."""
    if space not in ("features", "weights") or space not in previous:
        return value
    return _overlaid(previous[space], value)


def _overlaid(below: Tree, above: Tree) -> Tree:
    if not isinstance(above, dict) or set(above) & ENDS:
        return above
    both = {name: _overlaid(below[name], x) if name in below else x for name, x in above.items()}
    return {**below, **both}


def _state(gen: Generator, params: Params, cut: str) -> Any:
    """Shapes of the features after a step."""

    def run(params: Params) -> Any:
        return gen.prefix(params, draw_prior(gen.spec, jax.random.key(0)), cut)

    return jax.eval_shape(run, params)


SHAPES: dict[str, tuple[int, ...]] = {"shift": (2,), "scale": (), "color": (2, 3)}


def apply_output_variables(latents: Latents, image: Array) -> Array:
    """The render [h, w, 3] that is compared: transformed, then through the surrogate, if any."""
    if "transform" in latents:
        image = apply_transform(latents["transform"], image)
    if "surrogate" in latents:
        image = apply_surrogate(latents["surrogate"], image)
    return image


def apply_transform(given: dict[str, Array], image: Array) -> Array:
    """An image moved, enlarged and recoloured; what comes in from outside repeats the edge.

    "shift" [2] is down and to the right, in sides; "scale" the logarithm of the factor about the
    middle; "color" [2, 3] the logarithms of the factors and the offsets of the three channels
    (Huh et al. 2020, pix2latent, section 3.2: there the target is moved the other way).
    """
    for name in given:
        check_choice("part of a transform", name, tuple(SHAPES))
    shift = given.get("shift", jnp.zeros(2))
    factor = jnp.exp(given.get("scale", jnp.zeros(())))
    rows, columns = (
        _resampling(side, factor, part) for side, part in zip(image.shape, shift, strict=False)
    )
    if "shift" in given or "scale" in given:
        image = jnp.einsum("ah,hwc,bw->abc", rows, image, columns)
    if "color" in given:
        gain, offset = given["color"]
        image = image * jnp.exp(gain) + offset
    return image


def _resampling(side: int, factor: Array, shift: Array) -> Array:
    """[side, side] weights of linear interpolation along one axis."""
    middle = (side - 1) / 2
    places = jnp.arange(side)
    wanted = (places - middle - shift * side) / factor + middle
    wanted = jnp.clip(wanted, 0.0, side - 1.0)
    return jnp.maximum(0.0, 1.0 - jnp.abs(wanted[:, None] - places))


def apply_surrogate(net: Params, image: Array) -> Array:
    """image + second(relu(first(image))), two 3x3 convolutions: a learnt degradation.

    Anirudh et al. 2020, MimicGAN (arXiv:1912.07748): a shallow convolutional surrogate.
    """
    inner = trainable_conv(image, net["first"]["kernel"], SAME) + net["first"]["bias"]
    outer = trainable_conv(jax.nn.relu(inner), net["second"]["kernel"], SAME)
    return image + outer + net["second"]["bias"]
