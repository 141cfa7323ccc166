"""Feature trunks: names, shapes, pooling; every net is a plain chain of layers."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxinv.models.features.backbones import NETS
from jaxinv.models.features.base import SCALE, SHIFT, normalise
from jaxinv.nn.conv import BACKWARD_KERNELS, Geometry, plain_conv, precompute_backward
from jaxinv.nn.pool import max_pool
from jaxinv.types import Array
from tests.offline import random_net

pytestmark = pytest.mark.usefixtures("quick_compilation")
# Side of the map and channels of the last convolution of every block, for an image of 64 px.
SHAPES = {
    "alexnet": {"1": (15, 64), "2": (7, 192), "3": (3, 384), "4": (3, 256), "5": (3, 256)},
    "vgg16": {
        "1_2": (64, 64),
        "2_2": (32, 128),
        "3_3": (16, 256),
        "4_3": (8, 512),
        "5_3": (4, 512),
    },
}


def shapes(name: str, side: int) -> dict[str, tuple[int, ...]]:
    """Shape of every tap for an image of `side` px, without computing anything."""
    params = jax.eval_shape(NETS[name].init, jax.random.key(0))
    taps = jax.eval_shape(NETS[name].taps, params, jax.ShapeDtypeStruct((side, side, 3), "float32"))
    return {layer: tap.shape for layer, tap in taps.items()}


@pytest.mark.parametrize("name", NETS)
def test_taps_have_the_shapes_of_the_published_nets(name: str) -> None:
    found = shapes(name, 64)
    assert set(found) == set(NETS[name].layers)
    for suffix, (side, channels) in SHAPES[name].items():
        assert found["conv" + suffix] == found["relu" + suffix] == (side, side, channels)
    assert NETS[name].lpips == tuple("relu" + suffix for suffix in SHAPES[name])


@pytest.mark.parametrize("name", NETS)
def test_the_smallest_image_leaves_one_pixel(name: str) -> None:
    last, smallest = NETS[name].layers[-1], NETS[name].smallest
    assert shapes(name, smallest)[last][:2] == (1, 1)
    assert 0 in shapes(name, smallest - 1)[last]


@pytest.mark.parametrize("name", NETS)
def test_parameters_are_frozen_and_have_one_head_for_every_tap(name: str) -> None:
    params = jax.eval_shape(NETS[name].init, jax.random.key(0))
    heads = [params[f"lin{i}"].shape for i in range(5)]
    assert heads == [(channels,) for _, channels in SHAPES[name].values()]
    kernels = {layer for layer in NETS[name].layers if layer.startswith("conv")}
    assert (
        set(params[BACKWARD_KERNELS])
        == kernels
        == set(params) - {BACKWARD_KERNELS, *(f"lin{i}" for i in range(5))}
    )


@pytest.fixture(scope="module")
def alexnet() -> dict:
    params = jax.tree.map(jnp.asarray, random_net("alexnet"))
    return {**params, BACKWARD_KERNELS: precompute_backward(params)}


def by_hand(params: dict, image: Array) -> dict[str, Array]:
    """AlexNet written out (Krizhevsky et al. 2012), in the one-tower form of the weights."""
    x = (image - jnp.asarray(SHIFT)) / jnp.asarray(SCALE)
    taps = {}
    for index, (stride, padding) in enumerate(((4, 2), (1, 2), (1, 1), (1, 1), (1, 1)), start=1):
        if index in (2, 3):
            x = lax.reduce_window(x, -jnp.inf, lax.max, (3, 3, 1), (2, 2, 1), "VALID")
        layer = params[f"conv{index}"]
        geometry = Geometry(stride, padding)
        x = taps[f"conv{index}"] = plain_conv(x, layer["kernel"], geometry) + layer["bias"]
        x = taps[f"relu{index}"] = jnp.maximum(x, 0)
    return taps


def test_alexnet_is_its_definition_forwards_and_backwards(alexnet: dict) -> None:
    image = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (35, 40, 3)), jnp.float32)

    def energy(taps: partial, image: Array) -> tuple[Array, dict[str, Array]]:
        found = taps(image)
        return sum((jnp.mean(jnp.sin(tap)) for tap in found.values()), jnp.zeros(())), found

    (mine, ours), (other, theirs) = (
        jax.jit(jax.grad(partial(energy, partial(taps, alexnet)), has_aux=True))(image)
        for taps in (NETS["alexnet"].taps, by_hand)
    )
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-4), ours, theirs)
    np.testing.assert_allclose(mine, other, atol=1e-5 * np.abs(other).max())


def test_inputs_are_scaled_as_lpips_scales_them() -> None:
    image = jnp.asarray([[[-0.030, -0.088 + 0.448, -0.188 - 0.450]]])
    np.testing.assert_allclose(normalise(image), [[[0, 1, -1]]], atol=1e-6)


@pytest.mark.parametrize(("shape", "side"), [((8, 8), 2), ((9, 7), 2), ((9, 8), 3), ((3, 4), 3)])
def test_pooling_is_reduce_window_forwards_and_backwards(shape: tuple[int, int], side: int) -> None:
    x = jnp.asarray(np.random.default_rng(0).permutation(shape[0] * shape[1] * 2), jnp.float32)

    def reference(x: Array) -> Array:
        return lax.reduce_window(x, -jnp.inf, lax.max, (side, side, 1), (2, 2, 1), "VALID")

    def energy(pool: partial, x: Array) -> Array:
        out = pool(x.reshape(*shape, 2))
        return jnp.sum(out * jnp.cos(jnp.arange(out.size, dtype=jnp.float32)).reshape(out.shape))

    ours, theirs = (
        jax.jit(jax.value_and_grad(partial(energy, pool)))(x)
        for pool in (partial(max_pool, side=side), partial(reference))
    )
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), ours, theirs)
