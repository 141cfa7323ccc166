"""The programs of drags and brushes, compiled while a user looks at the first picture."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.sessions.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.sessions.dragging import Drag
    from jaxinv.sessions.painting import Paint


def _dragged(session: Session) -> Drag:
    middle = session.gen.spec.resolution // 2
    return session.dragging([[middle, middle]], [[middle, 0]])


def _painted(session: Session) -> Paint:
    return session.painting(np.zeros((1, 1, 3), np.uint8), np.ones((1, 1)))


SEARCHES: dict[str, Callable[[Session], Drag | Paint]] = {"drag": _dragged, "paint": _painted}


class WarmUp:
    """Makes one step of every kind of search, and forgets it, in a thread of its own.

    The first drag of a user then finds its programs ready. Kinds that were asked for before their
    turn are left out.
    """

    def __init__(self) -> None:
        self.locks = {kind: threading.Lock() for kind in SEARCHES}
        self.asked, self.begun = set[str](), threading.Lock()

    def begin(self, session: Session) -> None:
        """Begin with latents like those of a session; later calls do nothing."""
        if self.begun.acquire(blocking=False):
            own = Session(session.gen, session.params, session.latents, nets=session.nets)
            threading.Thread(target=self._run, args=(own,), daemon=True, name="warm-up").start()

    def wait(self, kind: str) -> None:
        """Wait while a kind is being compiled: to compile it twice at once takes longer."""
        with self.locks[kind]:
            self.asked.add(kind)

    def _run(self, session: Session) -> None:
        for kind, search in SEARCHES.items():
            with self.locks[kind], suppress(Exception):  # whoever asks for it is told
                if kind not in self.asked:
                    tried = search(session)
                    tried.step()
                    tried.latents()
