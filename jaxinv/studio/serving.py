"""The studio's server: on this machine only, by a token, in this thread or beside it."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from jaxinv.specs.checks import check_whole
from jaxinv.studio.app import application
from jaxinv.studio.guard import site

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxinv.studio.desk import Desk

HOST, PORT = "127.0.0.1", 8600
TRIES = 20  # ports from the usual one on
PATIENCE = 20.0  # seconds until a server must answer


class Server:
    """A studio that is served: where it is, until it is closed."""

    def __init__(self, desk: Desk, port: int | None = None, origins: Sequence[str] = ()) -> None:
        """Take a port: the one given, or the first free one from 8600 on.

        origins: pages elsewhere that may ask, such as the proxy of a notebook service. Raises
        `ValueError` for a port that is taken or is none.
        """
        import uvicorn

        self.desk, self.token = desk, secrets.token_urlsafe(24)
        self.origins = tuple(map(site, origins))
        self.socket = _bound(port)
        self.port = self.socket.getsockname()[1]
        config = uvicorn.Config(
            application(desk, self.token, origins),
            log_level="warning",
            access_log=False,
            ws_max_size=2**23,
            lifespan="off",
            server_header=False,
        )
        self.server = uvicorn.Server(config)

    @property
    def path(self) -> str:
        """The path of the page, which holds the token."""
        return f"/{self.token}/"

    @property
    def url(self) -> str:
        """The address of the page on this machine."""
        return f"http://{HOST}:{self.port}{self.path}"

    @property
    def addresses(self) -> list[str]:
        """Where the page is: on this machine, then at the sites that were named."""
        return [self.url, *(origin + self.path for origin in self.origins)]

    def run(self) -> None:
        """Serve until the process is asked to stop."""
        with closing(self.socket):
            self.server.run(sockets=[self.socket])
        self.desk.close()

    def start(self) -> Server:
        """Serve in a thread beside this one, as in notebooks; returns when it answers."""
        threading.Thread(target=self.run, daemon=True, name="studio").start()
        until = time.monotonic() + PATIENCE
        while not self.server.started and time.monotonic() < until:
            time.sleep(0.05)
        return self

    def close(self) -> None:
        """End the server, and all searches after what they are doing."""
        self.server.should_exit = True


def _bound(port: int | None) -> socket.socket:
    """A socket of this machine alone."""
    if port is not None:
        check_whole("port", port, 0)
        if port > 65_535:
            raise ValueError(f"port {port}; allowed: 0 to 65535 (0: any that is free)")
    for number in range(PORT, PORT + TRIES) if port is None else (port,):
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((HOST, number))
            found.listen()  # from now on connections wait instead of being refused
        except OSError as error:
            found.close()
            wrong: Any = error
            continue
        return found
    which = f"ports {PORT} to {PORT + TRIES - 1}" if port is None else f"port {port}"
    raise ValueError(f"{which} cannot be had ({wrong.strerror}); allowed: --port with another")


def open_when_ready(server: Server, show: Callable[[str], object]) -> None:
    """Call `show(url)` once the server answers."""

    def wait() -> None:
        until = time.monotonic() + PATIENCE
        while not server.server.started and time.monotonic() < until:
            time.sleep(0.05)
        show(server.url)

    threading.Thread(target=wait, daemon=True).start()
