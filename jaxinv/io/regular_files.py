"""Regular files, opened without waiting for pipes, devices or sockets."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 2**30


class BadFile(ValueError):
    """Why one file cannot be used; who knows the file's name adds it."""


def open_regular(path: str | Path) -> BinaryIO:
    """Open a regular file for reading; pipes, devices and sockets are never waited for.

    Raises `BadFile` for anything that is none, for a link that leads nowhere, and for a path that
    no file can have; `FileNotFoundError` where there is nothing, `OSError` for what cannot be read.
    """
    place = Path(path)
    if "\0" in os.fspath(place):
        raise BadFile("no name of a file: it holds a zero byte")
    if place.is_dir():
        listable = os.access(place, os.R_OK | os.X_OK)
        raise BadFile("a folder, not a file" if listable else "a folder that cannot be listed")
    if place.is_symlink() and not place.exists():
        raise BadFile("a link that leads nowhere")
    if place.exists() and not place.is_file():
        raise BadFile("not a regular file")
    # What became a pipe since then is not waited for either.
    handle = os.open(place, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise BadFile("not a regular file")
    return os.fdopen(handle, "rb")
