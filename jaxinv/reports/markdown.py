"""Lines of Markdown tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxinv.io.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown: the heads of its columns, then its rows."""
    return "\n".join((head(columns), *(line(*cells) for cells in rows)))


def head(columns: Sequence[str]) -> str:
    """The two lines with which a table in Markdown begins."""
    return "\n".join((line(*columns), line(*["---"] * len(columns))))


def line(*cells: str) -> str:
    """A line of a table in Markdown."""
    return f"| {' | '.join(map(printable, cells))} |"
