"""Degradations: adjoints, gradients, seeds, and other programs that do the same."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from skimage.filters import gaussian
from skimage.transform import downscale_local_mean

from jaxinv.operators import MAKERS, Operator, build, gaussian_matrix, mask, seeded
from jaxinv.operators.coding import BRIGHTNESS, cosines, scaled
from jaxinv.operators.filters import line
from jaxinv.operators.measurements import BLOCK
from jaxinv.specs import OperatorSpec
from jaxinv.vocabulary import EDGES, ENLARGERS, KERNELS, MASKS, OPERATORS, SIDES

SHAPE = (16, 24, 3)
O = OperatorSpec  # noqa: E741
ARRAYS = {
    "hole": jnp.asarray(np.arange(16 * 24).reshape(16, 24) % 7 > 2, jnp.float32),
    "A": jnp.asarray(np.random.default_rng(9).normal(size=(5, 1152)) / 34, jnp.float32),
}
DGP = O("compose", (O("gray"), O("down", kernel="lanczos2"), O("up", kernel="bilinear")))
LINEAR = [
    O("identity"),
    O("box"),
    O("box", box=(0, 0.5, 0.5, 0.25), invert=True),
    O("mask", array="hole"),
    O("pixels", share=0.3, seed=4),
    *(O("half", side=side) for side in SIDES),
    O("hole", share=1 / 3),
    O("ring"),
    O("blobs", level=0.6),
    O("border"),
    O("crop", box=(0.1, 0.2, 0.5, 0.4)),
    *(O("down", kernel=kernel) for kernel in KERNELS),
    *(O("down", edge=edge) for edge in EDGES),
    O("down", factor=8, kernel="lanczos3"),
    *(O("up", factor=2, kernel=kernel) for kernel in ENLARGERS),
    O("gray"),
    O("luma"),
    *(O("blur", sigma=1.3, edge=edge) for edge in EDGES),
    *(O("motion", length=6, angle=angle, edge="edge") for angle in (0, 30, -120)),
    O("motion", edge="renormalise"),
    O("noise", sigma=0.1),
    O("dense", count=17),
    O("dense", count=5, array="A"),
    O("circulant", count=50),
    O("fourier", share=0.3),
    DGP,
    O("compose", (O("luma"), O("hole"), O("dense", count=9), O("noise"))),
]
CURVED = [
    O("quantise", levels=5),
    O("jpeg", quality=40),
    O("jpeg", quality=90, subsample=False),
    O("compose", (O("blur"), O("down", factor=2), O("noise", sigma=0.05), O("jpeg"))),
]
SEEDED = [spec for spec in (*LINEAR, *CURVED) if "seed" in OPERATORS[spec.name] and not spec.array]


def seen(spec: OperatorSpec, x: Any, shape: tuple[int, ...] = SHAPE) -> Any:
    return jax.jit(made(spec, shape).apply)(x)


def name(spec: Any) -> str | None:
    if not isinstance(spec, OperatorSpec):
        return None
    default = O("identity")
    shown = ("kernel", "edge", "side", "factor", "angle", "array", "subsample")
    changed = [str(getattr(spec, n)) for n in shown if getattr(spec, n) != getattr(default, n)]
    return "-".join((spec.name, *changed))


def picture(seed: int, shape: tuple[int, ...] = SHAPE) -> Any:
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


def photo(side: int = 64) -> np.ndarray:
    """A smooth uint8 picture with an edge and a little texture."""
    y, x = np.mgrid[:side, :side] / side
    planes = [120 + 80 * np.sin(5 * x + k) * np.cos(4 * y) for k in range(3)]
    planes = [p + 60 * (x + y > 1.1) + 8 * np.sin(40 * x * y + k) for k, p in enumerate(planes)]
    return np.clip(np.stack(planes, -1), 0, 255).round().astype(np.uint8)


def made(spec: OperatorSpec, shape: tuple[int, ...] = SHAPE) -> Operator:
    return build(spec, shape, arrays=ARRAYS)


# --- what every operator keeps --------------------------------------------------------------------


def test_every_operator_is_tested() -> None:
    assert {spec.name for spec in (*LINEAR, *CURVED)} == set(OPERATORS)
    assert set(MAKERS) | {"compose"} == set(OPERATORS)


@pytest.mark.parametrize("spec", [*LINEAR, *CURVED], ids=name)
def test_adjoints_gradients_lanes_and_pictures(spec: OperatorSpec) -> None:
    operator = made(spec)
    lanes = jnp.stack([picture(seed) for seed in range(3)])
    y = picture(7, operator.shape)

    def energy(x: Any) -> Any:
        seen = operator.apply(x)
        return jnp.sum(seen * seen) / 2

    @jax.jit
    def everything(lanes: Any, y: Any) -> Any:
        adjoint = operator.adjoint or (lambda y: y)
        ahead = operator.apply(lanes[1])
        alone = (ahead, operator.apply(2 * lanes[1]), adjoint(y), adjoint(ahead))
        shown = operator.show(operator.simulate(lanes[1]))
        return (*alone, shown, jax.vmap(operator.apply)(lanes), jax.vmap(jax.grad(energy))(lanes))

    ahead, twice, back, normal, shown, together, slopes = everything(lanes, y)
    assert ahead.shape == operator.shape
    assert shown.shape == SHAPE
    assert np.isfinite(shown).all()
    assert np.isfinite(slopes).all()
    assert np.all(np.abs(slopes).max((1, 2, 3)) > 0)
    np.testing.assert_allclose(together[1], ahead, atol=2e-5 if operator.linear else 0.02)
    if operator.linear:
        left, right = float(jnp.vdot(ahead, y)), float(jnp.vdot(lanes[1], back))
        scale = float(jnp.linalg.norm(ahead) * jnp.linalg.norm(y))
        assert scale > 0
        assert abs(left - right) < 2e-6 * scale
        np.testing.assert_allclose(twice, 2 * ahead, atol=1e-4)
        np.testing.assert_allclose(slopes[1], normal, atol=2e-5)
    assert operator.linear == (spec in LINEAR)


@pytest.mark.parametrize("spec", SEEDED, ids=name)
def test_seeds_and_keys(spec: OperatorSpec) -> None:
    other = replace(spec, seed=spec.seed + 1)

    @jax.jit
    def drawn(x: Any, keys: Any) -> Any:
        keyed = lambda key: build(spec, SHAPE, key).simulate(x)  # noqa: E731
        seeds = [made(one).simulate(x) for one in (spec, other, spec)]
        return jnp.stack([*seeds, *jax.vmap(keyed)(keys), keyed(keys[1])])

    found = np.asarray(drawn(picture(0), jax.random.split(jax.random.key(0))))
    np.testing.assert_allclose(found[0], found[2], atol=1e-5)
    np.testing.assert_allclose(found[4], found[5], atol=1e-5)
    for first, second in ((0, 1), (0, 3), (3, 4)):
        assert np.abs(found[first] - found[second]).max() > 1e-3


def test_arrays_may_be_arguments_of_a_compiled_function() -> None:
    @jax.jit
    def hide(x: Any, hole: Any) -> Any:
        return build(O("mask", array="m"), SHAPE, arrays={"m": hole}).apply(x)

    x = picture(0)
    masks = jnp.stack([ARRAYS["hole"], 1 - ARRAYS["hole"]])
    both = jax.vmap(hide, (None, 0))(x, masks)
    np.testing.assert_array_equal(both.sum(0), x)
    np.testing.assert_array_equal(both[0], x * ARRAYS["hole"][..., None])


# --- masks ----------------------------------------------------------------------------------------


def kept(spec: OperatorSpec, side: int = 12) -> np.ndarray:
    return np.asarray(mask(spec, (side, side, 3)))[..., 0]


def test_masks_hide_what_they_say() -> None:
    box = np.ones((12, 12))
    box[3:6, 0:9] = 0
    np.testing.assert_array_equal(kept(O("box", box=(0.25, 0, 0.25, 0.75))), box)
    np.testing.assert_array_equal(kept(O("box", box=(0.25, 0, 0.25, 0.75), invert=True)), 1 - box)
    hole = np.ones((12, 12))
    hole[4:8, 4:8] = 0
    np.testing.assert_array_equal(kept(O("hole", share=1 / 3)), hole)
    border = np.zeros((12, 12))
    border[3:9, 3:9] = 1
    np.testing.assert_array_equal(kept(O("border", share=0.25)), border)
    for side, part in {"left": np.s_[:, :6], "bottom": np.s_[6:]}.items():
        half = np.ones((12, 12))
        half[part] = 0
        np.testing.assert_array_equal(kept(O("half", side=side)), half)
    y, x = np.mgrid[:12, :12] - 5.5
    radius = np.hypot(y, x) / 6
    np.testing.assert_array_equal(kept(O("ring")), (radius < 0.25) | (radius >= 0.5))


@pytest.mark.parametrize("side", [64, 128, 256])
def test_hole_of_dgp_is_the_floor_of_a_third(side: int) -> None:
    assert kept(O("hole", share=1 / 3), side).sum() == side**2 - (side // 3) ** 2


def test_random_pixels_are_exactly_the_share() -> None:
    assert kept(O("pixels", share=0.3), 50).sum() == 750
    assert kept(O("pixels", share=0.3, invert=True), 50).sum() == 1750


def test_blobs_grow_with_their_level_and_are_smooth() -> None:
    shares = [kept(O("blobs", level=level), 96).mean() for level in (0.2, 0.5, 0.8, 1.0)]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    half = kept(O("blobs", level=0.5), 96)
    assert np.abs(np.diff(half, axis=0)).mean() < 0.1  # far fewer edges than the 0.5 of white noise


# --- fewer and more pixels ------------------------------------------------------------------------

PILLOW = {
    "area": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos3": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


@pytest.mark.parametrize("kernel", PILLOW)
@pytest.mark.parametrize("factor", [2, 3, 8])
def test_down_is_that_of_pillow(kernel: str, factor: int) -> None:
    """Pillow on float pixels; it scales its kernels to 1 at the borders, as "renormalise" does."""
    x = np.random.default_rng(0).uniform(-1, 1, (48, 72)).astype(np.float32)
    small = Image.fromarray(x).resize((72 // factor, 48 // factor), PILLOW[kernel])
    spec = O("down", factor=factor, kernel=kernel, edge="renormalise")
    ours = build(spec, (48, 72, 1)).apply(jnp.asarray(x)[..., None])[..., 0]
    np.testing.assert_allclose(ours, np.asarray(small), atol=2e-6)


def test_area_is_that_of_scikit_image() -> None:
    x = np.asarray(picture(0))
    ours = seen(O("down", factor=4, kernel="area"), x)
    np.testing.assert_allclose(ours, downscale_local_mean(x, (4, 4, 1)), atol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("edge", EDGES)
def test_down_keeps_what_is_constant(kernel: str, edge: str) -> None:
    ours = seen(O("down", kernel=kernel, edge=edge), jnp.full(SHAPE, 0.3))
    np.testing.assert_allclose(ours, 0.3, atol=1e-6)


@pytest.mark.parametrize("a", [-0.5, -0.75])
def test_bicubic_against_its_formula(a: float) -> None:
    """One output pixel, in the interior, by the kernel's definition."""
    t = np.abs((np.arange(48) - 23.5) / 4)
    near, far = (a + 2) * t**3 - (a + 3) * t**2 + 1, a * (t**3 - 5 * t**2 + 8 * t - 4)
    weights = np.where(t < 1, near, np.where(t < 2, far, 0))
    weights /= weights.sum()
    x = np.zeros((44, 4, 1), np.float32)
    x[:, :, 0] = np.random.default_rng(1).normal(size=(44, 1))
    kernel = "bicubic" if a == -0.5 else "bicubic-0.75"
    ours = build(O("down", kernel=kernel, edge="edge"), x.shape).apply(jnp.asarray(x))[5, 0, 0]
    # the centre of output 5 is 5 x 4 + 1.5 = 21.5
    np.testing.assert_allclose(ours, weights[2:46] @ x[:, 0, 0], rtol=1e-5)


