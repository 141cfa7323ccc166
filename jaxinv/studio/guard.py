"""Who may ask: every request needs the token of its path, a host and an origin of ours.

The server listens on this machine only; still, any page that the user has open could reach it.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Scope = dict[str, Any]
    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

SITE = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?")
LOCAL = ("127.0.0.1", "localhost", "[::1]")
POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob:",
        "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors {framers}",
    )
)  # fmt: skip
HEADERS = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def site(address: str) -> str:
    """The origin of an address of a site, as browsers write it; `ValueError` for anything else."""
    origin = address.lower().removesuffix("/")
    if not SITE.fullmatch(origin):
        raise ValueError(f"origin {address[:80]!r}; allowed: like https://example.org")
    return origin


def _is_local(host: str) -> bool:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host) in LOCAL


class Guard:
    """Lets requests through whose path begins with the token, and answers 403 to all others.

    token: the first part of every path. origins: pages elsewhere that may ask, too, such as
    "https://example.org" (the proxy of a notebook service); their hosts are allowed with them.
    Raises `ValueError` for one that is none.
    """

    def __init__(self, app: Any, token: str, origins: Sequence[str] = ()) -> None:
        self.app, self.token = app, token.encode()
        self.origins = tuple(map(site, origins))
        self.hosts = {origin.partition("://")[2] for origin in self.origins}
        framers = " ".join(self.origins) or "'none'"
        headers = {**HEADERS, "content-security-policy": POLICY.format(framers=framers)}
        self.headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        inside = self._inside(scope)
        if inside is None:
            await self._refuse(scope, receive, send)
            return

        async def with_headers(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self.headers]
            await send(message)

        await self.app(inside, receive, with_headers)

    def _inside(self, scope: Scope) -> Scope | None:
        """The connection below the token; None where it may not be."""
        given = [(name.lower(), value) for name, value in scope.get("headers", [])]
        hosts = [value.decode("latin-1").lower() for name, value in given if name == b"host"]
        origins = [value.decode("latin-1").lower() for name, value in given if name == b"origin"]
        _, _, rest = scope["path"].partition("/")
        token, slash, below = rest.partition("/")
        known = secrets.compare_digest(token.encode("utf-8", "replace"), self.token)
        if not known or not slash or len(hosts) != 1 or len(origins) > 1:
            return None
        local = _is_local(hosts[0])
        own = (f"http://{hosts[0]}", f"https://{hosts[0]}") if local else ()
        if not (local or hosts[0] in self.hosts) or not {*own, *self.origins}.issuperset(origins):
            return None
        if scope["type"] == "websocket" and not origins:
            return None
        return {**scope, "path": f"/{below}", "raw_path": f"/{below}".encode(), "root_path": ""}

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        plain = [(b"content-type", b"text/plain; charset=utf-8"), *self.headers]
        await send({"type": "http.response.start", "status": 403, "headers": plain})
        await send({"type": "http.response.body", "body": b"forbidden\n"})
