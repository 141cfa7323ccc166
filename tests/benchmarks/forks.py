"""Processes that begin with everything imported: a fork of this one, which never uses a device."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable


def start(work: Callable[[], object]) -> int:
    """The id of a child that does `work` and ends with the exit code that it returns, or 0."""
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (DeprecationWarning, RuntimeWarning))  # of threads
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = int(work() or 0)  # pyright: ignore[reportArgumentType]
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def end(child: int) -> int:
    """Wait for it; its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def done(work: Callable[[], object]) -> None:
    """Do something in a child; `SystemExit` if it fails."""
    if code := end(start(work)):
        raise SystemExit(f"a child ended with {code}")
