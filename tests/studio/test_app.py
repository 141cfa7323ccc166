"""The studio over HTTP and websockets: from a photo to what is saved; pages that come and go."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from jaxinv.cli.main import main
from jaxinv.io.images import encode_png, read_upright
from jaxinv.studio.desk import Desk
from tests.studio import desks
from tests.studio.desks import BASE, HEADERS, app, header_of, photo, wait_for, wait_ready

WHITE = base64.b64encode(encode_png(np.full((8, 8, 3), 255, np.uint8))).decode()
RED = base64.b64encode(encode_png(np.full((8, 8, 3), (200, 10, 10), np.uint8))).decode()


@pytest.fixture
def desk(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    found = desks.make_desk(tmp_path, tmp_path_factory.getbasetemp(), monkeypatch)
    yield found
    found.close()


@pytest.fixture
def page(desk: Desk) -> Iterator[TestClient]:
    with TestClient(app(desk), base_url="http://127.0.0.1:8600", headers=HEADERS) as found:
        yield found


def send_photo(page: TestClient, name: str = "me.png", seed: int = 0) -> str:
    answer = page.post(f"{BASE}/photos", content=photo(seed), headers={"x-name": name})
    assert answer.status_code == 200, answer.text
    return answer.json()["work"]


def say(socket: Any, message: dict[str, Any]) -> None:
    """Send a message, and wait until it was taken."""
    for one in (message, {"do": "hello"}):
        socket.send_text(json.dumps(one))
    until(socket, "studio")


def until(socket: Any, kind: str, **fields: Any) -> dict[str, Any]:
    """The next message of a kind with these fields."""
    for _ in range(200):
        found = header_of(socket.receive_bytes())
        if found["kind"] == kind and fields.items() <= found.items():
            return found
    raise AssertionError(f"no {kind} {fields}")


def test_the_page_and_its_files_are_served(desk: Desk, page: TestClient) -> None:
    index = page.get(f"{BASE}/")
    assert index.headers["content-type"].startswith("text/html")
    for name in ("main.js", "connection.js", "canvas.js", "tools.js", "panels.js"):
        assert page.get(f"{BASE}/{name}").headers["content-type"].startswith("text/javascript")
    assert page.get(f"{BASE}/studio.css").headers["content-type"].startswith("text/css")
    assert "//" not in index.text.replace("<!doctype html>", "")  # no address of elsewhere
    for path in ("/app.py", "/work.py", "/page/main.js", "/works", "/works/x/picture.png"):
        assert page.get(BASE + path).status_code == 404


def test_a_photo_is_found_edited_and_saved(desk: Desk, page: TestClient, tmp_path: Path) -> None:
    with page.websocket_connect(f"{BASE}/live?page=one") as socket:
        state = until(socket, "studio")
        assert [one["name"] for one in state["sliders"]] == ["age"]
        assert state["sliders"][0]["range"] == [-2, 2]
        name = send_photo(page)
        until(socket, "picture", which="before")
        until(socket, "state", phase="ready")
        asked: list[dict[str, Any]] = [
            {"do": "slide", "name": "age", "amount": 0.5},
            {"do": "move", "name": "age", "amount": 1.0},
            {"do": "move", "name": "age", "amount": 0.25},
            {"do": "drag", "from": [[10, 10]], "to": [[12, 9]], "mask": WHITE},
            {"do": "paint", "colours": RED, "mask": WHITE, "edges": True},
            {"do": "undo"},
            {"do": "undo"},
            {"do": "redo"},
        ]
        work = desk.work(name)
        for message in asked:
            before = len(work.state()["operations"])
            say(socket, {**message, "work": name})
            if message["do"] in ("drag", "paint"):
                wait_for(
                    lambda n=before: work.note[:4] == "step" or len(work.state()["operations"]) > n,
                    "it never began",
                )
                say(socket, {"do": "stop", "work": name})
            desks.idle(work)
        state = work.state()
        assert state["amounts"] == {"age": 0.25}
        assert [one.split()[0] for one in state["operations"]] == ["age", "age", "drag"]
        assert state["redo"] == 1
    for kind in ("picture.png", "photograph.png", "change.gif", "latents.safetensors"):
        assert page.get(f"{BASE}/works/{name}/{kind}").status_code == 200
    (tmp_path / "photograph.png").write_bytes(
        page.get(f"{BASE}/works/{name}/photograph.png").content
    )
    assert read_upright(tmp_path / "photograph.png")[0].shape == (32, 40, 3)
    for kind in ("start.safetensors", "recipe.json"):
        (tmp_path / kind).write_bytes(page.get(f"{BASE}/works/{name}/{kind}").content)
    out = tmp_path / "OUT"
    done = ["edit", str(tmp_path / "start.safetensors"), "--recipe", str(tmp_path / "recipe.json")]
    assert main([*done, "-o", str(out)]) == 0
    saved = page.get(f"{BASE}/works/{name}/picture.png").content
    assert (out / "images" / "start.png").read_bytes() == saved
    latents = page.get(f"{BASE}/works/{name}/latents.safetensors").content
    assert (desk.folder / name / "latents.safetensors").read_bytes() == latents


def test_a_lost_page_comes_back_and_nothing_is_lost(desk: Desk, page: TestClient) -> None:
    with page.websocket_connect(f"{BASE}/live?page=one"):
        name = send_photo(page)
    wait_ready(desk.work(name))  # nobody looks on
    with page.websocket_connect(f"{BASE}/live?page=one") as socket:
        assert until(socket, "state", work=name)["phase"] == "ready"
        socket.send_text(json.dumps({"do": "show", "work": name}))
        assert until(socket, "picture", which="now")["size"] == [32, 32]


def test_two_pages_see_the_same(desk: Desk, page: TestClient) -> None:
    name = send_photo(page)
    wait_ready(desk.work(name))
    with (
        page.websocket_connect(f"{BASE}/live?page=one") as one,
        page.websocket_connect(f"{BASE}/live?page=two") as two,
    ):
        one.send_text(json.dumps({"do": "move", "work": name, "name": "age", "amount": 1}))
        for socket in (one, two):
            found = until(socket, "state", amounts={"age": 1.0})
            assert found["operations"] == ["age +1"]
        one.send_text(json.dumps({"do": "move", "work": name, "name": "none", "amount": 1}))
        assert "no direction 'none'; allowed: age" in until(two, "note")["text"]


def test_a_page_without_a_websocket_polls(desk: Desk, page: TestClient) -> None:
    name = send_photo(page)
    wait_ready(desk.work(name))

    def poll(message: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        text = "" if message is None else json.dumps(message)
        data, found = page.post(f"{BASE}/poll?page=three", content=text).content, []
        while data:
            length = int.from_bytes(data[:4], "big")
            found.append(header_of(data[4 : 4 + length]))
            data = data[4 + length :]
        return found

    assert {one["kind"] for one in poll()} == {"studio", "state"}
    seen = poll({"do": "move", "work": name, "name": "age", "amount": -1})
    while not any(one["kind"] == "state" and one["amounts"] == {"age": -1.0} for one in seen):
        seen += poll()
    assert page.post(f"{BASE}/poll").status_code == 400


def test_photos_mix(desk: Desk, page: TestClient) -> None:
    first, second = (send_photo(page, f"{seed}.png", seed) for seed in (0, 1))
    for name in (first, second):
        wait_ready(desk.work(name))
    with page.websocket_connect(f"{BASE}/live?page=one") as socket:
        socket.send_text(json.dumps({"do": "mix", "work": first, "other": second, "rows": "0-2"}))
        until(socket, "state", work=first, operations=["mix with 1.png"])
    mine, other = (desk.work(name).session for name in (first, second))
    assert mine is not None
    assert other is not None
    np.testing.assert_array_equal(mine.latents["w+"][:3], other.latents["w+"][:3])
    np.testing.assert_array_equal(mine.latents["w+"][3:], mine.start["w+"][3:])


def test_files_that_are_no_photos_are_refused_in_words(desk: Desk, page: TestClient) -> None:
    assert page.post(f"{BASE}/photos", content=b"").status_code == 400
    answer = page.post(f"{BASE}/photos", content=b"no picture at all")
    work = desk.work(answer.json()["work"])
    wait_for(lambda: work.phase == "failed", work.phase)
    assert "not an image in a known format" in work.note
    huge = {"content-length": str(2**40)}
    assert page.post(f"{BASE}/photos", content=b"x", headers=huge).status_code == 413
    assert page.get(f"{BASE}/works/{work.name}/picture.png").status_code == 409
