"""Misuse of the functions of editing: one plain sentence of a `ValueError`."""

# What is wrong here would be found by a checker of types.
# pyright: reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jaxinv
from jaxinv.edits.curves import circle, flow, recursion
from jaxinv.edits.paths import Path, linear
from jaxinv.io.animations import encode_animation
from tests import tiny

GEN, PARAMS = tiny.linear()
AGE = jaxinv.Direction("age", "w", np.ones(6))
BATCH: dict[str, Any] = {"w": np.zeros((2, 6), np.float32)}
ONE: dict[str, Any] = {"w": np.zeros(6, np.float32)}
QUAD = np.array([[0, 0], [0, 9], [9, 9], [9, 0]])


def edited(latents: Any = None, moves: Any = None, **options: Any) -> Callable[[], Any]:
    given = BATCH if latents is None else latents
    return lambda: jaxinv.edit(GEN, PARAMS, given, moves or [(AGE, 1)], **options)


def between(*ends: Any, shares: Any = (0.5,), **options: Any) -> Callable[[], Any]:
    return lambda: jaxinv.interpolate(GEN, PARAMS, ends, shares, **options)


def mixed(content: Any = ONE, rows: Any = (1,)) -> Callable[[], Any]:
    return lambda: jaxinv.mix(GEN, PARAMS, content, ONE, rows)


def walked(count: Any = 2, frames: Any = 2, **options: Any) -> Callable[[], Any]:
    return lambda: jaxinv.walk(GEN, PARAMS, count, frames, **options)


