"""Misuse of the Python interface: one plain sentence, before anything is compiled or measured."""

# What is wrong here would be found by a checker of types.
# pyright: reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.errors import JAXTypeError

import jaxinv
from jaxinv.inversion import bind as binding
from jaxinv.inversion.bind import bind
from jaxinv.io.image_ops import PixelRangeWarning
from jaxinv.io.images import write_images
from jaxinv.models.features.backbones import NETS
from jaxinv.solvers.minimise import minimise
from jaxinv.specs import (
    Preset,
    Stage,
    Term,
    Variable,
    read_operator,
)
from jaxinv.studies import study as studying
from tests import tiny
from tests.misused_functions import FUNCTIONS
from tests.misused_searches import ONES, PLAIN, SIDE, STAGE, Z, pictures, put, searches, valley
from tests.misused_specs import SPECS

ROOM = str(Path(jaxinv.__file__).parent)
ALL = [*searches(), *((name, *case) for name, case in (SPECS | FUNCTIONS).items())]


@pytest.fixture(scope="module")
def compiled() -> list[str]:
    """Events of compilation, from now on."""
    events: list[str] = []

    def listen(event: str, duration_secs: float, **kwargs: Any) -> None:
        del duration_secs, kwargs
        if "backend_compile" in event:  # shapes are traced
            events.append(event)

    for make in (tiny.style, tiny.classes, tiny.old, tiny.chain, tiny.grown):
        make()
    minimise(valley, "adam", np.zeros((2, 3), np.float32), 5)  # compiles what makes its keys
    jax.monitoring.register_event_duration_secs_listener(listen)
    return events


@pytest.mark.parametrize(("misuse", "says"), [x[1:] for x in ALL], ids=[x[0] for x in ALL])
def test_misuse_is_one_sentence_before_any_compile(
    misuse: Callable[[], Any], says: str, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*given: Any, **others: Any) -> Any:
        raise AssertionError("statistics were measured")

    for module in (binding, studying):
        monkeypatch.setattr(module, "with_statistics", measured)
    compiled.clear()
    with pytest.raises((ValueError, TypeError), match=says) as caught:
        misuse()
    error, text = caught.value, str(caught.value)
    assert not isinstance(error, JAXTypeError), text
    assert traceback.extract_tb(error.__traceback__)[-1].filename.startswith(ROOM), text
    assert "\n" not in text, text
    assert "Traceback" not in text, text
    assert len(text) < 1500, text  # names of all presets
    assert not compiled


def test_there_are_many_kinds_of_misuse() -> None:
    names = [name for name, _, _ in ALL]
    assert len(set(names)) == len(names) >= 126


def test_pictures_that_look_like_0_to_1_are_a_warning_at_the_callers_line(tmp_path: Path) -> None:
    bright = (pictures() + 1) / 2
    with pytest.warns(PixelRangeWarning, match=r"of 0 to 1: images \* 2 - 1") as told:
        bind(*tiny.style(), bright, PLAIN, nets={})
    assert told[0].filename == __file__
    with pytest.warns(PixelRangeWarning, match="number 0"):
        write_images(tmp_path, bright)
    flat = np.zeros_like(bright)  # one colour says nothing about its units
    bind(*tiny.style(), flat, PLAIN, nets={})
    bind(*tiny.style(), put(1.4), PLAIN, nets={})  # a generator's own pictures overshoot


def test_what_may_be_meant_is_taken() -> None:
    """Whole numbers of numpy, masks of truth values, lists of pictures, noise and labels."""
    gen, params = tiny.style()
    made = bind(gen, params, list(pictures()), PLAIN, nets={}, masks=ONES > 0, steps=np.int64(8))
    assert made.preset.steps == 8
    assert made.images.shape == (2, SIDE, SIDE, 3)
    assert Term("mse", np.float32(2)) == Term("mse", 2.0)
    assert hash(Stage(STAGE.variables, STAGE.terms, np.int64(4))) == hash(STAGE)
    classes = bind(*tiny.classes(), pictures(), PLAIN, nets={}, labels=np.array([3, 1]))
    np.testing.assert_array_equal(classes.given["label"], np.eye(10)[[3, 1]])
    noise = {"z": Z, "noise": [np.zeros((2, n, n), np.float32) for n in gen.spec.noise]}
    bind(gen, params, pictures(), PLAIN, nets={}, starts=noise)
    measured = Preset("x", PLAIN.stages, "", "", operator=read_operator("noise:sigma=9"))
    bind(gen, params, pictures() * 30, measured, nets={})


def test_parameters_of_a_net_are_its_own() -> None:
    net = NETS["alexnet"]
    fitting = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, np.float32),
        jax.eval_shape(lambda: net.init(jax.random.key(0))),
    )
    made = Preset("n", (Stage((Variable("z"),), (Term("mse"),), 4),), "", "")
    bind(*tiny.style(), pictures(), made, nets={"alexnet": fitting})
