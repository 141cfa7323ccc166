"""Items that another thread makes ahead of their use: pictures are read while some are searched."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from PIL import Image

from jaxinv.io.thread_warnings import threads_catch

T = TypeVar("T")
AHEAD = 16  # items


@contextlib.contextmanager
def reading_ahead(items: Iterator[T], count: int = AHEAD) -> Iterator[Iterator[T]]:
    """The same items in the same order, up to `count` of them made before they are asked for.

    One thread makes them all, so that nothing they share is used twice at once. What making one
    raises is raised where it is asked for. When the block ends, the thread has ended.
    """
    end = object()
    with (
        threads_catch(Image.DecompressionBombWarning),
        ThreadPoolExecutor(1, thread_name_prefix="reading-ahead") as pool,
    ):
        waiting = deque(pool.submit(next, items, end) for _ in range(count))

        def asked() -> Iterator[T]:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(pool.submit(next, items, end))
                yield item  # type: ignore[misc]

        try:
            yield asked()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
