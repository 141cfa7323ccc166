"""Latents in the layouts of other tools, there and back; and runs that are indexed again."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.cli.console import DONE, SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.io.images import encode_png
from jaxinv.io.latent_conventions import LAYOUTS
from jaxinv.io.latent_files import load_latents, save_latents
from jaxinv.runs.packing import pack
from tests import torchlike as torch
from tests.foreign import arrays_of
from tests.fuzz import watched
from weights_convert import UnsafeFileError, convert
from weights_convert.readers import numpy_objects
from weights_convert.sources.containers import read_checkpoint
from weights_convert.writers import torch_files

ROWS, WIDTH = 6, 8  # of the small StyleGAN2 of 16 px
NAMES = ("a", "b", "c")
draws = np.random.default_rng(0)
CODES = {name: draws.standard_normal((ROWS, WIDTH)).astype(np.float32) for name in NAMES}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    held = arrays_of()
    Path("style.pt").write_bytes(torch.zip_file(torch.state_dict(held), held))
    convert(Path("style.pt"), name="style")
    return tmp_path / "cache"


def write_results(out: Path) -> Path:
    """Latents and pictures of three samples, the last in W."""
    for name, code in CODES.items():
        facts = {"generator": "style", "source": f"photos/{name}.jpg"}
        latents = {"w": code[0]} if name == "c" else {"w+": code}
        save_latents(out / "latents" / f"{name}.safetensors", latents, facts)
        (out / "images").mkdir(exist_ok=True)
        picture = np.full((16, 16, 3), 255 * (name == "a"), np.uint8)
        (out / "images" / f"{name}.png").write_bytes(encode_png(picture))
    return out


WANTED = {**CODES, "c": np.broadcast_to(CODES["c"][0], (ROWS, WIDTH))}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_written_and_read(layout: str, packed: bool, tmp_path: Path) -> None:
    run = write_results(tmp_path / "run")
    if packed:
        (run / "shards").mkdir()
        pack(run, NAMES)
    assert main(["export", str(run), "--format", layout, "-o", "out"]) == DONE
    files = sorted(p for p in Path("out").rglob("*") if p.suffix in (".npz", ".npy", ".pt"))
    assert len(files) == (1 if layout == "e4e" else 3)
    words = ["import", *map(str, files), "-g", "style", "-o", "back"]
    if layout == "e4e":
        assert Path("out/latents.txt").read_text().split() == list(NAMES)
        Path("photos").mkdir()
        for name in NAMES:
            Path("photos", f"{name}.jpg").write_bytes(b"x")
        words += ["--names", "photos"]
    assert main(words) == DONE
    found = sorted(Path("back", "latents").iterdir())
    assert len(found) == 3
    for place, name in zip(found, NAMES, strict=True):
        code, facts = load_latents(place)
        np.testing.assert_array_equal(code["w+"], WANTED[name])
        assert facts["generator"] == "style"
        if layout in ("e4e", "rosinality"):
            assert facts["source"] == f"photos/{name}.jpg"
    assert main(["render", str(found[0]), "-o", "drawn"]) == DONE


def test_layouts_are_those_of_the_tools(tmp_path: Path) -> None:
    run = write_results(tmp_path / "run")
    for layout in LAYOUTS:
        assert main(["export", str(run), "--format", layout, "-o", layout]) == DONE
    with np.load("npz/a/projected_w.npz", allow_pickle=False) as held:
        assert held.files == ["w"]
        assert (held["w"].shape, held["w"].dtype) == ((1, ROWS, WIDTH), np.float32)
    np.testing.assert_array_equal(np.load("npy/a.npy", allow_pickle=False), CODES["a"][None])
    np.testing.assert_array_equal(read_checkpoint("pt/a.pt").tree, CODES["a"][None])
    stacked = np.stack([WANTED[name] for name in NAMES])
    np.testing.assert_array_equal(read_checkpoint("e4e/latents.pt").tree, stacked)
    tree = read_checkpoint("rosinality/a.pt").tree["photos/a.jpg"]
    np.testing.assert_array_equal(tree["latent"], CODES["a"])
    np.testing.assert_array_equal(tree["img"], np.ones((3, 16, 16), np.float32))
    for file in ("pt/a.pt", "e4e/latents.pt", "rosinality/a.pt"):
        with zipfile.ZipFile(file) as archive:
            found = list(pickletools.genops(archive.read("archive/data.pkl")))
        assert {argument for opcode, argument, _ in found if opcode.name == "GLOBAL"} <= {
            "collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch FloatStorage",
        }  # fmt: skip
        assert not {opcode.name for opcode, _, _ in found} & {"BUILD", "NEWOBJ", "INST", "OBJ"}


def saved(value: Any, path: str) -> Path:
    np.save(path, value, allow_pickle=True)
    return Path(path)


def test_dicts_of_iterations_give_the_last_by_name() -> None:
    """As ReStyle saves them: a pickled dict in a .npy file."""
    first = np.zeros((ROWS, WIDTH), np.float32)
    held = {f"{name}.jpg": [first, first, code] for name, code in CODES.items()}
    file = saved(held, "latents.npy")  # pyright: ignore[reportArgumentType]
    data = file.read_bytes()
    with watched() as events:
        tree = numpy_objects.read(data)
    assert events == []
    assert list(tree) == list(held)
    assert main(["import", str(file), "-g", "style", "-o", "out"]) == DONE
    assert {p.stem for p in Path("out", "latents").iterdir()} == {f"latents-{n}" for n in NAMES}
    for name in NAMES:
        code, facts = load_latents(f"out/latents/latents-{name}.safetensors")
        np.testing.assert_array_equal(code["w+"], CODES[name])
        assert facts["source"] == f"{name}.jpg"


def test_noise_maps_of_a_projector_come_along() -> None:
    sides = [4, 8, 8, 16, 16]
    maps = [np.full((1, 1, side, side), i, np.float32) for i, side in enumerate(sides)]
    tree = {
        "x/a.png": {"img": np.zeros((3, 16, 16), np.float32), "latent": CODES["a"], "noise": maps}
    }
    with Path("a.pt").open("wb") as file:
        torch_files.write(tree, file)
    assert main(["import", "a.pt", "-g", "style", "-o", "out"]) == DONE
    code, facts = load_latents("out/latents/a.safetensors")
    assert [one.shape for one in code["noise"]] == [(side, side) for side in sides]
    assert [one[0, 0] for one in code["noise"]] == [0, 1, 2, 3, 4]
    assert facts["source"] == "x/a.png"
    assert main(["export", "out", "--format", "rosinality", "-o", "again"]) == DONE
    again = read_checkpoint("again/a.pt").tree["x/a.png"]
    for one, other in zip(again["noise"], maps, strict=True):
        np.testing.assert_array_equal(one, other)


def test_rows_can_be_codes_of_their_own() -> None:
    """InterFaceGAN's arrays [n, d] look like one code in W+."""
    np.save("z.npy", CODES["a"])
    assert main(["import", "z.npy", "-g", "style", "-o", "w", "--space", "w"]) == DONE
    assert len(list(Path("w", "latents").iterdir())) == ROWS
    code, _ = load_latents("w/latents/z-03.safetensors")
    np.testing.assert_array_equal(code["w"], CODES["a"][3])


