"""Pictures that are drawn once: those of fresh draws, kept through a stop, refused where others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.encoders.lessons import prepare
from jaxinv.encoders.objective import show
from jaxinv.encoders.stored import DONE, PART, stored_pictures
from jaxinv.presets import ENCODERS
from jaxinv.specs import EncoderPlan, PictureSource, Term
from jaxinv.training.data import Synthetic, batches
from tests.tiny import classes, style

pytestmark = pytest.mark.usefixtures("quick_compilation")
SMALL = replace(
    ENCODERS["encoder"],
    plan=EncoderPlan("dcgan", "dcgan-dense", side=16, facts=(("width", 4), ("last", 4))),
    terms=(Term("latent", 1.0, variable="w+"), Term("mse", 1.0)),
    source=PictureSource("synthetic"),
)
COUNT = PART + 5


def lesson(pair: Any = None, **plan: Any) -> Any:
    preset = replace(SMALL, plan=replace(SMALL.plan, **plan))
    return prepare(*(pair or style()), preset, nets={})


def test_stored_pictures_are_those_of_fresh_draws(tmp_path: Path) -> None:
    own, given = lesson()
    stored = batches(stored_pictures(own, given, COUNT, tmp_path, seed=3), 4, seed=7)[2]
    fresh = batches(Synthetic(3, COUNT), 4, seed=7)[2]
    ours, theirs = (show(own, given, one, jax.random.key(0)) for one in (stored, fresh))
    assert np.allclose(ours.target, np.clip(theirs.target, -1, 1), atol=0.51 / 127.5)
    assert np.allclose(ours.known["w+"], theirs.known["w+"], atol=1e-5)
    assert ours.counts is not None
    assert np.array_equal(ours.counts["drawn"], np.ones(4))


def test_a_class_is_stored_with_its_picture(tmp_path: Path) -> None:
    own, given = lesson(classes(), outputs=("z",))
    stored = stored_pictures(own, given, 3, tmp_path)
    fresh = show(own, given, {"key": np.stack([Synthetic(0)[2]["key"]])}, jax.random.key(0))
    assert np.array_equal(stored[2]["label"], fresh.given["label"][0])
    batch = jax.tree.map(lambda a: jnp.asarray(a)[None], stored[2])
    shown = show(own, given, batch, jax.random.key(0))
    assert np.array_equal(shown.given["label"], fresh.given["label"])


def test_drawing_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, given = lesson()
    whole = stored_pictures(own, given, COUNT, tmp_path / "a")

    class Cut(Exception):
        pass

    def full(*_: Any) -> None:
        raise Cut

    with monkeypatch.context() as patch:
        real, told = np.memmap.flush, []
        patch.setattr(
            np.memmap, "flush", lambda a: full() if len(told) > 2 else told.append(real(a))
        )
        with pytest.raises(Cut):
            stored_pictures(own, given, COUNT, tmp_path / "b")
    assert json.loads((tmp_path / "b" / DONE).read_text())["drawn"] == PART
    again = stored_pictures(own, given, COUNT, tmp_path / "b")
    same = jax.tree.map(np.array_equal, [*map(whole.__getitem__, range(COUNT))],
                        [*map(again.__getitem__, range(COUNT))])  # fmt: skip
    assert all(jax.tree.leaves(same))
    assert whole[COUNT - 1]["image"].any()


def test_other_pictures_are_refused(tmp_path: Path) -> None:
    own, given = lesson()
    stored_pictures(own, given, 3, tmp_path)
    with pytest.raises(ValueError, match=r"holds other pictures: seed is 0, not 1"):
        stored_pictures(own, given, 3, tmp_path, seed=1)
    with pytest.raises(ValueError, match="count is 3, not 4"):
        stored_pictures(own, given, 4, tmp_path)
    with pytest.raises(ValueError, match="stored pictures"):
        stored_pictures(own, given, 0, tmp_path / "none")
    (tmp_path / DONE).write_text("[]")
    with pytest.raises(ValueError, match="cannot be read"):
        stored_pictures(own, given, 3, tmp_path)
