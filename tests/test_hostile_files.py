"""Files that hurt, through every verb that reads files: one line, no traceback, no connection."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.cli.console import DONE, SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.io import checkpoints
from jaxinv.io.latent_files import save_latents
from jaxinv.models.zoo import ZOO
from tests.offline import go_offline, read_results, save_weights, write_photos
from tests.tiers import mostly_slow
from tests.tiny import STYLE, mobile
from tests.weights import SHARED

FAULTS = SHARED / "data" / "faults"
ESCAPE = "\x1b[2J\x1b]0;title\x07\x9b2J\r\n\N{RIGHT-TO-LEFT OVERRIDE}FORGED"
ATTACK = (
    "bomb9400.png", "exif_bomb.jpg", "latents_onlyweights_attributeerror.safetensors",
    "latents_opens_connection.safetensors", "latents_terminal_escape.safetensors",
    "latents_weights_keyerror.safetensors", "load_zdim_5e5.safetensors", "meas_claims.npy",
    "meas_npz.npy", "sg2_labels_1e9.safetensors", "weights_spec_types.safetensors",
    "weights_spec_types_2.safetensors",
)  # fmt: skip
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
calls: list[str] = []
sys.addaudithook(lambda event, _: calls.append(event) if event in NETWORK else None)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_offline(tmp_path_factory.getbasetemp(), monkeypatch)


@pytest.fixture(autouse=True)
def _no_connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is pulled, and no socket is connected."""
    monkeypatch.setattr("jaxinv.cli.weights.pull", lambda name: pytest.fail(f"pulls {name}"))
    calls.clear()
    yield
    assert calls == []