class Evil:
    """Touches a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("open('touched', 'w')",))


@pytest.mark.parametrize(
    "value",
    [
        Evil(),
        {"a.jpg": [Evil()]},
        {"a.jpg": [np.array(Evil(), object)]},
        {"a.jpg": "text", "b.jpg": None},
        {"a.jpg": []},
        {"a.jpg": [np.full((ROWS, WIDTH), np.nan)]},
        [CODES["a"], Evil()],
    ],
)
def test_objects_that_are_no_codes_are_refused(
    value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    array = np.empty((), object)
    array[()] = value
    saved(array, "latents.npy")
    for command in (
        ["import", "latents.npy", "-g", "style", "-o", "out"],
        ["render", "latents.npy", "-g", "style", "-o", "drawn"],
    ):
        assert main(command) == USAGE
        (line,) = capsys.readouterr().err.splitlines()[-1:]
        assert line.isprintable()
    assert not Path("touched").exists()


def test_headers_of_objects_that_lie() -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([1, "a"], object), allow_pickle=True)
    data = stream.getvalue()
    assert numpy_objects.read(data) == [1, "a"]
    for wrong in (
        data[:60],
        data.replace(b"'|O'", b"'<f4"),
        data.replace(b"(2,)", b"()  "),
        data + b"x",
        data[: data.index(b"\n") + 1] + pickle.dumps({}),
        data[: data.index(b"\n") + 1],
    ):
        with pytest.raises(UnsafeFileError):
            numpy_objects.read(wrong)


def test_one_bad_file_costs_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_results(tmp_path / "run")
    save_latents(run / "latents" / "z.safetensors", {"z": np.zeros(WIDTH)}, {"generator": "style"})
    (run / "latents" / "torn.safetensors").write_bytes(b"x" * 9)
    assert main(["export", str(run), "--format", "npy", "-o", "out"]) == SOME_FAILED
    said = capsys.readouterr()
    assert "3 codes written, 2 failed" in said.out
    assert "allowed: w or w+" in said.err
    assert main(["export", str(run), "--format", "npy", "-o", "run"]) == USAGE
    Path("full").mkdir()
    Path("full", "mine.npy").write_bytes(b"x")
    assert main(["export", str(run), "--format", "npy", "-o", "full"]) == USAGE
    assert "holds other files" in capsys.readouterr().err
    np.save("short.npy", CODES["a"][:, :3])
    words = ["import", "short.npy", "out/a.npy", "-g", "style", "-o", "back"]
    assert main(words) == SOME_FAILED
    assert [p.name for p in Path("back", "latents").iterdir()] == ["a.safetensors"]
    assert main(["import", "out/a.npy", "-g", "style", "-o", "more", "--names", "out"]) == USAGE


@pytest.mark.parametrize("packed", [False, True])
def test_a_run_is_indexed_from_what_lies_there(packed: bool, tmp_path: Path) -> None:
    """Lines that are lost come back, those whose results are gone go; and the report."""
    run = write_results(tmp_path / "run")
    (run / "run.json").write_text(json.dumps({"request": {"generator": "style"}}))
    lines = [
        {"file": "photos/a.jpg", "name": "a", "status": "ok", "psnr": 31.5, "loss": 0.1},
        {"file": "photos/gone.jpg", "name": "gone", "status": "ok"},
        {"file": "photos/bad.jpg", "name": "bad", "status": "skipped", "reason": "empty file"},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run / "results.jsonl").write_text(text + '{"file": "photos/b.j')
    if packed:
        (run / "shards").mkdir()
        pack(run, NAMES)
    assert main(["index", "run"]) == DONE
    found = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    assert [line["name"] for line in found] == ["a", "bad", "b", "c"]
    assert found[0]["psnr"] == 31.5
    assert found[2]["psnr"] is None
    page = (run / "report.html").read_text("utf-8")
    assert "3 of 4 files inverted, 1 listed under problems" in page
    assert page.count("<article") == 3
    assert main(["index", "run"]) == DONE
    assert [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()] == found
    assert main(["index", "style.pt"]) == USAGE
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(run / "index.parquet").to_pylist()
    assert [row["name"] for row in table] == ["a", "bad", "b", "c"]
    assert table[0]["latents"] == (
        "shards/00000.safetensors" if packed else "latents/a.safetensors"
    )
