"""A folder in, a folder out: whole runs of the command line with a tiny generator."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxinv.cli.console import DONE, SOME_FAILED, UNFINISHED
from jaxinv.cli.main import main
from jaxinv.inversion.presets import find_preset
from jaxinv.io import images
from jaxinv.io.files import find_images, sha256_file, write_json
from jaxinv.io.latent_files import load_latents
from jaxinv.runs import finish, inputs, observations, results, runner
from tests.offline import STEPS, go_offline, photo, read_results, write_photos

ODD = b"caf\xe9.png"  # Latin-1, not UTF-8
LONG = "x" * 240 + ".png"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_offline(tmp_path_factory.getbasetemp(), monkeypatch)


def invert(*arguments: object, code: int = DONE) -> None:
    """`jaxinv invert` with the tiny generator must end with `code`."""
    assert main(["invert", "-g", "tiny", "-p", "pixels", *map(str, arguments)]) == code


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good, equal, awkwardly named and broken files."""
    place = write_photos(tmp_path_factory.mktemp("photos"), ["a.png", "b:smile:.png", LONG])
    (place / "A").mkdir()
    (place / "A" / "a.png").write_bytes(photo(3))
    (place / "again.png").write_bytes(photo(0))
    (place / "broken\x1b[31m.png").write_bytes(photo(5)[:80])
    (place / "notes.txt").write_text("not an image")
    Path(os.fsdecode(os.fsencode(place) + b"/" + ODD)).write_bytes(photo(4))
    return place


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of one run over `folder`."""
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        go_offline(tmp_path_factory.getbasetemp(), patch)
        invert(folder, "-o", out, "--export", "npz", code=SOME_FAILED)
    return out


def latent(out: Path, name: str) -> np.ndarray:
    return load_latents(out / "latents" / f"{name}.safetensors")[0]["w+"]


def name_of(number: int) -> str:
    """What the results of a file a.png are called: there are two of them, so by contents."""
    return f"a-{hashlib.sha256(photo(number)).hexdigest()[:8]}"


def test_every_file_has_one_line(folder: Path, finished: Path) -> None:
    lines = read_results(finished)
    assert sorted(Path(line["file"]).name for line in lines) == sorted(
        ["a.png", "a.png", "again.png", "b:smile:.png", "broken\x1b[31m.png", "caf\ufffd.png", LONG]
    )
    assert len({line["name"] for line in lines}) == len(lines)
    bad = [line for line in lines if line["status"] != "ok"]
    assert [line["status"] for line in bad] == ["skipped"]
    assert "cannot be decoded" in bad[0]["reason"]
    assert [bad[0][key] for key in ("psnr", "loss", "sha256", "size")] == [None] * 4


def test_every_good_file_has_its_results(finished: Path) -> None:
    good = [line for line in read_results(finished) if line["status"] == "ok"]
    assert len(good) == 6
    for line in good:
        latents, facts = load_latents(finished / "latents" / f"{line['name']}.safetensors")
        assert set(latents) == {"w+"}
        assert (facts["source_sha256"], facts["source"]) == (line["sha256"], line["file"])
        assert json.loads(facts["transform"])["source_size"] == [32, 32]
        assert line["evaluations"] == STEPS
        assert line["size"] == 32
        assert all(np.isfinite(line[key]) for key in ("psnr", "ssim", "lpips_alex", "lpips_vgg"))
    for kind in ("images/*.png", "latents/*.safetensors", "npz/*/projected_w.npz"):
        assert len(list(finished.glob(kind))) == len(good)


def test_report_shows_all_files(finished: Path) -> None:
    page = (finished / "report.html").read_text("utf-8")
    assert "6 of 7 files inverted, 1 listed under problems" in page
    assert "difference × 2" in page
    assert "not finite" not in page  # a file that was skipped has no scores to count
    assert "LPIPS (VGG)" in page


def test_equal_files_are_inverted_once(finished: Path) -> None:
    lines = {line["name"]: line for line in read_results(finished)}
    own = name_of(0)
    first, again = lines[own], lines["again"]
    assert "same content" in again["warnings"][-1]
    assert first["file"] in again["warnings"][-1]
    assert [first[key] for key in ("sha256", "psnr")] == [again[key] for key in ("sha256", "psnr")]
    np.testing.assert_array_equal(latent(finished, own), latent(finished, "again"))
    pictures = [(finished / "images" / f"{name}.png").read_bytes() for name in (own, "again")]
    assert pictures[0] == pictures[1]
    facts = load_latents(finished / "latents" / "again.safetensors")[1]
    assert facts["source"] == again["file"]


def test_render_repeats_the_saved_images(finished: Path, tmp_path: Path) -> None:
    saved = sorted((finished / "latents").iterdir())
    assert main(["render", *map(str, saved), "-o", str(tmp_path)]) == DONE
    for drawn in tmp_path.iterdir():
        assert drawn.read_bytes() == (finished / "images" / drawn.name).read_bytes()
    assert len(list(tmp_path.iterdir())) == len(saved)


def test_npz_is_laid_out_as_others_read_it(finished: Path, tmp_path: Path) -> None:
    file = finished / "npz" / name_of(3) / "projected_w.npz"
    with np.load(file, allow_pickle=False) as arrays:
        assert arrays.files == ["w"]
        assert (arrays["w"].dtype, arrays["w"].shape) == (np.float32, (1, 8, 16))
        np.testing.assert_array_equal(arrays["w"][0], latent(finished, name_of(3)))
    assert main(["render", str(file), "-g", "tiny", "-o", str(tmp_path)]) == DONE
    drawn = (tmp_path / "projected_w.png").read_bytes()
    assert drawn == (finished / "images" / f"{name_of(3)}.png").read_bytes()


def test_an_image_alone_gives_the_same_latent(folder: Path, finished: Path, tmp_path: Path) -> None:
    invert(folder / "A" / "a.png", "-o", tmp_path)
    np.testing.assert_array_equal(latent(tmp_path, "a"), latent(finished, name_of(3)))


def test_run_json_holds_what_a_repetition_needs(
    finished: Path, cache: Path, tmp_path: Path
) -> None:
    facts = json.loads((finished / "run.json").read_text("utf-8"))
    assert facts["schema"] == 2
    assert facts["generator_sha256"] == sha256_file(cache / "tiny.safetensors")
    assert facts["nets_sha256"]["vgg16"] == sha256_file(cache / "vgg16.safetensors")
    assert {"jaxinv", "jax", "numpy", "pillow"} <= set(facts["versions"])
    assert {"backend", "device", "python", "started", "preset", "generator"} <= set(facts)
    asked = facts["request"] | {"paths": facts["request"]["paths"][:1], "out": str(tmp_path)}
    assert runner.run(runner.Request(**asked), find_preset(asked["preset"])) == (6, 1)
    for file in (finished / "latents").iterdir():
        np.testing.assert_array_equal(latent(tmp_path, file.stem), latent(finished, file.stem))


def test_interrupted_runs_keep_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_photos(tmp_path / "in", ["a.png", "b.png", "c.png"])
    calls, judge = [], finish.score_each

    def judge_then_stop(*arguments: object) -> list[dict[str, float]]:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return judge(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(finish, "score_each", judge_then_stop)
    invert(photos, "-o", tmp_path / "out", code=UNFINISHED)
    assert "interrupted; finished images are kept" in capsys.readouterr().err
    assert [line["name"] for line in read_results(tmp_path / "out")] == ["a"]
    assert "1 of 1 files inverted" in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert [file.name for file in (tmp_path / "out" / "latents").iterdir()] == ["a.safetensors"]


def test_own_pictures_are_not_read_back(tmp_path: Path) -> None:
    photos = write_photos(tmp_path, ["a.png"])
    for _ in range(2):
        invert(photos, "-o", photos)
        assert [line["name"] for line in read_results(photos)] == ["a"]
    assert [file.name for file in find_images([photos / "images"])] == ["a.png"]


def test_restarts_limit_and_seed(folder: Path, finished: Path, tmp_path: Path) -> None:
    invert(folder / "A", folder, "-o", tmp_path, "--restarts", 2, "--limit", 1, "--seed", 7)
    (line,) = read_results(tmp_path)
    (once,) = [one for one in read_results(finished) if one["name"] == name_of(3)]
    assert (line["name"], line["seed"]) == ("a", 7)
    assert line["loss"] <= once["loss"]  # restart 0 starts where the single one starts
    assert "2 restarts" in (tmp_path / "report.html").read_text("utf-8")


def test_batches_hold_one_size_and_one_kind_of_mask(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "in", ["a.png", "c.png", "e.png"])
    write_photos(photos, ["b.png", "d.png"], side=16)
    (photos / "broken.png").write_bytes(b"")
    wide = np.kron(np.arange(24).reshape(4, 6) * 10, np.ones((8, 8))).astype(np.uint8)
    images.write_images(photos, np.repeat(wide[None, ..., None], 3, -1), names=["wide"])
    invert(photos, "-o", tmp_path / "out", "--batch", 2, "--fit", "pad", code=SOME_FAILED)
    lines = {line["name"]: line for line in read_results(tmp_path / "out")}
    sizes = {name: line["size"] for name, line in lines.items()}
    assert sizes == {"a": 32, "b": 32, "c": 32, "d": 32, "e": 32, "wide": 32, "broken": None}
    assert {name for name, line in lines.items() if line["status"] == "ok"} == {*"abcde", "wide"}
    assert "padded to a square" in lines["wide"]["warnings"][0]


def test_landmarks_from_a_file(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "in", ["a.png", "b.png"], side=128)
    points = [[48.0, 56.0], [80.0, 56.0], [64.0, 72.0], [52.0, 84.0], [76.0, 84.0]]
    (tmp_path / "faces.json").write_text(json.dumps({"a.png": points}))
    align = ("--align", tmp_path / "faces.json")
    invert(photos, "-o", tmp_path / "out", *align, code=SOME_FAILED)
    good, bad = read_results(tmp_path / "out")
    facts = load_latents(tmp_path / "out" / "latents" / "a.safetensors")[1]
    assert json.loads(facts["transform"])["kind"] == "align"
    assert (good["status"], bad["status"]) == ("ok", "skipped")
    assert "no landmarks" in bad["reason"]


def test_files_are_not_left_over_when_the_disk_refuses(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results, "save_latents", full)
    invert(folder / "a.png", "-o", tmp_path, code=UNFINISHED)
    assert read_results(tmp_path) == []
    assert list((tmp_path / "latents").iterdir()) == []


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a.png", "b.jpg", "b/C.png"], ["a", "b", "C"]),
        (["a.png", "a.jpg", "b/A.png"], ["a-1", "a-2", "A-3"]),
        (["a-2.png", "a.png", "a.jpg"], ["a-2", "a-2-2", "a-3"]),
        (["q?.png", 'q".png', "\n.png"], ["q_-1", "q_-2", "_"]),
        (["é" * 200 + ".png"], ["é" * 90]),
    ],
)
def test_unique_names(files: list[str], names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [Path(file) for file in files]
    new = Path("new") / paths[0]
    monkeypatch.setattr(inputs, "content_digest", lambda file: str([*paths, new].index(file) + 1))
    assert inputs.unique_names(paths) == names
    known = {inputs.absolute(path): name for path, name in zip(paths, names, strict=True)}
    first, *others = inputs.unique_names([new, *paths], known)
    assert others == names
    assert first not in names


@pytest.mark.parametrize(
    ("own", "asked", "size"),
    [(1023, None, 512), (1024, None, 1024), (4000, None, 1024), (20, None, 32), (64, 100, 100)],
)
def test_loss_size(own: int, asked: int | None, size: int) -> None:
    assert observations.loss_size(own, asked, 1024) == size


def test_write_json_keeps_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(ODD)
    write_json(tmp_path / "run.json", {"path": name})
    assert json.loads((tmp_path / "run.json").read_text("utf-8")) == {"path": name}
    shutil.copy(tmp_path / "run.json", tmp_path / name)


def test_an_image_as_large_as_the_generators_is_compared_at_that() -> None:
    assert [observations.loss_size(own, None, 28) for own in (27, 28, 300)] == [16, 28, 28]


def test_the_detail_of_a_report_is_the_middle_of_the_written_picture() -> None:
    rows, columns = np.mgrid[:1024, :1024]
    full = np.stack([rows // 4, columns // 4, 0 * rows], axis=-1).astype(np.uint8)
    shown = np.asarray(Image.open(io.BytesIO(results.detail(full)))).astype(int)
    assert shown.shape == (384, 640, 3)
    assert np.abs(shown - full[320:704, 192:832]).mean() < 3  # JPEG
    assert np.asarray(Image.open(io.BytesIO(results.detail(full[:512, :512])))).shape == (
        384,
        512,
        3,
    )
    assert results.detail(full[:256, :256]) == b""
