"""Facts of heads that change the inside of a generator: where, and of which sizes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxinv.encoders.backbones import WIDTH
from jaxinv.encoders.hypernetworks import POOLED, SHARED, TAPS, Change
from jaxinv.models.loading import build

if TYPE_CHECKING:
    from jaxinv.specs import EncoderPlan, GeneratorSpec

CHANGED = ("stylegan2",)  # generators whose kernels a hypernetwork knows
INVERTED = ("dcgan", "pggan")  # generators whose layers know nothing but the features before
FACTORS, ADDED, INVERSES = "weight-factors", "added-weights", "layer-inverses"
SCALES, CONTENT = "scale-shift", "styles-content"
FUSED, MOVED, EDITED = "styles-fused", "moved-residual", "edited-features"
# px of the features that published encoders change
SIDES = {SCALES: 64, CONTENT: 16, FUSED: 64, MOVED: 64, EDITED: 64}
LASTS = (CONTENT, FUSED, EDITED)  # of the steps with so many px, heads that change the last one
NO_CODE = (FACTORS, ADDED, SCALES, MOVED, EDITED)  # heads that leave the code before as it is
COMPARED = (MOVED, EDITED)  # heads that see the generator's features of both codes
DRAWN = (FUSED,)  # heads that see those of the code that they give
INVERTED_SIDE = 8  # px of the features down to which a network looks; layers below are inverted


def facts_inside(plan: EncoderPlan, spec: GeneratorSpec, name: str) -> dict[str, Any]:
    """Facts of a plan's head that depend on the inside of a generator; {} for other heads.

    `name` is the encoder's. Raises `ValueError` for a generator whose kernels cannot be changed.
    """
    if plan.head in (FACTORS, ADDED):
        return {"changes": kernel_changes(spec, name, dict(plan.facts).get("width", WIDTH))}
    if plan.head == INVERSES:
        return {"layers": inverted_layers(spec, name)}
    if plan.head not in SIDES:
        return {}
    cut, (side, _, channels) = feature_step(spec, SIDES[plan.head], last=plan.head in LASTS)
    return {"cut": cut, "cut_side": side, "channels": channels}


def kernel_changes(spec: GeneratorSpec, name: str, width: int) -> tuple[tuple[Any, ...], ...]:
    """Fields of `Change` for all 3x3 kernels of a StyleGAN2, as HyperStyle has them.

    Those with the most channels on both sides share their last layers. `width` is that of the
    encoder's first stage. Raises `ValueError` for other generators.
    """
    if spec.architecture not in CHANGED:
        raise ValueError(
            f"encoder {name!r} changes kernels of {' or '.join(CHANGED)}; generator {spec.name!r} "
            f"is a {spec.architecture}"
        )
    network = jax.eval_shape(build(spec).init, jax.random.key(0))["synthesis"]
    shapes = {step: network[step]["kernel"].shape for step in build(spec).steps}
    widest, coarsest = max(shape[-1] for shape in shapes.values()), width << 3
    found: list[tuple[Any, ...]] = []
    for index, step in enumerate(build(spec).steps):
        *taps, inside, outside = shapes[step]
        shared = inside == outside == widest
        hidden = coarsest // 4 if shared else coarsest // 2
        number = (3 * index + 1) // 2  # image layers stand between them
        change = Change(number, SHARED if shared else POOLED, inside, outside, hidden)
        if change.path[1] != step or taps != [TAPS, TAPS]:
            raise ValueError(f"kernel {taps} at step {step!r} of generator {spec.name!r}")
        found.append(tuple(change))
    return tuple(found)


def inverted_layers(spec: GeneratorSpec, name: str) -> tuple[tuple[Any, ...], ...]:
    """(step, its features' shape) of a generator's first steps, up to the last of at most 8 px.

    Raises `ValueError` for generators whose layers also depend on a style or a class.
    """
    shapes = feature_shapes(spec) if spec.architecture in INVERTED else {}
    few = tuple((step, *shape) for step, shape in shapes.items() if shape[0] <= INVERTED_SIDE)
    if not few or any(len(shape) != 3 for shape in shapes.values()):
        raise ValueError(
            f"encoder {name!r} inverts the layers of {' or '.join(INVERTED)}, maps of pixels; "
            f"generator {spec.name!r} is a {spec.architecture}"
        )
    return few


def feature_step(spec: GeneratorSpec, side: int, *, last: bool) -> tuple[str, tuple[int, int, int]]:
    """The first or last step whose features have `side` px, or the most that there are below it.

    With the shape [h, w, channels] of these features. Not the very last: what is changed after it
    would not be drawn.
    """
    steps = feature_shapes(spec)
    shapes = {step: steps[step] for step in list(steps)[:-1]}
    nearest = max((shape[0] for shape in shapes.values() if shape[0] <= side), default=side)
    fitting = [step for step, shape in shapes.items() if shape[0] == nearest]
    cut = fitting[-1 if last else 0]
    return cut, shapes[cut]


@lru_cache
def feature_shapes(spec: GeneratorSpec) -> dict[str, tuple[int, int, int]]:
    """The shape of every step's features [h, w, channels]; nothing is drawn."""
    gen = build(spec)
    params = jax.eval_shape(gen.init, jax.random.key(0))
    code: dict[str, Any] = {"s": tuple(jnp.zeros(length) for length in spec.styles)}
    code = code if spec.styles else {"z": jnp.zeros(spec.z_dim)}
    states = jax.eval_shape(gen.features, params, code)
    return {step: states[step]["x"].shape for step in gen.steps}
