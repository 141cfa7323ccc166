"""MobileStyleGAN and gradient descent written down by hand: what the engine is measured against.

One function, one loop, no layers: NHWC, pointwise layers as matrix products, depthwise layers as
nine shifted multiply-adds with their own backward pass, and only the low band of the wavelet head.
Written from the description of the network, not from `jaxinv.generators`; it shares only the
parameters' names and layout.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxinv.types import Array, Params


def nine_shifts(x: Array, kernel: Array) -> Array:
    side = x.shape[0]
    wide = jax.lax.optimization_barrier(jnp.pad(x, ((1, 1), (1, 1), (0, 0))))
    total = jnp.zeros_like(x)
    for i in range(3):
        for j in range(3):
            total = total + wide[i : i + side, j : j + side] * kernel[i, j]
    return total


@jax.custom_vjp
def depthwise(x: Array, kernel: Array) -> Array:
    return nine_shifts(x, kernel)


depthwise.defvjp(
    lambda x, kernel: (nine_shifts(x, kernel), kernel),
    lambda kernel, g: (nine_shifts(g, kernel[::-1, ::-1]), jnp.zeros_like(kernel)),
)


def leaky(x: Array) -> Array:
    return jnp.where(x > 0, x, 0.2 * x)


def double(x: Array) -> Array:
    """Inverse Haar of channels [LL | H0 | H1 | H2]."""
    side, quarter = x.shape[0], x.shape[2] // 4
    a, b, c, d = (0.5 * x[..., i * quarter : (i + 1) * quarter] for i in range(4))
    rows = jnp.stack(
        [
            jnp.stack([a + b + c + d, a + b - c - d], 2),
            jnp.stack([a - b + c - d, a - b - c + d], 2),
        ],
        1,
    )
    return rows.reshape(2 * side, 2 * side, quarter)


def draw(params: Params, w: Array, size: int) -> Array:
    """Image [size, size, 3] of W+ [rows, w_dim], at most at half the generator's resolution."""
    p, rows = params["synthesis"], list(w)

    def style(layer: Params) -> Array:
        return rows.pop(0) @ layer["style"]["kernel"] + layer["style"]["bias"]

    first = p["first"]
    x = jnp.pad(p["const"] * style(first), ((1, 1), (1, 1), (0, 0)))
    patches = jnp.concatenate([x[i : i + 4, j : j + 4] for i in range(3) for j in range(3)], -1)
    x = patches @ first["kernel"].reshape(patches.shape[-1], -1)
    x = leaky(x + first["noise"][..., None] + first["bias"])
    for name in sorted(name for name in p if name.startswith("block")):
        block = p[name]
        x = double(x * style(block["up"]))
        for layer in (block["conv1"], block["conv2"]):
            x = depthwise(x * style(layer), layer["depthwise"]) @ layer["pointwise"]
            x = leaky(x + layer["noise"][..., None] + layer["bias"])
    head = p["head"]
    low = 0.5 * ((x * style(head)) @ head["kernel"][:, :3] + head["bias"][:3])
    times = low.shape[0] // size
    return low.reshape(size, times, size, times, 3).mean((1, 3))


@jax.jit
def descend(params: Params, target: Array, w: Array, rate: Array, steps: Array) -> Array:
    """W+ after some steps of gradient descent on the mean squared error."""

    def loss(w: Array) -> Array:
        return jnp.mean(jnp.square(draw(params, w, target.shape[0]) - target))

    return jax.lax.fori_loop(0, steps, lambda _, w: w - rate * jax.grad(loss)(w), w)
