"""Finished runs side by side: what is paired, what is refused, what a broken line costs."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.cli.console import DONE, SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.io.images import encode_png
from jaxinv.metrics.intervals import estimate
from jaxinv.reports.comparison import FIELDS
from jaxinv.runs import edited, set_scores
from jaxinv.runs.set_scores import Extractor
from tests.net_fixtures.nets import torch_file
from tests.net_fixtures.rules import tensors
from tests.offline import SIDE, go_offline, photo, write_photos
from tests.test_net_fixtures import FIXTURES

NETS = {"alexnet": "a" * 64, "vgg16": "b" * 64}
REQUEST = {
    "preset": "quick", "generator": "tiny", "align": "none", "fit": "crop", "verb": "invert",
    "operator": None,
}  # fmt: skip
DRAWS = np.random.default_rng(0)
FILES = [f"{i}.png" for i in range(8)]
FIRST, SECOND = DRAWS.normal(25, 3, 8), DRAWS.normal(26, 3, 8)


def line(file: str, **fields: Any) -> dict[str, Any]:
    """A line of results; the content is named by the file."""
    given = {"file": file, "name": Path(file).stem, "status": "ok", "reason": "", "size": SIDE}
    return given | {"sha256": f"of {Path(file).name}", "psnr": 20.0, "ssim": None} | fields


def run(place: Path, lines: Sequence[dict[str, Any] | str], **request: Any) -> str:
    """A folder as `invert` leaves it."""
    (place / "images").mkdir(parents=True)
    nets = request.pop("nets", NETS)
    held = {"schema": 2, "request": REQUEST | request, "nets_sha256": nets}
    (place / "run.json").write_text(json.dumps(held))
    texts = (one if isinstance(one, str) else json.dumps(one) for one in lines)
    (place / "results.jsonl").write_text("".join(f"{text}\n" for text in texts))
    for number, one in enumerate(lines):
        if isinstance(one, dict):
            (place / "images" / f"{one['name']}.png").write_bytes(photo(number))
    return str(place)


def two(place: Path) -> tuple[str, str]:
    """Two runs over eight pictures; the second has two more, and another order."""
    first = [line(f, psnr=x) for f, x in zip(FILES, FIRST, strict=True)]
    second = [line(f, psnr=x, name=f"n{f[0]}") for f, x in zip(FILES, SECOND, strict=True)]
    more = [line("8.png"), line("9.png", status="skipped", sha256=None, size=None)]
    return run(place / "a", first), run(place / "b", [*more, *second[::-1]], preset="slow")


def rows(place: Path, *arguments: str, verb: str = "evaluate", code: int = DONE) -> dict[Any, dict]:
    """The table by run and score, as JSON tells it."""
    out = place / "table.json"
    assert main([verb, *arguments, "-o", str(out)]) == code
    return {(one["run"], one["score"]): one for one in json.loads(out.read_text())["scores"]}


def test_means_and_paired_differences_are_over_the_pictures_that_runs_share(
    tmp_path: Path,
) -> None:
    a, b = two(tmp_path)
    found = rows(tmp_path, a, b)
    ours, theirs, apart = (estimate(x) for x in (FIRST, SECOND, SECOND - FIRST))
    for name, known in ((a, ours), (b, theirs)):
        cells = found[name, "psnr"]
        assert [cells[k] for k in ("mean", "low", "high", "count")] == pytest.approx(list(known))
    cells = found[b, "psnr"]
    told = [cells[k] for k in ("difference", "difference_low", "difference_high")]
    assert told == pytest.approx(list(apart[:3]))
    assert found[a, "psnr"]["difference"] is None
    assert found[a, "psnr"]["worst"] == pytest.approx(FIRST.min())
    assert found[b, "psnr"]["settings"] == "slow on tiny"
    assert (a, "ssim") not in found  # nobody has it
    pictures = json.loads((tmp_path / "table.json").read_text())["protocol"]["pictures"]
    assert pictures == f"8 shared by all runs; 1 more in {b}; 1 not finished in {b}"


def test_compare_counts_pictures(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    found = rows(tmp_path, a, b, verb="compare")
    assert set(found) == {(b, "psnr")}
    cells = found[b, "psnr"]
    assert cells["mean"] == pytest.approx(np.mean(SECOND - FIRST))
    assert cells["better"] == (SECOND > FIRST).sum()
    assert cells["worse"] == (SECOND < FIRST).sum()
    assert cells["worst"] == pytest.approx((SECOND - FIRST).min())
    held = json.loads((tmp_path / "table.json").read_text())
    assert held["differences_from"] == a
    assert held["pictures"][0]["scores"][b]["psnr"] == pytest.approx(SECOND[0] - FIRST[0])


def test_a_score_that_some_pictures_lack_is_paired_over_the_rest(tmp_path: Path) -> None:
    a = run(tmp_path / "a", [line("0.png", ssim=0.5), line("1.png", ssim=0.7)])
    b = run(tmp_path / "b", [line("0.png"), line("1.png", ssim=0.9)])
    found = rows(tmp_path, a, b)
    assert (found[a, "ssim"]["mean"], found[a, "ssim"]["count"]) == (0.7, 1)
    assert found[b, "ssim"]["difference"] == pytest.approx(0.2)
    assert found[b, "ssim"]["low"] is None  # of one picture there is no interval


@pytest.mark.parametrize("suffix", [".csv", ".md", ".html", ".JSON"])
@pytest.mark.parametrize("verb", ["evaluate", "compare"])
def test_every_suffix_has_its_format(suffix: str, verb: str, tmp_path: Path) -> None:
    a, b = two(tmp_path)
    out = tmp_path / f"table{suffix}"
    assert main([verb, a, b, "-o", str(out)]) == DONE
    text = out.read_text("utf-8")
    if suffix == ".csv":
        found = list(csv.DictReader(io.StringIO(text)))
        assert tuple(found[0]) == FIELDS
        assert float(found[-1]["mean"]) == pytest.approx(
            SECOND.mean() - FIRST.mean() * (verb == "compare")
        )
    if suffix == ".md":
        assert "| PSNR |" in text
        assert f"| {b} | slow on tiny |" in text
    if suffix == ".html":
        assert "default-src 'none'" in text
        assert text.count("<figure>") == (16 if verb == "evaluate" else 0)


def test_without_a_file_the_table_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = two(tmp_path)
    assert main(["evaluate", a, b]) == DONE
    said = capsys.readouterr().out
    assert f"{FIRST.mean():.2f} dB [" in said
    assert f"| {b} | {np.mean(SECOND - FIRST):+.2f} dB [" in said


def test_pictures_and_photos_are_shown(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", ["0.png"])
    a = run(tmp_path / "a", [line(str(photos / "0.png")), line("gone.png")])
    (tmp_path / "a" / "images" / "gone.png").write_bytes(b"broken")
    out = tmp_path / "table.html"
    assert main(["evaluate", a, "-o", str(out)]) == DONE
    assert out.read_text().count("<figure>") == 2  # the photo, and what was found for it


BROKEN = ["", "{", "[]", "{}", '{"file": 1}', '{"file":"a","name":"b","status":"ok"}']
BROKEN += [json.dumps(line("../x.png", name="../x")), json.dumps(line("x.png", size=1.5))]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_line_costs_its_picture(
    broken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = [line("0.png"), broken, line("1.png", psnr=30.0)]
    found = rows(tmp_path, run(tmp_path / "a", good), code=SOME_FAILED)
    assert next(iter(found.values()))["mean"] == 25
    assert "line 2 of results.jsonl" in capsys.readouterr().err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main([*arguments]) == USAGE
    said = capsys.readouterr()
    assert said.out == ""
    (text,) = said.err.splitlines()
    return text


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"lines": [line("x.png")]}, "share no picture; allowed: runs over the same files"),
        ({"lines": [line("0.png", size=64)]}, "was scored at 32 px in"),
        ({"lines": []}, "holds no finished picture (0 lines of files that failed, 0 broken)"),
        ({"lines": ["{"]}, "holds no finished picture (0 lines of files that failed, 1 broken"),
        ({"lines": [line("0.png", status="skipped")]}, "(1 lines of files that failed"),
        ({"lines": [line("0.png")], "align": "auto"}, "has align 'none'"),
        ({"lines": [line("0.png")], "fit": "pad"}, "has fit 'crop'"),
        ({"lines": [line("0.png")], "nets": {"vgg16": "c"}}, "other weights of vgg16"),
    ],
)
@pytest.mark.parametrize("verb", ["evaluate", "compare"])
def test_runs_that_cannot_be_paired_are_refused(
    verb: str, other: dict, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = run(tmp_path / "a", [line("0.png")])
    given = dict(other)
    b = run(tmp_path / "b", given.pop("lines"), **given)
    assert says in refused(capsys, verb, a, b, "-o", str(tmp_path / "t.csv"))
    assert not (tmp_path / "t.csv").exists()


def test_wrong_usage_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = two(tmp_path)
    table = str(tmp_path / "t")
    assert "suffix '.xls'; allowed: .csv, .json, .md, .html" in refused(
        capsys, "evaluate", a, "-o", f"{table}.xls"
    )
    assert "is no run; allowed: folders" in refused(capsys, "evaluate", str(tmp_path))
    assert "is no run; allowed: folders" in refused(capsys, "evaluate", a, f"{a}/nowhere")
    assert "is named twice" in refused(capsys, "compare", a, a)
    assert "1 runs; allowed: at least 2" in refused(capsys, "compare", a)
    assert "allowed: with a reference" in refused(capsys, "evaluate", a, "--features", "alexnet")
    assert "allowed: with edits" in refused(capsys, "evaluate", a, "--attribute", "luma")
    assert "no picture in" in refused(capsys, "evaluate", a, "--reference", f"{b}/nowhere")
    assert "suffix '.png'" in refused(capsys, "evaluate", a, "--ratings", f"{a}/images/0.png")
    (Path(a) / "run.json").write_text("{")
    assert "run.json cannot be read" in refused(capsys, "evaluate", a)
    (Path(a) / "run.json").write_text("{}")
    assert "run.json has no request" in refused(capsys, "evaluate", a)


@pytest.mark.parametrize(
    ("net", "label"), [("a-net", "kernel distance (a-net)"), ("inception-fid", "KID")]
)
def test_sets_are_held_against_real_pictures(
    net: str,
    label: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = Extractor(net, lambda picture: picture[::8, ::8].ravel(), lambda x: x[0, :4].ravel())
    monkeypatch.setattr(set_scores, "extractor", {net: seen}.__getitem__)
    lines = [line(f"{i}.png") for i in range(6)]
    a, b = (run(tmp_path / name, lines) for name in "ab")
    real = write_photos(tmp_path / "real", [f"{i}.png" for i in range(6)])  # as those of a and b
    for i in range(6):
        noise = np.random.default_rng(i).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        (Path(b) / "images" / f"{i}.png").write_bytes(encode_png(noise))
    (real / "broken.png").write_bytes(b"broken")
    found = rows(tmp_path, a, b, "--reference", str(real), "--features", net, code=SOME_FAILED)
    assert found[a, "precision"]["mean"] == found[a, "coverage"]["mean"] == 1
    assert found[a, "texture"]["mean"] < found[b, "texture"]["mean"]
    assert found[a, "kernel"]["label"] == label
    assert (a, "frechet") not in found
    said = capsys.readouterr().err
    assert "broken.png" in said
    assert "6 samples; allowed: at least 49 (a covariance of 48 features)" in said
    assert "6 samples; allowed: at least 10 (one for each split)" in said
    only = rows(tmp_path, a, "--reference", str(tmp_path / "b" / "images"))
    assert {name for _, name in only} >= {"texture"}
    assert not {name for _, name in only} & {"kernel", "precision"}


@pytest.mark.slow
def test_a_net_looks_at_whole_pictures(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_offline(tmp_path_factory.getbasetemp(), monkeypatch)
    seen = set_scores.extractor("alexnet")
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    found = seen.features(picture)
    assert (seen.net, found.shape) == ("alexnet", (256,))
    assert not np.allclose(found, seen.features(255 - picture))
    with pytest.raises(ValueError, match=r"tiny.safetensors is of kind 'generator'.*inception-fid"):
        set_scores.extractor("tiny")


@pytest.mark.slow
def test_converted_nets_are_known_by_what_they_are(tmp_path: Path) -> None:
    folder = FIXTURES / "inception-fid"
    if not folder.is_dir():
        pytest.skip(f"no fixtures in {FIXTURES.name}")
    (tmp_path / "published.pth").write_bytes(torch_file(tensors(folder)))
    net = str(tmp_path / "net.safetensors")
    assert main(["convert", str(tmp_path / "published.pth"), "--out", net]) == DONE
    seen = set_scores.extractor(net)
    assert seen.logits is not None
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert (seen.net, seen.features(picture).shape) == ("inception-fid", (2048,))
    assert seen.logits(picture).shape == (1008,)


def edits(place: Path, of: str, amounts: list[float], direction: str = "luma") -> str:
    """A folder as `edit` leaves it, of pictures that become lighter by 10 levels per unit."""
    (place / "images").mkdir(parents=True)
    (place / "edits.json").write_text(json.dumps({"directions": [f"x/{direction}.safetensors"]}))
    lines = []
    for latent in ("0", "1"):
        files = []
        for step, amount in enumerate(amounts):
            grey = np.full((SIDE, SIDE, 3), 100 + 10 * amount, np.uint8)
            files.append(f"images/{latent}-{step:03d}.png")
            (place / files[-1]).write_bytes(encode_png(grey))
        lines.append({
            "file": f"{of}/latents/{latent}.safetensors", "name": latent, "status": "ok",
            "amounts": [[a] for a in amounts], "files": [*files, f"strips/{latent}.png"],
        })  # fmt: skip
    lines.append({"file": "x", "status": "failed", "reason": "torn", "amounts": [], "files": []})
    (place / "edits.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return str(place)


def test_edits_stand_beside_reconstruction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(edited, "measurable", lambda: True)
    monkeypatch.setattr(edited, "identity", lambda a, b: abs(a.mean() - b.mean(keepdims=True)))
    a, b = two(tmp_path)
    for name in "01":
        grey = encode_png(np.full((SIDE, SIDE, 3), 100, np.uint8))
        (Path(a) / "images" / f"{name}.png").write_bytes(grey)
    place = edits(tmp_path / "lighter", a, [-2.0, 0.0, 4.0])
    found = rows(tmp_path, a, b, "--edits", place, code=SOME_FAILED)
    cells = found[a, "luma: luma"]
    assert cells["mean"] == pytest.approx(10)
    assert cells["label"] == "luma per unit of luma"
    assert cells["count"] == 2
    assert found[a, "luma: identity"]["mean"] == pytest.approx(30)  # of 20 and 40 levels
    assert (b, "luma: luma") not in found
    assert "failed, torn" in capsys.readouterr().err
    other = rows(tmp_path, a, "--edits", place, "--attribute", "contrast", code=SOME_FAILED)
    assert other[a, "luma: contrast"]["mean"] == pytest.approx(0, abs=1e-9)
    assert "unknown attribute 'lumo'" in refused(
        capsys, "evaluate", a, "--edits", place, "--attribute", "lumo"
    )
    assert "holds no edits" in refused(capsys, "evaluate", a, "--edits", b)
    shutil.move(place, tmp_path / "moved")
    moved = edits(tmp_path / "elsewhere", "/somewhere/a", [1.0])  # by the folder's name
    assert rows(tmp_path, a, "--edits", moved, code=SOME_FAILED)[a, "luma: luma"]["count"] == 2


def test_opinions_stand_beside_scores_and_can_be_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = two(tmp_path)
    given = tmp_path / "ratings.csv"
    given.write_text("rater,picture,method,rating\nann,0,a,5\nbob,0,a,4\nann,0,b,2\n")
    found = rows(tmp_path, a, b, "--ratings", str(given))
    assert (found[a, "opinion"]["mean"], found[b, "opinion"]["mean"]) == (4.5, 2)
    given.write_text("rater,picture,method,rating\nann,0,z,5\n")
    assert "rates z; allowed: the runs" in refused(capsys, "evaluate", a, "--ratings", str(given))
    page = tmp_path / "ask.html"
    assert main(["evaluate", a, b, "--ask", str(page)]) == DONE
    assert page.read_text().count('"method": "') == 16