def test_edges() -> None:
    x = np.arange(16, dtype=np.float32)[:, None, None] * np.ones((16, 16, 1), np.float32)
    for edge, mode in (("reflect", "reflect"), ("edge", "edge")):
        ours = build(O("down", kernel="lanczos2", edge=edge), x.shape).apply(x)
        wide = np.pad(x, ((16, 16), (16, 16), (0, 0)), mode=mode)
        inner = build(O("down", kernel="lanczos2"), wide.shape).apply(wide)[4:8, 4:8]
        np.testing.assert_allclose(ours, inner, atol=1e-5)


def test_enlarging_keeps_pixel_centres() -> None:
    x = picture(0, (8, 8, 3))
    for kernel in ENLARGERS:
        large = build(O("up", factor=3, kernel=kernel), x.shape).apply(x)
        np.testing.assert_allclose(large[1::3, 1::3], x, atol=1e-6)


def test_crop_is_shown_in_its_place() -> None:
    x = picture(0)
    operator = made(O("crop", box=(0.25, 0.5, 0.5, 0.25)))
    np.testing.assert_array_equal(operator.apply(x), x[4:12, 12:18])
    shown = np.array(operator.show(operator.apply(x)))
    np.testing.assert_array_equal(shown[4:12, 12:18], x[4:12, 12:18])
    shown[4:12, 12:18] = 0
    assert not shown.any()


