"""The studio's warm-up: what a first drag needs is compiled before, and only once."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from jaxinv.sessions.session import Session
from jaxinv.studio import warming
from jaxinv.studio.warming import WarmUp
from tests.inversion.test_compile_count import compiled
from tests.studio.desks import wait_for
from tests.tiny import TINY, mobile


def session_of(seed: int = 0) -> Session:
    code = np.random.default_rng(seed).standard_normal((TINY.rows, TINY.w_dim))
    return Session(*mobile(), {"w+": code.astype(np.float32)})


def over() -> bool:
    return not any(one.name == "warm-up" for one in threading.enumerate())


@pytest.mark.slow
def test_a_drag_after_the_warm_up_compiles_nothing() -> None:
    warm_up, session = WarmUp(), session_of()
    before = session.latents["w+"].copy()
    with compiled() as first:
        warm_up.begin(session)
        wait_for(over, "the warm-up does not end")
    assert first
    with compiled() as later:
        warm_up.wait("drag")
        search = session_of(1).dragging([[3, 4], [9, 9]], [[5, 6], [9, 5]], np.ones((32, 32)))
        search.step()
        search.latents()
    assert later == []
    assert search.steps == 1
    assert not session.operations
    np.testing.assert_array_equal(session.latents["w+"], before)


def test_what_a_user_began_is_not_compiled_beside_him(monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[str] = []

    def search(kind: str) -> Any:
        def begin(session: Session) -> Any:
            del session
            began.append(kind)
            raise MemoryError  # nobody asked for it: nobody is told

        return begin

    for kind in warming.SEARCHES:
        monkeypatch.setitem(warming.SEARCHES, kind, search(kind))
    warm_up = WarmUp()
    warm_up.wait("drag")
    warm_up.begin(session_of())
    warm_up.begin(session_of(1))
    wait_for(over, "the warm-up does not end")
    assert began == ["paint"]
