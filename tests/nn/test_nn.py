"""Building blocks against their definitions, against automatic gradients and against Pillow."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads
from PIL import Image

from jaxinv.nn.attention import SelfAttention
from jaxinv.nn.conv import (
    Conv,
    Geometry,
    backward_kernel,
    conv,
    fixed_kernel_conv,
    plain_conv,
    precompute_backward,
)
from jaxinv.nn.depthwise import depthwise3x3
from jaxinv.nn.linear import Linear, leaky_relu, pixel_norm
from jaxinv.nn.modulated import Kernel, demodulation, modulated_conv
from jaxinv.nn.resample import (
    area_reduce,
    blur,
    blur_double,
    enlarge,
    fill_masked,
    inverse_haar,
    resize,
)
from jaxinv.types import Array
from tests.tiers import mostly_slow

pytestmark = pytest.mark.usefixtures("quick_compilation")


def normal(seed: int, *shape: int) -> Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def close(a: Any, b: Any) -> None:
    """Equal to float32 rounding of sums of the size that occur here."""
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * float(np.max(np.abs(b)) + 1))


def both(ours: Callable[..., Array], theirs: Callable[..., Array], *args: Array) -> Any:
    """Values of two functions, and their gradients by all arguments for one random cotangent."""

    @jax.jit
    def run(*args: Array) -> Any:
        (a, pull_a), (b, pull_b) = jax.vjp(ours, *args), jax.vjp(theirs, *args)
        g = jnp.sin(jnp.arange(a.size, dtype=jnp.float32)).reshape(a.shape)
        return (a, b), (pull_a(g), pull_b(g))

    return run(*args)


# --- convolution ----------------------------------------------------------------------------------

GEOMETRIES = [  # height, width, kernel, then stride, padding and spread
    (8, 8, 3, 1, 1),
    (9, 7, 3, 1, 1),
    (10, 9, 3, 2, 1),
    (7, 7, 1, 1, 0),
    (8, 5, 2, 2, 0),
    (6, 7, 3, 1, 2),
    (11, 12, 5, 1, 2),
    (31, 33, 11, 4, 2),
    (34, 35, 11, 4, 2),
    (4, 6, 3, 1, 2, 2),
    (5, 4, 4, 1, 2, 2),
    (5, 5, 5, 1, 3, 3),
    (2, 2, 3, 1, 1),
    (2, 6, 5, 1, 2),
]


@pytest.mark.parametrize("case", GEOMETRIES)
def test_frozen_convolution_is_the_plain_one_forwards_and_backwards(case: tuple[int, ...]) -> None:
    height, width, size, *numbers = case
    geometry = Geometry(*numbers)
    x, kernel = normal(0, height, width, 3), normal(1, size, size, 3, 4)

    def frozen(x: Array, kernel: Array) -> Array:
        return fixed_kernel_conv(x, kernel, backward_kernel(kernel), geometry)

    def plain(x: Array, kernel: Array) -> Array:
        return plain_conv(x, kernel, geometry)

    (ours, theirs), (mine, reference) = both(frozen, plain, x, kernel)
    np.testing.assert_array_equal(ours, theirs)
    close(mine[0], reference[0])
    assert not np.any(mine[1]), "the kernel is a constant"


@pytest.mark.parametrize(("side", "size"), [(1, 3), (2, 3), (3, 5)])
def test_images_smaller_than_the_kernel_are_convolved_alike(side: int, size: int) -> None:
    x, kernel = normal(0, side, side + 1, 3), normal(1, size, size, 3, 4)
    pads = [(size // 2, size // 2)] * 2
    dimensions = ("NHWC", "HWIO", "NHWC")
    expected = lax.conv_general_dilated(x[None], kernel, (1, 1), pads, dimension_numbers=dimensions)
    close(plain_conv(x, kernel, Geometry(padding=size // 2)), expected[0])


def test_convolution_is_a_cross_correlation_with_zero_padding() -> None:
    x, kernel = normal(0, 4, 5, 2), normal(1, 3, 3, 2, 3)
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    expected = np.empty((4, 5, 3))
    for i in range(4):
        for j in range(5):
            expected[i, j] = np.einsum("yxc,yxco->o", padded[i : i + 3, j : j + 3], kernel)
    close(conv(x, kernel, None), expected)


def test_lanes_share_one_ordinary_convolution() -> None:
    x, kernel = normal(0, 3, 8, 8, 2), normal(1, 3, 3, 2, 4)
    backward = backward_kernel(kernel)

    def energy(one: Array) -> Array:
        return jnp.sum(jnp.square(conv(one, kernel, backward)))

    together = jax.vmap(jax.grad(energy))
    close(together(x), jnp.stack([jax.grad(energy)(one) for one in x]))
    text = jax.jit(together).lower(x).as_text()
    assert text.count("feature_group_count = 1") == text.count("stablehlo.convolution(") == 2


def test_freeze_mirrors_the_convolution_kernels_only() -> None:
    kernel = normal(0, 3, 3, 2, 4)
    params = {
        "a": {"kernel": kernel, "bias": jnp.zeros(4)},
        "b": {"c": {"kernel": jnp.ones((5, 6))}},
        "d": {"e": {"kernel": kernel}},
    }
    frozen = precompute_backward(params)
    assert jax.tree.structure(frozen) == jax.tree.structure(
        {"a": {"backward": 0}, "d": {"e": {"backward": 0}}}
    )
    np.testing.assert_array_equal(
        frozen["a"]["backward"][0, 2, 3, 1], params["a"]["kernel"][2, 0, 1, 3]
    )


def test_layer_uses_the_backward_kernel_that_it_is_given() -> None:
    layer, x = Conv(4), normal(0, 6, 6, 3)
    params = {"kernel": normal(1, 3, 3, 3, 4), "bias": jnp.zeros(4)}
    expected = jax.eval_shape(layer.init, jax.random.key(0), x)["params"]
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, expected)

    def gradient(frozen: dict) -> Array:
        run: Any = partial(layer.apply, {"params": params, "frozen": frozen})
        return jax.grad(lambda x: jnp.sum(jnp.sin(run(x))))(x)

    close(gradient({"backward": backward_kernel(params["kernel"])}), gradient({}))
    assert not np.any(gradient({"backward": jnp.zeros((3, 3, 4, 3))}))


# --- depthwise ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 8, 4), (5, 7, 3), (1, 2, 1)])
def test_depthwise_is_lax_depthwise_forwards_and_backwards(shape: tuple[int, int, int]) -> None:
    x, kernel = normal(0, *shape), normal(1, 3, 3, shape[-1])

    def grouped(x: Array, kernel: Array) -> Array:
        out = lax.conv_general_dilated(
            x[None],
            kernel[:, :, None],
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=shape[-1],
        )
        return out[0]

    values, gradients = both(depthwise3x3, grouped, x, kernel)
    close(*values)
    jax.tree.map(close, *gradients)


# --- change of resolution -------------------------------------------------------------------------


def test_inverse_haar_is_its_definition() -> None:
    x = normal(0, 3, 4, 8)
    low, rows, columns, both = np.split(np.asarray(x), 4, axis=-1)
    out = np.asarray(inverse_haar(x))
    assert out.shape == (6, 8, 2)
    for a in (0, 1):
        for b in (0, 1):
            signed = low + (-1) ** a * rows + (-1) ** b * columns + (-1) ** (a + b) * both
            close(out[a::2, b::2], 0.5 * signed)


def test_inverse_haar_is_orthogonal_and_its_low_band_is_the_reduced_image() -> None:
    x = normal(0, 5, 3, 12)
    jacobian = np.stack([inverse_haar(one.reshape(1, 1, 4)).ravel() for one in jnp.eye(4)])
    close(jacobian @ jacobian.T, np.eye(4))
    close(area_reduce(inverse_haar(x), (5, 3)), 0.5 * x[..., :3])


@pytest.mark.parametrize(
    ("shape", "size"),
    [((12, 12), 4), ((12, 12), 5), ((7, 7), 6), ((8, 12), (4, 6)), ((9, 10), (4, 10)), ((5, 5), 1)],
)
def test_area_reduction_averages_what_every_cell_covers(
    shape: tuple[int, int], size: int | tuple[int, int]
) -> None:
    x = normal(0, *shape, 2)
    rows, columns = (size, size) if isinstance(size, int) else size
    fine = np.repeat(np.repeat(np.asarray(x, np.float64), rows, 0), columns, 1)
    expected = fine.reshape(rows, shape[0], columns, shape[1], 2).mean((1, 3))
    close(area_reduce(x, size), expected)


def test_area_reduction_to_the_own_size_changes_nothing() -> None:
    x = normal(0, 5, 6, 3)
    np.testing.assert_array_equal(area_reduce(x, (5, 6)), x)


@pytest.mark.parametrize("size", [9, (4, 7), (9, 2)])
def test_area_reduction_refuses_to_enlarge(size: int | tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"area-reduce 8x6 to \d+x\d+; allowed: at most 8x6"):
        area_reduce(normal(0, 8, 6, 3), size)


@pytest.mark.parametrize(
    ("shape", "size", "method"),
    [
        ((12, 12), (4, 4), Image.Resampling.BOX),
        ((12, 8), (3, 4), Image.Resampling.BOX),
        ((8, 8), (16, 16), Image.Resampling.BICUBIC),
        ((6, 9), (17, 20), Image.Resampling.BICUBIC),
    ],
)
def test_resize_agrees_with_pillow(
    shape: tuple[int, int], size: tuple[int, int], method: Image.Resampling
) -> None:
    x = normal(0, *shape, 1)
    picture = Image.fromarray(np.asarray(x[..., 0])).resize((size[1], size[0]), method)
    np.testing.assert_allclose(resize(x, size)[..., 0], np.asarray(picture), atol=2e-5)


def test_resize_by_one_number_is_square() -> None:
    x = normal(0, 6, 9, 2)
    np.testing.assert_array_equal(resize(x, 4), area_reduce(x, (4, 4)))
    assert resize(x, 7).shape == (7, 7, 2)


# --- small layers ---------------------------------------------------------------------------------


def test_linear_is_an_affine_map() -> None:
    layer, x = Linear(4), normal(0, 2, 3)
    params = {"kernel": normal(1, 3, 4), "bias": normal(2, 4)}
    close(layer.apply({"params": params}, x), x @ params["kernel"] + params["bias"])
    assert jax.eval_shape(layer.init, jax.random.key(0), x)["params"]["kernel"].shape == (3, 4)


@pytest.mark.parametrize(
    ("function", "values", "expected"),
    [
        (leaky_relu, [-2.0, 0.0, 3.0], [-0.4, 0.0, 3.0]),
        (pixel_norm, [3.0, 4.0], [3 / 12.5**0.5, 4 / 12.5**0.5]),
        (pixel_norm, [0.0, 0.0], [0.0, 0.0]),
    ],
)
def test_activations(
    function: Callable[[Array], Array], values: list[float], expected: list[float]
) -> None:
    np.testing.assert_allclose(function(jnp.asarray(values)), expected, rtol=1e-6)


# --- StyleGAN2 ------------------------------------------------------------------------------------


def spread(x: np.ndarray) -> np.ndarray:
    """Zeros put after every pixel."""
    out = np.zeros((2 * x.shape[0], 2 * x.shape[1], x.shape[2]))
    out[::2, ::2] = x
    return out


def correlated(x: np.ndarray, kernel: np.ndarray, pads: tuple[int, int]) -> np.ndarray:
    """x [h, w, in], zero-padded, with kernel [kh, kw, in, out], by its definition."""
    wide = np.pad(x, (pads, pads, (0, 0)))
    height, width = (n - k + 1 for n, k in zip(wide.shape, kernel.shape[:2], strict=False))
    parts = (
        wide[i : i + height, j : j + width] @ kernel[i, j]
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    )
    return reduce(np.add, parts)


def filtered(x: np.ndarray, pads: tuple[int, int]) -> np.ndarray:
    """The binomial filter [1, 3, 3, 1] with gain 4, channel by channel."""
    taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16
    return correlated(x, taps[..., None, None] * np.eye(x.shape[2]), pads)


def test_blurs_are_the_binomial_filter() -> None:
    x = np.asarray(normal(0, 7, 9, 2))
    close(blur(jnp.asarray(x)), filtered(x, (1, 1)))
    close(blur_double(jnp.asarray(x)), filtered(spread(x), (2, 1)))


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("frozen", mostly_slow([False, True], [True]))
@pytest.mark.parametrize("height", [5, 9])  # up to 8 rows and above are doubled in different ways
def test_modulation_scales_and_normalises_the_kernel(height: int, up: bool, frozen: bool) -> None:
    x, style, kernel = (
        np.asarray(normal(*shape)) for shape in ((0, height, 4, 3), (1, 3), (2, 3, 3, 3, 6))
    )
    scaled = kernel * style[:, None]
    scaled = scaled / np.sqrt(np.square(scaled).sum((0, 1, 2)) + 1e-8)
    if up:
        # A transposed convolution of stride 2 gives 2 n + 1 pixels; the last zero is not spread.
        expected = filtered(correlated(spread(x)[:-1, :-1], scaled, (2, 2)), (1, 1))
    else:
        expected = correlated(x, scaled, (1, 1))
    weights = {"kernel": jnp.asarray(kernel), "style": {}}
    made = Kernel(weights["kernel"], **(precompute_backward(weights) if frozen else {}))

    def ours(x: Array, style: Array) -> Array:
        return modulated_conv(x, style, made, up=up) * demodulation(style, made)

    close(ours(jnp.asarray(x), jnp.asarray(style)), expected)
    check_grads(ours, (jnp.asarray(x), jnp.asarray(style)), order=1, modes=["rev"], rtol=2e-2)


def test_attention_mixes_values_by_the_match_of_queries_and_keys() -> None:
    x = np.asarray(normal(0, 3, 2, 8))
    module = SelfAttention()
    drawn = module.init(jax.random.key(0), jnp.asarray(x))["params"]
    params = {**drawn, "gamma": jnp.asarray(0.5)}
    flat = x.reshape(6, 8)

    def linear(name: str) -> np.ndarray:
        return flat @ np.asarray(params[name]["kernel"]) + np.asarray(params[name]["bias"])

    scores = np.exp(linear("query") @ linear("key").T)
    weights = scores / scores.sum(1, keepdims=True)
    found: Any = module.apply({"params": params}, jnp.asarray(x))
    close(found[0], x + 0.5 * (weights @ linear("value")).reshape(x.shape))
    close(found[1], weights)


@pytest.mark.parametrize("sides", [(16, 16), (13, 22)])
def test_holes_get_the_colours_around_them(sides: tuple[int, int]) -> None:
    image = np.random.default_rng(0).uniform(-1, 1, (*sides, 3)).astype(np.float32)
    mask = np.ones((*sides, 1), np.float32)
    mask[3:9, 2:10] = 0
    known = mask[..., 0] > 0
    found = np.asarray(fill_masked(jnp.asarray(image), jnp.asarray(mask)))
    np.testing.assert_array_equal(found[known], image[known])
    plain = fill_masked(jnp.where(mask > 0, 0.25, 9.0) * jnp.ones((1, 1, 3)), jnp.asarray(mask))
    np.testing.assert_allclose(plain, 0.25, rtol=1e-5)
    # Left of the hole it is black, right of it white: so it is within.
    ramp = jnp.broadcast_to((jnp.arange(sides[1]) > 5)[None, :, None] * 1.0, (*sides, 3))
    inside = np.asarray(fill_masked(ramp, jnp.asarray(mask)))[5, 2:10, 0]
    assert inside[0] < 0.2 < 0.8 < inside[-1]
    one = np.zeros_like(mask)
    one[4, 4] = 1
    alone = fill_masked(jnp.asarray(image), jnp.asarray(one))
    np.testing.assert_allclose(alone, np.broadcast_to(image[4, 4], image.shape), rtol=1e-5)
    np.testing.assert_array_equal(fill_masked(jnp.asarray(image), jnp.zeros_like(mask)), 0)


@pytest.mark.parametrize(("small", "side"), [((8, 8), 16), ((8, 8), 32), ((12, 12), 36)])
def test_enlarged_images_have_the_area_means_they_had(small: tuple[int, int], side: int) -> None:
    x = normal(5, *small, 3)
    large = enlarge(x, side)
    assert large.shape == (side, side, 3)
    np.testing.assert_allclose(area_reduce(large, small), x, atol=0.02)
    flat = enlarge(jnp.ones((*small, 1)), side)
    np.testing.assert_allclose(flat, 1, atol=1e-6)
    np.testing.assert_array_equal(enlarge(large, side - 1), large)


def test_parameters_of_another_shape_are_refused() -> None:
    layer = Linear(3)
    params = layer.init(jax.random.key(0), jnp.ones(2))["params"]
    with pytest.raises(ValueError, match=r"'kernel' has shape \(2, 3\); allowed: \(4, 3\)"):
        layer.apply({"params": params}, jnp.ones(4))
