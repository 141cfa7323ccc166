"""Warnings that one thread causes, caught while others go on.

`warnings.catch_warnings` changes the whole process: two threads that enter and leave it in turn
leave each other's filters behind.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import Any

SOURCES = r"PIL(\.|$)|jaxinv\.io"  # modules whose warnings are about a picture
_alone = threading.Lock()  # held where the process-wide way is taken
_own = threading.local()  # `found` of a thread that catches
_shared: list[type[Warning]] = []  # one entry while threads catch their own


@contextlib.contextmanager
def threads_catch(errors: type[Warning]) -> Iterator[None]:
    """Until the block ends, `caught_warnings` catches those of its own thread only.

    Entered by the thread that starts the others, and left by it when they have ended.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("always", module=SOURCES)
        warnings.simplefilter("error", errors)
        show = warnings.showwarning

        def dispatch(message: Any, category: Any, filename: str, lineno: int, *others: Any) -> None:
            found = getattr(_own, "found", None)
            if found is None:
                show(message, category, filename, lineno, *others)
            else:
                found.append(warnings.WarningMessage(message, category, filename, lineno))

        warnings.showwarning = dispatch
        _shared.append(errors)
        try:
            yield
        finally:
            _shared.pop()


@contextlib.contextmanager
def caught_warnings(errors: type[Warning]) -> Iterator[list[warnings.WarningMessage]]:
    """All warnings of the block, in a list; those of the class `errors` are raised."""
    if _shared:
        _own.found = found = list[warnings.WarningMessage]()
        try:
            yield found
        finally:
            del _own.found
        return
    with _alone, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("error", errors)
        yield caught
