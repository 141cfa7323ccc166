"""The report is read back with an HTML parser: what it shows, and what it must never contain."""

from __future__ import annotations

import base64
import dataclasses
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from jaxinv.reports.html import report_html, write_report
from jaxinv.reports.items import ReportItem
from jaxinv.runs.results import COLUMNS

PNG = b"\x89PNG\r\n\x1a\n" + b"png body"
JPEG = b"\xff\xd8\xff\xe0" + b"jpeg body"
VOID = {"meta", "img", "path", "br", "link"}
GOOD = ReportItem(
    name="face.png",
    status="done",
    metrics={"psnr": 24.5, "ssim": 0.75, "lpips_alex": 0.05, "evaluations": 50, "seconds": 20.0},
    target=PNG,
    reconstruction=JPEG,
    difference=PNG,
    losses=[[1.0, 0.5, 0.1], [2.0, 0.7, 0.2]],
)
BROKEN = ReportItem(name="torn.png", status="failed", reason="image file is truncated")
HOSTILE = "<script>alert('x')</script>\"><img src=http://evil.example/x onerror=alert(1)>.png"


class Page(HTMLParser):
    """Collects tags with their attributes and the text by enclosing tag; checks the nesting."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    def text(self, *tags: str) -> str:
        return " ".join(text for tag, text in self.texts if not tags or tag in tags)


def page(*items: ReportItem, run: dict[str, object] | None = None, **options: float) -> Page:
    return Page(report_html(run or {}, items, COLUMNS, **options))


def test_page_is_well_nested_and_names_what_was_run() -> None:
    run = {"command": "jaxinv invert a b", "preset": "w+", "versions": {"jax": "9", "flax": "8"}}
    report = page(GOOD, BROKEN, run=run)
    assert report.open == []
    assert report.text("code") == "jaxinv invert a b"
    assert report.text("dt").split() == ["command", "preset", "versions"]
    assert "jax\xa09, flax\xa08" in report.text("dd")


def test_pictures_are_embedded_unchanged_and_captioned() -> None:
    images = page(GOOD, difference_gain=4.0).of("img")
    assert [image["alt"] for image in images] == ["target", "reconstruction", "difference × 4"]
    for image, data, kind in zip(images, (PNG, JPEG, PNG), ("png", "jpeg", "png"), strict=True):
        head, _, body = (image["src"] or "").partition(",")
        assert head == f"data:image/{kind};base64"
        assert base64.b64decode(body) == data


def test_a_part_is_shown_pixel_for_pixel() -> None:
    assert "at full size" not in page(GOOD).text("summary")
    report = page(dataclasses.replace(GOOD, detail=JPEG))
    assert report.text("summary") == "at full size"
    (style,) = (text for tag, text in report.texts if tag == "style")
    assert ".detail img { width: auto" in style
    assert len(report.of("img")) == 1 + len(page(GOOD).of("img"))


def test_gain_is_not_claimed_unless_stated() -> None:
    assert page(GOOD).of("img")[2]["alt"] == "difference"


def test_page_needs_nothing_from_outside() -> None:
    text = report_html({"command": "x"}, [GOOD, BROKEN], COLUMNS)
    assert "http" not in text.replace("http-equiv", "")
    assert not re.search(r"url\(|@import|<script|<link|<iframe", text)
    for tag, attributes in Page(text).tags:
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith(("data:image/", "data:", "#")), tag
    policies = [m for m in Page(text).of("meta") if m.get("http-equiv")]
    assert "default-src 'none'" in (policies[0]["content"] or "")


@pytest.mark.parametrize("field", ["name", "status", "reason", "warnings"])
def test_hostile_text_stays_text(field: str) -> None:
    value = (HOSTILE,) if field == "warnings" else HOSTILE
    report = page(dataclasses.replace(GOOD, **{field: value}))
    assert report.of("script") == []
    assert len(report.of("img")) == 3
    assert not any("onerror" in attributes for _, attributes in report.tags)
    assert HOSTILE in report.text()


def test_hostile_run_and_metric_names_stay_text() -> None:
    item = dataclasses.replace(GOOD, metrics={HOSTILE: 1.0})
    run: dict[str, object] = {HOSTILE: HOSTILE, "command": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    report = page(item, run=run)
    assert report.of("script") == []
    assert len(report.of("img")) == 3
    assert report.text().count(HOSTILE) == 7


def test_invisible_characters_in_names_are_shown() -> None:
    item = dataclasses.replace(GOOD, name="a\u202egnp.exe\udcff\n\x00.png")
    text = report_html({}, [item], COLUMNS)
    assert r"a\u202egnp.exe\udcff\n\x00.png" in Page(text).text("bdi")
    assert text.encode("utf-8")


def test_problems_are_listed_with_their_reasons() -> None:
    late = dataclasses.replace(GOOD, name="late.png", status="diverged", reason="NaN at step 7")
    report = page(GOOD, BROKEN, late)
    cells = report.text("td", "bdi", "span")
    for shown in ("torn.png", "failed", "truncated", "late.png", "diverged", "NaN at step 7"):
        assert shown in cells
    assert len(report.of("tr")) == 1 + 2
    assert "2 of 3 files inverted, 2 listed under problems" in report.text("p")
    assert [article["id"] for article in report.of("article")] == ["image-0", "image-2"]
    assert {"href": "#image-2"} in report.of("a")


def test_no_table_without_problems() -> None:
    report = page(GOOD)
    assert report.of("table") == []
    assert "no problems" in report.text("p")


def test_warnings_are_on_the_card_but_not_among_the_problems() -> None:
    report = page(dataclasses.replace(GOOD, warnings=("enlarged from 64 px",)))
    assert "enlarged from 64 px" in report.text("p")
    assert report.of("table") == []


def test_mean_and_worst_link_to_the_worst_image() -> None:
    worse = dataclasses.replace(GOOD, name="b", metrics={"psnr": 20.5, "lpips_alex": 0.01})
    report = page(GOOD, worse)
    assert "22.50 dB" in report.text("b")
    assert "0.030" in report.text("b")
    links = dict(zip(re.findall(r"worst \S+", report.text("a")), report.of("a"), strict=True))
    assert links["worst 20.50"] == {"href": "#image-1"}
    assert links["worst 0.050"] == {"href": "#image-0"}


@pytest.mark.parametrize(
    ("value", "shown"), [(math.inf, "∞"), (-math.inf, "−∞"), (math.nan, "n/a")]
)
def test_scores_that_are_not_finite(value: float, shown: str) -> None:
    odd = dataclasses.replace(GOOD, metrics={"psnr": value})
    report = page(GOOD, odd)
    assert shown in report.text("b").split()
    assert "24.50 dB" in report.text("b")
    assert "1 not finite, left out" in report.text("small")
    alone = page(odd)
    assert "n/a" in alone.text("b")
    assert "worst" not in alone.text()


def curves(item: ReportItem) -> list[str]:
    paths = page(item).of("path")
    return [p["d"] or "" for p in paths if (p["class"] or "").startswith("line")]


def heights(path: str) -> list[float]:
    return [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]


def test_one_curve_per_restart_on_a_log_scale() -> None:
    first, second = curves(dataclasses.replace(GOOD, losses=[[1.0, 0.1, 0.01], [1.0, 1.0, 1.0]]))
    top, middle, bottom = heights(first)
    assert top < middle < bottom
    assert middle - top == pytest.approx(bottom - middle, abs=0.11)
    assert heights(second) == [top] * 3
    assert "2 restarts, log scale" in page(GOOD).text("figcaption")


def test_axes_have_names_and_ticks() -> None:
    labels = page(dataclasses.replace(GOOD, losses=[[100.0, 1.0, 0.1]])).text("text").split()
    assert labels == ["0.1", "1", "10", "100", "loss", "1", "2", "3", "evaluation"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_a_value_that_cannot_be_drawn_leaves_a_gap(bad: float) -> None:
    (path,) = curves(dataclasses.replace(GOOD, losses=[[1.0, 0.5, bad, 0.2, 0.1]]))
    assert path.count("M") == 2
    assert len(heights(path)) == 4


@pytest.mark.parametrize("losses", [[], [[]], [[math.nan, -1.0]]])
def test_no_chart_without_a_drawable_loss(losses: list[list[float]]) -> None:
    assert page(dataclasses.replace(GOOD, losses=losses)).of("svg") == []


@pytest.mark.parametrize("losses", [[[0.5]], [[0.5] * 4], [[1e-300, 1e300]], [[], [2.0, 1.0]]])
def test_curves_stay_inside_the_picture(losses: list[list[float]]) -> None:
    paths = curves(dataclasses.replace(GOOD, losses=losses))
    assert len(paths) == len(losses)
    assert all(0 <= y <= 300 for path in paths for y in heights(path))


def test_long_curves_are_thinned_but_keep_their_end() -> None:
    values = [1.0] * 5000 + [0.1]
    (path,) = curves(dataclasses.replace(GOOD, losses=[values]))
    assert len(heights(path)) <= 302
    assert heights(path)[-1] == max(heights(path))
    assert heights(path)[-2] == min(heights(path))


def test_pictures_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match=r"target picture starts with b'GIF89a'; allowed: PNG, JP"):
        page(dataclasses.replace(GOOD, target=b"GIF89a"))


def test_empty_run() -> None:
    report = page()
    assert "0 of 0 files inverted" in report.text("p")
    assert report.open == []


def test_file_holds_the_page_and_a_failed_write_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, {"date": "today"}, [GOOD], COLUMNS, difference_gain=2)
    written = path.read_text("utf-8")
    assert written == report_html({"date": "today"}, [GOOD], COLUMNS, difference_gain=2)
    with pytest.raises(ValueError, match="allowed: PNG, JPEG"):
        write_report(path, {}, [dataclasses.replace(GOOD, target=b"?")], COLUMNS)
    assert path.read_text("utf-8") == written
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
