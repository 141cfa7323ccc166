"""Recipes: what was done is done again to the same bytes; files that are no recipes are refused."""

from __future__ import annotations

import base64
import json
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from jaxinv.io.images import encode_png
from jaxinv.sessions import operations
from jaxinv.sessions.recipes import Recipe, to_json
from jaxinv.sessions.session import Session
from tests.sessions.blobs import ROWS, SPEC, WIDTH, blobs, leaves_equal, start
from tests.sessions.test_session import HANDLE, LEFT, TARGET, direction


@lru_cache
def worked() -> Session:
    one = Session(*blobs(), start())
    one.move(direction(), 0.3, name="a kept one")
    one.drag(HANDLE, TARGET, LEFT, steps=4)
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    one.paint(colours, LEFT[::4, ::4], edges=True, steps=3)
    one.mix({"w+": np.random.default_rng(1).standard_normal((ROWS, WIDTH), np.float32)}, [2])
    one.move(direction(), -0.1)
    one.undo()
    return one


def picture(*shape: int) -> str:
    return base64.b64encode(encode_png(np.full(shape, 255, np.uint8))).decode()


def written() -> dict[str, Any]:
    """A recipe of one operation of each kind."""
    mask, colours = picture(256, 256), picture(256, 256, 3)
    return {
        "format": "jaxinv", "kind": "recipe", "schema": 1, "generator": "blobs",
        "start_sha256": "0" * 64,
        "operations": [
            {"do": "move", "direction": "a kept one", "amount": 0.3},
            {"do": "drag", "from": HANDLE, "to": TARGET, "mask": mask, "steps": 4, "rate": 0.01},
            {"do": "paint", "colours": colours, "mask": mask, "edges": True, "steps": 3},
            {"do": "mix", "rows": [2], "name": "",
             "codes": base64.b64encode(np.zeros(WIDTH, "<f4").tobytes()).decode()},
        ],
    }  # fmt: skip


def test_what_is_written_is_read() -> None:
    found = Recipe(json.dumps(written())).operations(SPEC, lambda name: direction())
    kinds = [type(one) for one in found]
    assert kinds == [
        operations.Move,
        operations.DragPoints,
        operations.PaintColours,
        operations.MixRows,
    ]


@pytest.mark.slow
def test_a_recipe_is_done_again_to_the_same_bytes() -> None:
    first = worked()
    recipe = Recipe(to_json(first, "blobs"))
    assert (recipe.generator, recipe.start) == ("blobs", first.fingerprint())
    asked: list[str] = []
    again = Session(*blobs(), start())
    for one in recipe.operations(SPEC, lambda name: asked.append(name) or direction()):
        again.apply(one)
    assert asked == ["a kept one"]
    assert len(again.operations) == 4
    assert leaves_equal(again.latents, first.latents)
    assert again.picture().tobytes() == first.picture().tobytes()
    assert to_json(again, "blobs") == to_json(first, "blobs")


def test_another_direction_of_that_name_is_refused() -> None:
    other = direction()
    other.vector[0, 0] = 9
    value = written()
    value["operations"][0]["sha256"] = operations.way_fingerprint(direction())
    recipe = Recipe(json.dumps(value))
    assert len(recipe.operations(SPEC, lambda name: direction())) == 4
    with pytest.raises(ValueError, match="operation 1 of the recipe: direction 'a kept one' is an"):
        recipe.operations(SPEC, lambda name: other)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "latents"}, "recipe of kind 'latents'"),
        ({"schema": 2}, "recipe of schema 2; allowed: 1"),
        ({"generator": 3}, "generator of the recipe"),
        ({"operations": {}}, "operations of the recipe"),
    ],
)
def test_files_that_are_no_recipes_are_refused(change: dict, said: str) -> None:
    value = written() | change
    with pytest.raises(ValueError, match=said):
        Recipe(json.dumps(value))
    for text in ("", "[]", "{", "3", '{"format": "jaxinv"}', "[" * 100_000):
        with pytest.raises(ValueError, match="recipe"):
            Recipe(text)


@pytest.mark.parametrize(
    ("number", "change", "said"),
    [
        (0, {"do": "run"}, "what to do 'run'; allowed: move, drag"),
        (0, {"amount": "far"}, "amount"),
        (1, {"from": [[99, 3]]}, "99,3 lies outside"),
        (1, {"from": "x"}, "handles"),
        (1, {"mask": "AAAA"}, "picture: "),
        (1, {"mask": 3}, "picture"),
        (1, {"steps": 10**9}, "at most 10000"),
        (1, {"rate": -1}, "rate"),
        (2, {"edges": 3}, "edges"),
        (2, {"colours": "?"}, "no base64"),
        (3, {"rows": [7]}, "some of 0 to 3"),
        (3, {"codes": "AAAA"}, "codes of 3 bytes; allowed: 12"),
        (3, {"codes": "AADAfwAAwH8AAMB/"}, "not finite"),
    ],
)
def test_operations_that_cannot_be_are_named(number: int, change: dict, said: str) -> None:
    value = written()
    value["operations"][number] |= change
    with pytest.raises(ValueError, match=f"operation {number + 1} of the recipe: .*{said}"):
        Recipe(json.dumps(value)).operations(SPEC, lambda name: direction())


def test_fields_that_are_missing_are_named() -> None:
    value = written()
    for line in value["operations"]:
        for field in set(line) - {"sha256", "mask", "rate", "edges", "name", "do"}:
            short = {key: line[key] for key in line if key != field}
            text = json.dumps(value | {"operations": [short]})
            with pytest.raises(ValueError, match="operation 1 of the recipe"):
                Recipe(text).operations(SPEC, lambda name: direction())