# --- filters and colours --------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.7, 2.0])
@pytest.mark.parametrize(("edge", "mode"), [("reflect", "mirror"), ("edge", "nearest")])
def test_blur_is_that_of_scikit_image(sigma: float, edge: str, mode: str) -> None:
    x = np.asarray(picture(0))
    theirs = gaussian(x, sigma, mode=mode, channel_axis=-1)  # pyright: ignore[reportArgumentType]
    ours = seen(O("blur", sigma=sigma, edge=edge), x)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_motion_is_a_line() -> None:
    row = np.zeros((5, 5))
    row[2] = 0.2
    np.testing.assert_allclose(line(5, 0), row, atol=1e-12)
    np.testing.assert_allclose(line(5, 90), row.T, atol=1e-12)
    np.testing.assert_allclose(line(7, 30), line(7, 210), atol=1e-9)
    np.testing.assert_allclose(line(7, 30), line(7, -30)[::-1], atol=1e-9)
    assert line(7, 45)[0, -1] + line(7, 45)[1, -2] > 0.1  # up and to the right
    for length, angle in ((1, 7), (4, 33), (9, 60)):
        np.testing.assert_allclose(line(length, angle).sum(), 1)


def test_gray_and_luma() -> None:
    x = picture(0)
    grey = made(O("gray")).apply(x)
    np.testing.assert_allclose(grey[..., 2], x @ np.array([0.2989, 0.587, 0.114]), atol=1e-6)
    luma = made(O("luma")).apply(x)
    assert luma.shape == (16, 24, 1)
    theirs = np.asarray(Image.fromarray(photo()).convert("L"), np.float32)
    ours = build(O("luma"), (64, 64, 3)).apply(jnp.asarray(photo(), jnp.float32))[..., 0]
    np.testing.assert_allclose(ours, theirs, atol=0.51)


