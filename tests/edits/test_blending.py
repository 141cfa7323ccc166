"""Between codes: ends, lengths, what else is interpolated, rows, and walks."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.edits.blending import common_space, interpolate, mix, rows_of, slerp, walk
from jaxinv.latents.sampling import of_class
from jaxinv.models.rendering import render
from jaxinv.types import Latents
from tests import tiny
from tests.tiers import mostly_slow

DRAWS = np.random.default_rng(5)
GEN, PARAMS = tiny.style()
D, ROWS = GEN.spec.w_dim, GEN.spec.rows


def draw(*shape: int) -> np.ndarray:
    return DRAWS.standard_normal(shape).astype(np.float32)


def draw_styles() -> tuple[np.ndarray, ...]:
    return tuple(draw(n) for n in GEN.spec.styles)


def picture(latents: Latents) -> np.ndarray:
    return render(GEN, PARAMS, jax.tree.map(lambda a: np.asarray(a)[None], latents))[0]


@pytest.mark.parametrize(
    ("first", "second", "space"),
    [
        ({"z": draw(D)}, {"z": draw(D)}, "z"),
        ({"z": draw(D)}, {"w": draw(D)}, "w"),
        ({"w": draw(D)}, {"w+": draw(ROWS, D)}, "w+"),
        ({"z+": draw(ROWS, D)}, {"w": draw(D)}, "w+"),
        ({"s": draw_styles()}, {"z": draw(D)}, "s"),
    ],
)
def test_the_ends_are_the_given_pictures(first: Latents, second: Latents, space: str) -> None:
    found = interpolate(GEN, PARAMS, (first, second), [0.0, 0.5, 1.0])
    assert set(found) == {space} == {common_space(first, second)}
    pictures = render(GEN, PARAMS, found)
    for index, end in ((0, first), (2, second)):
        np.testing.assert_allclose(pictures[index], picture(end), atol=2e-5)
    assert np.abs(pictures[1] - pictures[0]).max() > 0.01


def test_arcs_have_lengths_between_and_equal_angles() -> None:
    a, b = jnp.asarray(draw(4, 16)), jnp.asarray(3 * draw(4, 16))
    unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b)]
    whole = np.arccos(np.sum(unit[0] * unit[1], -1))
    for share in (0.0, 0.25, 0.6, 1.0):
        c = np.asarray(slerp(a, b, share))
        lengths = np.linalg.norm(c, axis=-1)
        ends = [np.linalg.norm(x, axis=-1) for x in (a, b)]
        np.testing.assert_allclose(lengths, (1 - share) * ends[0] + share * ends[1], rtol=1e-5)
        angle = np.arccos(np.clip(np.sum(unit[0] * c, -1) / lengths, -1, 1))
        np.testing.assert_allclose(angle, share * whole, atol=2e-3)
    for parallel in (2 * a, -a, 0 * a):
        middle = np.asarray(slerp(a, parallel, 0.5))
        np.testing.assert_allclose(middle, (a + parallel) / 2, atol=1e-5)


@pytest.mark.slow
def test_noise_and_weights_are_interpolated_with_the_code() -> None:
    """Equation 31 of the survey: every array that draws is between its two ends."""
    bias = PARAMS["synthesis"]["b4_conv1"]["bias"]
    kernel = PARAMS["synthesis"]["b8_conv1"]["kernel"]
    noise = tuple(draw(side, side) for side in GEN.spec.noise)
    first = {
        "w": draw(D),
        "noise": noise,
        "weights": {"synthesis": {"b4_conv1": {"bias": {"times": draw(*bias.shape)}}}},
    }
    value = np.asarray(kernel) + 0.1 * draw(*kernel.shape)
    second = {
        "w": draw(D),
        "weights": {"synthesis": {"b8_conv1": {"kernel": {"value": value}}}},
    }
    found = interpolate(GEN, PARAMS, (first, second), [0.0, 0.25, 1.0])
    pictures = render(GEN, PARAMS, found)
    np.testing.assert_allclose(pictures[0], picture(first), atol=2e-5)
    np.testing.assert_allclose(pictures[2], picture(second), atol=2e-5)
    changes = found["weights"]["synthesis"]
    times = first["weights"]["synthesis"]["b4_conv1"]["bias"]["times"]
    np.testing.assert_allclose(
        changes["b4_conv1"]["bias"]["add"][1], 0.75 * np.asarray(bias) * times, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        changes["b8_conv1"]["kernel"]["add"][1], 0.25 * (value - np.asarray(kernel)), atol=1e-6
    )


@pytest.mark.slow
def test_classes_are_interpolated_as_vectors() -> None:
    gen, params = tiny.classes()
    z = draw(2, gen.spec.z_dim)
    first, second = (of_class(gen, {"z": one}, k) for one, k in zip(z, (1, 4), strict=True))
    found = interpolate(gen, params, (first, second), [0.0, 0.5, 1.0])
    ends = [np.asarray(gen.embed(params, one["label"])) for one in (first, second)]
    np.testing.assert_allclose(found["embedding"][1], (ends[0] + ends[1]) / 2, atol=1e-6)
    batch = jax.tree.map(lambda a: np.asarray(a)[None], second)
    np.testing.assert_allclose(
        render(gen, params, found)[2], render(gen, params, batch)[0], atol=1e-4
    )


def test_wrong_spaces_and_ways_are_refused() -> None:
    ends = {"w": draw(D)}, {"w": draw(D)}
    for options, said in (
        ({"space": "z"}, "cannot give 'z'"),
        ({"space": "v"}, "unknown space 'v'"),
        ({"way": "spline"}, "unknown way 'spline'"),
    ):
        with pytest.raises(ValueError, match=said):
            interpolate(GEN, PARAMS, ends, [0.5], **options)
    with pytest.raises(ValueError, match="allowed: a code in one space"):
        interpolate(GEN, PARAMS, ({"noise": GEN.stored_noise(PARAMS)}, {"w": draw(D)}), [0.5])


@pytest.mark.parametrize("space", mostly_slow(["w+", "w", "s"], fast=["w+"]))
def test_mixing_takes_rows_of_the_second(space: str) -> None:
    codes = {"w": draw(D), "w+": draw(ROWS, D), "s": draw_styles()}
    content, style = {"w": draw(D), "noise": GEN.stored_noise(PARAMS)}, {space: codes[space]}
    mixed = mix(GEN, PARAMS, content, style, [1, 3])
    assert mixed["noise"] is content["noise"]
    whole = mix(
        GEN, PARAMS, content, style, range(len(mixed["s"] if space == "s" else mixed["w+"]))
    )
    np.testing.assert_allclose(picture(whole), picture({**content, **style} if space != "w" else
        {**content, "w": codes["w"]}), atol=2e-5)  # fmt: skip
    if space != "s":
        rows = np.broadcast_to(codes[space], (ROWS, D))
        np.testing.assert_array_equal(mixed["w+"][np.array([1, 3])], rows[[1, 3]])
        np.testing.assert_array_equal(mixed["w+"][0], content["w"])
    with pytest.raises(ValueError, match="allowed: some of 0 to"):
        mix(GEN, PARAMS, content, style, [40])
    with pytest.raises(ValueError, match="has no rows"):
        mix(*tiny.chain(), {"z": draw(8)}, {"z": draw(8)}, [1])


@pytest.mark.parametrize(
    ("text", "rows"),
    [("0-2,5", (0, 1, 2, 5)), ("3", (3,)), ("coarse", (0, 1, 2, 3)), ("middle", (4, 5))],
)
def test_rows_by_number_and_name(text: str, rows: tuple[int, ...]) -> None:
    assert rows_of(text, GEN) == rows


def test_names_of_rows_follow_the_layout_of_the_generator() -> None:
    gen = GEN._replace(spec=replace(GEN.spec, layout18=(0, 2, 4, 6, 8, 9)))
    assert [rows_of(name, gen) for name in ("coarse", "middle", "fine")] == [(0, 1), (2, 3), (4, 5)]
    assert rows_of("style", gen) == (5,)


@pytest.mark.parametrize("text", ["", "x", "3-1", "0-9", "1-2-3", "-1", "fine"])
def test_rows_that_there_are_not(text: str) -> None:
    with pytest.raises(ValueError, match="rows"):
        rows_of(text, GEN)


@pytest.mark.parametrize("pair", [tiny.style, tiny.chain])
def test_a_walk_passes_its_codes_and_closes(pair) -> None:
    gen, params = pair()
    found = walk(gen, params, 3, 4, seed=2)
    (space,) = found
    codes = np.asarray(found[space])
    assert len(codes) == 12
    steps = np.linalg.norm(codes - np.roll(codes, 1, axis=0), axis=-1)
    assert steps.max() < np.linalg.norm(codes[0] - codes[4])
    again = walk(gen, params, 3, 4, seed=2)
    np.testing.assert_array_equal(codes, again[space])
    if space == "w":
        start = {"w+": draw(ROWS, D), "noise": GEN.stored_noise(params)}
        from_there = walk(gen, params, 2, 3, start=start)
        np.testing.assert_allclose(from_there["w+"][0], start["w+"], atol=1e-6)
        assert render(gen, params, from_there).shape[0] == 6
