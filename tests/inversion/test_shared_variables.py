"""Images that share a variable, and weights that must draw elsewhere as they did."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.invert import invert
from jaxinv.inversion.result import Inversion
from jaxinv.inversion.shared_variables import group_lanes, ungroup
from jaxinv.latents.sampling import sample_latents
from jaxinv.models.rendering import render
from jaxinv.specs import Hook, InitSpec, Preset, SolverSpec, Stage, Term, Variable
from jaxinv.types import Latents
from tests.tiny import Pair, chain, linear, style

pytestmark = pytest.mark.usefixtures("quick_compilation")

PIXELS = (Term("mse"),)
LBFGS, ADAM = SolverSpec("lbfgs"), SolverSpec("adam", 3e-3)
COUNT = 3


@lru_cache
def codes(make: Callable[[], Pair] = linear, count: int = COUNT) -> Latents:
    return sample_latents(*make(), count, seed=3)


@lru_cache
def tinted(make: Callable[[], Pair] = linear) -> np.ndarray:
    """What the codes draw, every picture in other colours."""
    gain = np.asarray([0.5, 0.7, 0.9], np.float32)[:, None, None, None]
    return gain * render(*make(), codes(make)) + np.asarray([0.1, -0.2, 0.05], np.float32)


def search(
    images: np.ndarray, *stages: Stage, make: Callable[[], Pair] = linear, **others: Any
) -> Any:
    preset = Preset("p", stages, "", "")
    return invert(*make(), images, preset=preset, nets={}, **others)


def colours(*, shared: bool, steps: int = 40) -> Stage:
    tint = Variable("transform", kinds=("color",), shared=shared)
    return Stage((tint,), PIXELS, steps, LBFGS)


def tuned(shared: bool, *terms: Term, steps: int = 12) -> Stage:
    return Stage((Variable("weights", shared=shared),), (*PIXELS, *terms), steps, ADAM)


def numbers(found: Inversion, name: str) -> np.ndarray:
    """All values of a variable, [B, n]."""
    leaves = jax.tree.leaves(found.latents[name])
    return np.concatenate([np.reshape(leaf, (len(leaf), -1)) for leaf in leaves], axis=1)


def test_groups_of_lanes_come_apart_again() -> None:
    lanes = np.arange(12)  # 4 images of 3 restarts each
    groups = group_lanes(jnp.asarray(lanes), 4)
    np.testing.assert_array_equal(groups, [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]])
    np.testing.assert_array_equal(ungroup(groups), lanes)


def test_one_tint_for_all_is_the_least_squares_fit_to_all() -> None:
    found = search(tinted(), colours(shared=True), starts=codes())
    drawn, seen = render(*linear(), codes()), tinted()
    fits = []
    for channel in range(3):
        x, y = drawn[..., channel].ravel(), seen[..., channel].ravel()
        fits.append(np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), y, rcond=None)[0])
    gains, offsets = np.transpose(fits)
    for one in found.latents["transform"]["color"]:
        np.testing.assert_allclose(one[0], np.log(gains), atol=2e-3)
        np.testing.assert_allclose(one[1], offsets, atol=2e-3)
    fitted = gains * drawn + offsets
    np.testing.assert_allclose(found.loss, np.mean(np.square(fitted - seen)), rtol=1e-3)
    free = search(tinted(), colours(shared=False), starts=codes())
    assert np.all(free.loss < 1e-2 * found.loss)


def test_a_group_of_one_is_an_image_alone() -> None:
    pair = [
        search(tinted()[:1], colours(shared=shared, steps=8), starts={"w": codes()["w"][:1]})
        for shared in (True, False)
    ]
    np.testing.assert_allclose(pair[0].losses, pair[1].losses, rtol=1e-4, atol=1e-8)


def test_the_batch_is_the_group() -> None:
    code = Variable("w", init=InitSpec("given"))
    free = Stage((code, *colours(shared=True).variables), PIXELS, 8, ADAM)
    together = search(tinted(), free, starts=codes())
    assert np.ptp(numbers(together, "transform"), axis=0).max() == 0
    assert np.ptp(numbers(together, "w"), axis=0).min() > 0
    order = np.asarray([2, 0, 1])
    shuffled = search(tinted()[order], free, starts={"w": np.asarray(codes()["w"])[order]}, width=8)
    np.testing.assert_allclose(shuffled.loss, together.loss[order], rtol=1e-4)
    np.testing.assert_allclose(shuffled.latents["w"], together.latents["w"][order], atol=1e-5)
    split = search(tinted(), free, starts=codes(), batch=2)
    values = numbers(split, "transform")
    assert np.array_equal(values[0], values[1])
    assert not np.allclose(values[0], values[2])
    alone = search(tinted()[2:], free, starts={"w": codes()["w"][2:]})
    np.testing.assert_allclose(values[2], numbers(alone, "transform")[0], atol=1e-5)


def test_large_groups_go_in_parts() -> None:
    images = render(*linear(), codes(linear, 11)) + np.float32(0.1)
    stage = colours(shared=True, steps=6)
    ends = [search(images, stage, starts=codes(linear, 11), width=width) for width in (1, 8)]
    np.testing.assert_allclose(ends[0].losses, ends[1].losses, rtol=1e-4, atol=1e-7)


def test_a_code_may_be_searched_beside_what_is_shared() -> None:
    both = (Variable("w"), *colours(shared=True).variables)
    found = search(tinted(), Stage(both, PIXELS, 30, LBFGS))
    assert found.latents["w"].shape == codes()["w"].shape
    assert np.ptp(numbers(found, "transform"), axis=0).max() == 0
    assert np.all(found.loss < 0.1 * found.losses[:, 0, 0])


def test_every_restart_has_its_own_group() -> None:
    first = Stage((Variable("w", init=InitSpec("prior")),), PIXELS, 2, LBFGS)
    stages = (first, colours(shared=True, steps=5))
    found = search(tinted(), *stages, restarts=2, keep_all_restarts=True)
    assert found.losses.shape == (COUNT, 2, 7)
    np.testing.assert_array_equal(found.losses[0, :, 2:], found.losses[1, :, 2:])
    assert found.all_restarts.loss[0, 0] != found.all_restarts.loss[0, 1]
    again = search(tinted(), *stages)
    np.testing.assert_allclose(found.losses[:, 0], again.losses[:, 0], rtol=1e-4)


@pytest.mark.slow
def test_weights_are_shared_only_where_that_is_asked_for() -> None:
    for shared in (True, False):
        found = search(tinted(chain), tuned(shared), make=chain, starts=codes(chain))
        assert np.mean(found.loss) < 0.9 * np.mean(found.losses[:, 0, 0])
        assert (np.ptp(numbers(found, "weights"), axis=0).max() == 0) == shared


def test_who_may_be_shared() -> None:
    with pytest.raises(ValueError, match=r"shared of 'w'; allowed: weights, transform, surrogate"):
        Variable("w", shared=True)
    with pytest.raises(ValueError, match="shared by images, with hooks"):
        Stage(
            (Variable("noise", init=InitSpec("prior")), *tuned(True).variables),
            PIXELS, 5, ADAM, hooks=(Hook("standardize", "noise"),),
        )  # fmt: skip


# --- locality -------------------------------------------------------------------------------------


def changed(found: Inversion, latents: Latents) -> np.ndarray:
    """Mean square of what changed weights change in the pictures of other codes, [B, codes]."""
    before, rows = render(*style(), latents), []
    for index in range(len(found.loss)):
        weights = jax.tree.map(
            lambda a, i=index: np.repeat(a[i][None], len(before), 0), found.latents["weights"]
        )
        after = render(*style(), {**latents, "weights": weights})
        rows.append(np.mean(np.square(after - before), axis=(1, 2, 3)))
    return np.stack(rows)


def test_locality_is_what_weights_change() -> None:
    near = Term("locality", 0.0, radius=1e-4)
    settings = {"starts": codes(style), "watch": (near.label,)}
    found = search(tinted(style), tuned(False, near), make=style, **settings)
    values = found.terms[near.label][:, 0]
    np.testing.assert_allclose(values[:, 0], 0, atol=1e-9)
    here = np.diag(changed(found, codes(style)))
    last = [values[i, np.nanargmin(found.losses[i, 0])] for i in range(COUNT)]
    np.testing.assert_allclose(last, here, rtol=1e-2, atol=1e-10)


@pytest.mark.slow
def test_locality_keeps_what_other_codes_draw() -> None:
    w = codes(style, 20)["w"][COUNT:]
    held, free = (
        search(tinted(style), tuned(False, *terms), make=style, starts=codes(style))
        for terms in ((Term("locality", 30.0, radius=3.0),), ())
    )
    assert np.mean(changed(held, {"w": w})) < 0.7 * np.mean(changed(free, {"w": w}))
    assert np.all(held.losses[:, 0, 0] == free.losses[:, 0, 0])


def test_locality_looks_at_one_place() -> None:
    with pytest.raises(ValueError, match=r"'locality' with radius \[1.0, 3.0\]; allowed: one"):
        tuned(False, Term("locality", radius=1.0), Term("locality", radius=3.0))


def test_locality_needs_a_w() -> None:
    stages = (
        Stage((Variable("z", init=InitSpec("prior")),), PIXELS, 5),
        tuned(False, Term("locality")),
    )
    with pytest.raises(ValueError, match="has a term 'locality' and a code z; allowed: w, w"):
        Preset("p", stages, "", "")
    preset = Preset("p", stages[1:], "", "")
    z = np.zeros((1, chain()[0].spec.z_dim), np.float32)
    images = render(*chain(), {"z": z})
    with pytest.raises(ValueError, match="has a term 'locality', which needs a W"):
        invert(*chain(), images, preset=preset, nets={}, starts={"z": z})
