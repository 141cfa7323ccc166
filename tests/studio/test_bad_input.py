"""What people really drop, drag and paint: each gets a clear message, and the page goes on."""

from __future__ import annotations

import base64
import io
import json
import resource
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from jaxinv.io.decoding import MAX_PIXELS
from jaxinv.io.images import encode_png
from jaxinv.studio import opening
from jaxinv.studio import work as works
from jaxinv.studio.desk import Desk
from jaxinv.studio.work import Work
from tests.io.test_face_search import face_at
from tests.studio import desks
from tests.studio.desks import BASE, header_of, photo, wait_for, wait_ready

HIDDEN = base64.b64encode(encode_png(np.zeros((16, 16, 3), np.uint8))).decode()
WHITE = base64.b64encode(encode_png(np.full((16, 16, 3), 255, np.uint8))).decode()
MEBIBYTE = 2**20


def sent(page: TestClient, desk: Desk, data: bytes) -> Work:
    answer = page.post(f"{BASE}/photos", content=data)
    assert answer.status_code == 200, answer.text
    return desk.work(answer.json()["work"])


def peak() -> int:
    """The most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // MEBIBYTE


def grey_png(width: int, height: int) -> bytes:
    """A whole PNG of one colour, made row by row."""
    packer, rows = zlib.compressobj(1), io.BytesIO()
    for _ in range(height):
        rows.write(packer.compress(b"\0" + b"\x7f" * width))
    rows.write(packer.flush())

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", rows.getvalue())
        + chunk(b"IEND", b"")
    )


def grey_jpeg(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (width, height), 127).save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize("made", [grey_png, grey_jpeg])
def test_a_photo_of_100_megapixels_is_refused_and_the_page_goes_on(
    desk: Desk, page: TestClient, made: Any
) -> None:
    data = made(10_000, 10_000)
    before = peak()
    work = sent(page, desk, data)
    wait_for(lambda: work.phase == "failed", work.phase)
    assert work.note == f"declares more than the allowed {MAX_PIXELS} pixels"
    assert peak() - before < 64
    assert page.get(f"{BASE}/").status_code == 200
    wait_ready(sent(page, desk, photo()))


@pytest.mark.slow
@pytest.mark.parametrize("made", [grey_png, grey_jpeg])
def test_a_photo_that_is_nearly_as_large_works_within_bounds(
    desk: Desk, page: TestClient, made: Any
) -> None:
    data = made(9_000, 9_000)
    before = peak()
    work = wait_ready(sent(page, desk, data))
    assert work.photo is not None
    assert work.photo.pixels.shape == (32, 32, 3)
    assert abs(float(work.photo.pixels.mean())) < 0.05
    assert peak() - before < 1280
    pasted = page.get(f"{BASE}/works/{work.name}/photograph.png")
    assert pasted.status_code == 200


def with_faces(desk: Desk, patch: pytest.MonkeyPatch, faces: list[np.ndarray] | None) -> None:
    """A desk that aligns, and finds these faces; None: it looks, and there is none."""

    def find(file: Path) -> list[np.ndarray]:
        assert file.is_file()
        if faces is None:
            raise opening.NoFace("no face was found in this photo")
        return faces

    desk.aligned = True
    patch.setattr(works, "find_faces", find)


TWO = [face_at(60.0, 60.0, 40.0), face_at(150.0, 60.0, 30.0)]


def pair() -> bytes:
    """A photo of two halves, dark and bright, about each of which a face of `TWO` lies."""
    pixels = np.zeros((120, 210, 3), np.uint8)
    pixels[:, 110:] = 255
    return encode_png(pixels)


def test_of_two_faces_one_is_chosen(
    desk: Desk, page: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_faces(desk, monkeypatch, TWO)
    with looking_on(page) as socket:
        work = sent(page, desk, pair())
        wait_for(lambda: work.phase == "choosing", work.phase)
        state = work.state()
        assert state["note"] == "2 faces were found: choose one"
        assert [len(one) for one in state["faces"]] == [4, 4]
        said = ask(socket, work, {"do": "choose", "face": 2})
        assert "face 2; allowed: 0 to 1" in said
        assert work.phase == "choosing"
        assert ask(socket, work, {"do": "choose", "face": 1}) == ""
        wait_ready(work)
        assert work.photo is not None
        assert work.photo.pixels.mean() > 0.9  # that on the right
        assert work.state()["faces"] == []
        assert "chosen already" in ask(socket, work, {"do": "choose", "face": 0})


def test_without_a_face_the_photo_may_be_used_as_it_is(
    desk: Desk, page: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_faces(desk, monkeypatch, None)
    with looking_on(page) as socket:
        work = sent(page, desk, pair())
        wait_for(lambda: work.phase == "faceless", work.phase)
        assert "no face was found" in work.note
        assert "use it as it is" in work.note
        moved = {"do": "move", "name": "age", "amount": 1}
        assert "there is no picture yet" in ask(socket, work, moved)
        assert ask(socket, work, {"do": "whole"}) == ""
        wait_ready(work)


@contextmanager
def looking_on(page: TestClient) -> Iterator[Any]:
    """A page that was told how everything is."""
    with page.websocket_connect(f"{BASE}/live?page=one") as socket:
        assert header_of(socket.receive_bytes())["kind"] == "studio"
        yield socket


def ask(socket: Any, work: Work, message: dict[str, Any]) -> str:
    """Send a message, wait until it was done, and give the note that it led to, if any."""
    socket.send_text(json.dumps({**message, "work": work.name}))
    notes: list[str] = []
    for _ in range(2):  # until it was taken, then until it was done
        socket.send_text('{"do": "hello"}')
        while (header := header_of(socket.receive_bytes()))["kind"] != "studio":
            notes += [header["text"]] if header["kind"] == "note" else []
        desks.idle(work)
    return "; ".join(notes)


def test_drags_and_brushes_that_cannot_be_done_are_told_and_change_nothing(
    desk: Desk, page: TestClient
) -> None:
    work = wait_ready(sent(page, desk, photo()))
    inside = {"do": "drag", "from": [[3, 4]], "to": [[9, 9]]}
    painted = {"do": "paint", "colours": WHITE, "edges": False}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({**inside, "from": [[-1, 4]], "mask": None}, "handles: -1,4 lies outside"),
        ({**inside, "to": [[9, 32]], "mask": None}, "targets: 9,32 lies outside"),
        ({**inside, "to": [[9, 9], [1, 1]], "mask": None}, "1 handles, 2 targets"),
        ({**inside, "mask": HIDDEN}, "the mask hides everything"),
        ({**painted, "mask": HIDDEN}, "the mask hides everything"),
        ({**painted, "mask": None}, "nothing is painted"),
    ]
    with looking_on(page) as socket:
        for message, told in wrong:
            assert told in ask(socket, work, message)
            assert not work.busy
        assert work.state()["operations"] == []
        assert ask(socket, work, {"do": "move", "name": "age", "amount": 1}) == ""
        assert work.state()["operations"] == ["age +1"]


def test_programs_are_compiled_once_the_first_photo_was_found(
    desk: Desk, page: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Any] = []
    monkeypatch.setattr(desk.warm_up, "begin", begun.append)
    work = wait_ready(sent(page, desk, photo()))
    desks.idle(work)
    assert begun == [work.session]


def test_a_preview_that_is_overtaken_is_not_drawn(
    desk: Desk, page: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = wait_ready(sent(page, desk, photo()))
    desks.idle(work)
    drawn: list[int | None] = []
    original = Work.show

    def show(work: Work, size: int | None = None, latents: Any = None) -> None:
        drawn.append(size)
        original(work, size, latents)

    monkeypatch.setattr(Work, "show", show)
    going = desks.hold(work)
    with looking_on(page) as socket:
        for amount in (0.2, 0.4, 0.6):
            slid = {"do": "slide", "name": "age", "amount": amount, "work": work.name}
            socket.send_text(json.dumps(slid))
        moved = {"do": "move", "name": "age", "amount": 0.6, "work": work.name}
        socket.send_text(json.dumps(moved))
        wait_for(lambda: work.jobs.qsize() == 2, "the messages do not arrive")
        going.set()
        wait_for(lambda: drawn, "nothing is drawn")
        desks.idle(work)
    assert drawn == [None]  # the picture at full size, once
    assert work.state()["amounts"] == {"age": 0.6}