def pasted(**change: Any) -> Callable[[], Any]:
    photo, picture = np.zeros((64, 64, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)
    return lambda: jaxinv.paste(**({"photo": photo, "picture": picture, "quad": QUAD} | change))


def moved(path: Path) -> Any:
    return path.apply(GEN, PARAMS, ONE, 1.0)


def direction(**fields: Any) -> Callable[[], Any]:
    return lambda: jaxinv.Direction(**({"name": "a", "space": "w", "vector": np.ones(6)} | fields))


CASES: dict[str, tuple[Callable[[], Any], str]] = {
    "edit-one": (edited(ONE), "'w' of shape"),
    "edit-array": (edited(BATCH["w"]), "latents is float32"),
    "edit-space": (edited({"W": BATCH["w"]}), "cannot draw 'W'"),
    "edit-generator": (lambda: jaxinv.edit(None, PARAMS, BATCH, [(AGE, 1)]), "gen is None"),
    "edit-pair": (edited(moves=(AGE, 1)), "a move is a Direction"),
    "edit-direction": (edited(moves=AGE), "moves is a Direction"),
    "edit-name": (edited(moves=[("age", 1)]), "'age'; allowed: a Path"),
    "edit-text": (edited(moves=[(AGE, "1")]), "must be a finite number, got '1'"),
    "edit-arrays": (edited(moves=[(AGE, np.ones(2))]), "must be a finite number"),
    "edit-nothing": (lambda: jaxinv.edit(GEN, PARAMS, BATCH, []), "moves are empty"),
    "edit-rows-text": (edited(rows="0-3"), "rows is '0-3'"),
    "edit-rows-one": (edited(rows=3), "rows is 3"),
    "edit-rows-parts": (edited(rows=[0.5]), "whole numbers from 0"),
    "edit-rows-none": (edited(rows=[]), "whole numbers from 0"),
    "edit-condition": (edited(conditions=AGE), "conditions is a Direction"),
    "edit-condition-array": (edited(conditions=[np.ones(6)]), "direction is float64"),
    "direction-none": (direction(vector=None), "must be numbers, got None"),
    "direction-ragged": (direction(vector=[[1], [1, 2]]), "which is no array"),
    "direction-number": (direction(vector=3.0), r"shape \[\]"),
    "direction-rows": (direction(rows=3), "is 3; allowed: a list"),
    "direction-usable": (direction(usable=3), "is 3; allowed: a list of two numbers"),
    "direction-usable-three": (direction(usable=(1, 2, 3)), "allowed: low, high"),
    "direction-effects": (direction(effects=[1]), "is a list; allowed: a dict"),
    "direction-effect": (direction(effects={3: 1.0}), "is 3; allowed: a str"),
    "save": (lambda: jaxinv.save_direction("x", None), "direction is None"),
    "load": (lambda: jaxinv.load_direction(3), "path is 3"),
    "conditioned": (lambda: jaxinv.conditioned(AGE, AGE), "others is a Direction"),
    "between-three": (between(ONE, ONE, ONE), "3 latents; allowed: 2"),
    "between-none": (between(ONE, None), "latents is None"),
    "between-batch": (between(ONE, BATCH), r"shape \(2, 6\)"),
    "between-shares": (between(ONE, ONE, shares=0.5), r"shape \[\]"),
    "between-nothing": (between(ONE, ONE, shares=[]), r"shape \[0\]"),
    "between-words": (between(ONE, ONE, shares=["a"]), "must be numbers"),
    "between-space": (between(ONE, ONE, space=3), "unknown space 3"),
    "mix-rows": (mixed(rows=3), "rows is 3"),
    "mix-text": (mixed(rows="1"), "rows is '1'"),
    "mix-none": (mixed(None), "latents is None"),
    "mix-batch": (mixed(BATCH), r"shape \(2, 6\)"),
    "walk-one": (walked(1), "at least 2, got 1"),
    "walk-frames": (walked(frames=0), "at least 1, got 0"),
    "walk-start": (walked(start=3), "latents is 3"),
    "walk-batch": (walked(start=BATCH), r"shape \(2, 6\)"),
    "walk-seed": (walked(seed=-1), "seed -1"),
    "paste-none": (pasted(photo=None), "photo must be"),
    "paste-border": (pasted(border="a"), "border must be a finite number"),
    "paste-mask": (pasted(mask=np.ones((8, 8, 3))), r"mask has shape \[8, 8, 3\]"),
    "paste-oblong": (pasted(picture=np.zeros((8, 9, 3), np.uint8)), "allowed: a square"),
    "circle": (lambda: circle("a", "w", np.ones((2, 3))), r"shapes \[2, 3\]"),
    "circle-fixed": (lambda: circle("a", "w", np.ones(6), fixed=(np.ones(5),)), r"\[6\], \[5\]"),
    "circle-width": (lambda: moved(circle("a", "w", np.arange(5.0))), r"shape \[5\]; the code"),
    "recursion": (lambda: recursion("a", "w", 3, [1, 2]), r"M \[\] and q \[2\]"),
    "recursion-zero": (lambda: recursion("a", "w", [0, 1], [1, 2]), "no zeros in M"),
    "recursion-width": (lambda: moved(recursion("a", "w", np.ones(5), np.ones(5))), r"\[5\]"),
    "flow": (lambda: flow("a", "w", None), "velocity of 'a' is None"),
    "line-width": (
        lambda: moved(linear(jaxinv.Direction("a", "w", np.ones(5)))),
        r"shape \[5\]; the code",
    ),
    "line-psi": (lambda: linear(AGE, psi="x"), "psi must be a finite number"),
    "line-both": (lambda: linear(AGE, absolute=True, keep_norm=True), "allowed: one of them"),
    "path-space": (lambda: Path("a", "v", lambda code, amount: code), "unknown space of path"),
    "path-move": (lambda: Path("a", "w", None), "move of path 'a' is None"),
    "frames": (lambda: encode_animation(None, "gif"), "frames is None"),
    "frames-float": (lambda: encode_animation([np.zeros((8, 8, 3))], "gif"), "a frame is float64"),
}


@pytest.mark.parametrize("name", CASES)
def test_misuse_is_one_sentence(name: str) -> None:
    misuse, said = CASES[name]
    with pytest.raises(ValueError, match=said) as caught:
        misuse()
    assert "\n" not in str(caught.value)
