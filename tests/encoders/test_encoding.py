"""`encode` and `invert(init=...)`: what they refuse, before any compile, and what they see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxinv import encode, invert
from jaxinv.encoders.encoding import check_fit
from jaxinv.encoders.loading import load_encoder, save_encoder
from jaxinv.encoders.networks import build
from jaxinv.encoders.planes import fitted
from jaxinv.io import checkpoints
from jaxinv.specs import InitSpec, Preset, Stage, Term, Variable
from tests.tiny import SMALL, mobile
from tests.tiny_encoders import (
    CORRECTION,
    FEEDBACK,
    LOOK,
    MASKED,
    SKETCH,
    TOLD,
    drawn,
    owned,
    pictures,
)  # fmt: skip

ONE = pictures(1)
ONCE = Preset(
    "once",
    (Stage((Variable("w+"),), (Term("mse"),), 1),),
    summary="the loss of the start",
    reference="none",
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    monkeypatch.setattr("jaxinv.encoders.loading.use_compilation_cache", lambda: None)
    return tmp_path


@pytest.fixture
def no_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any, **others: Any) -> Any:
        raise AssertionError("compiled before it was checked")

    monkeypatch.setattr("jaxinv.encoders.encoding.roll", refuse)


OWN = {"generator": "own"}
REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (LOOK, {"images": ONE[0]}, r"images must have shape \[B, h, w, 3\]"),
    (LOOK, {"images": ONE[..., :1]}, r"images must have shape \[B, h, w, 3\]"),
    (LOOK, {"images": ONE[:0]}, r"images must have shape"),
    (LOOK, {"images": 255 * (ONE + 1)}, r"\[-1, 1\]"),
    (LOOK, {"images": ONE * np.nan}, "images must be finite"),
    (LOOK, {"batch": 0}, "batch must be a whole number of at least 1"),
    (LOOK, {"passes": 2}, "'look' looks once; passes allowed: 1, got 2"),
    (LOOK, {"masks": np.ones((1, 32, 32))}, "'look' sees no 'mask'; it sees image"),
    (LOOK, {"attribute": 0.5}, "'look' sees no 'attribute'"),
    (FEEDBACK, {"passes": 0}, "passes must be a whole number of at least 1, got 0"),
    (FEEDBACK, {"passes": 257}, "passes must be at most 256, got 257"),
    (FEEDBACK, {}, "looks at what the generator draws: give that"),
    (CORRECTION, {"generator": "own", "passes": 2}, "looks once"),
    (MASKED, {}, "'masked' needs 'mask'; it sees image, mask"),
    (MASKED, {"masks": np.ones((2, 32, 32))}, r"allowed: \[1, h, w\] of 0 to 1"),
    (MASKED, {"masks": np.full((1, 32, 32), 255)}, "of 0 to 1"),
    (TOLD, {}, "'told' needs 'attribute'; it sees attribute, image"),
    (TOLD, {"attribute": 25}, "attribute .*; allowed: 0 to 1, or 1 of these"),
    (TOLD, {"attribute": [0.1, 0.2]}, "allowed: 0 to 1, or 1 of these"),
    (SKETCH, {}, r"images must have shape \[B, h, w, 1\] for encoder 'sketch'"),
    (SKETCH, {"images": ONE[..., :1]}, r"labels hold -.* to .*; allowed: 0 to 1"),
    (replace(LOOK, name="bare", resize="none"), {"images": pictures(1, 64)}, "'bare' allows 32x32"),
    (replace(LOOK, rows=6), OWN, r"'w\+' of \[6, 16\]; generator 'tiny' draws \[8, 16\]"),
    (replace(LOOK, width=8), OWN, r"of \[8, 8\]; generator 'tiny' draws \[8, 16\]"),
    (replace(LOOK, generator="0" * 64), OWN, "for another generator .000000000000. than 'tiny'"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "given", "told"), REFUSED)
def test_what_cannot_be_encoded_is_refused(
    spec: Any, given: dict[str, Any], told: str, no_compiling: None
) -> None:
    given = {"images": ONE, **given}
    if given.get("generator") == "own":
        given["generator"] = mobile()
    with pytest.raises(ValueError, match=told):
        encode(given.pop("images"), (build(spec), {}), **given)


@pytest.mark.parametrize("encoder", [None, 3, (1, 2), ("a", "b", "c"), "nowhere"])
def test_what_is_no_encoder_is_refused(encoder: Any) -> None:
    with pytest.raises(ValueError, match=r"encoder (is|must be)|weights 'nowhere' are not in"):
        encode(ONE, encoder)


def test_files_that_hold_no_encoder_are_refused(tmp_path: Path) -> None:
    path = save_encoder(tmp_path / "a.safetensors", *drawn())
    held, metadata = checkpoints.load(path)
    checkpoints.save(path, held, {**metadata, "kind": "generator"})
    with pytest.raises(ValueError, match="not an encoder: kind 'generator'; allowed: 'encoder'"):
        load_encoder("a")
    del held["params"]["styles.0.linear"]["bias"]
    metadata["content_sha256"] = checkpoints.content_sha256(held)
    checkpoints.save(path, held, metadata)
    with pytest.raises(ValueError, match=r"look/params/styles.0.linear: .*needs arrays 'bias'"):
        load_encoder("a")
    with pytest.raises(ValueError, match=r"no encoder.safetensors in the folder"):
        load_encoder(str(tmp_path))
    with pytest.raises(ValueError, match="needs arrays 'bias'"):
        save_encoder(path, drawn()[0], held)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (replace(LOOK, output="w", rows=0), r"begins with 'w\+'; encoder 'look' gives 's'"),
        (TOLD, "sees attribute; allowed as a start: encoders of image, mask, reconstruction"),
        (replace(LOOK, generator="1" * 64), "another generator"),
    ],
)
def test_starts_that_do_not_fit_are_refused(spec: Any, told: str, no_compiling: None) -> None:
    preset: Any = ONCE
    if spec.output == "w":
        preset = replace(ONCE, stages=(replace(ONCE.stages[0], variables=(Variable("z"),)),))
        told = "begins with 'z'; encoder 'look' gives 'w'"
    with pytest.raises(ValueError, match=told):
        invert(*mobile(), ONE, preset=preset, init=(build(spec), {}))
    with pytest.raises(ValueError, match="starts and init 'look'; allowed: one of both"):
        invert(
            *mobile(), ONE, preset=ONCE, init=(build(LOOK), {}), starts={"w+": np.zeros((1, 8, 16))}
        )
    with pytest.raises(ValueError, match="init 'look'; allowed: encoder:NAME"):
        invert(*mobile(), ONE, preset=ONCE, init="look")


@pytest.mark.parametrize(
    "spec",
    [LOOK, *(pytest.param(one, marks=pytest.mark.slow) for one in (FEEDBACK, MASKED))],
    ids=lambda spec: spec.name,
)
def test_a_search_sets_out_from_the_encoders_code(spec: Any, tmp_path: Path) -> None:
    encoder = build(owned(spec))
    params = drawn(spec)[1]
    save_encoder(tmp_path / "mine.safetensors", encoder, params, generator="tiny")
    shown: dict[str, Any] = {"masks": np.ones((2, 32, 32))} if spec is MASKED else {}
    expected = encode(pictures(2), "mine", generator=mobile(), **shown)["w+"]
    learned = (Variable("w+", init=InitSpec("learned")),)
    preset = replace(ONCE, stages=(replace(ONCE.stages[0], variables=learned),))
    found = invert(*mobile(), pictures(2), preset=preset, init="encoder:mine", nets={})
    np.testing.assert_array_equal(found.latents["w+"], expected)


@pytest.mark.slow
def test_a_search_starts_where_hidden_pixels_are_filled_in() -> None:
    seen = pictures(1)
    masks = np.ones((1, 32, 32), np.float32)
    masks[:, :8] = 0
    hidden = np.where(masks[..., None] > 0, seen, 1.0).astype(np.float32)
    found = [
        invert(*mobile(), x, preset=ONCE, init=drawn(), masks=masks, nets={}).latents["w+"]
        for x in (seen, hidden)
    ]
    np.testing.assert_array_equal(*found)


def test_pictures_are_resized_as_pillow_does() -> None:
    x = np.random.default_rng(0).uniform(0, 1, (64, 48, 1)).astype(np.float32)
    spec = replace(LOOK, resize="bilinear", height=24)
    own = Image.fromarray(x[..., 0]).resize((32, 24), Image.Resampling.BILINEAR)
    found = fitted(spec, jnp.asarray(x), "bilinear")[..., 0]
    np.testing.assert_allclose(found, np.asarray(own), atol=1e-6)


def test_of_square_pictures_a_wide_encoder_sees_the_middle() -> None:
    spec = replace(LOOK, height=24)
    x = jnp.asarray(pictures(1, 64)[0])
    whole = fitted(LOOK, x, "area")
    np.testing.assert_array_equal(fitted(spec, x, "area"), whole[4:28])
    small = jnp.asarray(pictures(1, 16)[0])
    np.testing.assert_array_equal(
        fitted(LOOK, small, "pool"), np.repeat(np.repeat(small, 2, 0), 2, 1)
    )


def test_fit_looks_at_rows_and_width() -> None:
    check_fit(LOOK, mobile()[0].spec)
    with pytest.raises(ValueError, match=r"generator 'small' draws \[5, 16\]"):
        check_fit(LOOK, SMALL)
    assert jax.tree.leaves(drawn()[1])
