"""Linear maps with their own adjoints: every order of differentiation, with and without lanes."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.nn.conv import Geometry, backward_kernel, fixed_kernel_conv, plain_conv
from jaxinv.nn.depthwise import depthwise3x3
from jaxinv.nn.linear_primitive import linear
from jaxinv.types import Array
from tests.nn.test_nn import GEOMETRIES, close, normal
from tests.tiny import SMALL, mobile

pytestmark = pytest.mark.usefixtures("quick_compilation")
Curve = Callable[[Array], Array]


def orders(fn: Curve, x: Array, v: Array) -> dict[str, Array]:
    """Products of Jacobians and Hessians of the energy of `fn` with one direction."""

    def energy(x: Array) -> Array:
        return jnp.sum(jnp.sin(fn(x)))

    def slope(x: Array) -> Array:
        return jnp.vdot(jax.grad(energy)(x), v)

    def newton(x: Array) -> Array:
        """The Gauss-Newton product: along v, then back."""
        out, along = jax.linearize(fn, x)
        return jax.linear_transpose(along, x)(along(v) + 0.0 * out)[0]

    return {
        "jvp": jax.jvp(fn, (x,), (v,))[1],
        "forward over reverse": jax.jvp(jax.grad(energy), (x,), (v,))[1],
        "reverse over reverse": jax.grad(slope)(x),
        "reverse over forward": jax.grad(lambda x: jax.jvp(energy, (x,), (v,))[1])(x),
        "gauss-newton": newton(x),
    }


def same(ours: Curve, theirs: Curve, x: Array) -> None:
    """All orders agree, for one sample and for lanes."""
    v = jnp.cos(jnp.arange(x.size, dtype=jnp.float32)).reshape(x.shape)
    lanes = jnp.stack([x, x + 0.1 * v, 2 * x])
    for at, run in ((x, orders), (lanes, jax.vmap(orders, in_axes=(None, 0, None)))):
        (a, b) = (jax.jit(run, static_argnums=0)(fn, at, v) for fn in (ours, theirs))
        for name in a:
            np.testing.assert_allclose(
                a[name],
                b[name],
                rtol=1e-3,
                atol=1e-4 * float(jnp.max(jnp.abs(b[name]))),
                err_msg=name,
            )


@pytest.mark.parametrize("case", GEOMETRIES[::2])
def test_frozen_convolutions_are_differentiated_in_every_order(case: tuple[int, ...]) -> None:
    height, width, size, *numbers = case
    geometry = Geometry(*numbers)
    kernel = 0.3 * normal(1, size, size, 3, 4)
    flipped = backward_kernel(kernel)
    same(
        lambda x: fixed_kernel_conv(x, kernel, flipped, geometry),
        lambda x: plain_conv(x, kernel, geometry),
        normal(0, height, width, 3),
    )


def test_depthwise_convolutions_are_differentiated_in_every_order() -> None:
    kernel = normal(1, 3, 3, 4)

    def grouped(x: Array) -> Array:
        return jax.lax.conv_general_dilated(
            x[None],
            kernel[:, :, None],
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=4,
        )[0]

    same(lambda x: depthwise3x3(x, kernel), grouped, normal(0, 6, 5, 4))


def test_both_arguments_of_a_depthwise_convolution_have_tangents() -> None:
    x, kernel, dx, dkernel = (
        normal(0, 5, 4, 2),
        normal(1, 3, 3, 2),
        normal(2, 5, 4, 2),
        normal(3, 3, 3, 2),
    )
    found = jax.jvp(depthwise3x3, (x, kernel), (dx, dkernel))[1]
    close(found, depthwise3x3(dx, kernel) + depthwise3x3(x, dkernel))


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (1, 0)])
def test_lanes_may_bring_their_own_constants(axes: tuple[int | None, int | None]) -> None:
    def ours(x: Array, matrix: Array) -> Array:
        return linear(lambda x, m: m @ x, lambda g, m: m.T @ g, x, matrix)

    def theirs(x: Array, matrix: Array) -> Array:
        return jax.lax.stop_gradient(matrix) @ x

    x = normal(0, *{0: (3, 4), 1: (4, 3), None: (4,)}[axes[0]])
    matrix = normal(1, *((2, 4) if axes[1] is None else (3, 2, 4)))

    def energy(fn: Callable[..., Array], x: Array, matrix: Array) -> Array:
        return jnp.sum(jnp.sin(jax.vmap(fn, axes)(x, matrix)))

    close(jax.vmap(ours, axes)(x, matrix), jax.vmap(theirs, axes)(x, matrix))
    a, b = (jax.grad(energy, (1, 2))(fn, x, matrix) for fn in (ours, theirs))
    jax.tree.map(close, a, b)
    assert not np.any(a[1]), "constants have no gradient"


def test_generators_are_differentiated_forwards() -> None:
    gen, params = mobile(SMALL)
    w = jnp.tile(params["statistics"]["mean"], (SMALL.rows, 1))
    v = normal(0, *w.shape)

    def draw(w: Array) -> Array:
        return gen.synthesize(params, {"w+": w})

    image, along = jax.jit(lambda w, v: jax.jvp(draw, (w,), (v,)))(w, v)
    g = normal(1, *image.shape)
    back = jax.jit(lambda w: jax.vjp(draw, w)[1](g)[0])(w)
    np.testing.assert_allclose(jnp.vdot(along, g), jnp.vdot(v, back), rtol=1e-3)
    step = 1e-2
    slope = (draw(w + step * v) - draw(w - step * v)) / (2 * step)
    assert jnp.linalg.norm(along - slope) < 2e-2 * jnp.linalg.norm(slope)
