"""Saved walks: their files, the paths that they are, and what they refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.edits.directions import Direction, save_direction
from jaxinv.edits.discovery import flows, regressor_walks, styleclip
from jaxinv.edits.discovery.local_styles import step_across
from jaxinv.edits.discovery.training import Training, mlp, mlp_init
from jaxinv.edits.editing import AmountWarning, edit
from jaxinv.edits.walk_paths import walk_path
from jaxinv.edits.walks import KINDS, Walk, load_walk, save_walk
from jaxinv.edits.ways import load_way, save_way, way_path
from jaxinv.io import checkpoints
from jaxinv.latents.sampling import sample_latents
from jaxinv.models.loading import generator_hash
from tests import tiny
from tests.edits.renderer import DIM, codes, directions, renderer
from tests.tiers import mostly_slow

DRAWS = np.random.default_rng(11)
GEN, PARAMS = renderer()
KEY = jax.random.key(3)


def nets() -> dict[str, Any]:
    net = {"in": DRAWS.standard_normal((DIM, 5)), "out": 0.3 * DRAWS.standard_normal((5, DIM))}
    return {"forward": net, "back": net}


def flow_of(known: int) -> dict[str, Any]:
    return flows.start(KEY, codes(50), known, (6,))


MEASURE = mlp_init(KEY, (DIM, 7, 3))
# fmt: off
WALKS: dict[str, Walk] = {
    "recursion": Walk("zoom", "recursion", "z", {
        "scale": np.full(DIM, 0.8), "shift": np.ones(DIM)}),
    "circle": Walk("turn", "circle", "w", {"vector": directions((GEN, PARAMS))[1]}),
    "small circle": Walk("turn", "circle", "w", {
        "vector": directions((GEN, PARAMS))[1], "fixed": directions((GEN, PARAMS))[2:4]}),
    "steps": Walk("red", "steps", "w", nets()),
    "flow": Walk("age", "flow", "w", {"flow": flow_of(3), "measure": MEASURE}, {"target": 1}),
    "proxy": Walk("age", "proxy", "w", {"measure": MEASURE}, {
        "target": 2, "keep": [0], "step": 0.25}),
    "mapper": Walk("hat", "mapper", "w+", {"weights": styleclip.mapper_init(KEY, GEN.spec)}, {
        "axis": 2}),
    "rig": Walk("pose", "rig", "w", {"change": mlp_init(KEY, (DIM + 3, 6, DIM))}, {"target": 0}),
    "intervention": Walk("age", "intervention", "s", {
        "normals": DRAWS.standard_normal((2, DIM)), "deviation": 1 + DRAWS.uniform(size=DIM)},
        {"target": 1}),
    "channels": Walk("hat", "channels", "s", {
        "query": (np.arange(DIM) > 5) + 0.0, "reference": DRAWS.standard_normal(DIM)}),
}
# fmt: on
EXACT = ("recursion", "circle", "small circle", "intervention", "channels")


@pytest.mark.parametrize("name", WALKS)
def test_a_walk_comes_back_from_its_file(name: str, tmp_path: Path) -> None:
    first = replace(
        WALKS[name],
        generator=generator_hash(PARAMS),
        generator_name="renderer",
        unit="a step",
        usable=(-2, 3.5),
        effects={"age": 1.5},
        source="by hand",
    )
    again = load_way(save_way(tmp_path / "walk.safetensors", first))
    assert isinstance(again, Walk)
    assert jax.tree.structure(again.arrays) == jax.tree.structure(first.arrays)
    jax.tree.map(np.testing.assert_array_equal, again.arrays, first.arrays)
    for field in ("name", "kind", "space", "options", "generator", "generator_name", "unit"):
        assert getattr(again, field) == getattr(first, field)
    assert (again.usable, again.effects, again.source) == ((-2, 3.5), {"age": 1.5}, "by hand")
    assert again.width == DIM


QUICK = tuple(name for name in WALKS if name != "flow")


@pytest.mark.parametrize("name", mostly_slow(WALKS, fast=[n for n in QUICK if n != "intervention"]))
def test_amounts_move_codes_and_lead_back(name: str) -> None:
    walk, path = WALKS[name], walk_path(WALKS[name], GEN, PARAMS)
    latents = {walk.space if walk.space == "z" else "w": codes(1, 5)[0]}
    start = path.apply(GEN, PARAMS, latents, 0.0)
    moved = path.apply(GEN, PARAMS, latents, 0.6)
    apart = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), start, moved)
    assert max(jax.tree.leaves(apart)) > 1e-3
    if name in EXACT:
        back = path.inverse(GEN, PARAMS, moved, 0.6)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), back, start)


@pytest.mark.parametrize("name", mostly_slow(WALKS, fast=QUICK))
def test_no_amount_is_no_change_and_rows_move_alone(name: str) -> None:
    walk = WALKS[name]
    path = walk_path(walk, GEN, PARAMS)
    place = walk.space if walk.space == "z" else "w"
    code = codes(1, 6)[0]
    still = path.apply(GEN, PARAMS, {place: code}, 0.0)[walk.space]
    both = jnp.stack([code, code])
    goal = {"s": GEN.affine(PARAMS, both), "w+": both}.get(walk.space, code)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), still, goal)
    if walk.space != "w":
        return
    plus = {"w+": np.stack([code, codes(1, 7)[0]])}
    rows = way_path(walk, GEN, PARAMS, rows=(1,)).apply(GEN, PARAMS, plus, 0.5)["w+"]
    np.testing.assert_array_equal(rows[0], code)
    alone = path.apply(GEN, PARAMS, {"w": plus["w+"][1]}, 0.5)["w"]
    np.testing.assert_allclose(rows[1], alone, atol=1e-5)


def test_a_proxy_walk_goes_as_far_as_it_is_told_and_keeps() -> None:
    """In steps of 0.25, and one of what is left; a linear proxy keeps exactly."""
    kernel = DRAWS.standard_normal((DIM, 3))
    net = {"fc0": {"kernel": kernel, "bias": np.zeros(3)}}
    walk = Walk("a", "proxy", "w", {"measure": net}, {"target": 1, "keep": [0, 2], "step": 0.25})
    path, code = walk_path(walk, GEN, PARAMS), codes(1)[0]
    for amount in (0.9, -0.9, 0.25):
        step = np.asarray(path.apply(GEN, PARAMS, {"w": code}, amount)["w"]) - code
        assert np.linalg.norm(step) == pytest.approx(abs(amount), rel=1e-3)
        change = step @ kernel
        assert np.sign(change[1]) == np.sign(amount)
        assert np.abs(change[[0, 2]]).max() < 1e-3 * np.abs(change[1])


def test_an_intervention_gains_the_amount_with_few_channels() -> None:
    normals = np.eye(DIM)[[1, 4]] + 0.05
    planes = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    for amount in (1.5, -1.5):
        change = step_across(normals, 0, amount)
        assert planes[0] @ change == pytest.approx(amount, abs=0.05)
        assert abs(planes[1] @ change) < 0.1
        assert np.argmax(np.abs(change)) == 1
        assert np.count_nonzero(change) < DIM
    assert not step_across(normals, 0, 0.0).any()


def test_channels_are_taken_from_the_reference() -> None:
    walk = WALKS["channels"]
    path = walk_path(walk, GEN, PARAMS)
    code = codes(1, 8)[0]
    own = np.concatenate(GEN.affine(PARAMS, jnp.stack([code, code])))
    for amount in (0.5, 1.0):
        moved = np.concatenate(path.apply(GEN, PARAMS, {"w": code}, amount)["s"])
        query = walk.arrays["query"]
        goal = own + amount * query * (walk.arrays["reference"] - own)
        np.testing.assert_allclose(moved, goal, atol=1e-5)
    with pytest.raises(ValueError, match="no way back"):
        path.inverse(GEN, PARAMS, {"w": code}, 1.0)
    bare = replace(walk, arrays={"query": walk.arrays["query"]})
    with pytest.raises(ValueError, match="jaxinv mix A B --channels FILE"):
        walk_path(bare, GEN, PARAMS)


@pytest.mark.slow
def test_a_flow_that_is_too_stiff_is_refused_in_words() -> None:
    weights = flow_of(3)
    name = f"{flows.LAYER}.1._layer.weight"
    wild = {**weights, name: 1e6 * weights[name], "chain.1.sqrt_end_time": jnp.asarray(1e4)}
    walk = replace(WALKS["flow"], arrays={"flow": wild, "measure": MEASURE})
    path = walk_path(walk, GEN, PARAMS)
    with pytest.raises(ValueError, match="steps of its flow; allowed: smaller amounts"):
        path.apply(GEN, PARAMS, {"w": codes(1)[0]}, 1.0)


def test_edits_take_walks_and_refuse_what_makes_no_sense() -> None:
    latents = {"z": codes(2, 3)}
    walk = replace(WALKS["recursion"], usable=(0, 2))
    line = Direction("up", "w", directions((GEN, PARAMS))[0])
    with pytest.warns(AmountWarning, match="2.5 of 'zoom' lies beyond its usable range, 0 to 2"):
        moved = edit(GEN, PARAMS, latents, [(walk, 2.5), (line, 1.0)])
    once = walk_path(walk, GEN, PARAMS).move(latents["z"][0], 2.5) + line.vector
    np.testing.assert_allclose(moved["w"][0], once, rtol=1e-4)
    circle = WALKS["circle"]
    cases: list[tuple[dict[str, Any], Walk, str]] = [
        ({"conditions": [line]}, circle, "conditions on walk 'turn', which leads elsewhere"),
        ({"conditions": [circle]}, circle, "walk 'turn' as a condition"),
        ({"rows": [0]}, walk, "rows .* of walk 'zoom' in 'z'; allowed: none"),
        ({"rows": [0]}, WALKS["channels"], "rows .* of walk 'hat' in 's'; allowed: none"),
        ({"rows": [2]}, circle, r"rows \[2\] of walk 'turn'; generator 'renderer' has rows 0 to 1"),
        ({}, replace(circle, generator="1" * 64, generator_name="cats"), "'cats'.*'renderer'"),
        ({}, replace(circle, arrays={"vector": np.ones(7)}), "of 7 numbers in 'w'; .* allows 8"),
    ]
    for given, one, said in cases:
        with pytest.raises(ValueError, match=said):
            edit(GEN, PARAMS, latents, [(one, 1.0)], **given)
    gen, params = tiny.chain()
    with pytest.raises(ValueError, match="walk 'turn' lies in 'w'; generator 'chain' has z"):
        edit(gen, params, sample_latents(gen, params, 1), [(circle, 1.0)])
    with pytest.raises(ValueError, match="'zoom' moves in 'z'; these latents are in 'w'"):
        edit(GEN, PARAMS, moved, [(replace(walk, usable=None), 1.0)])


V = np.ones(DIM)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "spiral"}, "unknown kind of walk 'turn' 'spiral'; allowed: recursion"),
        ({"space": "s"}, "unknown space of walk 'turn' 's'; allowed: z, w"),
        ({"arrays": {}}, "arrays of walk 'turn' are no 'circle': arrays ; allowed: vector, fixed"),
        ({"arrays": {"vector": V, "more": V}}, "allowed: vector, fixed"),
        ({"arrays": {"vector": np.full(8, np.nan)}}, "must be finite"),
        ({"arrays": {"vector": np.full(8, 1e300)}}, "allowed: finite numbers"),
        ({"arrays": {"vector": np.ones((2, 8))}}, "are no 'circle'"),
        ({"arrays": {"vector": V, "fixed": np.ones((2, 7))}}, r"fixed \[2, 7\]"),
        ({"options": {"target": 0}}, "options of walk 'turn': target; allowed for 'circle': none"),
        ({"usable": (1, 0)}, "usable amounts of walk 'turn'"),
        ({"effects": {"a": float("inf")}}, "effect of walk 'turn' on 'a'"),
        ({"name": 3}, "name of a walk is 3"),
        ({"kind": "recursion", "arrays": {"scale": V, "shift": V[1:]}}, "one d for all"),
        ({"kind": "steps", "arrays": {"forward": {"in": V}, "back": {"in": V}}}, "no 'steps'"),
        ({"kind": "proxy", "arrays": {"measure": {}}}, "no 'proxy': a net without layers"),
        ({"kind": "proxy", "arrays": {"measure": {"fc1": {}}}}, "no 'proxy'"),
        ({"kind": "proxy", "arrays": {"measure": V}}, "no 'proxy'"),
        ({"kind": "rig", "arrays": {"change": MEASURE}}, "from 8 to 3 numbers|options"),
        ({"kind": "flow", "arrays": {"flow": flow_of(2), "measure": MEASURE}}, "of widths"),
        ({"kind": "flow", "arrays": {"flow": {"a": V}, "measure": MEASURE}}, "no 'flow': no flow"),
    ],
)
def test_what_is_no_walk_is_refused(change: dict[str, Any], said: str) -> None:
    given = {"name": "turn", "kind": "circle", "space": "w", "arrays": {"vector": V}}
    with pytest.raises(ValueError, match=said):
        Walk(**(given | change))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "options of walk 'age': none; allowed for 'proxy': target, keep, step"),
        ({"target": 3}, "attribute 3 of walk 'age'; allowed: 0 to 2"),
        ({"target": -1}, "whole number of at least 0"),
        ({"target": "x"}, "whole number of at least 0"),
        ({"keep": 1}, "allowed: a list"),
        ({"keep": [0, 3]}, "attribute 3 of walk 'age'"),
        ({"keep": [2]}, "to change and to keep 2"),
        ({"step": 0}, "step of walk 'age' must be above 0"),
        ({"more": 0}, "allowed for 'proxy'"),
    ],
)
def test_options_that_a_walk_does_not_have_are_refused(options: dict, said: str) -> None:
    first = WALKS["proxy"]
    with pytest.raises(ValueError, match=said):
        replace(first, options={**first.options, **options} if options else {})


def test_files_that_hold_no_walk_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "walk.safetensors"
    facts = {"kind": "walk", "name": "turn", "space": "w", "walk": "circle"}
    flat = {"vector": V}
    for tree, metadata, said in (
        (flat, {"kind": "latents"}, "holds 'latents'; allowed: 'walk'"),
        (flat, facts | {"walk": "x"}, "no usable walk"),
        (flat, facts | {"options": "[1]"}, "no usable walk"),
        (flat, facts | {"options": "{"}, "no usable walk"),
        (flat, facts | {"usable": "3"}, "no usable walk"),
        (flat, facts | {"effects": "[]"}, "no usable walk"),
        ({"vector": {"deep": V}}, facts, "no usable walk"),
        ({"vector": np.zeros((0,))}, facts, "no usable walk"),
        ({"vector": np.array(["1.5"]).view(np.int32)}, facts | {"walk": "flow"}, "no usable walk"),
        (flat, {"kind": "walk"}, "no usable walk"),
    ):
        checkpoints.save(path, tree, metadata)
        with pytest.raises(ValueError, match=said):
            load_walk(path)
    checkpoints.save(path, flat, {"kind": "latents"})
    with pytest.raises(ValueError, match="holds 'latents'; allowed: 'direction', 'walk'"):
        load_way(path)
    line = Direction("up", "w", V)
    assert isinstance(load_way(save_direction(path, line)), Direction)


def test_every_hostile_change_of_a_flow_is_refused() -> None:
    """An array that is missing, has another shape, or is a branch."""
    weights = flow_of(3)
    for name, held in weights.items():
        rest = {key: value for key, value in weights.items() if key != name}
        for wrong in ({}, {name: np.ones((*np.shape(held), 2))}, {name: {"deep": V}}):
            arrays = {"flow": {**rest, **wrong}, "measure": MEASURE}
            with pytest.raises(ValueError, match="no 'flow'"):
                Walk("age", "flow", "w", arrays, {"target": 1})


def test_every_kind_is_tried_here() -> None:
    assert {walk.kind for walk in WALKS.values()} == set(KINDS)


def test_metadata_of_a_walk_say_what_it_is(tmp_path: Path) -> None:
    _, facts = checkpoints.load(save_walk(tmp_path / "a.safetensors", WALKS["proxy"]))
    assert (facts["kind"], facts["walk"], facts["space"]) == ("walk", "proxy", "w")
    assert json.loads(facts["options"]) == {"target": 2, "keep": [0], "step": 0.25}


def test_the_end_of_a_black_box_walk_is_that_of_its_steps() -> None:
    learned = regressor_walks.proxy(codes(200), codes(200)[:, :2], Training(20, 1e-2))
    points = regressor_walks.black_box_walk(learned.params, codes(1)[0], 0, keep=(1,), steps=5)
    end = regressor_walks.black_box_end(
        learned.params, codes(1)[0], (0, (1,)), length=1.0, step=0.2
    )
    np.testing.assert_allclose(end, points[-1], atol=1e-6)
    assert mlp(learned.params, jnp.asarray(end))[0] > mlp(learned.params, codes(1)[0])[0]