# --- coding ---------------------------------------------------------------------------------------


def test_noise_is_in_simulations_alone() -> None:
    x = jnp.zeros((64, 64, 3))
    operator = build(O("noise", sigma=0.2), x.shape)
    np.testing.assert_array_equal(operator.apply(x), x)
    noise = operator.simulate(x)
    assert abs(float(noise.std()) - 0.2) < 0.01
    assert abs(float(noise.mean())) < 0.01
    both = build(O("compose", (O("dense", count=6), O("noise", sigma=0.2))), x.shape)
    assert both.linear
    assert np.abs(both.simulate(x)).min() > 0


def test_levels() -> None:
    x = jnp.linspace(-1.2, 1.2, 25)[:, None, None]
    operator = build(O("quantise", levels=3), x.shape)
    assert set(np.unique(operator.apply(x))) == {-1.0, 0.0, 1.0}
    assert np.abs(operator.apply(x) - jnp.clip(x, -1, 1)).max() <= 0.5
    slope = jax.grad(lambda x: operator.apply(x).sum())(x)
    np.testing.assert_array_equal(slope[3:-3], 1)


@pytest.mark.parametrize("subsample", [True, False])
@pytest.mark.parametrize(("side", "quality"), [(64, 10), (51, 50), (64, 75), (64, 95)])
def test_jpeg_is_that_of_pillow(side: int, quality: int, subsample: bool) -> None:
    """libjpeg computes in whole numbers: now and then a coefficient falls on the other side."""
    pixels, file = photo(side), io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=2 if subsample else 0)
    theirs = np.asarray(Image.open(file), np.float32)
    spec = O("jpeg", quality=quality, subsample=subsample)
    x = jnp.asarray(pixels, jnp.float32) / 127.5 - 1
    ours = (np.asarray(jax.jit(build(spec, pixels.shape).apply)(x)) + 1) * 127.5
    assert np.abs(ours - theirs).mean() < min(1.0, 0.5 * np.abs(theirs - pixels).mean())


