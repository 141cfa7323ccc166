"""Every verb of the command line: what it prints, how it ends, and what it says about wrong use."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import jaxinv
from jaxinv.cli.console import DONE, SOME_FAILED, UNFINISHED, USAGE
from jaxinv.cli.main import main, parser
from jaxinv.io import images
from jaxinv.io.latent_files import save_latents
from jaxinv.latents.sampling import of_class
from jaxinv.models.zoo import ZOO
from jaxinv.presets import ENCODERS, HYBRIDS
from tests.awkward import write_awkward_folder
from tests.offline import go_offline, quicken, read_results, save_weights, tiny_params, write_photos
from tests.tiny import classes
from tests.weights import need

ROOT = Path(__file__).parents[2]
PORTRAIT = ROOT / "notebooks" / "photos" / "astronaut.png"
FACE = (slice(0, 256), slice(96, 352))  # around the face in the portrait


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_offline(tmp_path_factory.getbasetemp(), monkeypatch)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder and no package index."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", ["a.png", "b.png"])


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr; nothing on stdout."""
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line


def verbs() -> list[str]:
    """The names of all verbs."""
    action = next(a for a in parser()._actions if a.dest == "verb")
    return list(action.choices or ())


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter, in which every warning is an error."""
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


INVERT = ["invert", "PHOTOS", "-o", "OUT", "-g", "tiny", "-p", "pixels"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["required: verb", "invert", "render", "doctor"]),
        (["invent"], ["'invent'", "invert", "render", "doctor"]),
        (["invert", "PHOTOS"], ["-o/--out", "--steps N"]),
        ([*INVERT, "--stepz", "3"], ["--stepz", "--steps N"]),
        ([*INVERT, "--steps", "0"], ["--steps", "at least 1, got 0"]),
        ([*INVERT, "--steps", "many"], ["--steps", "'many'"]),
        ([*INVERT, "--fit", "cut"], ["'cut'", "crop", "pad", "stretch", "refuse"]),
        ([*INVERT, "--export", "pt"], ["'pt'", "npz"]),
        ([*INVERT, "--size", "8"], ["8", "16 to 32"]),
        ([*INVERT, "--size", "64"], ["64", "16 to 32"]),
        ([*INVERT, "--align", "no.json"], ["no.json", "'none', 'auto'"]),
        ([*INVERT, "-p", "best"], ["'best'", "quick", "default", "fine"]),
        ([*INVERT, "-g", "cats"], ["'cats'", "ffhq", ".safetensors"]),
        ([*INVERT, "-g", "vgg16"], ["'features'", "'generator'"]),
        (["invert", "EMPTY", "-o", "OUT", "-g", "tiny"], ["no image files", "EMPTY"]),
        (["pull", "cats"], ["'cats'", "ffhq", "lpips", "landmarks"]),
        (["inspect", "PHOTOS/a.png"], ["a.png", "PNG picture", ".safetensors"]),
    ],
)
@pytest.mark.usefixtures("cache", "photos")
def test_wrong_use_is_one_line_that_names_what_is_allowed(
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("EMPTY").mkdir()
    Path("PHOTOS").symlink_to("photos")
    assert main(arguments) == USAGE
    line = error_line(capsys)
    assert line.startswith("jaxinv: ")
    assert [word for word in words if word not in line] == []
    assert not Path("OUT", "results.jsonl").exists()


@pytest.mark.usefixtures("cache")
def test_output_that_cannot_be_written(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = photos / "a.png"
    assert main(["invert", str(photos), "-o", str(file), "-g", "tiny"]) == UNFINISHED
    assert "did not finish" in error_line(capsys)
    assert main(["render", "none.safetensors", "-o", str(file)]) == UNFINISHED
    assert str(file) in error_line(capsys)


def test_without_a_network_it_says_what_to_fetch(
    empty_cache: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = ZOO["ffhq"].archive
    for command in (["pull", "ffhq"], ["invert", str(photos), "-o", str(photos / "out")]):
        assert main(command) == UNFINISHED
        said = capsys.readouterr()
        first, *others = said.out.splitlines()
        assert first == f"ffhq: fetching {archive.filename}, 38 MB"
        assert others == list(ZOO["ffhq"].licence)
        (line,) = said.err.splitlines()
        for word in (archive.filename, archive.sha256, str(empty_cache / "downloads")):
            assert word in line


def test_an_archive_that_is_not_the_pinned_one_is_refused(
    empty_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_hand = empty_cache / "downloads" / ZOO["lpips"].archive.filename
    by_hand.parent.mkdir(parents=True)
    by_hand.write_bytes(b"something else")
    assert main(["pull", "lpips"]) == UNFINISHED
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{by_hand} is not the pinned" in line
    assert sorted(file.name for file in empty_cache.iterdir()) == ["downloads"]


@pytest.mark.parametrize("victim", ["tiny", "alexnet"])
def test_damaged_weights_are_refused(
    victim: str,
    cache: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(cache, damaged)
    file = damaged / f"{victim}.safetensors"
    data = bytearray(file.read_bytes())
    data[-1001] ^= 1
    file.write_bytes(data)
    monkeypatch.setenv("JAXINV_CACHE", str(damaged))
    assert (
        main([*INVERT[:1], str(photos), *INVERT[2:3], str(tmp_path / "out"), *INVERT[4:]]) == USAGE
    )
    line = error_line(capsys)
    assert "is damaged" in line
    assert str(file) in line


def test_help_and_version_need_no_jax() -> None:
    code = (
        "import sys, contextlib\n"
        "from jaxinv.cli.main import main\n"
        f"for words in ([], *([verb] for verb in {verbs()})):\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main([*words, '--help'])\n"
        "print(sorted({'jax', 'numpy', 'flax', 'PIL', 'rich'} & set(sys.modules)))\n"
    )
    done = python("-c", code)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "[]"
    for verb in verbs():
        assert f"usage: jaxinv {verb}" in done.stdout
    assert python("-m", "jaxinv", "--version").stdout == f"jaxinv {jaxinv.__version__}\n"


def test_a_process_of_its_own_prints_plain_lines_and_no_warnings(
    cache: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "broken\n.png").write_bytes(b"GIF")
    del cache  # its folder is in the environment
    code = "import sys, pytest; from tests.offline import quicken; quicken(pytest.MonkeyPatch())"
    code += "; from jaxinv.cli.main import main; sys.exit(main())"
    done = python("-c", code, "invert", str(photos), "-o", str(tmp_path / "out"), *INVERT[4:])
    assert done.returncode == SOME_FAILED
    report = tmp_path / "out" / "report.html"
    assert done.stdout == f"2 images inverted, 1 failed; see {report}\n"
    *_, last = done.stderr.splitlines()
    assert last == "images 3/3"
    assert f"warning: {photos}/broken\\n.png: " in done.stderr
    assert "\x1b" not in done.stderr
    assert "Warning" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break in another way there")
def test_a_reader_that_has_enough_is_no_error() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "jaxinv", "presets"]
    done = subprocess.run(command, cwd=ROOT, stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (UNFINISHED, b"")


@pytest.mark.usefixtures("cache")
def test_zoo_and_presets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo"]) == DONE
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert set(lines) == {*ZOO, "avatars", "avatars-labels"}
    assert " here " in lines["lpips"]
    assert " not pulled " in lines["landmarks"]
    assert main(["presets"]) == DONE
    said = capsys.readouterr().out
    named = {line for line in said.splitlines() if line[0] != " "}
    assert named == {*jaxinv.PRESETS, *HYBRIDS, *ENCODERS, "pixels"}
    assert "\n  5000 evaluations of w+ by adam\n" in said


@pytest.mark.usefixtures("cache")
def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == DONE
    said = capsys.readouterr().out
    assert "of the picture unexplained: fine" in said
    assert "weights landmarks: not pulled" in said


@pytest.mark.usefixtures("cache")
def test_render_draws_another_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gen, params = classes()
    own = {name: params[name] for name in params if name not in ("frozen", "statistics")}
    save_weights(tmp_path / "g.safetensors", own, "generator", spec=asdict(gen.spec))
    z, count = np.ones(gen.spec.z_dim, np.float32), gen.spec.labels
    pictures = {}
    for label in (0, 1):
        code = {"z": z, "label": np.eye(count, dtype=np.float32)[label]}
        save_latents(tmp_path / f"{label}.safetensors", code, {})
    for name, label, more in (("a", 0, []), ("b", 1, []), ("c", 0, ["--label", "1"])):
        out = ["-g", str(tmp_path / "g.safetensors"), "-o", str(tmp_path / name)]
        assert main(["render", str(tmp_path / f"{label}.safetensors"), *out, *more]) == DONE
        pictures[name] = (tmp_path / name / f"{label}.png").read_bytes()
    assert pictures["c"] == pictures["b"] != pictures["a"]
    capsys.readouterr()
    out = ["-g", str(tmp_path / "g.safetensors"), "-o", str(tmp_path / "d"), "--label", "99"]
    assert main(["render", str(tmp_path / "0.safetensors"), *out]) == USAGE
    assert f"allowed: 0 to {count - 1}" in error_line(capsys)
    with pytest.raises(ValueError, match="label 1 for w; allowed: latents with z"):
        of_class(gen, {"w": z}, 1)


@pytest.mark.usefixtures("cache")
def test_render_refuses_what_the_generator_cannot_draw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["-g", "tiny", "-o", str(tmp_path / "out")]
    save_latents(tmp_path / "rows.safetensors", {"w+": np.zeros((18, 512), np.float32)}, {})
    save_weights(tmp_path / "weights.safetensors", tiny_params(), "generator")
    np.savez(tmp_path / "key.npz", u=np.zeros(3), v=np.zeros(3))
    (tmp_path / "torn.npz").write_bytes((tmp_path / "key.npz").read_bytes()[:60])
    for name, words in {
        "rows.safetensors": ["(18, 512)", "(8, 16)", "'tiny'"],
        "weights.safetensors": ["'generator'", "'latents'"],
        "key.npz": ["key.npz", "'u' [3], 'v' [3]", "one array"],
        "torn.npz": ["torn.npz", "not a readable file"],
    }.items():
        assert main(["render", str(tmp_path / name), *out]) == USAGE
        line = error_line(capsys)
        assert [word for word in words if word not in line] == []
    assert main(["render", str(tmp_path / "missing.safetensors"), *out]) == USAGE
    assert "missing.safetensors" in error_line(capsys)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_of_thirty_awkward_files_with_the_real_generator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need("ffhq", "lpips", "landmarks")
    quicken(monkeypatch)
    face = images.to_uint8(images.resize(images.read_photo(PORTRAIT).pixels[FACE], 128))
    kinds = write_awkward_folder(tmp_path / "in", face)
    out = tmp_path / "out"
    arguments = ["invert", str(tmp_path / "in"), "-o", str(out), "-p", "pixels"]
    assert main([*arguments, "--steps", "2", "--size", "64"]) == SOME_FAILED
    assert "20 images inverted, 10 failed" in capsys.readouterr().out
    lines = {
        Path(line["file"]).relative_to(tmp_path / "in").as_posix(): line
        for line in read_results(out)
    }
    assert set(lines) == set(kinds)
    assert len((out / "results.jsonl").read_text("utf-8").splitlines()) == 30
    for name, kind in kinds.items():
        line = lines[name]
        assert (name, line["status"] == "ok", bool(line["reason"])) == (
            name,
            kind == "ok",
            kind == "bad",
        )
        picture = out / "images" / f"{line['name']}.png"
        assert picture.exists() == (kind == "ok")
    facts = json.loads((out / "run.json").read_text("utf-8"))
    assert facts["generator"]["name"] == "ffhq"
