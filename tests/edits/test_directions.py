"""Directions: their fields, their files, and the generators that they belong to."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.edits.directions import (
    Direction,
    fit_direction,
    generator_hash,
    load_direction,
    save_direction,
)
from jaxinv.io import checkpoints
from tests import tiny

DRAWS = np.random.default_rng(0)
VECTORS = {
    "z": DRAWS.standard_normal(8),
    "z+": DRAWS.standard_normal((6, 8)),
    "w": DRAWS.standard_normal(8),
    "w+": DRAWS.standard_normal((6, 8)),
    "p": DRAWS.standard_normal(8),
    "p+": DRAWS.standard_normal(8),
    "s": tuple(DRAWS.standard_normal(n) for n in tiny.STYLE.styles),
    "weights": {"mapping": {}},
}


def weights_vector() -> dict:
    params = tiny.style()[1]
    mapping = jax.tree.map(lambda leaf: np.ones(leaf.shape), params["mapping"])
    return {"mapping": mapping}


def direction(space: str, **fields) -> Direction:
    vector = weights_vector() if space == "weights" else VECTORS[space]
    return Direction(**({"name": "age", "space": space, "vector": vector} | fields))


@pytest.mark.parametrize("space", VECTORS)
def test_a_direction_comes_back_from_its_file(space: str, tmp_path) -> None:
    gen, params = tiny.style()
    rows = (4, 1) if space in ("w", "w+", "z+", "p+") else None
    first = direction(
        space,
        rows=rows,
        generator=generator_hash(params),
        generator_name="style",
        unit="a year",
        usable=(-3, 2.5),
        effects={"age": 1.5, "smile": -0.25},
        source="by hand",
    )
    again = load_direction(save_direction(tmp_path / "age.safetensors", first))
    jax.tree.map(np.testing.assert_array_equal, again.vector, first.vector)
    assert jax.tree.structure(again.vector) == jax.tree.structure(first.vector)
    assert {leaf.dtype for leaf in jax.tree.leaves(again.vector)} == {np.dtype("float32")}
    for name in ("name", "space", "generator", "generator_name", "unit", "effects", "source"):
        assert getattr(again, name) == getattr(first, name)
    assert again.rows == (None if rows is None else (1, 4))
    assert again.usable == (-3, 2.5)
    fitted = fit_direction(again, gen, params)
    jax.tree.map(np.testing.assert_array_equal, fitted.vector, first.vector)


def test_the_hash_is_that_of_the_parameters_alone(tmp_path) -> None:
    _, params = tiny.style()
    plain = {k: params[k] for k in ("mapping", "synthesis")}
    assert generator_hash(params) == generator_hash(plain) == checkpoints.content_sha256(plain)
    other = jax.tree.map(lambda a: a, plain)
    other["mapping"] = jax.tree.map(lambda a: a * jnp.float32(1.001), other["mapping"])
    assert generator_hash(other) != generator_hash(plain)


@pytest.mark.parametrize("space", ["w", "s"])
def test_another_generator_is_refused_with_both_names(space: str) -> None:
    gen, params = tiny.style()
    foreign = direction(space, generator="0" * 64, generator_name="celebahq")
    with pytest.raises(ValueError, match=r"'age' belongs to generator 'celebahq'.*'style'"):
        fit_direction(foreign, gen, params)
    assert fit_direction(replace(foreign, generator=""), gen, params).space == space


@pytest.mark.parametrize("pair", [tiny.chain, tiny.classes])
def test_another_space_is_refused_with_both_names(pair) -> None:
    gen, params = pair()
    with pytest.raises(ValueError, match=rf"'age' lies in 'w'.*'{gen.spec.name}' has z"):
        fit_direction(direction("w"), gen, params)


@pytest.mark.parametrize(
    ("space", "vector"),
    [
        ("z", np.ones(9)),
        ("w", np.ones(7)),
        ("w+", np.ones((5, 8))),
        ("s", (np.ones(16),)),
        ("weights", {"mapping": {"nothing": np.ones(3)}}),
        ("weights", {"nothing": np.ones(3)}),
    ],
)
def test_other_shapes_are_refused(space: str, vector) -> None:
    gen, params = tiny.style()
    with pytest.raises(ValueError, match=r"direction 'age' (has shape|changes)"):
        fit_direction(Direction("age", space, vector), gen, params)


def test_rows_of_published_directions_spread_over_the_generators_own() -> None:
    spec = replace(tiny.TINY, layout18=(0, 1, 1, 2, 3, 3, 4, 5))
    gen, params = tiny.mobile(spec)
    vector = np.arange(18.0)[:, None] + np.ones(spec.w_dim)
    fitted = fit_direction(Direction("pose", "w+", vector, rows=(1, 3)), gen, params)
    np.testing.assert_array_equal(fitted.vector[:, 0], np.asarray(spec.layout18) + 1)
    assert fitted.rows == tuple(i for i, row in enumerate(spec.layout18) if row in (1, 3))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"space": "W"}, "unknown space of direction 'age' 'W'"),
        ({"vector": np.zeros(8)}, "all zero"),
        ({"vector": np.full(8, np.nan)}, "must be finite"),
        ({"vector": np.ones((2, 8))}, r"shape \[2, 8\]; allowed in 'w': \[d\]"),
        ({"vector": (np.ones(8),)}, "is a tuple; allowed: an array"),
        ({"space": "s"}, "allowed: a tuple"),
        ({"space": "s", "vector": (), "rows": None}, "all zero"),
        ({"space": "z", "rows": (1,)}, "has no rows"),
        ({"rows": (-1,)}, "whole numbers from 0"),
        ({"rows": (0.5,)}, "whole numbers from 0"),
        ({"usable": (3, -3)}, "usable amounts"),
        ({"usable": (0, float("inf"))}, "greatest amount"),
        ({"effects": {"age": float("nan")}}, "effect of direction 'age' on 'age'"),
        ({"name": 3}, "name of a direction is 3"),
    ],
)
def test_what_is_no_direction_is_refused(change: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Direction(**({"name": "age", "space": "w", "vector": np.ones(8)} | change))


def test_files_that_hold_no_direction_are_refused(tmp_path) -> None:
    path = tmp_path / "age.safetensors"
    facts = {"kind": "direction", "name": "age", "space": "w"}
    for tree, metadata, said in (
        ({"w": np.ones(8)}, {"kind": "latents"}, "holds 'latents'; allowed: 'direction'"),
        ({"w": np.ones(8)}, facts, "holds 'direction'; allowed: 'direction'"),
        ({"vector": np.ones(8)}, facts | {"rows": "[[1]]"}, "no usable direction"),
        ({"vector": np.ones(8)}, facts | {"rows": "x"}, "no usable direction"),
        ({"vector": np.ones(8)}, facts | {"usable": "3"}, "no usable direction"),
        ({"vector": np.ones(8)}, facts | {"usable": "[1, 2, 3]"}, "no usable direction"),
        ({"vector": np.ones(8)}, facts | {"effects": "[]"}, "no usable direction"),
        ({"vector": {"a": np.ones(8)}}, facts, "no usable direction"),
    ):
        checkpoints.save(path, tree, metadata)
        with pytest.raises(ValueError, match=said):
            load_direction(path)
