"""Items that another thread makes: order, errors, how far ahead, and whose warnings are whose."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaxinv.io.images import read_photo
from jaxinv.io.reading_ahead import reading_ahead
from tests.awkward import smooth_face, write_awkward_folder


def test_items_come_in_order_from_another_thread() -> None:
    made: list[int] = []

    def items() -> Iterator[tuple[int, str]]:
        for number in range(50):
            made.append(number)
            yield number, threading.current_thread().name

    with reading_ahead(items(), 4) as found:
        number, thread = next(found)
        assert number == 0
        assert thread != threading.current_thread().name
        rest = [number for number, _ in found]
    assert rest == list(range(1, 50))


def test_no_more_is_made_than_allowed() -> None:
    made: list[int] = []
    enough = threading.Event()

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            if number == 5:
                enough.set()
            yield number

    with reading_ahead(items(), 3) as found:
        for expected in (0, 1, 2):
            assert next(found) == expected
        assert enough.wait(10)
        threading.Event().wait(0.05)
        assert len(made) == 6
    assert len(made) == 6
    assert not any(one.name.startswith("reading-ahead") for one in threading.enumerate())


def test_errors_come_where_the_item_is_asked_for() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with reading_ahead(items(), 2) as found:
        assert next(found) == 1
        with pytest.raises(ValueError, match="broken"):
            next(found)


def test_warnings_of_a_thread_are_its_own(tmp_path: Path) -> None:
    """Notes of a photo are the same, whoever decodes it; and the filters are as they were."""
    names = [n for n, s in write_awkward_folder(tmp_path, smooth_face(64)).items() if s == "ok"]
    alone = {name: read_photo(tmp_path / name).warnings for name in names}
    assert any(alone.values())
    before, show = list(warnings.filters), warnings.showwarning
    with reading_ahead(((n, read_photo(tmp_path / n)) for n in names), 2) as found:
        seen = {}
        for name, one in found:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                warnings.warn("of the main thread", stacklevel=1)
            assert [str(w.message) for w in caught] == ["of the main thread"]
            seen[name] = one.warnings
        with pytest.warns(UserWarning, match="ours"):
            warnings.warn("ours", stacklevel=1)
    assert seen == alone
    assert (list(warnings.filters), warnings.showwarning) == (before, show)
