"""The page that collects ratings: one file, nothing from outside, names cannot break out of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from jaxinv.io.images import encode_png
from jaxinv.reports.ratings import Rated, rating_page, write_rating_page

PNG = encode_png(np.zeros((4, 4, 3), np.uint8))
EVIL = "</script><script>alert(1)</script><!--"


def test_the_page_holds_its_pictures_and_asks_nobody_else(tmp_path: Path) -> None:
    write_rating_page(tmp_path / "ask.html", "How real?", [Rated("fast", "a", PNG)])
    text = (tmp_path / "ask.html").read_text("utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r'(src|href)="?https?:', text)
    assert "<h1>How real?</h1>" in text
    assert [f"{i} " in text for i in range(1, 6)] == [True] * 5
    assert "fast" not in text.partition("<script>")[0]  # who drew it is not shown


def test_names_stay_inside_the_data() -> None:
    page = rating_page(EVIL, [Rated(EVIL, "a\u2028'\"", PNG), Rated("b", EVIL, PNG)])
    assert page.count("<script>") == page.count("</script>") == 1
    (found,) = re.findall(r"const items = (\[.*?\]);\n", page, re.S)
    assert [(one["method"], one["picture"]) for one in json.loads(found)] == [
        (EVIL, "a\u2028'\""), ("b", EVIL),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pictures", "says"),
    [
        ([], "no pictures to rate"),
        ([Rated("a", "b", PNG)] * 2, "two pictures are"),
        ([Rated("a", "b", b"GIF89a")], "allowed: PNG, JPEG"),
    ],
)
def test_what_cannot_be_rated_is_refused(pictures: list[Rated], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        rating_page("?", pictures)
