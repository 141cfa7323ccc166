"""Paths: where they lead, and back; what they keep; what they refuse."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.edits.conditions import conditioned
from jaxinv.edits.curves import circle, conditional_flow, flow, learned_steps, recursion
from jaxinv.edits.directions import Direction
from jaxinv.edits.paths import Path, apply_all, code_at, linear, undo_all
from jaxinv.models.generators.base import convert
from jaxinv.models.rendering import render
from tests import tiny
from tests.tiers import mostly_slow

DRAWS = np.random.default_rng(7)
GEN, PARAMS = tiny.style()
SPEC = GEN.spec
D, ROWS = SPEC.w_dim, SPEC.rows


def vector(*shape: int) -> np.ndarray:
    return DRAWS.standard_normal(shape).astype(np.float32)


CODES = {
    "z": vector(D),
    "z+": vector(ROWS, D),
    "w": vector(D),
    "w+": vector(ROWS, D),
    "s": tuple(vector(n) for n in SPEC.styles),
}
ONE = Direction("age", "w", vector(D))
MATRIX = vector(D, D)
BIAS = PARAMS["synthesis"]["b4_conv1"]["bias"].shape
# fmt: off
PATHS: dict[str, tuple[Path, str, float]] = {
    "line in z": (linear(Direction("a", "z", vector(D))), "z", 1.5),
    "line in z of z+": (linear(Direction("a", "z", vector(D))), "z+", 1.5),
    "line in w": (linear(ONE), "w", -2.0),
    "line in w of w+": (linear(ONE), "w+", -2.0),
    "line in rows of w": (linear(replace(ONE, rows=(1, 4))), "w", 0.5),
    "line in w+": (linear(Direction("a", "w+", vector(ROWS, D))), "w+", 0.5),
    "line in p": (linear(Direction("a", "p", vector(D))), "w", 1.0),
    "line in rows of p+": (linear(Direction("a", "p+", vector(D), rows=(0,))), "w+", 1.0),
    "line in s": (linear(Direction("a", "s", tuple(map(vector, SPEC.styles)))), "s", 0.7),
    "truncated line": (linear(replace(ONE, space="w+"), psi=0.5, cutoff=2), "w+", 2.0),
    "kept norm": (linear(ONE, keep_norm=True), "w+", 0.2),
    "recursion": (recursion("zoom", "z", np.linspace(0.5, 1.5, D), np.arange(D) / D), "z", 2.5),
    "turning recursion": (recursion("flip", "z", np.array([-1.2, 0.8] * 4), np.ones(D)), "z", 3),
    "great circle": (circle("turn", "z", vector(D)), "z", 0.3),
    "small circle": (circle("turn", "w", vector(D), fixed=(vector(D), vector(D))), "w+", -0.3),
    "flow": (flow("flow", "w", lambda x, t: jnp.tanh(x @ MATRIX) + t), "w", 0.8),
    "flow of rows": (flow("flow", "w+", lambda x, t: jnp.sin(x) * t), "w+", 0.8),
    "conditional flow": (
        conditional_flow(
            "age", "w", lambda x, t, a: jnp.tanh(x @ MATRIX) + a[0], [0.5], [1.0], tolerance=1e-7
        ),
        "w", 0.8,
    ),
}
# fmt: on


QUICK = tuple(name for name in PATHS if "flow" not in name)


@pytest.mark.parametrize("name", mostly_slow(PATHS, fast=QUICK))
def test_the_way_back_leads_to_the_start(name: str) -> None:
    path, space, amount = PATHS[name]
    latents = {space: CODES[space], "noise": GEN.stored_noise(PARAMS)}
    moved = path.apply(GEN, PARAMS, latents, amount)
    assert moved["noise"] is latents["noise"]
    again = path.inverse(GEN, PARAMS, moved, amount)
    (place,) = set(moved) - {"noise"}
    start = convert(GEN, PARAMS, latents, place)
    near = 2e-4 if "flow" in name else 2e-5
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=near), again[place], start)
    apart = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), moved[place], start)
    assert max(jax.tree.leaves(apart)) > 0.01
    still = path.apply(GEN, PARAMS, latents, 0.0)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), still[place], start)


def test_lines_add_the_vector_in_their_rows_only() -> None:
    w = CODES["w+"]
    moved = linear(replace(ONE, rows=(1, 4))).apply(GEN, PARAMS, {"w+": w}, 3.0)["w+"]
    expected = w.copy()
    expected[[1, 4]] += 3.0 * ONE.vector
    np.testing.assert_allclose(moved, expected, rtol=1e-6)
    one = linear(ONE).apply(GEN, PARAMS, {"w": CODES["w"]}, 3.0)
    assert one["w"].shape == (D,)
    np.testing.assert_array_equal(render(GEN, PARAMS, {"w+": moved[None]}).shape[0], 1)


def test_codes_are_carried_forward_and_never_back() -> None:
    moved = linear(ONE).apply(GEN, PARAMS, {"z": CODES["z"]}, 1.0)
    w = GEN.map(PARAMS, CODES["z"])
    assert set(moved) == {"w"}
    np.testing.assert_allclose(moved["w"], w + ONE.vector, rtol=1e-5)
    assert set(linear(ONE).apply(GEN, PARAMS, {"z+": CODES["z+"]}, 1.0)) == {"w+"}
    styles = Direction("s", "s", tuple(map(vector, SPEC.styles)))
    assert set(linear(styles).apply(GEN, PARAMS, {"w+": CODES["w+"]}, 1.0)) == {"s"}
    for space, held in (("z", "w"), ("z", "w+"), ("w", "s"), ("w+", "s"), ("p", "s")):
        path = linear(Direction("age", space, vector(D)))
        with pytest.raises(
            ValueError,
            match=rf"'age' moves in '{space.replace('+', '.')}'.*'{held.replace('+', '.')}'",
        ):
            path.apply(GEN, PARAMS, {held: CODES[held]}, 1.0)


def test_steps_after_truncation_equal_truncation_after_steps() -> None:
    mean, psi, cutoff = vector(D), 0.6, 3

    def truncated(w: np.ndarray) -> np.ndarray:
        short = mean + psi * (w - mean)
        return np.where(np.arange(ROWS)[:, None] < cutoff, short, w)

    w = CODES["w+"]
    path = linear(ONE, psi=psi, cutoff=cutoff)
    moved = path.apply(GEN, PARAMS, {"w+": truncated(w)}, 2.0)["w+"]
    np.testing.assert_allclose(moved, truncated(w + 2.0 * ONE.vector), atol=1e-5)


def test_absolute_amounts_are_distances_to_the_plane() -> None:
    direction = Direction("age", "z", 3 * vector(D))
    path = linear(direction, absolute=True)
    normal = direction.vector / np.linalg.norm(direction.vector)
    for amount in (-2.0, 0.0, 1.5):
        z = np.asarray(path.apply(GEN, PARAMS, {"z": CODES["z"]}, amount)["z"])
        assert z @ normal == pytest.approx(amount, abs=1e-5)
        along = z - CODES["z"]
        np.testing.assert_allclose(along - (along @ normal) * normal, 0, atol=1e-5)
    with pytest.raises(ValueError, match="forgets where it was reached from"):
        path.inverse(GEN, PARAMS, {"z": CODES["z"]}, 1.0)


@pytest.mark.parametrize("name", ["kept norm", "great circle", "small circle", "learned"])
def test_lengths_stay(name: str) -> None:
    learned = learned_steps("zoom", "w+", lambda z: z + 0.3 * jnp.tanh(z @ MATRIX), lambda z: z)
    path, space, _ = PATHS.get(name) or (learned, "w+", 0)
    before = np.linalg.norm(CODES[space], axis=-1)
    for amount in (0.4, 1.0, 2.5):
        code = path.apply(GEN, PARAMS, {space: CODES[space]}, amount)[space]
        np.testing.assert_allclose(np.linalg.norm(code, axis=-1), before, rtol=1e-5)
        assert np.abs(code - CODES[space]).max() > 0.01


def test_circles_turn_by_the_amount_and_keep_the_fixed_parts() -> None:
    v, kept = vector(D), vector(D)
    path, z = circle("turn", "z", v, fixed=(kept,)), CODES["z"]
    turned = np.asarray(path.apply(GEN, PARAMS, {"z": z}, 0.4)["z"])
    assert turned @ kept == pytest.approx(z @ kept, abs=1e-4)
    free = [x - (x @ kept) / (kept @ kept) * kept for x in (z, turned, v)]
    cosine = free[0] @ free[1] / np.linalg.norm(free[0]) / np.linalg.norm(free[1])
    assert np.arccos(cosine) == pytest.approx(0.4, abs=1e-3)
    nearer = [np.dot(x, free[2]) for x in free[:2]]
    assert nearer[1] > nearer[0]
    great = circle("turn", "z", v)
    with pytest.raises(ValueError, match="spans no circle"):
        great.apply(GEN, PARAMS, {"z": 2 * v}, 0.4)
    with pytest.raises(ValueError, match="lies among the fixed ones"):
        circle("turn", "z", v, fixed=(v, kept))


def test_recursions_are_those_of_single_steps() -> None:
    m, q = np.array([0.5, 1.0, -0.7, 1.3] * 2), np.arange(8.0)
    path, z = recursion("zoom", "z", m, q), CODES["z"].astype(np.float64)
    expected = z
    for _ in range(3):
        expected = m * expected + q
    moved = path.apply(GEN, PARAMS, {"z": CODES["z"]}, 3)["z"]
    np.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="turns signs"):
        path.apply(GEN, PARAMS, {"z": CODES["z"]}, 0.5)
    smooth = recursion("zoom", "z", np.abs(m), q)
    half = smooth.apply(GEN, PARAMS, {"z": CODES["z"]}, 0.5)
    twice = smooth.apply(GEN, PARAMS, half, 0.5)["z"]
    np.testing.assert_allclose(twice, np.abs(m) * z + q, rtol=1e-5, atol=1e-5)


def test_a_linear_flow_is_the_matrix_exponential() -> None:
    from scipy.linalg import expm

    path = flow("flow", "w", lambda x, t: x @ MATRIX / 4, tolerance=1e-7)
    moved = path.apply(GEN, PARAMS, {"w": CODES["w"]}, 1.5)["w"]
    expected = CODES["w"] @ expm(1.5 * MATRIX.astype(np.float64) / 4)
    np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-4)


def test_a_conditional_flow_moves_the_mean_of_a_gaussian() -> None:
    """Codes are N(mean * a, 1) where the field is -mean * a: the edit adds mean * change."""
    mean = vector(D)
    path = conditional_flow("age", "w", lambda x, t, a: -mean * a[0], [2.0], [0.5])
    moved = path.apply(GEN, PARAMS, {"w": CODES["w"]}, 3.0)["w"]
    np.testing.assert_allclose(moved, CODES["w"] + 1.5 * mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "held",
    [{}, {"times": 0.1}, {"add": 0.2}, {"value": 0.5}],
    ids=["none", "times", "add", "value"],
)
def test_parameter_directions_add_to_what_changes_already(held: dict) -> None:
    change = {"synthesis": {"b4_conv1": {"bias": vector(*BIAS)}}}
    path = linear(Direction("theta", "weights", change))
    latents = {"w": CODES["w"]}
    if held:
        (form, size), *_ = held.items()
        tuned = {"b4_conv1": {"bias": {form: np.full(BIAS, size, np.float32)}}}
        other = {
            "b8_conv0": {"bias": {"add": vector(*PARAMS["synthesis"]["b8_conv0"]["bias"].shape)}}
        }
        latents["weights"] = {"synthesis": tuned | other}
    before = code_at(GEN, PARAMS, latents, "weights")
    moved = path.apply(GEN, PARAMS, latents, 2.0)
    after = code_at(GEN, PARAMS, moved, "weights")
    gained = after["synthesis"]["b4_conv1"]["bias"]
    if held:
        gained = gained - before["synthesis"]["b4_conv1"]["bias"]
        np.testing.assert_array_equal(
            after["synthesis"]["b8_conv0"]["bias"], before["synthesis"]["b8_conv0"]["bias"]
        )
    np.testing.assert_allclose(gained, 2 * change["synthesis"]["b4_conv1"]["bias"], atol=1e-5)
    again = code_at(GEN, PARAMS, path.inverse(GEN, PARAMS, moved, 2.0), "weights")
    if held:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), again, before)


def test_several_paths_are_walked_in_one_call_and_back() -> None:
    moves = [(PATHS[name][0], 0.4) for name in ("line in w of w+", "kept norm", "line in w+")]
    moved = apply_all(GEN, PARAMS, {"w+": CODES["w+"]}, moves)
    again = undo_all(GEN, PARAMS, moved, moves)["w+"]
    np.testing.assert_allclose(again, CODES["w+"], atol=2e-5)
    lines = [(linear(ONE), 1.0), (linear(replace(ONE, vector=vector(D))), -2.0)]
    first, second = (
        apply_all(GEN, PARAMS, {"w": CODES["w"]}, x)["w"] for x in (lines, lines[::-1])
    )
    np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), "3", None])
def test_amounts_are_numbers(amount) -> None:
    with pytest.raises(ValueError, match="amount of 'age' must be a finite number"):
        linear(ONE).apply(GEN, PARAMS, {"w": CODES["w"]}, amount)


@pytest.mark.parametrize("space", ["w", "w+", "s", "weights"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_conditioned_direction_is_orthogonal_to_every_condition(space: str, count: int) -> None:
    def draw(i: int) -> Direction:
        trees = {
            "w": vector(D),
            "w+": vector(ROWS, D) if i % 2 else vector(D),
            "s": tuple(map(vector, SPEC.styles)),
            "weights": {"a": {"b": vector(3, 2)}, "c": vector(5)} if i else {"c": vector(5)},
        }
        return Direction(f"d{i}", space, trees[space], effects={"x": 1.0}, usable=(-1, 1))

    def flat(tree) -> np.ndarray:
        if space == "weights":
            tree = {"a": tree.get("a", {"b": np.zeros((3, 2))}), "c": tree["c"]}
        if space == "w+":
            tree = np.ones((ROWS, 1)) * np.asarray(tree)
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])

    first, *others = [draw(i) for i in range(count + 1)]
    found = conditioned(first, others)
    for other in others:
        assert flat(found.vector) @ flat(other.vector) == pytest.approx(0, abs=1e-4)
    length = np.linalg.norm(flat(found.vector))
    assert length == pytest.approx(np.linalg.norm(flat(first.vector)), rel=1e-5)
    rest = flat(first.vector) - (flat(first.vector) @ flat(found.vector)) / length**2 * flat(
        found.vector
    )
    basis = np.stack([flat(other.vector) for other in others], 1)
    left = rest - basis @ np.linalg.lstsq(basis, rest, rcond=None)[0]
    np.testing.assert_allclose(left, 0, atol=1e-4)
    assert (found.effects, found.usable) == ({}, None)


def test_a_direction_in_the_span_of_its_conditions_is_refused() -> None:
    first, second = Direction("a", "w", vector(D)), Direction("b", "w", vector(D))
    mixed = Direction("c", "w", first.vector - 2 * second.vector)
    with pytest.raises(ValueError, match="'c' lies in the span of a, b"):
        conditioned(mixed, (first, second))
    with pytest.raises(ValueError, match=r"'a' is of space 'w', its condition 'b' of 'z'"):
        conditioned(first, (replace(second, space="z"),))
    here, there = (replace(one, generator=c * 64) for one, c in ((first, "0"), (second, "1")))
    with pytest.raises(ValueError, match="'a' is of generator '000000000000'"):
        conditioned(here, (there,))
    assert conditioned(first, ()) is first


def test_measured_effects_are_cancelled_instead_of_projected() -> None:
    age = Direction("age", "w", np.array([1.0, 0, 0]), effects={"age": 10.0, "male": 0.1})
    smile = Direction("smile", "w", np.array([0, 1.0, 0]), effects={"smile": 2.0, "age": 1.0})
    gender = Direction(
        "gender", "w", np.array([1.0, 1, 1]), effects={"male": 0.5, "age": 6.0, "smile": 1.0}
    )
    found = conditioned(gender, [age, smile])
    # 10 a + 1 s = 6 and 2 s = 1.
    np.testing.assert_allclose(found.vector, [1 - 0.55, 1 - 0.5, 1], rtol=1e-6)
    assert found.effects == pytest.approx({"male": 0.5 - 0.055, "age": 0.0, "smile": 0.0})
    # What it hardly changes costs it nothing, however much the vectors point the same way.
    calm = Direction("calm", "w", np.array([1.0, 1, 1]), effects={"male": 0.5, "age": 0.0})
    np.testing.assert_array_equal(conditioned(calm, [age]).vector, calm.vector)
    with pytest.raises(ValueError, match="lies in the span of age"):
        conditioned(age, [age])


def test_effects_are_cancelled_in_the_rows_that_move() -> None:
    age = Direction("age", "w+", np.array([2.0, 0]), rows=(1, 2), effects={"age": 4.0})
    yaw = Direction("yaw", "w+", np.array([0, 1.0]), rows=(0,), effects={"yaw": 1.0, "age": 2.0})
    found = conditioned(yaw, [age], num_rows=4)
    assert found.rows == (0, 1, 2)
    np.testing.assert_allclose(found.vector, [[0, 1], [-1, 0], [-1, 0], [0, 0]])
    assert conditioned(yaw, [age]).effects == {}  # without the number of rows: projected
