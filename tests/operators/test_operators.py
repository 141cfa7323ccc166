"""Degradations: adjoints, gradients, seeds, and other programs that do the same."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.operators import MAKERS, Operator, build, mask
from jaxinv.specs import OperatorSpec, read_operator
from jaxinv.specs.operators import EDGES, KERNELS, MASKS, OPERATORS, SIDES, UPSAMPLERS
from tests.tiers import mostly_slow

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
    *(O("up", factor=2, kernel=kernel) for kernel in UPSAMPLERS),
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
    O("quantize", levels=5),
    O("jpeg", quality=40),
    O("jpeg", quality=90, subsample=False),
    O("compose", (O("blur"), O("down", factor=2), O("noise", sigma=0.05), O("jpeg"))),
]
# The first of each name; its other kernels, edges and sides are slow.
FIRST = list({spec.name: spec for spec in (*CURVED[::-1], *LINEAR[::-1])}.values())
SEEDED = [spec for spec in (*LINEAR, *CURVED) if "seed" in OPERATORS[spec.name] and not spec.array]


def name(spec: Any) -> str | None:
    if not isinstance(spec, OperatorSpec):
        return None
    default = O("identity")
    shown = ("kernel", "edge", "side", "factor", "angle", "array", "subsample")
    changed = [str(getattr(spec, n)) for n in shown if getattr(spec, n) != getattr(default, n)]
    return "-".join((spec.name, *changed))


def picture(seed: int, shape: tuple[int, ...] = SHAPE) -> Any:
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


def made(spec: OperatorSpec, shape: tuple[int, ...] = SHAPE) -> Operator:
    return build(spec, shape, arrays=ARRAYS)


# --- what every operator keeps --------------------------------------------------------------------


def test_every_operator_is_tested() -> None:
    assert {spec.name for spec in (*LINEAR, *CURVED)} == set(OPERATORS)
    assert set(MAKERS) | {"compose"} == set(OPERATORS)


@pytest.mark.parametrize("spec", mostly_slow([*LINEAR, *CURVED], FIRST), ids=name)
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


def test_random_pixels_are_about_the_share() -> None:
    found = kept(O("pixels", share=0.3), 100)
    assert abs(found.mean() - 0.3) < 0.02
    np.testing.assert_array_equal(kept(O("pixels", share=0.3, invert=True), 100), 1 - found)


def test_blobs_grow_with_their_level_and_are_smooth() -> None:
    shares = [kept(O("blobs", level=level), 96).mean() for level in (0.2, 0.5, 0.8, 1.0)]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    half = kept(O("blobs", level=0.5), 96)
    assert np.abs(np.diff(half, axis=0)).mean() < 0.1  # far fewer edges than the 0.5 of white noise


# --- compositions, pictures, errors ---------------------------------------------------------------


def test_composition_goes_from_left_to_right() -> None:
    parts = (O("hole"), O("blur"), O("down", factor=2))

    @jax.jit
    def both(x: Any) -> Any:
        y = x
        for part in parts:
            y = build(part, y.shape).apply(y)
        return made(O("compose", parts)).apply(x), y

    together, one_by_one = both(picture(0))
    np.testing.assert_allclose(together, one_by_one, atol=1e-6)


TOLD = [
    ("identity", 1.0),
    ("luma", 1.0),
    ("down:factor=4", 1.0),
    ("down:factor=4,kernel=area+up:factor=4", 1 / 16),
    ("blur:sigma=1.5", 1 / 28.3),
    ("motion:length=6", 1 / 6),
    ("blur:sigma=1.5+down:factor=3", 1 / 28.3 * 9),
    ("fourier:share=0.25", 0.25),
]


# The fast ones: nothing is lost, and less is told than there are numbers.
@pytest.mark.parametrize(("text", "share"), mostly_slow(TOLD, (TOLD[1], TOLD[6])))
def test_what_an_operator_tells_is_about_its_stable_rank(text: str, share: float) -> None:
    spec, shape = read_operator(text), (24, 24, 3)
    assert spec.information_ratio == pytest.approx(share, rel=1e-2)
    assert (
        O("compose", (O("identity"), O("compose", (spec,)))).information_ratio
        == spec.information_ratio
    )
    operator = made(spec, shape)
    units = jnp.eye(math.prod(shape)).reshape(-1, *shape)
    matrix = np.asarray(jax.vmap(lambda x: operator.apply(x).ravel())(units), np.float64)
    rank = np.sum(matrix**2) / np.linalg.norm(matrix, 2) ** 2
    assert rank / math.prod(operator.shape) == pytest.approx(share, rel=0.4)


def test_pictures_of_what_was_seen() -> None:
    x = picture(0)
    small, grey, sums = (
        made(spec)
        for spec in (O("down"), O("compose", (O("luma"), O("down"))), O("dense", count=9))
    )

    @jax.jit
    def pictures(x: Any) -> Any:
        both = [(y := one.apply(x), one.show(y)) for one in (small, grey, sums)]
        return [*both, sums.show(jnp.zeros(9))]

    (y, shown), (_, gray), (_, filled), empty = pictures(x)
    np.testing.assert_array_equal(shown, jax.image.resize(y, shown.shape, "cubic"))
    np.testing.assert_array_equal(gray[..., 0], gray[..., 2])
    np.testing.assert_allclose(np.abs(filled).max(), 1, rtol=1e-6)
    assert not np.asarray(empty).any()


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
