"""Sessions: what drags, strokes, moves and mixes do, undo, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jaxinv
from jaxinv.edits.directions import Direction
from jaxinv.sessions.session import Session
from tests.sessions.blobs import ROWS, SIDE, WIDTH, blobs, centre, leaves_equal, programs, start

HANDLE, TARGET = [(18, 32)], [(25, 27)]
LEFT = np.zeros((SIDE, SIDE))
LEFT[:, : SIDE // 2] = 1


def session() -> Session:
    return jaxinv.Session(*blobs(), start())


def direction(name: str = "down") -> Direction:
    vector = np.zeros((ROWS, WIDTH), np.float32)
    vector[1, 0] = 1
    return Direction(name, "w+", vector)


def test_a_dragged_blob_arrives_and_the_search_ends_there() -> None:
    one = session()
    found = one.drag(HANDLE, TARGET, steps=400)
    assert found.arrived
    assert found.over
    assert found.steps < 400
    # 2 px at 256 px are half a px of this picture.
    assert np.linalg.norm(centre(one.latents, 0) - TARGET[0]) < 1
    assert np.linalg.norm(found.points - TARGET, axis=-1).max() <= 0.5 + 1e-6
    steps = found.steps
    found.step()
    assert found.steps == steps


def test_only_first_rows_move() -> None:
    one = session()
    one.drag(HANDLE, TARGET, steps=5)
    assert one.latents["w+"].shape == (ROWS, WIDTH)
    assert np.abs(one.latents["w+"] - start()["w+"]).max() > 0


def test_a_mask_keeps_the_rest() -> None:
    free, held = session(), session()
    points, targets = [(18, 32), (46, 32)], [(18, 24), (46, 24)]
    free.drag(points, targets, steps=60)
    held.drag(points, targets, LEFT, steps=60)
    away = [np.linalg.norm(centre(one.latents, 1) - (46, 32)) for one in (free, held)]
    assert away[1] < away[0] / 2
    assert np.linalg.norm(centre(held.latents, 0) - (18, 32)) > 1


def test_drags_of_any_points_and_masks_share_one_program() -> None:
    session().drag(HANDLE, TARGET, steps=1)
    before = programs()
    session().drag(HANDLE * 5, TARGET * 5, LEFT, steps=2)
    assert programs() == before


def test_paint_takes_colours_in_the_mask_and_leaves_the_rest() -> None:
    one = session()
    before = one.picture().astype(float)
    colours = np.zeros((SIDE, SIDE, 3), np.uint8)
    colours[...] = (250, 30, 30)
    mask = np.zeros((SIDE, SIDE))
    mask[28:37, 14:23] = 1
    one.paint(colours, mask, steps=40)
    after, inside = one.picture().astype(float), mask > 0
    apart = [np.abs(picture - colours)[inside].mean() for picture in (before, after)]
    assert apart[1] < 0.7 * apart[0]
    assert np.abs(after - before)[:, 40:].mean() < 4


def test_moves_and_mixes_are_what_edit_and_mix_do() -> None:
    one, other = session(), {"w+": np.full((ROWS, WIDTH), 0.5, np.float32)}
    one.move(direction(), 0.75)
    moved = jaxinv.edit(*blobs(), {"w+": start()["w+"][None]}, [(direction(), 0.75)])
    np.testing.assert_array_equal(one.latents["w+"], moved["w+"][0])
    mixed = jaxinv.mix(*blobs(), one.latents, other, [0, 3])
    one.mix(other, [3, 0])
    np.testing.assert_array_equal(one.latents["w+"], mixed["w+"])


def test_undo_and_redo_walk_through_what_was_done() -> None:
    one = session()
    assert not one.undo()
    one.move(direction(), 1.0)
    middle = one.latents
    one.drag(HANDLE, TARGET, steps=3)
    last = one.latents
    assert one.undo()
    assert leaves_equal(one.latents, middle)
    assert one.redo()
    assert leaves_equal(one.latents, last)
    assert not one.redo()
    one.undo()
    one.move(direction(), -1.0)  # a new way forward: the old one is gone
    assert one.undone == 0
    assert len(one.operations) == 2
    assert one.undo()
    assert one.undo()
    assert leaves_equal(one.latents, start())


def test_what_was_done_is_done_again_from_other_latents() -> None:
    one, other = session(), {"w+": np.full((ROWS, WIDTH), 0.1, np.float32)}
    one.move(direction(), 1.0)
    one.move(direction(), 1.0)
    one.undo()
    one.restart(other)
    assert one.latents["w+"][1, 0] == pytest.approx(1.1)
    assert len(one.operations) == 1
    assert one.undone == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (([(-1, 3)], [(3, 3)]), "handles: -1,3 lies outside; allowed: 0 to 63 px"),
        (([(1, 3)], [(3, 64)]), "targets: 3,64 lies outside"),
        (([(1, 3)], [(3, 3), (4, 4)]), "1 handles, 2 targets; allowed: as many"),
        (([(1, 3)] * 17, [(3, 3)] * 17), "17 handles; allowed: at most 16"),
        (([], []), r"handles \[0\]; allowed: \[n, 2\]"),
        (([(1, 3)], [(3, float("nan"))]), "must be finite"),
        (([(1, 3)], [(3, 3)], np.zeros((8, 8))), "the mask hides everything"),
        (([(1, 3)], [(3, 3)], np.ones((8, 7))), r"mask has shape \[8, 7\]; allowed: \[n, n\]"),
        (([(1, 3)], [(3, 3)], 3 * np.ones((8, 8))), "mask holds 3 to 3; allowed: 0 to 1"),
    ],
)
def test_drags_that_cannot_be_are_refused_early(given: tuple[Any, ...], said: str) -> None:
    before = programs()
    with pytest.raises(ValueError, match=said):
        session().drag(*given)
    assert programs() == before


def test_paintings_that_cannot_be_are_refused() -> None:
    one, colours = session(), np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="the mask hides everything"):
        one.paint(colours, np.zeros((8, 8)))
    with pytest.raises(ValueError, match=r"colours are float64 \[8, 8, 3\]; allowed: uint8"):
        one.paint(colours / 1.0, np.ones((8, 8)))
    with pytest.raises(ValueError, match="steps"):
        one.paint(colours, np.ones((8, 8)), steps=0)


def test_other_wrong_use_is_refused() -> None:
    gen, params = blobs()
    with pytest.raises(ValueError, match=r"'w\+' of shape"):
        Session(gen, params, {"w+": np.zeros((2, WIDTH), np.float32)})
    with pytest.raises(ValueError, match="code in one space"):
        Session(gen, params, {"noise": ()} | {})
    one = session()
    with pytest.raises(ValueError, match=r"rows \[9\]; allowed: some of 0 to 3"):
        one.mix(start(), [9])
    with pytest.raises(ValueError, match="rate"):
        one.dragging(HANDLE, TARGET, rate=0.0)
    assert one.operations == ()
