"""Reports of many pictures: pages of a size that opens at once, every one within reach."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jaxinv.reports import html
from jaxinv.reports.html import write_report
from jaxinv.reports.items import ItemFile, ReportItem
from tests.offline import photo


def report(place: Path, count: int, picture: bytes) -> list[Path]:
    """The pages of a report of `count` items, the first one last."""
    place.mkdir()
    items = ItemFile(place / "items.jsonl")
    names = [f"{i:06d}.png" for i in range(count)]
    items.add([ReportItem(n, "ok", target=picture, reconstruction=picture) for n in names])
    write_report(place / "report.html", {"generator": "tiny"}, items, {})
    return [*sorted((place / "report").glob("*.html")), place / "report.html"]


def links(page: Path) -> list[Path]:
    """The pages to which a page links."""
    found = re.findall(r'<a href="([^"#]*\.html)"', page.read_text("utf-8"))
    return list(dict.fromkeys((page.parent / link).resolve() for link in found))


@pytest.mark.parametrize(
    ("count", "size"), [(450, 0), (12, 600_000), pytest.param(20_000, 0, marks=pytest.mark.slow)]
)
def test_pages_are_of_a_bounded_size_and_all_within_reach(
    count: int, size: int, tmp_path: Path
) -> None:
    pages = report(tmp_path / "out", count, photo(0) + bytes(size))
    text = [page.read_text("utf-8") for page in pages]
    assert sum(one.count("<article") for one in text) == count
    assert max(one.count("<article") for one in text) <= html.PER_PAGE
    assert max(map(len, text)) < 1.5 * html.PAGE_BYTES
    assert len(pages) == (2 if size else -(-count // html.PER_PAGE))
    reached, waiting = set[Path](), [pages[-1].resolve()]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            waiting += links(page)
            assert len(links(page)) <= html.EVENLY + 2 * html.NEAR + 3
    assert reached == {page.resolve() for page in pages}


def test_links_of_a_million_pictures_are_few() -> None:
    for pages in (1, 2, 30, 5_000):
        for number in {0, pages // 3, pages - 1}:
            found = html._linked(number, pages)
            assert len(found) <= html.EVENLY + 2 * html.NEAR + 3
            assert {0, number, pages - 1, min(number + 1, pages - 1)} <= set(found)
