"""Who may ask: tokens, hosts and origins; and a thousand messages that make no sense."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from jaxinv.io.images import encode_jpeg, encode_png
from jaxinv.studio.desk import MOST_PAGES, Desk
from jaxinv.studio.guard import site
from jaxinv.studio.mailbox import MOST_NOTES, Mailbox
from jaxinv.studio.messages import FIELDS, PNG, read_message
from tests.studio import desks
from tests.studio.desks import BASE, HEADERS, ORIGIN, TOKEN, app, files_below, photo


def client(desk: Desk, origins: tuple[str, ...] = ()) -> TestClient:
    return TestClient(app(desk, origins), base_url="http://127.0.0.1:8600")


FOREIGN: list[dict[str, str]] = [
    {"host": "evil.example"},
    {"host": "127.0.0.1.evil.example:8600"},
    {"host": "127.0.0.1:8600", "origin": "http://evil.example"},
    {"host": "127.0.0.1:8600", "origin": "null"},
    {"host": "127.0.0.1:8600", "origin": "http://127.0.0.1:9000"},
    {"host": "localhost:8600", "origin": "http://127.0.0.1:8600"},
    {"host": ""},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_foreign_hosts_and_origins_are_refused(desk: Desk, headers: dict[str, str]) -> None:
    page = client(desk)
    for method, path in (("GET", "/"), ("GET", "/main.js"), ("POST", "/photos"), ("POST", "/poll")):
        answer = page.request(method, BASE + path, headers=headers, content=photo())
        assert (answer.status_code, answer.text) == (403, "forbidden\n")
        assert "access-control-allow-origin" not in answer.headers
    with (
        pytest.raises(WebSocketDisconnect),
        page.websocket_connect(f"{BASE}/live", headers=headers),
    ):
        pass
    assert desk.works == {}


@pytest.mark.parametrize(
    "path", ["/", "/main.js", f"/{TOKEN}", f"/{TOKEN}x/", "/%00/", "//", f"/{TOKEN[:-1]}/", "/é/"]
)
def test_wrong_tokens_are_refused(desk: Desk, path: str) -> None:
    page = client(desk)
    assert page.get(path, headers=HEADERS).status_code == 403
    assert page.post(path, headers=HEADERS, content=photo()).status_code == 403
    with pytest.raises(WebSocketDisconnect), page.websocket_connect(path, headers=HEADERS):
        pass


def test_a_websocket_says_where_it_is_from(desk: Desk) -> None:
    page = client(desk)
    nobody = {"host": "127.0.0.1:8600"}
    with pytest.raises(WebSocketDisconnect), page.websocket_connect(f"{BASE}/live", headers=nobody):
        pass


def test_a_site_that_was_named_may_ask(desk: Desk) -> None:
    proxy = "https://proxy.example"
    assert site("HTTPS://Proxy.example/") == "https://proxy.example"
    for headers in ({"host": "proxy.example", "origin": proxy}, {**HEADERS, "origin": proxy}):
        assert client(desk, (proxy,)).get(f"{BASE}/", headers=headers).status_code == 200
        assert client(desk).get(f"{BASE}/", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "address",
    ["proxy.example", "https://a.example;script-src *", "https://a.example/path", "ftp://a.example",
     "https://me@a.example", "https://a.example\r\nx: y", ""],
)  # fmt: skip
def test_what_is_no_site_is_not_let_into_the_policy(desk: Desk, address: str) -> None:
    with pytest.raises(ValueError, match="allowed: like https"):
        app(desk, (address,))


def test_every_answer_is_locked_in(desk: Desk) -> None:
    page = client(desk)
    for path in ("/", "/nothing", "/main.js"):
        headers = page.get(BASE + path, headers=HEADERS).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


WRONG: list[Any] = [
    None, True, -1, 2**70, 1e400, "", "x" * 300, [], {}, [[]], [[1]], [["a", "b"]], [[1e9, 2]],
    {"a": 1}, "../../etc/passwd", "\x00", [[1, 2]] * 99,
]  # fmt: skip


def malformed(draws: np.random.Generator) -> str | bytes:
    """A message that is nearly one, or none at all."""
    kind = draws.integers(6)
    if kind == 0:
        return draws.bytes(int(draws.integers(1, 60)))
    if kind == 1:
        return '{"do":' * int(draws.integers(1, 2000))
    do = list(FIELDS)[draws.integers(len(FIELDS))]
    fields = {name: WRONG[draws.integers(len(WRONG))] for name in FIELDS[do]}
    value: dict[str, Any] = {"do": do, "work": "none", **fields}
    if kind == 2 and fields:
        value.pop(next(iter(fields)))
    elif kind == 3:
        value[str(WRONG[draws.integers(len(WRONG))])] = 1
    elif kind == 4:
        value["work"] = WRONG[draws.integers(len(WRONG))]
    return json.dumps(value)


def test_a_thousand_malformed_messages_change_nothing(desk: Desk, tmp_path: Path) -> None:
    draws, page = np.random.default_rng(7), client(desk)
    desk.aligned = False
    before = files_below(tmp_path)
    with page.websocket_connect(f"{BASE}/live?page=one", headers=HEADERS) as socket:
        for number in range(500):
            message = malformed(draws)
            if number % 2 and isinstance(message, str):
                socket.send_text(message)
            else:
                socket.send_bytes(message.encode() if isinstance(message, str) else message)
        socket.send_text('{"do": "hello"}')
        for _ in range(600):
            if desks.header_of(socket.receive_bytes())["kind"] == "studio":
                break
    paths = ("/", "/photos", "/poll?page=a", "/works/../x", "/works/%2e%2e/picture.png", "/live")
    methods = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD")
    for _ in range(500):
        path, method = paths[draws.integers(len(paths))], methods[draws.integers(len(methods))]
        headers = HEADERS if draws.integers(2) else FOREIGN[draws.integers(len(FOREIGN))]
        message = malformed(draws) if path.startswith("/poll") else b""
        answer = page.request(method, BASE + path, headers=headers, content=message or b"{")
        assert answer.status_code < 500
        assert headers is HEADERS or answer.status_code == 403
    assert {one for one in files_below(tmp_path) - before if "/kept/" not in one} == set()
    assert page.get(f"{BASE}/", headers={"host": "127.0.0.1:8600", "origin": ORIGIN}).is_success


def test_half_a_character_does_not_end_a_connection(desk: Desk) -> None:
    page = client(desk)
    strange = '{"do": "undo", "work": "\\ud800"}'
    with page.websocket_connect(f"{BASE}/live?page=one", headers=HEADERS) as socket:
        socket.send_text(strange)
        kinds = [desks.header_of(socket.receive_bytes())["kind"] for _ in range(2)]
        assert kinds == ["studio", "note"]
    answer = page.post(f"{BASE}/poll?page=two", headers=HEADERS, content=strange)
    assert answer.status_code == 200


def test_notes_take_no_states_place() -> None:
    loop = asyncio.new_event_loop()
    box = Mailbox(loop)
    loop.close()  # as where the server has ended
    kinds = ["studio", *(f"state {number}" for number in range(64))]
    for kind in (*kinds, *(f"note {number}" for number in range(MOST_NOTES + 9))):
        box.put(kind, kind.encode())
    taken = [one.decode() for one in box.take()]
    assert taken[:65] == kinds
    assert taken[65:] == [f"note {number}" for number in range(9, MOST_NOTES + 9)]


def test_a_page_that_comes_back_takes_no_others_place(desk: Desk) -> None:
    loop = asyncio.new_event_loop()
    names = [str(number) for number in range(MOST_PAGES)]
    for name in (*names, names[-1]):
        desk.page(name, Mailbox(loop))
    loop.close()
    assert set(desk.pages) == set(names)


def test_pictures_in_messages_are_small_png_files() -> None:
    def told(data: bytes) -> str:
        text = base64.b64encode(data).decode()
        with pytest.raises(ValueError, match="drag: mask") as caught:
            read_message(json.dumps({"do": "drag", "from": [[1, 1]], "to": [[2, 2]], "mask": text}))
        return str(caught.value)

    wide = encode_png(np.zeros((16, 17, 3), np.uint8))
    assert "17 x 16 px" in told(wide)
    # No pixel of it is read: there is none.
    assert "9999 x 9999 px" in told(PNG + (9999).to_bytes(4) * 2)
    assert "no PNG file" in told(encode_jpeg(np.zeros((16, 16, 3), np.uint8), 90))
    assert "no PNG file" in told(b"")


def test_every_field_is_checked() -> None:
    for do, fields in FIELDS.items():
        for name in fields:
            for value in (None, [], {}, -1, "\x00" * 300):
                text = json.dumps({"do": do, **dict.fromkeys(fields, 1), name: value})
                if not (name == "mask" and value is None):
                    with pytest.raises(ValueError, match=f"{do}: |{do}"):
                        read_message(text)
