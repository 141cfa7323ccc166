"""The web application: one page, photos sent up, messages both ways, and downloads."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from jaxinv.io.text import shortened
from jaxinv.studio.desk import LARGEST_PHOTO
from jaxinv.studio.exports import EXPORTS, export
from jaxinv.studio.guard import Guard
from jaxinv.studio.mailbox import Mailbox, frame
from jaxinv.studio.messages import LARGEST, read_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.websockets import WebSocket

    from jaxinv.studio.desk import Desk

PAGE = {
    "": ("index.html", "text/html"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
    "studio.css": ("studio.css", "text/css"),
    **{
        name: (name, "text/javascript")
        for name in ("main.js", "connection.js", "canvas.js", "tools.js", "panels.js")
    },
}
WAIT = 15.0  # seconds that a page without a websocket waits for something new
LONGEST_NAME = 64  # of a page


def application(desk: Desk, token: str, origins: Sequence[str] = ()) -> Any:
    """The studio as an ASGI application, all of it below `/TOKEN/`; see `Guard`."""
    handlers = Handlers(desk)
    routes: list[Any] = [Route(f"/{name}", page_file, methods=["GET"]) for name in PAGE]
    routes += [
        Route("/photos", handlers.photos, methods=["POST"]),
        Route("/poll", handlers.poll, methods=["POST"]),
        Route("/works/{work}/{kind}", handlers.download, methods=["GET"]),
        WebSocketRoute("/live", handlers.live),
    ]
    return Guard(Starlette(routes=routes), token, origins)


async def page_file(request: Request) -> Response:
    """A file of the page."""
    name, kind = PAGE[request.url.path.rpartition("/")[2]]
    body = resources.files("jaxinv.studio").joinpath("page", name).read_bytes()
    return Response(body, media_type=kind)


class Handlers:
    """What the page asks for, by the desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def photos(self, request: Request) -> Response:
        """A photo is sent up: its bytes are the body, its name stands beside them."""
        data = await _body(request, LARGEST_PHOTO)
        if data is None:
            return _refused(413, f"the photo has more than {LARGEST_PHOTO >> 20} MB")
        if not data:
            return _refused(400, "nothing arrived: send the photo again")
        title = unquote(request.headers.get("x-name", "photo"))[:200]
        try:
            work = await run_in_threadpool(self.desk.open, title, data)
        except (ValueError, OSError) as error:
            return _refused(400, shortened(error))
        return JSONResponse({"work": work.name})

    async def download(self, request: Request) -> Response:
        """A file to keep: the picture, the photograph, latents, an animation or the recipe."""
        name, kind = request.path_params["work"], request.path_params["kind"]
        if name not in self.desk.works or kind not in EXPORTS:
            return _refused(404, "there is no such file")
        work = self.desk.works[name]
        try:
            data = await run_in_threadpool(export, work, kind)
        except (ValueError, OSError) as error:
            return _refused(409, shortened(error))
        file = quote(f"{work.title.rpartition('.')[0] or work.title}-{kind}", safe="")
        held = {"content-disposition": f"attachment; filename*=utf-8''{file}"}
        return Response(data, media_type=EXPORTS[kind], headers=held)

    async def live(self, socket: WebSocket) -> None:
        """A page that has a websocket: messages both ways until it leaves."""
        name = socket.query_params.get("page", "")[:LONGEST_NAME] or secrets.token_hex(4)
        await socket.accept()
        box = Mailbox(asyncio.get_running_loop())
        self.desk.page(name, box)
        sender = asyncio.create_task(_send_all(socket, box))
        try:
            while True:
                data = await socket.receive()
                if data["type"] == "websocket.disconnect":
                    break
                said = data.get("text") or data.get("bytes") or ""
                await run_in_threadpool(self.take, said, box)  # it may hold pictures
        except WebSocketDisconnect:
            pass
        finally:
            self.desk.gone(name, box)
            sender.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await sender

    async def poll(self, request: Request) -> Response:
        """A page without a websocket: messages from it, then what is new for it."""
        name = request.query_params.get("page", "")[:LONGEST_NAME]
        data = await _body(request, LARGEST)
        if data is None or not name:
            return _refused(413 if name else 400, "allowed: one message, and the page's name")
        box = self.desk.pages.get(name)
        if box is None:
            box = Mailbox(asyncio.get_running_loop())
            self.desk.page(name, box)
        if data:
            await run_in_threadpool(self.take, data, box)
        frames = box.take() if data else await box.wait(WAIT)
        parts = (len(one).to_bytes(4, "big") + one for one in frames)
        return Response(b"".join(parts), media_type="application/octet-stream")

    def take(self, data: str | bytes, box: Mailbox) -> None:
        """One message of a page; what is wrong with it is told to that page alone."""
        work = ""
        try:
            message = read_message(data)
            work = message.work
            if message.do == "hello":
                box.put("studio", frame(self.desk.state()))
            elif message.do == "learn":
                self.desk.learn()
            else:
                self.desk.work(work).receive(message)
        except ValueError as error:
            told = {"kind": "note", "work": work, "text": shortened(error)}
            box.put(f"note {secrets.token_hex(4)}", frame(told))


async def _send_all(socket: WebSocket, box: Mailbox) -> None:
    with suppress(WebSocketDisconnect, RuntimeError, anyio.ClosedResourceError):
        while True:
            for message in await box.wait():
                await socket.send_bytes(message)


async def _body(request: Request, most: int) -> bytes | None:
    """The body of a request; None where it is too long, of which no more is read."""
    stated = request.headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated) > most:
        return None
    parts, total = list[bytes](), 0
    async for part in request.stream():
        parts.append(part)
        total += len(part)
        if total > most:
            return None
    return b"".join(parts)


def _refused(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status_code=status)
