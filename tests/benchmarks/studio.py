"""Seconds that a page of the studio waits: `python -m tests.benchmarks studio PHOTO`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

SHORT, LONG = 256, 1024  # px of pictures while something moves, and afterwards


def report(photo: Path) -> None:
    """Print what a new page waits for, and the load of the machine before and after."""
    begun, load = time.perf_counter(), os.getloadavg()[0]
    served = [sys.executable, "-m", "jaxinv", "studio", str(photo), "--no-browser", "--port", "0"]
    with subprocess.Popen(served, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = next(line for line in server.stdout if "http" in line).split()[-1]
        said("address", begun)
        origin = url[: url.index("/", 8)]
        live = f"{url.replace('http', 'ws', 1)}live?page=timed"
        with connect(live, origin=origin, max_size=2**24) as socket:  # type: ignore[arg-type]
            studio = until(socket, kind="studio")
            work = until(socket, kind="picture", which="now")["work"]
            said("first picture", begun)
            until(socket, kind="state", phase="ready")
            said("found", begun)
            until(socket, kind="picture", which="now", size=[LONG, LONG])
            for slider in studio["sliders"][:2]:
                answer(socket, work, {"do": "slide", "name": slider["name"], "amount": 0.5}, SHORT)
                answer(socket, work, {"do": "slide", "name": slider["name"], "amount": 0.8}, SHORT)
                answer(socket, work, {"do": "move", "name": slider["name"], "amount": 0.8}, LONG)
            drag = {"do": "drag", "from": [[512, 720]], "to": [[512, 680]], "mask": None}
            for _ in range(2):  # the first one is compiled
                answer(socket, work, drag, SHORT)
                socket.send(json.dumps({"do": "stop", "work": work}))
                until(socket, kind="picture", which="now", size=[LONG, LONG])
        server.terminate()
    print(f"load {load:.1f} before, {os.getloadavg()[0]:.1f} after")


def answer(socket: ClientConnection, work: str, message: dict[str, Any], size: int) -> None:
    """Say how long a message waits for a picture of `size` px."""
    begun = time.perf_counter()
    socket.send(json.dumps({**message, "work": work}))
    until(socket, kind="picture", which="now", size=[size, size])
    said(f"{message['do']} {message.get('name', '')}", begun)


def until(socket: ClientConnection, **fields: Any) -> dict[str, Any]:
    """The next message with these fields; a note ends the measurement."""
    while True:
        data = socket.recv()
        assert isinstance(data, bytes)
        header = json.loads(data[4 : 4 + int.from_bytes(data[:4], "big")])
        if header["kind"] == "note":
            raise ValueError(header["text"])
        if fields.items() <= header.items():
            return header


def said(what: str, begun: float) -> None:
    print(f"{what:24} {time.perf_counter() - begun:7.2f} s", flush=True)
