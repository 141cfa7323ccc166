"""Verbs of restoration through the command line, with a tiny generator."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from jaxinv.cli.console import DONE, SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.io import images
from jaxinv.io.latent_files import load_latents
from tests.offline import STEPS, go_offline, read_results, write_photos
from tests.runs.test_observations import hole, write
from tests.tiers import mostly_slow

SIDE = 32


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_offline(tmp_path_factory.getbasetemp(), monkeypatch)


def restore(verb: str, *arguments: object, code: int = DONE) -> None:
    """A verb with the tiny generator must end with `code`."""
    assert main([verb, "-g", "tiny", "-p", "pixels", *map(str, arguments)]) == code


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good files and a broken one."""
    folder = write_photos(tmp_path_factory.mktemp("photos"), ["a.png", "b.png"])
    (folder / "torn.png").write_bytes((folder / "a.png").read_bytes()[:90])
    return folder


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("masks") / "m.png", hole())


VERBS = [
    ("inpaint", ["--mask", "MASK"], ""),
    ("super-resolve", ["--factor", "2"], "down:factor=2,kernel=bicubic"),
    ("colorize", [], "gray"),
    ("denoise", ["--sigma", "0.1"], "noise:sigma=0.1"),
    ("deblur", ["--motion", "5"], "motion:length=5,angle=0.0"),
    ("outpaint", ["--border", "0.25"], ""),
    ("recover", ["--operator", "dense:count=40,seed=1"], "dense:count=40,seed=1"),
]


# One with a mask, one with a picture in other pixels, one with measurements; the others are slow.
@pytest.mark.parametrize(
    ("verb", "own", "operator"),
    mostly_slow(VERBS, [row for row in VERBS if row[0] in ("inpaint", "denoise", "recover")]),
    ids=lambda part: str(part)[:12],
)
def test_every_verb_degrades_searches_and_scores(
    verb: str, own: list[str], operator: str, photos: Path, masks: Path, tmp_path: Path
) -> None:
    given = [str(masks) if part == "MASK" else part for part in own]
    restore(verb, photos, "-o", tmp_path, "--simulate", *given, code=SOME_FAILED)
    good = [line for line in read_results(tmp_path) if line["status"] == "ok"]
    assert [line["name"] for line in good] == ["a", "b"]
    for line in good:
        assert all(np.isfinite(line[key]) for key in ("psnr", "ssim", "lpips_vgg", "misfit"))
        assert (line["verb"], line["operator"] or "", line["size"]) == (verb, operator, SIDE)
        assert (tmp_path / "remeasured" / f"{line['name']}.png").is_file()
        known = verb in ("inpaint", "outpaint", "colorize")
        assert (tmp_path / "combined" / f"{line['name']}.png").is_file() == known
        assert list((tmp_path / "degraded").glob(f"{line['name']}.*"))
        assert ("psnr_missing" in line) == (verb in ("inpaint", "outpaint"))
    (bad,) = [line for line in read_results(tmp_path) if line["status"] != "ok"]
    assert (bad["name"], bad["status"]) == ("torn", "skipped")
    facts = load_latents(tmp_path / "latents" / "a.safetensors")[1]
    assert (facts["verb"], facts["operator"]) == (verb, operator)
    page = (tmp_path / "report.html").read_text("utf-8")
    for caption in ("degraded input", "answer", "answer degraded again", "clean picture"):
        assert page.count(f">{caption}<") == 2
    asked = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert asked["request"]["verb"] == verb
    assert (asked["preset"]["operator"] is None) == (operator == "")


def test_small_pictures_are_enlarged_and_those_of_other_sizes_named(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "in", ["a.png"], side=16)
    write_photos(folder, ["b.png"], side=20)
    restore("super-resolve", folder, "-o", tmp_path, "--factor", 2, code=SOME_FAILED)
    good, bad = read_results(tmp_path)
    assert (good["name"], good["size"], good["psnr"]) == ("a", SIDE, None)
    assert good["misfit"] >= 0
    kept = images.read_photo(tmp_path / "degraded" / "a.png").pixels
    assert kept.shape == (16, 16, 3)
    assert (bad["name"], bad["status"]) == ("b", "skipped")
    assert "[20, 20, 3]; allowed: 32 px give [16, 16, 3]" in bad["reason"]
    restore("super-resolve", folder / "b.png", "-o", tmp_path / "b", "--factor", 2, "--size", 32)