@pytest.mark.parametrize("quality", [5, 49, 50, 75, 100])
def test_quantisation_tables_are_those_of_pillow(quality: int) -> None:
    file = io.BytesIO()
    Image.fromarray(photo()).save(file, "JPEG", quality=quality)
    theirs = Image.open(file).quantization[0]  # pyright: ignore[reportAttributeAccessIssue]
    np.testing.assert_array_equal(scaled(BRIGHTNESS, quality).reshape(-1), theirs)


def test_cosines_are_orthonormal() -> None:
    np.testing.assert_allclose(cosines() @ cosines().T, np.eye(8), atol=1e-6)


# --- measurements ---------------------------------------------------------------------------------


def test_dense_is_its_matrix() -> None:
    """Also where it is drawn in several blocks."""
    shape = (40, 40, 3)
    count = 2 * BLOCK // (40 * 40 * 3) + 5
    spec, x = O("dense", count=count, seed=3), picture(0, shape)
    matrix = gaussian_matrix(seeded(spec), count, x.size)
    assert abs(float(matrix.var()) * count - 1) < 0.01
    ours = jax.jit(build(spec, shape).apply)(x)
    np.testing.assert_allclose(ours, matrix @ x.reshape(-1), atol=1e-4)
    again = build(O("dense", count=count, array="A"), shape, arrays={"A": matrix})
    np.testing.assert_allclose(ours, again.apply(x), atol=1e-4)


@pytest.mark.parametrize("kind", ["dense", "circulant"])
def test_measurements_keep_norms_on_average(kind: str) -> None:
    x = picture(0)
    operator = build(O(kind, count=1000), SHAPE)
    ratio = float(jnp.sum(jax.jit(operator.apply)(x) ** 2) / jnp.sum(x**2))
    assert abs(ratio - 1) < 0.2


def test_circulant_is_a_circular_convolution() -> None:
    """All measurements of one impulse, put back into order, are the filter up to a shift."""
    shape = (3, 5, 2)
    operator = build(O("circulant", count=30), shape)
    columns = np.asarray(jax.jit(jax.vmap(operator.apply))(jnp.eye(30).reshape(30, *shape)))
    values = np.sort(np.abs(columns), axis=1)
    np.testing.assert_allclose(values, np.tile(values[:1], (30, 1)), atol=1e-6)


def test_fourier_is_a_projection_onto_whole_pairs() -> None:
    x = picture(0)
    operator = build(O("fourier", share=0.3, low=0.1), SHAPE)
    apply = jax.jit(operator.apply)
    once = apply(x)
    np.testing.assert_allclose(apply(once), once, atol=1e-5)
    spectrum = np.abs(np.fft.fft2(np.asarray(once), axes=(0, 1))).sum(-1)
    assert abs((spectrum > 1e-3).mean() - 0.3) < 0.002
    np.testing.assert_allclose(once.mean((0, 1)), x.mean((0, 1)), atol=1e-6)  # 0 is a low one


def test_gradient_descent_with_the_exact_projector_converges() -> None:
    """x <- P(x + eta A'(y - A x)) on a subspace, 40 measurements of 192 pixels and 10 unknowns."""
    shape, rng = (8, 8, 3), np.random.default_rng(0)
    basis = jnp.asarray(np.linalg.qr(rng.normal(size=(192, 10)))[0], jnp.float32)
    operator = build(O("dense", count=40), shape)
    clean = (basis @ jnp.asarray(rng.normal(size=10), jnp.float32)).reshape(shape)
    y, adjoint = jax.jit(operator.apply)(clean), operator.adjoint
    assert adjoint is not None

    def step(x: Any, _: None) -> tuple[Any, None]:
        moved = x + 0.5 * adjoint(y - operator.apply(x))
        return (basis @ (basis.T @ moved.reshape(-1))).reshape(shape), None

    found, _ = jax.jit(lambda x: jax.lax.scan(step, x, None, 200))(jnp.zeros(shape))
    assert float(jnp.linalg.norm(found - clean) / jnp.linalg.norm(clean)) < 1e-4


# --- compositions, pictures, errors ---------------------------------------------------------------


