"""The studio over HTTP and websockets: from a photo to what is saved; pages that come and go."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from jaxinv.cli.main import main
from jaxinv.io.images import encode_png, read_upright
from jaxinv.io.latent_files import load_latents
from jaxinv.studio import work as works
from jaxinv.studio.desk import MOST_WORKS, Desk
from jaxinv.studio.work import Work
from jaxinv.types import Latents
from tests.studio import desks
from tests.studio.desks import BASE, header_of, photo, wait_for, wait_ready

WHITE = base64.b64encode(encode_png(np.full((16, 16, 3), 255, np.uint8))).decode()
RED = base64.b64encode(encode_png(np.full((16, 16, 3), (200, 10, 10), np.uint8))).decode()


def send_photo(page: TestClient, name: str = "me.png", seed: int = 0) -> str:
    answer = page.post(f"{BASE}/photos", content=photo(seed), headers={"x-name": name})
    assert answer.status_code == 200, answer.text
    return answer.json()["work"]


def say_and_finish(socket: Any, work: Work) -> None:
    """Wait until all that was sent was taken, and done by the thread of the work."""
    socket.send_text('{"do": "hello"}')
    until(socket, "studio")
    desks.idle(work)


def until(socket: Any, kind: str, **fields: Any) -> dict[str, Any]:
    """The next message of a kind with these fields; a note is an error, unless it is looked for."""
    return until_true(socket, lambda one: one["kind"] == kind and fields.items() <= one.items())


def until_true(socket: Any, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    for _ in range(2000):
        found = header_of(socket.receive_bytes())
        if wanted(found):
            return found
        assert found["kind"] != "note", found["text"]
    raise AssertionError("it never comes")


def test_the_page_and_its_files_are_served(desk: Desk, page: TestClient) -> None:
    index = page.get(f"{BASE}/")
    assert index.headers["content-type"].startswith("text/html")
    for name in ("main.js", "connection.js", "canvas.js", "tools.js", "panels.js"):
        assert page.get(f"{BASE}/{name}").headers["content-type"].startswith("text/javascript")
    assert page.get(f"{BASE}/studio.css").headers["content-type"].startswith("text/css")
    assert "//" not in index.text.replace("<!doctype html>", "")  # no address of elsewhere
    for path in ("/app.py", "/work.py", "/page/main.js", "/works", "/works/x/picture.png"):
        assert page.get(BASE + path).status_code == 404


@pytest.mark.slow
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
            socket.send_text(json.dumps({**message, "work": name}))
            if message["do"] in ("drag", "paint"):
                # The state of a single step may have been overtaken by that of the end.
                until_true(
                    socket,
                    lambda one, n=before: (
                        one["kind"] == "state"
                        and (one["note"].startswith("step") or len(one["operations"]) > n)
                    ),
                )
                socket.send_text(json.dumps({"do": "stop", "work": name}))
            say_and_finish(socket, work)
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


class Steered:
    """A search that goes on when it is told to: `tell` a start, `let` it end, or fail."""

    def __init__(self, patch: pytest.MonkeyPatch, desk: Desk) -> None:
        self.let, self.wrong = threading.Event(), list[Exception]()
        self.found = [self.codes(desk, seed) for seed in range(3)]
        patch.setattr(works, "search", self.search)

    @staticmethod
    def codes(desk: Desk, seed: int) -> Latents:
        spec, draws = desk.gen.spec, np.random.default_rng(seed)
        return {"w+": draws.standard_normal((spec.rows, spec.w_dim)).astype(np.float32)}

    def search(self, gen: Any, params: Any, photo: Any, preset: str, tell: Any) -> Latents:
        for share, codes in enumerate(self.found[:2]):
            tell(codes, "words", share / 2)
        assert self.let.wait(desks.PATIENCE)
        if self.wrong:
            raise self.wrong[0]
        tell(self.found[1], "words", 0.9)
        return self.found[2]


def codes_of(work: Work) -> np.ndarray:
    assert work.session is not None
    return np.asarray(work.session.start["w+"])


def test_edits_during_a_search_are_kept_with_the_start_they_belong_to(
    desk: Desk, page: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    steered = Steered(monkeypatch, desk)
    work = desk.work(send_photo(page))
    with page.websocket_connect(f"{BASE}/live?page=one") as socket:
        until(socket, "state", phase="searching")
        wait_for(lambda: work.session is not None, "no start")
        move = {"do": "move", "work": work.name, "name": "age", "amount": 1}
        socket.send_text(json.dumps(move))
        until(socket, "state", amounts={"age": 1.0})
        steered.let.set()
        wait_ready(work)
        say_and_finish(socket, work)
        folder = desk.folder / work.name
        kept, _ = load_latents(folder / "start.safetensors")
        np.testing.assert_array_equal(kept["w+"], steered.found[2]["w+"])
        recipe = json.loads((folder / "recipe.json").read_text("utf-8"))
        assert work.session is not None
        assert recipe["start_sha256"] == work.session.fingerprint()
        assert len(recipe["operations"]) == 1
        socket.send_text(json.dumps({"do": "undo", "work": work.name}))
        say_and_finish(socket, work)
        assert json.loads((folder / "recipe.json").read_text("utf-8"))["operations"] == []


@pytest.mark.parametrize("wrong", [MemoryError("full"), KeyError("x")])
def test_a_search_that_breaks_off_keeps_what_it_reached(
    desk: Desk, page: TestClient, monkeypatch: pytest.MonkeyPatch, wrong: Exception
) -> None:
    steered = Steered(monkeypatch, desk)
    steered.wrong.append(wrong)
    with page.websocket_connect(f"{BASE}/live?page=one") as socket:
        work = desk.work(send_photo(page))
        steered.let.set()
        assert type(wrong).__name__ in until(socket, "note")["text"]
    wait_ready(work)
    np.testing.assert_array_equal(codes_of(work), steered.found[1]["w+"])
    steered.found.clear()  # nothing is reached
    other = desk.work(send_photo(page))
    wait_for(lambda: other.phase == "failed", other.phase)


def test_enough_ends_a_search_with_what_it_reached(
    desk: Desk, page: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    steered = Steered(monkeypatch, desk)
    work = desk.work(send_photo(page))
    wait_for(lambda: work.session is not None, "no start")
    with page.websocket_connect(f"{BASE}/live?page=one") as socket:
        socket.send_text(json.dumps({"do": "stop", "work": work.name}))
        say_and_finish(socket, work)
    steered.let.set()
    wait_ready(work)
    np.testing.assert_array_equal(codes_of(work), steered.found[1]["w+"])


def test_pictures_of_a_search_do_not_pile_up(
    desk: Desk, page: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    steered = Steered(monkeypatch, desk)
    drawn, going = list[int](), threading.Event()

    def slow(work: Work, size: int | None = None, latents: Latents | None = None) -> None:
        del work, latents
        assert going.wait(desks.PATIENCE)
        drawn.append(size or 0)

    def many(gen: Any, params: Any, photo: Any, preset: str, tell: Any) -> Latents:
        for _ in range(50):
            tell(steered.found[0], "words", 0.5)
        going.set()
        return steered.found[2]

    monkeypatch.setattr(Work, "show", slow)
    monkeypatch.setattr(works, "search", many)
    work = wait_ready(desk.work(send_photo(page)))
    desks.idle(work)
    assert len(drawn) <= 3


def test_an_unexpected_error_of_one_edit_does_not_end_the_others(
    desk: Desk, page: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = wait_ready(desk.work(send_photo(page)))

    def broken(*_: object) -> None:
        raise KeyError("lost")

    with page.websocket_connect(f"{BASE}/live?page=one") as socket, monkeypatch.context() as patch:
        patch.setattr(Work, "_move", broken)
        move = json.dumps({"do": "move", "work": work.name, "name": "age", "amount": 1})
        socket.send_text(move)
        assert "KeyError: 'lost'" in until(socket, "note")["text"]
        patch.undo()
        socket.send_text(move)
        until(socket, "state", amounts={"age": 1.0})


def test_a_page_that_comes_is_told_of_every_photo(desk: Desk, page: TestClient) -> None:
    names = {send_photo(page) for _ in range(MOST_WORKS)}
    with page.websocket_connect(f"{BASE}/live?page=one") as socket:
        until(socket, "studio")
        while names:
            names.discard(until(socket, "state")["work"])
    assert page.post(f"{BASE}/photos", content=photo()).status_code == 400


def test_names_of_files_are_only_names(desk: Desk, page: TestClient) -> None:
    name = send_photo(page, "..%2F..%2Fa%22%0D%0Ab.png")
    wait_ready(desk.work(name))
    held = page.get(f"{BASE}/works/{name}/recipe.json").headers["content-disposition"]
    assert "/" not in held
    assert '"' not in held
    work = desk.open("half\udcff.png", photo())
    assert work.title == "half?.png"
