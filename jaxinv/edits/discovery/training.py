"""The one training loop of methods that learn, and the small nets that they learn."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.io.progress import track
from jaxinv.nn.linear import leaky_relu
from jaxinv.solvers.first_order import TRANSFORMS
from jaxinv.specs.checks import check_above, check_choice, check_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key, Params, Tree

CHUNK = 100  # steps between two looks at the progress


class Fitted(NamedTuple):
    """What was learned, a tree as it was started from, and the loss [steps] on the way."""

    params: Tree
    losses: np.ndarray


class Training(NamedTuple):
    """How to train: steps, learning rate, a transformation of `TRANSFORMS`, and what to tell."""

    steps: int = 1000
    rate: float = 1e-3
    solver: str = "adam"
    seed: int = 0
    label: str = "training"
    report: Callable[[str], object] | None = None


USUAL = Training()


def fit(
    loss: Callable[[Tree, Tree, Key], Array], start: Tree, data: Tree, training: Training
) -> Fitted:
    """The parameters after some steps down `loss`(params, data, key), which draws its own batch.

    Unlike `minimise` it ends where it stands: of losses of random batches the lowest says little.
    `data` holds what is large (a generator's parameters, samples), as an argument of the compiled
    program. Raises `ValueError` for settings that make no sense, `RuntimeError` where the loss is
    not finite any more.
    """
    return fitter(loss, training)(start, data)


def fitter(
    loss: Callable[[Tree, Tree, Key], Array], training: Training
) -> Callable[[Tree, Tree], Fitted]:
    """`fit` as a function of (start, data), for several of the same shapes: it compiles once."""
    check_whole("steps", training.steps, 1)
    check_above("rate", training.rate, 0)
    check_choice("solver", training.solver, tuple(TRANSFORMS))
    transform, key = TRANSFORMS[training.solver](), jax.random.key(training.seed)

    # One program for each step: inside a compiled loop convolutions are many times slower on a CPU.
    @jax.jit
    def step(
        carry: tuple[Tree, Tree], data: Tree, number: Array
    ) -> tuple[tuple[Tree, Tree], Array]:
        params, state = carry
        value, slope = jax.value_and_grad(loss)(params, data, jax.random.fold_in(key, number))
        update, state = transform.update(slope, state, params)
        moved = jax.tree.map(lambda at, by: at - training.rate * by, params, update)
        return (moved, state), value

    def run(start: Tree, data: Tree) -> Fitted:
        start = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), start)
        carry, losses = (start, transform.init(start)), []
        numbers = np.array_split(np.arange(training.steps), -(-training.steps // CHUNK))
        for part in track(numbers, len(numbers), training.label, training.report):
            found = []
            for number in part:
                carry, value = step(carry, data, jnp.asarray(number))
                found.append(value)
            losses.append(np.asarray(jnp.stack(found)))
            if not np.isfinite(losses[-1]).all():
                raise RuntimeError(
                    f"{training.label}: the loss is not finite after {part[-1]} steps"
                )
        return Fitted(carry[0], np.concatenate(losses))

    return run


def mlp_init(key: Key, widths: tuple[int, ...]) -> Params:
    """Parameters of a multi-layer perceptron of these widths, from in to out."""
    keys = jax.random.split(key, len(widths) - 1)
    return {
        f"fc{i}": {
            "kernel": jax.random.normal(k, (inside, outside)) / np.sqrt(inside),
            "bias": jnp.zeros(outside),
        }
        for i, (k, inside, outside) in enumerate(zip(keys, widths[:-1], widths[1:], strict=True))
    }


def mlp(params: Params, x: Array) -> Array:
    """[..., in] -> [..., out], with tanh between the layers: smooth, since it is differentiated."""
    for index in range(len(params)):
        layer = params[f"fc{index}"]
        x = x @ layer["kernel"] + layer["bias"]
        x = jnp.tanh(x) if index < len(params) - 1 else x
    return x


def mlp_widths(params: Params) -> tuple[int, int]:
    """How many numbers `mlp` of these parameters takes and gives; `ValueError` if none fit."""
    shapes: list[tuple[int, ...]] = []
    for index in range(len(params)):
        layer = params[f"fc{index}"]
        shape, bias = np.shape(layer["kernel"]), np.shape(layer["bias"])
        if len(shape) != 2 or bias != shape[1:] or (shapes and shapes[-1][1] != shape[0]):
            raise ValueError(f"layer {index} of a net is {list(shape)} with {list(bias)}")
        shapes.append(shape)
    if not shapes:
        raise ValueError("a net without layers; allowed: fc0, fc1 ...")
    return shapes[0][0], shapes[-1][1]


def convolve(x: Array, kernel: Array, stride: int = 1, padding: int = 0) -> Array:
    """Images [n, h, w, in] by a kernel [out, in, k, k], laid out as published files have it."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(padding, padding)] * 2,
        dimension_numbers=("NHWC", "OIHW", "NHWC"),
    )


def small_net_init(key: Key, channels: int, side: int, heads: dict[str, int]) -> Params:
    """Parameters of `small_net` for images [side, side, channels]."""
    widths = (channels, 16, 32, 48)
    keys = jax.random.split(key, 3 + len(heads))
    params: Params = {
        f"conv{i}": {
            "kernel": jax.random.normal(keys[i], (outside, inside, 3, 3))
            * (2 / (9 * inside)) ** 0.5,
            "bias": jnp.zeros(outside),
        }
        for i, (inside, outside) in enumerate(pairwise(widths))
    }
    flat = widths[-1] * (-(-side // 8)) ** 2
    for key_, (name, count) in zip(keys[3:], heads.items(), strict=True):
        params[name] = mlp_init(key_, (flat, 64, count))
    return params


def small_net(params: Params, images: Array) -> dict[str, Array]:
    """Images [n, side, side, c] -> {head: [n, count]}: three strided convolutions, dense heads."""
    x = images
    for index in range(3):
        layer = params[f"conv{index}"]
        x = leaky_relu(convolve(x, layer["kernel"], 2, 1) + layer["bias"])
    flat = x.reshape(len(x), -1)
    return {name: mlp(params[name], flat) for name in params if not name.startswith("conv")}