def test_grey_pictures_are_coloured_and_others_refused(photos: Path, tmp_path: Path) -> None:
    grey = images.read_photo(photos / "a.png").pixels.mean(-1)
    write(tmp_path / "in" / "a.png", images.to_uint8(grey))
    write_photos(tmp_path / "in", ["colour.png"])
    restore("colorize", tmp_path / "in", "-o", tmp_path / "out", code=SOME_FAILED)
    good, bad = read_results(tmp_path / "out")
    assert (good["name"], good["psnr"]) == ("a", None)
    assert "operator 'gray' leaves no colour; allowed: grey pictures" in bad["reason"]


def test_measurements_come_back_from_files(photos: Path, tmp_path: Path) -> None:
    spec = ["--operator", "dense:count=40,seed=1"]
    restore("recover", photos / "a.png", "-o", tmp_path / "1", "--simulate", *spec)
    file = tmp_path / "1" / "degraded" / "a.npy"
    assert np.load(file).shape == (40,)
    restore("recover", file, "-o", tmp_path / "2", *spec)
    codes = [load_latents(tmp_path / k / "latents" / "a.safetensors")[0]["w+"] for k in "12"]
    np.testing.assert_array_equal(codes[0], codes[1])
    np.save(tmp_path / "long.npy", np.zeros(41, np.float32))
    given = [tmp_path / "long.npy", photos / "a.png"]
    restore("recover", *given, "-o", tmp_path / "3", *spec, code=SOME_FAILED)
    long, picture = read_results(tmp_path / "3")
    assert "images [41]; allowed: 32 px give [40]" in long["reason"]
    assert "or clean pictures with --simulate" in picture["reason"]


def test_measurements_that_lie_cost_themselves_alone(tmp_path: Path) -> None:
    """As the two files of measurements among those that hurt: 4 TiB are claimed; an archive."""
    claims = io.BytesIO()
    facts = {"descr": "<f4", "fortran_order": False, "shape": (2**40,)}
    np.lib.format.write_array_header_1_0(claims, facts)
    (tmp_path / "claims.npy").write_bytes(claims.getvalue() + bytes(160))
    with (tmp_path / "packed.npy").open("wb") as file:
        np.savez(file, np.zeros(40, np.float32))
    np.save(tmp_path / "sound.npy", np.zeros(40, np.float32))
    given = [tmp_path / f"{name}.npy" for name in ("claims", "packed", "sound")]
    spec = ["--operator", "dense:count=40,seed=1"]
    restore("recover", *given, "-o", tmp_path / "out", *spec, code=SOME_FAILED)
    found = {line["name"]: line["status"] for line in read_results(tmp_path / "out")}
    assert found == {"claims": "skipped", "packed": "skipped", "sound": "ok"}


def test_the_best_starts_are_kept(photos: Path, masks: Path, tmp_path: Path) -> None:
    twice = tmp_path / "in"
    for name in ("a.png", "same.png"):
        write(twice / name, images.to_uint8(images.read_photo(photos / "a.png").pixels))
    restore("inpaint", twice, "-o", tmp_path / "out", "--mask", masks, "--samples", 3)
    for name in ("a", "same"):
        place = tmp_path / "out" / "samples" / name
        assert sorted(file.name for file in place.iterdir()) == sorted(
            f"{rank}.{kind}" for rank in (1, 2, 3) for kind in ("png", "safetensors")
        )
        best = (tmp_path / "out" / "images" / f"{name}.png").read_bytes()
        assert (place / "1.png").read_bytes() == best
    codes = [load_latents(place / f"{rank}.safetensors")[0]["w+"] for rank in (1, 2, 3)]
    assert min(np.abs(codes[0] - other).max() for other in codes[1:]) > 0.1
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert [page.count(f">answer {rank}<") for rank in (2, 3)] == [2, 2]
    assert "3 restarts" in page


def test_missing_pixels_do_not_count(photos: Path, masks: Path, tmp_path: Path) -> None:
    torn = images.to_uint8(images.read_photo(photos / "a.png").pixels)
    write(tmp_path / "in" / "whole.png", torn)
    write(tmp_path / "in" / "torn.png", np.where(hole()[..., None] > 0, 255 - torn, torn))
    restore("inpaint", tmp_path / "in", "-o", tmp_path / "out", "--mask", masks)
    codes = [
        load_latents(tmp_path / "out" / "latents" / f"{name}.safetensors")[0]["w+"]
        for name in ("whole", "torn")
    ]
    np.testing.assert_array_equal(codes[0], codes[1])


