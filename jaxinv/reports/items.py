"""What a report says about one file, and many of them on disk: a report needs no more memory."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxinv.io.text import json_text

PICTURES = ("target", "reconstruction", "difference", "detail")


@dataclass(frozen=True)
class ReportItem:
    """What the report says about one input file; pictures are whole PNG or JPEG files.

    An item without `reconstruction`, or with a `reason`, is listed among the problems. `losses` is
    [restarts, steps] and may hold non-finite values; they leave gaps in the curve. `captions` are
    those of target and reconstruction, `more` holds further pictures with theirs. `detail` is a
    part of what was written, shown one pixel for one where the page is wide enough.
    """

    name: str
    status: str
    reason: str = ""
    warnings: Sequence[str] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    target: bytes = b""
    reconstruction: bytes = b""
    difference: bytes = b""
    losses: Sequence[Sequence[float]] = ()
    captions: tuple[str, str] = ("target", "reconstruction")
    more: Sequence[tuple[str, bytes]] = ()
    detail: bytes = b""

    @property
    def is_problem(self) -> bool:
        """Whether it is listed among the problems."""
        return bool(self.reason) or not self.reconstruction

    @property
    def has_card(self) -> bool:
        """Whether it has pictures to show."""
        return bool(self.reconstruction or self.target)


class ItemFile(Sequence[ReportItem]):
    """Report items in a file, a line each, which are read one by one, in the order of their names.

    Lines that are torn, and those of the same name that came before, are left out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}
        self._order: list[str] | None = None
        if path.is_file():
            with path.open("rb") as lines:
                self._find(lines)

    def _find(self, lines: Any) -> None:
        start = 0
        for line in lines:
            try:
                name = json.loads(line)["name"] if line.endswith(b"\n") else None
            except (ValueError, KeyError, TypeError):
                name = None
            if isinstance(name, str):
                self._places[name] = start, len(line)
            start += len(line)

    def add(self, items: Sequence[ReportItem]) -> None:
        """Write items at the end of the file, and flush it."""
        with self.path.open("ab") as lines:
            if lines.tell() and not self._ends_a_line():
                lines.write(b"\n")
            for item in items:
                data = json_text(_plain(item)).encode() + b"\n"
                self._order = None
                self._places[item.name] = lines.tell(), len(data)
                lines.write(data)

    def _ends_a_line(self) -> bool:
        with self.path.open("rb") as lines:
            lines.seek(-1, 2)
            return lines.read(1) == b"\n"

    def keep(self, names: set[str]) -> None:
        """Forget the items of all other names."""
        self._places = {name: at for name, at in self._places.items() if name in names}
        self._order = None

    def _names(self) -> list[str]:
        if self._order is None:
            self._order = sorted(self._places)
        return self._order

    @property
    def names(self) -> Collection[str]:
        """The names of all items."""
        return self._places.keys()

    @property
    def mean_bytes(self) -> int:
        """How much an item takes, on average, in the file and about as much in a report."""
        return sum(length for _, length in self._places.values()) // max(len(self._places), 1)

    def of(self, name: str) -> ReportItem:
        """The item of that name; `KeyError` if there is none."""
        return self._read(name)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._read(name) for name in self._names()[index]]
        return self._read(self._names()[index])

    def __iter__(self) -> Iterator[ReportItem]:
        return map(self._read, self._names())

    def _read(self, name: str) -> ReportItem:
        start, length = self._places[name]
        with self.path.open("rb") as lines:
            lines.seek(start)
            return _item(json.loads(lines.read(length)))


def _plain(item: ReportItem) -> dict[str, Any]:
    """The item as JSON: bytes in base64, numbers that JSON lacks as texts."""
    fields: dict[str, Any] = dict(vars(item))  # a copy of all that they hold would take longer
    for name in PICTURES:
        fields[name] = base64.b64encode(fields[name]).decode("ascii")
    fields["more"] = [[name, base64.b64encode(data).decode("ascii")] for name, data in item.more]
    fields["metrics"] = {name: _number(value) for name, value in item.metrics.items()}
    fields["losses"] = [[_number(value) for value in curve] for curve in item.losses]
    return fields


def _item(fields: dict[str, Any]) -> ReportItem:
    pictures = {name: base64.b64decode(fields[name]) for name in PICTURES}
    more = tuple((name, base64.b64decode(data)) for name, data in fields["more"])
    metrics = {name: float(value) for name, value in fields["metrics"].items()}
    losses = [[float(value) for value in curve] for curve in fields["losses"]]
    texts = {name: tuple(fields[name]) for name in ("warnings", "captions")}
    return ReportItem(
        **{**fields, **pictures, **texts, "more": more, "metrics": metrics, "losses": losses}
    )


def _number(value: float) -> float | str:
    """A number as JSON holds it: "inf" and "nan" are texts."""
    value = float(value)
    return value if value - value == 0 else str(value)
