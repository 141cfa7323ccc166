"""Encoders of parts: what all of them promise, on small ones with random weights."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.encoders.backbones import BACKBONES
from jaxinv.encoders.base import Beside
from jaxinv.encoders.encoding import encode
from jaxinv.encoders.heads import HEADS
from jaxinv.encoders.layers import BATCH, Norm
from jaxinv.encoders.loading import load_encoder, save_encoder
from jaxinv.encoders.necks import NECKS
from jaxinv.encoders.networks import build
from jaxinv.encoders.planes import Sample
from jaxinv.encoders.rollouts import Weights
from jaxinv.encoders.rollouts import encode as roll_one
from jaxinv.specs.encoders import EncoderSpec
from tests.tiny import mobile
from tests.tiny_encoders import CORRECTION, DELTAS, FEEDBACK, LOOK, TOLD, drawn, pictures


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    monkeypatch.setattr("jaxinv.encoders.loading.use_compilation_cache", lambda: None)


def same(a: Any, b: Any) -> bool:
    return all(jax.tree.leaves(jax.tree.map(np.array_equal, a, b)))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("neck", NECKS)
def test_every_head_gives_the_code_of_the_spec(neck: str, head: str) -> None:
    for rows, output in ((6, "w+"), (8, "w+"), (0, "w")):
        if head == "pooled-levels" and not rows:
            continue
        groups = (3, 2) if head == "pooled-levels" else (3, 4)
        spec = replace(LOOK, head=head, neck=neck, rows=rows, output=output)
        encoder = build(replace(spec, facts=(("groups", groups), ("width", 4))))
        params = jax.eval_shape(encoder.init, jax.random.key(0))
        found = jax.eval_shape(encoder.predict, params, jnp.zeros(spec.input_shape))
        assert found["code"].shape == spec.shape == params["average"].shape


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("side", [32, 48])
def test_every_backbone_halves_four_times(backbone: str, side: int) -> None:
    spec = replace(LOOK, backbone=backbone, neck="none", side=side, facts=(("width", 4),))
    encoder = build(spec)
    params = jax.eval_shape(encoder.init, jax.random.key(0))
    assert jax.eval_shape(encoder.predict, params, jnp.zeros(spec.input_shape))["code"].shape
    halvings = sum(name.startswith("styles.0.convs") for name in params["params"])
    assert halvings == (side // 16 - 1).bit_length()


def test_deltas_are_switched_on_row_by_row() -> None:
    encoder, params = drawn(DELTAS)
    planes = jnp.asarray(pictures(1)[0])
    look = jax.jit(lambda stage: encoder.predict(params, planes, Beside(stage))["code"])
    whole = np.asarray(look(DELTAS.rows))
    none = np.asarray(look(0))
    assert np.array_equal(none, np.tile(none[:1], (DELTAS.rows, 1)))
    some = np.asarray(look(3))
    assert np.array_equal(some[:4], whole[:4])
    assert np.array_equal(some[4:], none[4:])
    np.testing.assert_allclose(encoder.predict(params, planes)["code"], whole, atol=1e-6)


def test_one_pass_of_feedback_is_a_single_look() -> None:
    encoder, params = drawn(FEEDBACK)
    once = (build(replace(FEEDBACK, passes=1)), params)
    given: dict[str, Any] = {"generator": mobile()}
    looked = encode(pictures(2), (encoder, params), passes=1, **given)
    assert same(looked, encode(pictures(2), once, **given))
    first, last = (encode(pictures(2), (encoder, params), passes=n, **given)["w+"] for n in (1, 3))
    assert np.abs(first - last).max() > 1e-3
    assert same(encode(pictures(2), (encoder, params), **given)["w+"], last)


@pytest.mark.parametrize("spec", [LOOK, FEEDBACK, CORRECTION, TOLD], ids=lambda spec: spec.name)
def test_a_batch_gives_what_one_by_one_does(spec: EncoderSpec) -> None:
    loaded, seen = drawn(spec), pictures(3)
    given: dict[str, Any] = {"generator": mobile()}
    given |= {"attribute": 0.3} if spec is TOLD else {}
    alone = np.concatenate([encode(one[None], loaded, **given)["w+"] for one in seen])
    assert np.array_equal(encode(seen, loaded, **given)["w+"], alone)
    np.testing.assert_allclose(encode(seen, loaded, batch=2, **given)["w+"], alone, atol=2e-5)
    gen, weights = mobile()
    whole = jax.jit(partial(roll_one, loaded[0], gen))
    attribute = jnp.asarray(0.3) if spec is TOLD else None
    found = whole(Weights(loaded[1], weights), Sample(jnp.asarray(seen[0]), attribute=attribute))
    np.testing.assert_allclose(found["w+"], alone[0], atol=2e-5)


def test_codes_are_added_to_those_of_the_encoder_before() -> None:
    loaded = drawn(TOLD)
    encoder, params = loaded
    seen = pictures(1)
    assert encoder.before is not None
    before = encode(seen, (encoder.before, params["before"]))["w+"]
    average = np.asarray(params["before"]["average"])
    own = encoder.predict(params, jnp.concatenate([seen[0], np.full((32, 32, 1), 0.3)], -1))
    np.testing.assert_allclose(
        encode(seen, loaded, attribute=0.3)["w+"][0], before[0] + own["code"], atol=2e-5
    )
    frozen = encoder.before.predict(params["before"], jnp.asarray(seen[0]))["code"]
    np.testing.assert_allclose(before[0], frozen + average, atol=2e-5)


@pytest.mark.parametrize("spec", [LOOK, CORRECTION], ids=lambda spec: spec.name)
def test_an_encoder_comes_back_as_it_was_saved(spec: EncoderSpec, tmp_path: Path) -> None:
    encoder, params = drawn(spec)
    path = save_encoder(tmp_path / "mine.safetensors", encoder, params, generator="tiny")
    again, held = load_encoder("mine")
    assert again.spec == encoder.spec
    assert same(held, params)
    given: dict[str, Any] = {"generator": mobile()}
    assert same(
        encode(pictures(1), (again, held), **given), encode(pictures(1), (encoder, params), **given)
    )
    assert load_encoder(str(path))[0] is again
    (tmp_path / "run").mkdir()
    path.rename(tmp_path / "run" / "encoder.safetensors")
    assert load_encoder(str(tmp_path / "run"))[0] is again


def recogniser() -> dict[str, Any]:
    """Arrays of a recogniser of one unit, whose vectors have 4 numbers."""
    draws = np.random.default_rng(1)
    shapes = {
        "input_layer.0": {"kernel": (3, 3, 3, 2), "bias": (2,)},
        "body.0.res_layer.0": {"scale": (2,), "bias": (2,)},
        "body.0.res_layer.1": {"kernel": (3, 3, 2, 2), "bias": (2,)},
        "body.0.res_layer.3": {"kernel": (3, 3, 2, 2), "bias": (2,)},
        "output_layer": {"kernel": (56 * 56 * 2, 4), "bias": (4,)},
    }
    made: dict[str, Any] = {
        layer: {name: 0.3 * draws.standard_normal(s).astype("f4") for name, s in held.items()}
        for layer, held in shapes.items()
    }
    return {**made, "input_layer.2": np.ones(2, "f4"), "body.0.res_layer.2": np.ones(2, "f4")}


def test_a_recogniser_is_kept_in_the_file_of_its_encoder(tmp_path: Path) -> None:
    facts = (("width", 4), ("hidden", (6,)), ("vector", 4), ("recogniser", "arcface-ir"))
    spec = replace(
        LOOK,
        name="who",
        backbone="dcgan",
        neck="none",
        head="identity-mlp",
        planes=("image", "identity"),
        side=16,
        output="w",
        rows=0,
        base="zeros",
        facts=facts,
    )
    encoder = build(spec)
    params = {**encoder.init(jax.random.key(0)), "recogniser": recogniser()}
    save_encoder(tmp_path / "who.safetensors", encoder, params)
    again, held = load_encoder("who")
    assert same(held, params)
    seen = pictures(2, 64)
    code = encode(seen, (again, held), identities=seen[:1])["w"]
    other = encode(seen, (again, held))["w"]
    np.testing.assert_allclose(code[0], other[0], atol=1e-6)
    assert np.abs(code[1] - other[1]).max() > 1e-4
    short = {k: v for k, v in params.items() if k != "recogniser"}
    with pytest.raises(ValueError, match="arrays that fit no arcface-ir"):
        save_encoder(tmp_path / "none.safetensors", encoder, short)


def test_the_norm_learns_as_torch_does() -> None:
    x = np.random.default_rng(0).normal(2, 3, (5, 4, 6, 2)).astype(np.float32)
    variables = Norm().init(jax.random.key(0), x[0])
    shift = {"mean": jnp.asarray([0.5, -1.0]), "variance": jnp.asarray([2.0, 0.5])}
    variables = {**variables, "batch_stats": shift}

    def one(sample: Any) -> Any:
        return Norm().apply(variables, sample, mutable=["batch_stats"])

    y, moved = jax.vmap(one, axis_name=BATCH, out_axes=(0, None))(x)
    flat = x.reshape(-1, 2)
    np.testing.assert_allclose(
        y.reshape(-1, 2), (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5), atol=1e-5
    )
    found = moved["batch_stats"]
    np.testing.assert_allclose(found["mean"], 0.9 * shift["mean"] + 0.1 * flat.mean(0), rtol=1e-5)
    unbiased = flat.var(0, ddof=1)
    np.testing.assert_allclose(
        found["variance"], 0.9 * shift["variance"] + 0.1 * unbiased, rtol=1e-5
    )


def test_learning_uses_the_batch_and_moves_the_statistics() -> None:
    encoder, params = drawn()
    outputs, moved = jax.jit(encoder.learn)(params, jnp.asarray(pictures(2)))
    assert outputs["code"].shape == (2, *LOOK.shape)
    assert jax.tree.structure(moved) == jax.tree.structure(params["batch_stats"])
    pairs = zip(jax.tree.leaves(moved), jax.tree.leaves(params["batch_stats"]), strict=True)
    assert not any(np.array_equal(*pair) for pair in pairs)
