"""The terms of clouds: against the metric, the k-mask, and gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.losses.base import TermInputs
from jaxinv.losses.clouds import (
    chamfer_distance,
    farthest_points,
    nearest,
    patch_variance,
    squared_distances,
)
from jaxinv.losses.terms import evaluate, extract_features
from jaxinv.metrics.clouds import chamfer
from jaxinv.specs import Term

pytestmark = pytest.mark.usefixtures("quick_compilation")
A, B = (np.random.default_rng(i).uniform(-1, 1, (n, 3)) for i, n in enumerate((49, 30)))
ALL = jnp.ones(len(B))


def test_the_loss_is_the_metric() -> None:
    found = chamfer_distance(jnp.asarray(A), jnp.asarray(B), ALL)
    assert float(found) == pytest.approx(chamfer(A, B), rel=1e-4)


def test_points_that_are_not_known_do_not_count() -> None:
    known = np.arange(len(B)) < 11
    found = chamfer_distance(jnp.asarray(A), jnp.asarray(B), jnp.asarray(known, float))
    assert float(found) == pytest.approx(chamfer(A, B[known]), rel=1e-4)


@pytest.mark.parametrize("count", [1, 5])
def test_the_mask_keeps_the_nearest_of_every_known_point(count: int) -> None:
    known = np.arange(len(B)) < 4
    distances = squared_distances(jnp.asarray(A), jnp.asarray(B))
    found = np.asarray(nearest(distances, jnp.asarray(known, float), count))
    rows = {int(i) for j in range(4) for i in np.argsort(np.asarray(distances)[:, j])[:count]}
    assert set(np.flatnonzero(found)) == rows
    masked = chamfer_distance(jnp.asarray(A), jnp.asarray(B), jnp.asarray(known, float), count)
    assert float(masked) == pytest.approx(chamfer(A[sorted(rows)], B[known]), rel=1e-4)


def test_what_the_mask_hides_has_no_gradient() -> None:
    part = jnp.asarray(A[A[:, 0] < -0.3])
    slope = jax.grad(lambda x: chamfer_distance(x, part, jnp.ones(len(part)), 2))(
        jnp.asarray(A) + 0.01
    )
    free = np.abs(np.asarray(slope)).sum(1) == 0
    assert free[A[:, 0] > 0.5].all()
    assert not free[A[:, 0] < -0.3].any()


def test_chamfer_falls_to_the_target() -> None:
    def loss(x: jax.Array) -> jax.Array:
        return chamfer_distance(x, jnp.asarray(B), ALL)

    step, at = jax.jit(jax.value_and_grad(loss)), jnp.asarray(A)
    first = float(loss(at))
    for _ in range(60):
        value, slope = step(at)
        at = at - 3.0 * slope
    assert np.isfinite(np.asarray(slope)).all()
    assert float(value) < 0.05 * first


def test_even_clouds_have_less_variance_than_uneven_ones() -> None:
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 6)] * 3), -1).reshape(-1, 3)
    squeezed = np.where(grid > 0, grid * 0.1, grid)
    even, uneven = (float(patch_variance(jnp.asarray(x), 16, 3)) for x in (grid, squeezed))
    assert even < 0.2 * uneven
    assert float(patch_variance(jnp.asarray(3 * squeezed), 16, 3)) == pytest.approx(
        uneven, rel=1e-3
    )


def test_farthest_points_of_a_line() -> None:
    line = jnp.asarray(np.array([[0.0, 0, 0], [1, 0, 0], [10, 0, 0], [4, 0, 0]]))
    np.testing.assert_array_equal(farthest_points(line, 3), [0, 2, 3])


def test_terms_see_pictures_as_sets() -> None:
    """The picture of a cloud and that of its points in another order are the same."""
    cloud = jnp.asarray(A, jnp.float32).reshape(7, 7, 3)
    mixed = jnp.asarray(np.random.default_rng(5).permutation(A), jnp.float32).reshape(7, 7, 3)
    terms = (Term("chamfer"), Term("patch_variance", 0.5), Term("chamfer", neighbours=3))
    given = TermInputs({}, {}, mixed, extract_features(terms, {}, mixed))
    mask = jnp.asarray(np.arange(49) < 20, jnp.float32).reshape(7, 7, 1)
    target = extract_features(terms, {}, cloud)
    total, values = evaluate(terms, {}, given, (target, None), jnp.zeros(()))
    assert values["chamfer"] == 0
    assert values["chamfer#2"] == 0
    assert float(total) == pytest.approx(0.5 * float(values["patch_variance"]))
    _, part = evaluate(terms, {}, given, (target, mask), jnp.zeros(()))
    assert float(part["chamfer"]) == pytest.approx(chamfer(A, A[:20]), rel=1e-4)
    assert part["chamfer#2"] < part["chamfer"]
