"""The studio in a notebook: Colab's proxy is let in, and no other page of its domain."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from jaxinv.studio.notebooks import serve
from jaxinv.studio.serving import Server
from tests.offline import PIXELS
from tests.studio import desks
from tests.studio.desks import photo, wait_for, wait_ready

SITE = "https://8631-m-s-1a2b3c.us-central1-0.example.dev"
# What a proxy adds of its own, and what it may make of the host.
ADDED = {
    "x-forwarded-for": "203.0.113.9, 10.0.0.1",
    "x-forwarded-proto": "https",
    "x-forwarded-host": SITE.removeprefix("https://"),
    "via": "1.1 google",
    "x-colab-tunnel": "Google",
}
HOSTS = (SITE.removeprefix("https://"), "localhost:8600", "127.0.0.1:8600")
OTHERS = (
    "https://8631-m-s-9z9z9z.us-central1-0.example.dev",  # the notebook of somebody else
    "https://8632-m-s-1a2b3c.us-central1-0.example.dev",  # another port of this one
    f"{SITE}.evil.example",
    SITE.replace("https", "http"),
    "https://colab.research.google.com",
    "null",
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Colab was asked for; it answers with the address of its proxy."""
    found: list[str] = []

    def eval_js(script: str) -> str:
        found.append(script)
        return f"{SITE}/"

    for name in ("google", "google.colab", "google.colab.output"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["google.colab.output"], "eval_js", eval_js, raising=False)
    return found


@pytest.fixture
def place(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder of a machine that has the tiny generator."""
    desks.make_desk(tmp_path, tmp_path_factory.getbasetemp(), monkeypatch).close()
    return tmp_path


def serving(place: Path, **options: object) -> Iterator[Server]:
    server = serve("tiny", place / "studio", preset=PIXELS.name, **options)  # type: ignore[arg-type]
    yield server
    server.close()
    wait_for(lambda: server.socket.fileno() == -1, "the server does not end")


@pytest.fixture
def proxied(place: Path, asked: list[str]) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    yield from serving(place, port=port)
    assert asked == [f"google.colab.kernel.proxyPort({port})"]


def client(server: Server) -> TestClient:
    app = server.server.config.app
    return TestClient(app, base_url="http://127.0.0.1:8600")  # type: ignore[arg-type]


def test_the_proxy_of_colab_is_let_in(proxied: Server) -> None:
    assert proxied.addresses == [proxied.url, f"{SITE}{proxied.path}"]
    page = client(proxied)
    for number, host in enumerate(HOSTS):
        plain = {"host": host, **ADDED}
        found = page.get(proxied.path, headers=plain)
        assert found.status_code == 200
        assert f"frame-ancestors {SITE}" in found.headers["content-security-policy"]
        assert page.get(f"{proxied.path}main.js", headers=plain).status_code == 200
        ours = {**plain, "origin": SITE}
        sent = page.post(f"{proxied.path}photos", content=photo(), headers=ours)
        assert sent.status_code == 200
        wait_ready(proxied.desk.work(sent.json()["work"]))
        # Another page each time: one that has been told everything waits for something new.
        assert page.post(f"{proxied.path}poll?page={number}", headers=ours).content
        live = f"{proxied.path}live?page=b"
        with page.websocket_connect(live, headers=ours) as connection:
            assert connection.receive_bytes()


@pytest.mark.parametrize("origin", OTHERS)
def test_nobody_else_behind_the_proxy_is(proxied: Server, origin: str) -> None:
    page = client(proxied)
    for host in HOSTS:
        theirs = {"host": host, "origin": origin, **ADDED}
        for answer in (
            page.get(proxied.path, headers=theirs),
            page.post(f"{proxied.path}photos", content=photo(), headers=theirs),
            page.post(f"{proxied.path}poll?page=a", headers=theirs),
        ):
            assert answer.status_code == 403
        live = f"{proxied.path}live?page=b"
        with pytest.raises(WebSocketDisconnect), page.websocket_connect(live, headers=theirs):
            pass
    strange = {"host": origin.partition("://")[2] or origin, **ADDED}
    if strange["host"] not in HOSTS:
        assert page.get(proxied.path, headers=strange).status_code == 403
    assert page.get("/", headers={"host": HOSTS[0], **ADDED}).status_code == 403
    assert not proxied.desk.works


def test_outside_of_colab_only_this_machine_is(place: Path) -> None:
    with pytest.raises(ValueError, match="unknown preset"):
        serve("tiny", place / "studio", preset="no-such-preset")
    (place / "me.png").write_bytes(photo())
    for server in serving(place, port=0, photos=[place / "me.png"]):
        assert server.addresses == [server.url]
        (work,) = server.desk.works.values()
        assert wait_ready(work).title == "me.png"
        theirs = {"host": HOSTS[0], "origin": SITE, **ADDED}
        assert client(server).get(server.path, headers=theirs).status_code == 403
