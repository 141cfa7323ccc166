"""StyleFlow: a conditional continuous normalising flow between W and a normal distribution.

Abdal et al. 2021, arXiv:2008.02401. Parameters are named and laid out as in the published file.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.differential_equations import solve
from jaxinv.edits.discovery.training import USUAL, Fitted, Training, fit
from jaxinv.specs.checks import check_array

if TYPE_CHECKING:
    from jaxinv.types import Array, Key, Params

Weights = Mapping[str, Any]
EPSILON = 1e-4
LAYER = "chain.1.odefunc.diffeq.layers"
NORMALISATION = ("weight", "bias", "running_mean", "running_var")
TOLERANCE = 1e-5
MOST_STEPS = 1024


class Flowed(NamedTuple):
    """Codes [n, d] at the other end, and the change of their log density on the way [n]."""

    codes: Array
    log_density: Array


def field(weights: Weights, time: Array, x: Array, attributes: Array) -> Array:
    """dx/dt [n, d] at codes x [n, d] under attributes [n, k]: gated and shifted dense layers."""
    context = jnp.concatenate([jnp.broadcast_to(time, (len(x), 1)), attributes], -1)
    count = depth(weights)
    for index in range(count):
        x = _layer(weights, f"{LAYER}.{index}", x, context)
        x = jnp.tanh(x) if index < count - 1 else x
    return x


def _layer(weights: Weights, name: str, x: Array, context: Array) -> Array:
    def held(part: str) -> Array:
        return jnp.asarray(weights[f"{name}.{part}"])

    gate = jax.nn.sigmoid(context @ held("_hyper_gate.weight").T + held("_hyper_gate.bias"))
    y = x @ held("_layer.weight").T + held("_layer.bias")
    return y * gate + context @ held("_hyper_bias.weight").T


def depth(weights: Weights) -> int:
    """The number of layers; `ValueError` where there is none."""
    count = 0
    while f"{LAYER}.{count}._layer.weight" in weights:
        count += 1
    if not count:
        raise ValueError(f"no flow in {', '.join(weights):.120}; allowed: arrays {LAYER}.0 ...")
    return count


def forward(
    weights: Weights,
    w: Array,
    attributes: Array,
    *,
    probe: Array | None = None,
    tolerance: float = TOLERANCE,
) -> Flowed:
    """Codes w [n, d] with attributes [n, k] -> their place z [n, d] in the normal distribution.

    The log density of w is that of z under a unit normal minus `log_density`. It is exact; with a
    `probe` [n, d] of random signs the trace is estimated as in the published code. `tolerance` is
    the solver's, absolute and relative. Raises `ValueError` for shapes that do not fit.
    """
    return _through(weights, w, attributes, (1, probe, tolerance))


def reverse(
    weights: Weights,
    z: Array,
    attributes: Array,
    *,
    probe: Array | None = None,
    tolerance: float = TOLERANCE,
) -> Flowed:
    """The way back: places z [n, d] with (other) attributes [n, k] -> codes w [n, d]."""
    return _through(weights, z, attributes, (-1, probe, tolerance))


def edit(weights: Weights, w: Array, attributes: Array, targets: Array) -> Array:
    """Codes w [n, d] of `attributes` [n, k] as codes of `targets` [n, k]; section 4.3."""
    return reverse(weights, forward(weights, w, attributes).codes, targets).codes


def _through(
    weights: Weights, x: Array, attributes: Array, way: tuple[int, Array | None, float]
) -> Flowed:
    way_ = way[0]
    width, known = flow_widths(weights)
    if x.ndim != 2 or x.shape[1] != width or attributes.shape != (len(x), known):
        raise ValueError(
            f"codes {list(x.shape)}, attributes {list(attributes.shape)}; allowed: [n, {width}] "
            f"and [n, {known}]"
        )
    order = ("chain.0", "chain.2") if way_ > 0 else ("chain.2", "chain.0")
    x, first = _normalise(weights, order[0], x, way_)
    x, change = _solve(weights, x, attributes, way)
    x, last = _normalise(weights, order[1], x, way_)
    return Flowed(x, first + change + last)


def flow_widths(weights: Weights) -> tuple[int, int]:
    """How many numbers a code has and how many attributes are known, as the arrays are shaped.

    Raises `ValueError` naming an array that is missing or does not fit the others.
    """
    count = depth(weights)
    shapes = [np.shape(weights[f"{LAYER}.{i}._layer.weight"]) for i in range(count)]
    gate = np.shape(weights.get(f"{LAYER}.0._hyper_gate.weight", 0))
    if any(len(shape) != 2 for shape in (*shapes, gate)) or gate[1] < 2:
        raise ValueError("layers of a flow are no matrices; allowed: [out, in]")
    width, context = shapes[0][1], gate[1]
    wanted: dict[str, tuple[int, ...]] = {"chain.1.sqrt_end_time": ()}
    inside = width
    for index, (outside, _) in enumerate(shapes):
        name = f"{LAYER}.{index}"
        wanted |= {f"{name}._layer.weight": (outside, inside), f"{name}._layer.bias": (outside,)}
        wanted |= {f"{name}._hyper_{p}.weight": (outside, context) for p in ("gate", "bias")}
        wanted |= {f"{name}._hyper_gate.bias": (outside,)}
        inside = outside
    for name in ("chain.0", "chain.2"):
        wanted |= {f"{name}.{part}": (width,) for part in NORMALISATION}
    held = {n: value for n, value in weights.items() if not isinstance(value, Mapping)}
    wrong = [n for n, shape in wanted.items() if n not in held or np.shape(held[n]) != shape]
    if wrong or inside != width:
        name = wrong[0] if wrong else f"{LAYER}.{count - 1}._layer.weight"
        raise ValueError(f"array {name!r} of a flow is missing or has another shape")
    return width, context - 1


def _normalise(weights: Weights, name: str, x: Array, way: int) -> tuple[Array, Array]:
    """By the running statistics, and minus the log of its determinant."""
    held = (jnp.asarray(weights[f"{name}.{part}"]) for part in NORMALISATION)
    gain, shift, mean, variance = held
    scale = gain - 0.5 * jnp.log(variance + EPSILON)
    y = (x - mean) * jnp.exp(scale) + shift if way > 0 else (x - shift) * jnp.exp(-scale) + mean
    return y, jnp.full(len(x), -way * scale.sum())


def _solve(
    weights: Weights, x: Array, attributes: Array, way: tuple[int, Array | None, float]
) -> tuple[Array, Array]:
    way_, probe, tolerance = way
    end = jnp.asarray(weights["chain.1.sqrt_end_time"]) ** 2

    def rates(state: Any, time: Any, given: Any) -> Any:
        held, context, signs = given
        move = lambda x: field(held, time, x, context)  # noqa: E731 (it is linearised)
        if signs is not None:
            speed, turned = jax.jvp(move, (state[0],), (signs,))
            return speed, -(turned * signs).sum(-1)
        speed, push = jax.linearize(move, state[0])

        def diagonal(axis: Array) -> Array:
            return push(jnp.broadcast_to(axis, speed.shape)) @ axis

        return speed, -jax.vmap(diagonal)(jnp.eye(speed.shape[1], dtype=speed.dtype)).sum(0)

    return solve(
        rates,
        (x, jnp.zeros(len(x), x.dtype)),
        (jnp.zeros_like(end), end) if way_ > 0 else (end, jnp.zeros_like(end)),
        given=(dict(weights), attributes, probe),
        tolerance=tolerance,
        max_steps=MOST_STEPS,
    )


def log_density(weights: Weights, w: Array, attributes: Array, probe: Array | None = None) -> Array:
    """The log density [n] of codes w [n, d] that have `attributes` [n, k]; section 4.2."""
    z, change = forward(weights, w, attributes, probe=probe)
    return -0.5 * (z**2).sum(-1) - 0.5 * z.shape[1] * jnp.log(2 * jnp.pi) - change


def start(key: Key, codes: np.ndarray, known: int, hidden: tuple[int, ...]) -> Params:
    """An untrained flow of codes [n, d] and `known` attributes, normalised as the codes are."""
    codes = check_array("codes", codes, meant=" [n, d]")
    width = codes.shape[1]
    widths, params = (width, *hidden, width), {}
    for index, (inside, outside) in enumerate(pairwise(widths)):
        keys = jax.random.split(jax.random.fold_in(key, index), 3)
        shapes = {
            "_layer.weight": (outside, inside),
            "_hyper_gate.weight": (outside, known + 1),
            "_hyper_bias.weight": (outside, known + 1),
        }
        for own, (part, shape) in zip(keys, shapes.items(), strict=True):
            params[f"{LAYER}.{index}.{part}"] = jax.random.normal(own, shape) / shape[1] ** 0.5
        params |= {
            f"{LAYER}.{index}.{p}.bias": jnp.zeros(outside) for p in ("_layer", "_hyper_gate")
        }
    zeros, ones = np.zeros(width), np.ones(width)
    for name, mean, variance in (
        ("chain.0", codes.mean(0), codes.var(0)),
        ("chain.2", zeros, ones),
    ):
        params |= {f"{name}.{part}": jnp.zeros(width) for part in ("weight", "bias")}
        params |= {f"{name}.running_mean": jnp.asarray(mean, float)}
        params |= {f"{name}.running_var": jnp.asarray(variance, float)}
    return params | {"chain.1.sqrt_end_time": jnp.ones(())}


def train(
    codes: np.ndarray,
    attributes: np.ndarray,
    training: Training = USUAL,
    *,
    hidden: tuple[int, ...] = (512,) * 5,
    batch: int = 64,
) -> Fitted:
    """A flow that makes codes [n, d] with attributes [n, k] most likely.

    As published but for the batch normalisations, whose statistics are those of all codes from the
    start; the trace is estimated with random signs. Section 4.2. Raises `ValueError` for codes and
    attributes that are not as many.
    """
    codes, given = check_array("codes", codes), check_array("attributes", attributes, "biuf")
    if codes.ndim != 2 or given.ndim != 2 or len(codes) != len(given):
        raise ValueError(
            f"codes {list(codes.shape)}, attributes {list(given.shape)}; allowed: [n, d], [n, k]"
        )
    first = start(jax.random.key(training.seed), codes, given.shape[1], hidden)
    fixed = {n: value for n, value in first.items() if "running" in n}
    free = {n: value for n, value in first.items() if n not in fixed}

    def loss(params: Params, data: Any, key: Key) -> Array:
        held, w, known = data
        one, two = jax.random.split(key)
        rows = jax.random.randint(one, (batch,), 0, len(w))
        signs = jax.random.rademacher(two, (batch, w.shape[1]), w.dtype)
        return -log_density({**held, **params}, w[rows], known[rows], signs).mean()

    data = (fixed, jnp.asarray(codes, float), jnp.asarray(given, float))
    found = fit(loss, free, data, training)
    return Fitted({**fixed, **found.params}, found.losses)
