"""The pages of `evaluate` in a real browser: pictures are rated, and the ratings come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.cli.console import DONE
from jaxinv.cli.main import main
from jaxinv.metrics.opinions import mean_differences, mean_opinions, read_ratings
from tests.browser import IN_BROWSER, opened
from tests.offline import SIDE
from tests.runs.test_evaluation import line, rows, run

pytestmark = IN_BROWSER
LOADED = "image => image.complete && image.naturalWidth"


@pytest.fixture
def runs(tmp_path: Path) -> tuple[str, str]:
    """Two runs over two pictures, one of them called as a program that writes names would not."""
    names = ["0.png", 'a "b", <i>ü.png']
    first, second = ([line(name, psnr=x) for name in names] for x in (20.0, 30.0))
    return run(tmp_path / "a", first), run(tmp_path / "b", second, preset="slow")


def shown(page: Any) -> str:
    """The source of the picture that is to be rated, which must be there."""
    picture = page.locator("#shown")
    assert picture.is_visible()
    picture.evaluate("image => image.decode()")
    assert picture.evaluate(LOADED) == SIDE
    return str(picture.get_attribute("src"))


def rated(page: Any, place: Path, rater: str, by_key: bool) -> Path:
    """The file of one rater, who gives what is later known by the picture: its first pixel."""
    assert page.locator("#task").is_hidden()
    if by_key:
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # nothing begins without a name
        assert page.locator("#task").is_hidden()
        page.keyboard.type(rater)
        page.keyboard.press("Enter")
    else:
        page.get_by_label("Your name or number").fill(rater)
        page.get_by_role("button", name="begin").click()
    for number in range(4):
        page.get_by_text(f"{number} of 4 rated").wait_for()
        given = 1 + (hash_of(shown(page)) + len(rater)) % 5
        if by_key and number % 2:
            page.keyboard.press(str(given))
        elif by_key:  # from button to button
            page.get_by_role("button", name=str(given)).focus()
            page.keyboard.press("Space")
        else:
            page.get_by_role("button", name=str(given)).click()
    page.get_by_text("4 of 4 rated").wait_for()
    assert page.locator("#task").is_hidden()
    page.keyboard.press("3")  # too late to count
    with page.expect_download() as found:
        page.get_by_role("link", name="save the ratings").click()
    assert found.value.suggested_filename == f"ratings-{rater}.csv"
    found.value.save_as(place / f"{rater}.csv")
    return place / f"{rater}.csv"


def hash_of(source: str) -> int:
    return sum(source.encode())


def test_pictures_are_rated_by_mouse_and_by_keys_and_the_file_is_read_back(
    runs: tuple[str, str], tmp_path: Path
) -> None:
    ask = tmp_path / "ask.html"
    assert main(["evaluate", *runs, "--ask", str(ask)]) == DONE
    ratings = []
    for rater, by_key in (("ann", False), ("bob, jr", True)):
        with opened(ask.as_uri()) as page:
            sources = {
                (one["method"], one["picture"]): one["source"] for one in page.evaluate("items")
            }
            file = rated(page, tmp_path, rater, by_key)
        found = {(one.method, one.picture): one.rating for one in read_ratings(file)}
        assert {one.rater for one in read_ratings(file)} == {rater}
        wanted = {key: 1 + (hash_of(text) + len(rater)) % 5 for key, text in sources.items()}
        assert found == wanted
        ratings += read_ratings(file)
    assert len(set(found.values())) > 1
    assert {name for _, name in sources} == {"0", 'a "b", <i>ü'}
    for method in runs:
        label = next(one for one in {key[0] for key in sources} if one == method)
        means = [
            np.mean([x.rating for x in ratings if (x.method, x.rater) == (label, rater)])
            for rater in ("ann", "bob, jr")
        ]
        assert mean_opinions(ratings)[label].mean == pytest.approx(np.mean(means))
    both = tmp_path / "both.csv"
    second = (tmp_path / "bob, jr.csv").read_text("utf-8").splitlines()[1:]
    both.write_text((tmp_path / "ann.csv").read_text("utf-8") + "\n".join(second) + "\n", "utf-8")
    table = rows(tmp_path, *runs, "--ratings", str(both))
    opinions = mean_opinions(ratings)
    for method in runs:
        assert table[method, "opinion"]["mean"] == pytest.approx(opinions[method].mean)
    apart = mean_differences(ratings, runs[0])[runs[1]].mean
    assert apart == pytest.approx(opinions[runs[0]].mean - opinions[runs[1]].mean)


def test_the_table_is_a_page_whose_pictures_load(runs: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "table.html"
    assert main(["evaluate", *runs, "-o", str(out)]) == DONE
    with opened(out.as_uri()) as page:
        pictures = page.locator("figure img")
        assert pictures.count() == 4
        for one in pictures.all():
            one.scroll_into_view_if_needed()
            one.evaluate("image => image.decode()")
            assert one.evaluate(LOADED) > 0
            assert one.bounding_box()["width"] > 10
        assert page.get_by_text("slow on tiny").first.is_visible()
        head = page.locator("table").first.inner_text()
        assert "20.00 dB" in head
        assert "30.00 dB" in head
        assert page.locator("i").count() == 0  # names are text
        assert page.evaluate("document.documentElement.scrollWidth") <= 1400
