"""One photograph on the desk: found by a search of its own, edited by the messages of pages.

A work has two threads: one searches, the other edits, one message after the other. Pages come and
go; what was computed stays.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from jaxinv.edits.blending import rows_of
from jaxinv.io.images import ImageError, encode_jpeg, to_uint8
from jaxinv.io.text import shortened
from jaxinv.sessions.dragging import Drag
from jaxinv.sessions.operations import DragPoints, MixRows, Move, Operation
from jaxinv.sessions.session import Session
from jaxinv.studio.opening import NoFace, corners, cut_photo, find_faces, read_whole, search

if TYPE_CHECKING:
    from pathlib import Path

    from jaxinv.edits.ways import Way
    from jaxinv.io.images import Photo
    from jaxinv.models.generators.base import Generator
    from jaxinv.sessions.painting import Paint
    from jaxinv.studio.messages import Message
    from jaxinv.studio.warming import WarmUp
    from jaxinv.types import Latents, Params

PREVIEW = 256  # px of pictures while something moves
QUALITY = 88  # of the JPEG files that pages are shown
SHOWN_PHOTO = 1024  # px of the longer side of a photo in which a face is to be chosen
MOST_STEPS = {"drag": 400, "paint": 40}
EVERY = 0.4  # seconds, at least, between pictures of a drag

READING, CHOOSING, FACELESS, SEARCHING, READY, FAILED = (
    "reading", "choosing", "faceless", "searching", "ready", "failed",
)  # fmt: skip


class Host(Protocol):
    """What a work needs of the desk that it lies on: see `Desk`."""

    generator: str
    gen: Generator
    params: Params
    nets: dict[str, Params]
    preset: str
    side: int
    aligned: bool
    searching: threading.Lock
    warm_up: WarmUp

    def way(self, name: str) -> Way:
        """The direction of that name."""
        ...

    def work(self, name: str) -> Work:
        """Another work."""
        ...

    def publish(self, kind: str, header: dict[str, Any], body: bytes = b"") -> None:
        """Tell all pages."""
        ...

    def note(self, work: str, text: str) -> None:
        """Tell all pages one line."""
        ...

    def save(self, work: Work) -> None:
        """Keep what a work has reached."""
        ...


class _Enough(Exception):
    """The search was asked to stop."""


class Work:
    """One photograph, from its file to its edits; `name` is how pages call it."""

    def __init__(self, desk: Host, name: str, title: str, file: Path) -> None:
        self.desk, self.name, self.title, self.file = desk, name, title, file
        self.phase, self.note, self.share, self.busy = READING, "", 0.0, ""
        self.faces: list[np.ndarray] = []
        self.photo: Photo | None = None
        self.session: Session | None = None
        self.points: list[list[float]] = []
        self.enough, self.serial = threading.Event(), 0
        self.jobs: queue.Queue[Callable[[], object] | None] = queue.Queue()
        self.slides: dict[str, float] = {}
        self.newest: tuple[Latents, str, float] | None = None
        self.kept: Latents | None = None
        self.waiting = threading.Lock()
        threading.Thread(target=self._serve, daemon=True, name=f"edits of {name}").start()
        self._in_background(self._read)

    # What pages ask for

    def receive(self, message: Message) -> None:
        """Take a message: what stops is done at once, all else in turn by the work's thread."""
        if message.do == "stop":
            self.enough.set()
        elif message.do == "slide":
            with self.waiting:
                first = not self.slides
                self.slides[message.fields["name"]] = message.fields["amount"]
            if first:
                self.jobs.put(self._slide)
        else:
            if message.do == "move":  # a preview of it that was not drawn yet is not needed
                with self.waiting:
                    self.slides.pop(message.fields["name"], None)
            self.jobs.put(lambda: self._do(message))

    def close(self) -> None:
        """End both threads after what they are doing."""
        self.enough.set()
        self.jobs.put(None)

    def state(self) -> dict[str, Any]:
        """What a page needs to know beside pictures."""
        session = self.session
        done = () if session is None else session.operations
        amounts: dict[str, float] = {}
        for one in done:
            if isinstance(one, Move):
                amounts[one.name] = round(amounts.get(one.name, 0.0) + one.amount, 4)
        return {
            "kind": "state",
            "work": self.name,
            "title": self.title,
            "phase": self.phase,
            "note": self.note,
            "share": round(self.share, 3),
            "busy": self.busy,
            "faces": [corners(one) for one in self.faces] if self.phase == CHOOSING else [],
            "points": self.points,
            "operations": [told(one) for one in done],
            "redo": 0 if session is None else session.undone,
            "amounts": amounts,
        }

    def tell(self) -> None:
        """Tell all pages how this work is."""
        self.desk.publish(f"state {self.name}", self.state())

    # The search

    def _read(self) -> None:
        align = self.desk.aligned
        try:
            self.faces = find_faces(self.file) if align else []
        except NoFace as error:
            self._show_photo()
            self._enter(FACELESS, f"{error}: choose another one, or use it as it is")
            return
        if len(self.faces) > 1:
            self._show_photo()
            self._enter(CHOOSING, f"{len(self.faces)} faces were found: choose one")
        else:
            self._search(self.faces[0] if self.faces else None, align)

    def _show_photo(self) -> None:
        """Show pages the whole photo."""
        image = read_whole(self.file)
        pixels = to_uint8(image.pixels)
        step = max(1, -(-max(pixels.shape[:2]) // SHOWN_PHOTO))
        body = encode_jpeg(np.ascontiguousarray(pixels[::step, ::step]), QUALITY)
        size = list(image.source_size)
        header = {"kind": "picture", "work": self.name, "which": "whole", "size": size}
        self.desk.publish(f"whole {self.name}", header, body)

    def _search(self, landmarks: np.ndarray | None, align: bool) -> None:
        side = min(self.desk.side, self.desk.gen.spec.resolution)
        self.photo = cut_photo(self.file, landmarks, align, side)
        self.enough.clear()
        self.show_before()
        turn = "after another photograph" if self.desk.searching.locked() else "looking for it"
        self._enter(SEARCHING, "; ".join((*self.photo.warnings, turn)))
        reached: list[Latents] = []

        def look(latents: Latents, words: str, share: float) -> None:
            reached[:] = [latents]
            if self.enough.is_set():
                raise _Enough
            with self.waiting:
                first, self.newest = self.newest is None, (latents, words, share)
            if first:  # else one is waiting to be drawn, which is now this one
                self.jobs.put(self._sharpen)

        desk = self.desk
        with desk.searching:  # one search at a time: two would take twice as long each
            try:
                found = search(desk.gen, desk.params, self.photo, desk.preset, look)
            except _Enough:
                found = reached[-1]
            except Exception as error:
                if not reached:
                    raise
                found = reached[-1]
                desk.note(
                    self.name, f"the search broke off, its last picture is kept: {_said(error)}"
                )
        self.jobs.put(lambda: self._found(found))

    def _sharpen(self) -> None:
        with self.waiting:
            newest, self.newest = self.newest, None
        if newest is None:
            return
        latents, self.note, self.share = newest
        self._begin_from(latents)
        self.show(PREVIEW)
        self.tell()

    def _found(self, latents: Latents) -> None:
        self._begin_from(latents)
        self.share = 1.0
        self.enough.clear()
        self._enter(READY, "")
        self.show()
        self.desk.save(self)
        if self.session is not None:
            self.desk.warm_up.begin(self.session)

    def _begin_from(self, latents: Latents) -> None:
        if self.session is None:
            self.session = Session(self.desk.gen, self.desk.params, latents, nets=self.desk.nets)
        else:
            self.session.restart(latents)

    # The edits, all in one thread

    def _serve(self) -> None:
        while (job := self.jobs.get()) is not None:
            try:
                job()
            except Exception as error:  # whatever it is, the next job has its turn
                self.busy, self.note = "", ""
                self.desk.note(self.name, _said(error))
                self.tell()

    def _do(self, message: Message) -> None:
        do, fields = message.do, message.fields
        if do in ("choose", "whole"):
            self._choose(fields.get("face"))
            return
        if do == "show":
            if self.phase in (CHOOSING, FACELESS):
                self._show_photo()
            self.show_before()
            self.show()
            self.tell()
            return
        session = self._ready(searched=do in ("drag", "paint"))
        if do == "undo":
            session.undo()
        elif do == "redo":
            session.redo()
        elif do == "move":
            self._move(fields["name"], fields["amount"])
        elif do == "mix":
            self._mix(fields["other"], fields["rows"])
        elif do in ("drag", "paint"):
            self._run(do, fields)
        self.points = []
        self.tell()
        self.show(None if self.jobs.empty() else PREVIEW)
        self.desk.save(self)

    def _ready(self, *, searched: bool) -> Session:
        if self.session is None:
            raise ValueError("there is no picture yet: wait until it has been found")
        if searched and self.phase == SEARCHING:
            raise ValueError("wait until the picture has been found, or press Enough")
        return self.session

    def _choose(self, face: int | None) -> None:
        if self.phase not in (CHOOSING, FACELESS):
            raise ValueError("the face has been chosen already")
        if face is not None and face >= len(self.faces):
            raise ValueError(f"face {face}; allowed: 0 to {len(self.faces) - 1}")
        chosen = None if face is None else self.faces[face]
        self.phase = READING
        self._in_background(lambda: self._search(chosen, chosen is not None))

    def _slide(self) -> None:
        with self.waiting:
            wanted, self.slides = self.slides, {}
        session = self._ready(searched=False)
        for name, amount in list(wanted.items())[-1:]:
            moved = session.moved(self.desk.way(name), amount - self._amount(name))
            self.show(PREVIEW, moved)

    def _amount(self, name: str) -> float:
        """Where the slider of a direction stands: all moves along it."""
        done = self._ready(searched=False).operations
        return sum(one.amount for one in done if isinstance(one, Move) and one.name == name)

    def _move(self, name: str, amount: float) -> None:
        session, change = self._ready(searched=False), amount - self._amount(name)
        if change:
            session.move(self.desk.way(name), change, name=name)

    def _mix(self, other: str, rows: str) -> None:
        style = self.desk.work(other)._ready(searched=False)
        session = self._ready(searched=False)
        found = session.mixed(style.latents, rows_of(rows, session.gen))
        session.apply(MixRows(found.codes, found.rows, self.desk.work(other).title))

    def _run(self, do: str, fields: dict[str, Any]) -> None:
        session = self._ready(searched=True)
        self.enough.clear()
        self.busy, self.note = do, "preparing, which takes longer the first time"
        self.tell()
        self.desk.warm_up.wait(do)
        one: Drag | Paint
        if do == "drag":
            one = session.dragging(fields["from"], fields["to"], fields["mask"])
        else:
            if fields["mask"] is None:
                raise ValueError("nothing is painted")
            one = session.painting(fields["colours"], fields["mask"], edges=fields["edges"])
        due = 0.0
        while one.steps < MOST_STEPS[do] and not one.over and not self.enough.is_set():
            one.step()
            begun = time.monotonic()
            if begun > due:
                self.points = one.points.tolist() if isinstance(one, Drag) else []
                self.note = f"step {one.steps}"
                self.tell()
                self.show(PREVIEW, one.latents())
                # Pictures take a third of the time at most, where drawing is slow.
                drawn = time.monotonic()
                due = drawn + max(EVERY, 2 * (drawn - begun))
        self.busy, self.note = "", ""
        self.enough.clear()
        session.keep(one)

    # What pages see

    def show(self, size: int | None = None, latents: Latents | None = None) -> None:
        """Show pages the picture as it is, at full size or smaller."""
        if self.session is None:
            return
        picture = self.session.picture(size, latents)
        self._publish("now", picture)

    def show_before(self) -> None:
        """Show pages the photo that is looked for."""
        if self.photo is not None:
            self._publish("before", to_uint8(self.photo.pixels))

    def _publish(self, which: str, picture: np.ndarray) -> None:
        self.serial += 1
        header = {"kind": "picture", "work": self.name, "which": which, "serial": self.serial}
        header["size"] = [picture.shape[1], picture.shape[0]]
        self.desk.publish(f"{which} {self.name}", header, encode_jpeg(picture, QUALITY))

    def _enter(self, phase: str, note: str) -> None:
        self.phase, self.note = phase, note
        self.tell()

    def _in_background(self, what: Callable[[], object]) -> None:
        def run() -> None:
            try:
                what()
            except Exception as error:  # no photo may be left "reading" for ever
                self._enter(FAILED, _said(error))

        threading.Thread(target=run, daemon=True, name=f"search of {self.name}").start()


def _said(error: Exception) -> str:
    if isinstance(error, ImageError):
        return shortened(error.reason)  # without the path of our own copy
    known = isinstance(error, ValueError | OSError)
    return shortened(error) if known else shortened(f"{type(error).__name__}: {error}")


def told(one: Operation) -> str:
    """One operation in the words of the page."""
    if isinstance(one, Move):
        return f"{one.name} {one.amount:+.2g}"
    if isinstance(one, DragPoints):
        points = "1 point" if len(one.points) == 1 else f"{len(one.points)} points"
        return f"drag {points}, {one.steps} steps"
    if isinstance(one, MixRows):
        return f"mix with {one.name or 'another'}"
    return f"paint, {one.steps} steps"
