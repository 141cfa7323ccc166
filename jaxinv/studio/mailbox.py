"""What pages are told: for every page a box that holds the newest of each kind."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress
from typing import Any

NOTE = "note"  # how kinds of notes begin, which take nothing's place
MOST_NOTES = 50  # of one page that are kept until it fetches them


def frame(header: dict[str, Any], body: bytes = b"") -> bytes:
    """A message to the page: 4 bytes of the header's length, the header as JSON, then bytes."""
    head = json.dumps(header, separators=(",", ":")).encode()  # ASCII: half characters pass, too
    return len(head).to_bytes(4, "big") + head + body


class Mailbox:
    """The messages that one page has not fetched yet.

    A newer message of a kind takes the place of an older one: a page that is slow, or gone for a
    while, misses nothing but what is over. Threads put messages in; the page's connection waits.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.ready = loop, asyncio.Event()
        self.lock, self.waiting = threading.Lock(), dict[str, bytes]()

    def put(self, kind: str, message: bytes) -> None:
        """Leave a message; an older one of the same kind is dropped."""
        with self.lock:
            self.waiting.pop(kind, None)
            self.waiting[kind] = message
            notes = [one for one in self.waiting if one.startswith(NOTE)]
            for old in notes[:-MOST_NOTES]:
                del self.waiting[old]
        with suppress(RuntimeError):  # the server has ended
            self.loop.call_soon_threadsafe(self.ready.set)

    def take(self) -> list[bytes]:
        """All messages, oldest first; they are gone then."""
        with self.lock:
            found = list(self.waiting.values())
            self.waiting.clear()
            self.ready.clear()
        return found

    async def wait(self, seconds: float | None = None) -> list[bytes]:
        """The messages, as soon as there are some; none after so many seconds."""
        try:
            await asyncio.wait_for(self.ready.wait(), seconds)
        except TimeoutError:
            return []
        return self.take()