def one_line(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a verb says that must end with exit code 2."""
    capsys.readouterr()
    assert main(command) == USAGE
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.isprintable()
    assert len(line) < 1500
    return line


def test_the_hook_sees_connections() -> None:
    with socket.socket() as one, pytest.raises(OSError):  # noqa: PT011
        one.connect(("127.0.0.1", 1))
    assert calls == ["socket.connect"]
    calls.clear()


# --- every verb with every file -------------------------------------------------------------------

RUN = ["-g", "tiny", "-p", "pixels", "--steps", "1", "-o", "OUT"]
VERBS = {
    "inspect": ["inspect", "FILE", "--arrays"],
    "render": ["render", "FILE", "-o", "OUT"],
    "render-g": ["render", "FILE", "-g", "tiny", "-o", "OUT"],
    "render-with": ["render", "LATENTS", "-g", "FILE", "-o", "OUT"],
    "sample": ["sample", "FILE", "-n", "1", "-o", "a.png"],
    "convert": ["convert", "FILE", "--name", "new", "-o", "new.safetensors"],
    "convert-to": ["convert", "FILE", "--to", "rosinality", "-o", "new.pt"],
    "invert": ["invert", "FILE", *RUN],
    "invert-with": ["invert", "PHOTOS", *RUN, "-g", "FILE"],
    "align": ["invert", "PHOTOS", *RUN, "--align", "FILE"],
    "preset": ["invert", "PHOTOS", *RUN, "-p", "FILE.json"],
    "presets": ["presets", "FILE.json"],
    "inpaint": ["inpaint", "PHOTOS", "--mask", "FILE", *RUN],
    "colorize": ["colorize", "FILE", *RUN],
    "super-resolve": ["super-resolve", "FILE", "--factor", "2", *RUN],
    "recover": ["recover", "FILE", "--operator", "dense:count=40,seed=1", *RUN],
    "study": ["study", "pixels", "-g", "tiny", "--images", "FILE", "-o", "OUT"],
    "study-with": ["study", "pixels", "-g", "FILE", "--self", "1", "-o", "OUT"],
}
FAST = ("meas_claims.npy",)


def try_every_verb(file: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """Exit codes of all verbs for a file; whatever they say is printable."""
    Path("file.json").write_bytes(file.read_bytes())
    write_photos(Path("photos"), ["a.png"])
    save_latents("a.safetensors", {"z": np.zeros(16, np.float32)}, {"generator": "tiny"})
    names = {"FILE": str(file), "FILE.json": "file.json", "PHOTOS": "photos"}
    codes = {}
    for verb, words in VERBS.items():
        names |= {"OUT": f"out-{verb}", "LATENTS": "a.safetensors"}
        codes[verb] = main([names.get(word, word) for word in words])
        said = capsys.readouterr()
        for line in (said.out + said.err).splitlines():
            assert line.isprintable(), verb
            assert len(line) < 3000, verb
    return codes


@pytest.mark.parametrize("name", mostly_slow(ATTACK, FAST))
def test_no_file_of_the_attack_causes_a_traceback(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (FAULTS / "hostile" / name).is_file():
        pytest.skip(f"needs {name} in the folder JAXINV_SHARED")
    monkeypatch.chdir(tmp_path)
    codes = try_every_verb(FAULTS / "hostile" / name, capsys)
    picture = name.endswith(("png", "jpg"))
    for verb, code in codes.items():
        fine = picture or name.startswith("latents_term") or verb == "inspect"
        assert code in (USAGE, SOME_FAILED, *((DONE,) if fine else ())), verb
    assert codes["sample"] == codes["convert"] == codes["presets"] == codes["preset"] == USAGE


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in FAULTS.glob("*.*")))
def test_no_file_of_another_tool_causes_a_traceback(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    codes = try_every_verb(FAULTS / name, capsys)
    assert set(codes.values()) <= {DONE, USAGE, SOME_FAILED}


# --- connections ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ffhq", "faces-64", "//host/share/a", "\\\\host\\share\\a", "x"])
def test_a_file_never_causes_a_connection(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.safetensors"
    save_latents(file, {"z": np.zeros(16, np.float32)}, {"generator": name})
    line = one_line(["render", str(file), "-o", str(tmp_path / "out")], capsys)
    assert "choose another with -g" in line
    assert (name not in ZOO) or f"`jaxinv pull {name}`" in line
    np.savez(tmp_path / "w.npz", w=np.zeros((1, 18, 512), np.float32))
    command = ["render", str(tmp_path / "w.npz"), "-o", str(tmp_path / "out")]
    assert "`jaxinv pull ffhq`" in one_line(command, capsys)


# --- texts ----------------------------------------------------------------------------------------


def test_nothing_in_a_file_steers_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.safetensors"
    texts = {"source": ESCAPE, ESCAPE: "x", "generator": ESCAPE, "long": "y" * 10**6}
    save_latents(file, {"z": np.zeros(16)}, texts)
    assert main(["inspect", str(file), "--arrays"]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert all(line.isprintable() and len(line) < 2000 for line in lines)
    assert "FORGED" not in lines
    one_line(["render", str(file), "-o", str(tmp_path)], capsys)
    checkpoints.save(file, {ESCAPE: np.zeros(3)}, {"kind": ESCAPE})
    assert main(["inspect", str(file), "--arrays"]) == DONE
    assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())
    one_line(["render", str(file), "-o", str(tmp_path)], capsys)
    one_line(["presets", ESCAPE], capsys)
    one_line(["sample", ESCAPE, "-o", "a.png"], capsys)


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes only on POSIX")
def test_names_of_files_are_plain_in_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a\x1b[2J\x9b\N{RIGHT-TO-LEFT OVERRIDE}.png"
    photos = write_photos(tmp_path / "in", [name])
    (photos / os.fsdecode(b"\xff\x1b.png")).write_bytes(b"no picture")
    out = tmp_path / "out"
    command = ["invert", str(photos), "-o", str(out), "-g", "tiny", "-p", "pixels"]
    assert main(command) == SOME_FAILED
    assert {line["status"] for line in read_results(out)} == {"ok", "skipped"}
    assert any(line["file"].endswith(name) for line in read_results(out))
    for page in ("results.jsonl", "report.html", "run.json"):
        assert all(line.isprintable() for line in (out / page).read_text("utf-8").splitlines())
    assert all(line.isprintable() for line in capsys.readouterr().err.splitlines())


# --- numbers --------------------------------------------------------------------------------------

STAGE: dict[str, Any] = {"variables": [{"space": "w+"}], "terms": [{"name": "mse"}], "steps": 3}


@pytest.mark.parametrize("value", ["-1", str(2**32), str(2**64), "9" * 5000, "nan", "1e3", "0x1"])
def test_seeds_out_of_range_are_one_line(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["sample", "tiny"], ["invert", str(tmp_path)], ["study", "pixels"]):
        line = one_line([*command, "-o", str(tmp_path / "a.png"), "--seed", value], capsys)
        assert "--seed" in line


@pytest.mark.parametrize(
    "option",
    [["--psi", "nan"], ["--psi", "1e999"], ["--label", "9" * 40], ["-n", "9" * 40], ["-n", "-1"]],
)
def test_options_out_of_range_are_one_line(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sample", "tiny", "-o", str(tmp_path / "a.png"), *option]
    assert option[0].lstrip("-") in one_line(command, capsys)


PRESETS = {
    "infinite": json.dumps(STAGE | {"weight_noise": 1e999}).replace("Infinity", "1e999"),
    "exponent": json.dumps(STAGE | {"weight_noise": 0.5}).replace("0.5", "1e1000000000"),
    "nan": json.dumps(STAGE | {"weight_noise": float("nan")}),
    "steps": json.dumps(STAGE | {"steps": 10**12}),
    "digits": json.dumps(STAGE | {"steps": 10**4000}),
    "below": json.dumps(STAGE | {"steps": -1}),
    "whole": json.dumps(STAGE | {"steps": 2**64}),
    "nested": json.dumps(STAGE)[:-1] + ', "steps": ' + "[" * 10**5 + "]" * 10**5 + "}",
    "open": "[" * 10**5,
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_with_impossible_numbers_are_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, file = write_photos(tmp_path / "in", ["a.png"]), tmp_path / "p.json"
    file.write_text(f'{{"schema": 2, "name": "a", "stages": [{PRESETS[name]}]}}')
    command = ["invert", str(photos), "-o", str(tmp_path / "out"), "-g", "tiny"]
    one_line([*command, "-p", str(file)], capsys)
    one_line(["presets", str(file)], capsys)
    for points in (f'{{"a.png": [[{"9" * 400}, 1]]}}', '{"a": 1e999}', PRESETS[name], "\xff"):
        file.write_bytes(points.encode("latin-1"))
        one_line([*command, "--align", str(file)], capsys)


# --- places ---------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
def test_special_files_cost_themselves_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = write_photos(Path("in"), ["good.png"])
    os.mkfifo(photos / "pipe.png")
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind("in/socket.png")
    (photos / "folder.png").mkdir()
    (photos / "self.png").symlink_to("self.png")
    (photos / "dangling.png").symlink_to("nowhere")
    given = [str(photos), "in/self.png", "in/dangling.png", "/dev/zero", "in/pipe.png"]
    command = ["invert", *given, "-o", "out", "-g", "tiny", "-p", "pixels"]
    assert main(command) == SOME_FAILED
    lines = {line["name"]: line["status"] for line in read_results(Path("out"))}
    assert [name for name, status in lines.items() if status == "ok"] == ["good"]
    assert {"pipe", "socket", "self", "dangling", "zero"} <= lines.keys()
    capsys.readouterr()
    for name in ("pipe.safetensors", "pipe.npz", "pipe.json", "pipe.pt"):
        os.mkfifo(name)
    for words in (
        ["inspect", "pipe.safetensors"],
        ["inspect", "in"],
        ["inspect", "/dev/zero"],
        ["inspect", "in/self.png"],
        ["render", "pipe.safetensors", "-o", "x"],
        ["render", "pipe.npz", "-o", "x"],
        ["convert", "pipe.pt", "--name", "a"],
        ["presets", "pipe.json"],
        ["invert", "in", "-o", "out", "-g", "tiny", "--align", "pipe.json"],
        ["invert", "in", "-o", "out", "-g", "pipe.safetensors"],
        ["sample", "pipe.safetensors", "-o", "a.png"],
        ["sample", "tiny", "-o", "pipe.pt"],
        ["inpaint", "in", "--mask", "pipe.pt", "-o", "out", "-g", "tiny"],
    ):
        one_line(words, capsys)


def test_mistyped_paths_name_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(Path("photos"), ["a.png"])
    run = ["-o", "out", "-g", "tiny"]
    for command in (
        ["invert", "photo", *run],
        ["invert", "photos/a.png", "photo", *run],
        ["denoise", "photo", *run],
        ["inpaint", "photos", "--mask", "photo", *run],
        ["study", "pixels", "-g", "tiny", "--images", "photo", "-o", "out"],
        ["invert", "photo/b.png", *run],
    ):
        line = one_line(command, capsys)
        assert "no such file or folder" in line or "no mask" in line
        assert "nearest: photos" in line
    for command in (
        ["inspect", "photos/b.png"],
        ["convert", "photos/b.png"],
        ["render", "photos/b.png", "-o", "x"],
        ["sample", "photos/b.png", "-o", "x.png"],
    ):
        assert f"nearest: {Path('photos/a.png')}" in one_line(command, capsys)
    assert not Path("out", "results.jsonl").exists()


def test_inspect_shows_what_a_name_stands_for(capsys: pytest.CaptureFixture[str]) -> None:
    for name, entry in ZOO.items():
        assert main(["inspect", name]) == DONE
        said = capsys.readouterr().out
        assert all(word in said for word in (entry.title, *entry.licence, entry.archive.filename))
        assert f"{entry.archive.size / 1e6:.1f} MB" in said
        assert all(output.file in said for output in entry.outputs)
    assert main(["inspect", "tiny"]) == DONE
    assert "tiny: mobilestylegan, 32 px" in capsys.readouterr().out


# --- classes --------------------------------------------------------------------------------------


def test_a_missing_class_is_said_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = replace(STYLE, labels=10)
    params = {name: mobile(spec)[1][name] for name in ("mapping", "synthesis")}
    file, photos = tmp_path / "g.safetensors", write_photos(tmp_path / "in", ["a.png"])
    save_weights(file, params, "generator", spec=asdict(spec))
    measured: Callable[..., Any] = lambda *_: pytest.fail("measures W")  # noqa: E731
    monkeypatch.setattr("jaxinv.models.loading.cached_statistics", measured)
    out = ["-g", str(file), "-o", str(tmp_path / "out")]
    for command in (
        ["sample", str(file), "-o", str(tmp_path / "a.png")],
        ["sample", str(file), "-o", str(tmp_path / "a.png"), "--label", "99"],
        ["study", "pixels", "--self", "1", *out],
        ["study", "pixels", "--images", str(photos), "--label", "-1", *out],
        ["invert", str(photos), "--label", "99", *out],
        ["invert", str(photos), "--label", "9" * 40, *out],
    ):
        assert "allowed: 0 to 9" in one_line(command, capsys)