def test_masks_by_name_in_a_folder(photos: Path, tmp_path: Path) -> None:
    write(tmp_path / "masks" / "a.png", hole())
    restore(
        "inpaint", photos, "-o", tmp_path / "out", "--mask", tmp_path / "masks", code=SOME_FAILED
    )
    lines = {line["name"]: line for line in read_results(tmp_path / "out")}
    assert lines["a"]["status"] == "ok"
    assert "mask" in lines["b"]["reason"]
    assert "no such file" in lines["b"]["reason"]


def test_equal_pictures_with_other_masks_are_not_the_same(photos: Path, tmp_path: Path) -> None:
    for name, mask in (("a", hole()), ("b", hole()), ("c", hole().T[::-1])):
        picture = tmp_path / "in" / f"{name}.png"
        picture.parent.mkdir(exist_ok=True)
        picture.write_bytes((photos / "a.png").read_bytes())
        write(tmp_path / "masks" / picture.name, mask)
    restore("inpaint", tmp_path / "in", "-o", tmp_path / "out", "--mask", tmp_path / "masks")
    lines = {line["name"]: line for line in read_results(tmp_path / "out")}
    assert lines["a"]["loss"] == lines["b"]["loss"] != lines["c"]["loss"]
    assert "same content" in lines["b"]["warnings"][0]
    assert not lines["c"]["warnings"]


def test_noise_of_known_strength_ends_the_search(photos: Path, tmp_path: Path) -> None:
    restore("denoise", photos / "a.png", "-o", tmp_path / "1", "--sigma", 9, "--steps", 3)
    restore("denoise", photos / "a.png", "-o", tmp_path / "2", "--sigma", 1e-6, "--steps", 3)
    counts = [read_results(tmp_path / k)[0]["evaluations"] for k in "12"]
    assert counts == [1, STEPS]


def test_noise_of_unknown_strength_is_estimated_picture_by_picture(tmp_path: Path) -> None:
    ramp = np.linspace(-0.5, 0.5, SIDE, dtype=np.float32)
    clean = np.broadcast_to(ramp[:, None, None], (SIDE, SIDE, 3))
    for name, sigma in (("faint", 0.1), ("loud", 0.5), ("also", 0.5)):
        noise = sigma * np.random.default_rng(0).standard_normal(clean.shape)
        write(tmp_path / "in" / f"{name}.png", images.to_uint8(np.clip(clean + noise, -1, 1)))
    restore("denoise", tmp_path / "in", "-o", tmp_path / "out", "--steps", 3, "--batch", 3)
    found = {line["name"]: line["noise"] for line in read_results(tmp_path / "out")}
    assert found == {
        "faint": pytest.approx(0.1, rel=0.3),
        "loud": pytest.approx(0.5, rel=0.3),
        "also": found["loud"],
    }


@pytest.mark.parametrize(
    ("verb", "own", "words"),
    [
        ("inpaint", [], ["--mask"]),
        ("inpaint", ["--mask", "none.png"], ["'none.png'", "image file"]),
        ("inpaint", ["--mask", "small.png"], ["16x16", "allowed: 32x32"]),
        ("super-resolve", ["--factor", "3"], ["factor 3 of 32x32", "1, 2, 4, 8"]),
        ("super-resolve", ["--factor", "1"], ["at least 2, got 1"]),
        ("denoise", ["--sigma", "-1"], ["above 0.0", "-1"]),
        ("denoise", ["--simulate"], ["--sigma"]),
        ("deblur", [], ["one of them"]),
        ("outpaint", ["--border", "0.5"], ["0.5", "between 0 and 0.5"]),
        ("recover", ["--operator", "mist"], ["'mist'", "dense", "fourier"]),
        ("recover", ["--operator", "dense:size=3"], ["'size'", "count, seed"]),
        ("recover", ["--operator", "dense:count=many"], ["'many'", "a whole number"]),
        ("recover", ["--operator", "dense"], ["count of 'dense'", "at least 1"]),
        ("recover", ["--operator", "dense:count=9+gray"], ["'gray' after measurements"]),
        ("colorize", ["-p", "best"], ["'best'", "quick"]),
    ],
)
def test_wrong_use_is_refused_before_any_search(
    verb: str,
    own: list[str],
    words: list[str],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "small.png", hole(16))
    assert main([verb, str(photos), "-o", "out", "-g", "tiny", *own]) == USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert [word for word in words if word not in line] == []
    assert not Path("out", "results.jsonl").exists()


# --- what the verbs rest on -----------------------------------------------------------------------