def test_composition_goes_from_left_to_right() -> None:
    x = picture(0)
    parts = (O("hole"), O("blur"), O("down", factor=2))
    y = x
    for part in parts:
        y = build(part, y.shape).apply(y)
    np.testing.assert_allclose(made(O("compose", parts)).apply(x), y, atol=1e-6)


def test_pictures_of_what_was_seen() -> None:
    x = picture(0)
    small = made(O("down"))
    np.testing.assert_array_equal(
        small.show(small.apply(x)), np.kron(small.apply(x), np.ones((4, 4, 1)))
    )
    grey = made(O("compose", (O("luma"), O("down"))))
    shown = grey.show(grey.apply(x))
    np.testing.assert_array_equal(shown[..., 0], shown[..., 2])
    sums = made(O("dense", count=9))
    assert np.abs(sums.show(sums.apply(x))).max() == 1
    assert not np.asarray(sums.show(jnp.zeros(9))).any()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": "sharpen"}, "unknown operator 'sharpen'; allowed: identity, box"),
    ({"name": "gray", "sigma": 2.0}, "operator 'gray' takes no sigma, got 2.0; allowed: none"),
    ({"name": "down", "sigma": 2.0}, "takes no sigma, got 2.0; allowed: factor, kernel, edge"),
    ({"name": "down", "kernel": "box"}, "unknown kernel of 'down' 'box'; allowed: area"),
    ({"name": "up", "kernel": "area"}, "unknown kernel of 'up' 'area'; allowed: bicubic, bilinear"),
    ({"name": "down", "edge": "wrap"}, "unknown edge 'wrap'; allowed: reflect"),
    ({"name": "down", "factor": 1.5}, "factor of 'down' must be a whole number"),
    ({"name": "half", "side": "up"}, "unknown side 'up'; allowed: left"),
    ({"name": "pixels", "share": 0.0}, "share of 'pixels' must lie in 0 to 1, got 0.0"),
    ({"name": "fourier", "low": 1.5}, "low of 'fourier' must lie in 0 to 1"),
    ({"name": "border", "share": 0.5}, "share of 'border' must be below 0.5"),
    ({"name": "box", "box": (0.5, 0, 0.6, 1)}, "must lie in"),
    ({"name": "ring", "inner": 0.6}, "inner 0.6 to outer 0.5; allowed: inner < outer"),
    ({"name": "blur", "sigma": 0.0}, "sigma of 'blur' must be above 0.0"),
    ({"name": "motion", "angle": float("nan")}, "angle of 'motion'"),
    ({"name": "jpeg", "quality": 0}, "quality of 'jpeg' must be a whole number of at least 1"),
    ({"name": "jpeg", "quality": 101}, "quality of 'jpeg' must lie in 1 to 100, got 101"),
    ({"name": "dense"}, "count of 'dense' must be a whole number of at least 1, got 0"),
    ({"name": "mask"}, "operator 'mask' needs the name of its array"),
    ({"name": "compose"}, "operator 'compose' needs parts"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_impossible_specs_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        OperatorSpec(**options)


MISFITS: list[tuple[OperatorSpec, str]] = [
    (O("down", factor=5), "factor 5 of 16x24 px; allowed: 1, 2, 4, 8"),
    (O("mask", array="door"), "no array 'door' was given; given: hole, A"),
    (O("dense", count=6, array="A"), r"array 'A' has shape \(5, 1152\); allowed: \(6, 1152\)"),
    (O("circulant", count=1153), "count 1153 of 'circulant'; allowed: at most 1152"),
    (O("crop", box=(0, 0, 0.01, 1)), "holds no pixel"),
    (O("compose", (O("luma"), O("jpeg"))), "operator 'jpeg' on 1 channels; allowed: 3"),
    (O("compose", (O("dense", count=3), O("blur"))), "'blur' after measurements"),
]


@pytest.mark.parametrize(("spec", "message"), MISFITS)
def test_misfits_are_refused(spec: OperatorSpec, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(spec).apply(picture(0))


def test_masks_and_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="unknown mask 'gray'; allowed: box, mask"):
        mask(O("gray"), SHAPE)
    with pytest.raises(ValueError, match=r"allowed: .height, width, channels"):
        build(O("gray"), (24, 24))
    assert set(MASKS) < set(OPERATORS)
