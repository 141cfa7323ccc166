"""Runs whose results are packed many to a file: the same results, found by every verb."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from jaxinv.cli.console import DONE, SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.io import archives, latent_shards
from jaxinv.io.checkpoints import CheckpointError
from jaxinv.io.files import is_there, read_bytes
from jaxinv.io.latent_files import load_latents, save_latents
from jaxinv.io.latent_shards import packed_rows, read_rows
from jaxinv.runs import packing, runner
from jaxinv.runs.kept_latents import list_latents
from tests.offline import go_offline, photo, read_results, write_photos
from tests.runs.test_resume import CHILD
from tests.tiers import mostly_slow

NAMES = ["a.png", "b.png", "c.png", "d.png", "e.png"]
SAME = ("name", "status", "loss", "psnr", "lpips_vgg", "evaluations", "sizes")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_offline(tmp_path_factory.getbasetemp(), monkeypatch)


def invert(photos: Path, out: Path, *others: object) -> int:
    words = ["invert", photos, "-g", "tiny", "-p", "pixels", "-o", out, *others]
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five good files, one broken, one whose content is there already."""
    place = write_photos(tmp_path_factory.mktemp("photos"), NAMES)
    (place / "broken.png").write_bytes(photo(5)[:80])
    (place / "twin.png").write_bytes(photo(1))
    return place


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results that are not packed."""
    return _run(photos, tmp_path_factory, "whole", ["--export", "npz"])


@pytest.fixture(scope="module")
def packed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, two to a shard."""
    more = ["--export", "npz", "--shard-size", "2", "--batch", "2"]
    return _run(photos, tmp_path_factory, "packed", more)


def _run(photos: Path, factory: pytest.TempPathFactory, name: str, more: list[str]) -> Path:
    out = factory.mktemp(name)
    with pytest.MonkeyPatch.context() as patch:
        go_offline(factory.getbasetemp(), patch)
        assert invert(photos, out, "--batch", "2", *more) == SOME_FAILED
    return out


def loose(out: Path) -> list[str]:
    """Files of single results."""
    places = ("latents", "images", "npz")
    return [p.name for place in places for p in (out / place).rglob("*") if p.is_file()]


def same(out: Path, whole: Path) -> None:
    """The same results under the same paths, wherever they lie."""
    ours, theirs = ({line["file"]: line for line in read_results(one)} for one in (out, whole))
    assert ours.keys() == theirs.keys()
    for file, line in ours.items():
        assert {k: line[k] for k in SAME} == {k: theirs[file][k] for k in SAME}
    names = [line["name"] for line in theirs.values() if line["status"] == "ok"]
    for name in names:
        for kind in (f"images/{name}.png", f"npz/{name}/projected_w.npz"):
            assert is_there(out / kind)
            assert read_bytes(out / kind) == read_bytes(whole / kind)
        place = f"latents/{name}.safetensors"
        (code, facts), (wanted, said) = load_latents(out / place), load_latents(whole / place)
        assert code.keys() == wanted.keys()
        for space, array in code.items():
            assert array.dtype == wanted[space].dtype
            np.testing.assert_array_equal(array, wanted[space])
        assert facts | {"kind": ""} == said | {"kind": ""}
    found = {one.name: one for one in list_latents([out])}
    assert found.keys() == set(names)
    assert not any(one.reason for one in found.values())


def test_packed_results_are_the_same(packed: Path, whole: Path) -> None:
    assert loose(packed) == []
    assert sorted(path.name for path in (packed / "shards").iterdir()) == [
        f"0000{i}.{end}" for i in range(3) for end in ("safetensors", "tar")
    ]
    same(packed, whole)
    assert len(packed_rows(packed).rows) == 6


def test_a_finished_run_goes_on_and_finds_everything(
    packed: Path, whole: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "search", lambda *_: pytest.fail("searches again"))
    more = ["--export", "npz", "--batch", "2"]
    assert invert(photos, packed, *more, "--shard-size", "2") == SOME_FAILED
    assert invert(photos, packed, *more) == SOME_FAILED  # how results are packed may change
    same(packed, whole)


@pytest.mark.parametrize("after", mostly_slow(range(1, 7), (3,)))
def test_a_run_that_ends_while_it_packs_goes_on(
    after: int, photos: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends before, between and after the steps of publishing a shard."""
    steps, out = [0], tmp_path / "out"

    def counted(function):
        def call(*given, **named):
            steps[0] += 1
            if steps[0] == after:
                raise OSError("test")
            return function(*given, **named)

        return call

    with monkeypatch.context() as patch:
        for module, name in (
            (packing, "atomic_write"), (latent_shards, "save_shard"), (latent_shards, "forget"),
        ):  # fmt: skip
            patch.setattr(module, name, counted(getattr(module, name)))
        more = ["--export", "npz", "--batch", "2", "--shard-size", "2"]
        assert invert(photos, out, *more) == 1
    archives.forget()
    latent_shards.forget()  # as in another process
    assert invert(photos, out, *more) == SOME_FAILED
    assert loose(out) == []
    same(out, whole)


@pytest.mark.slow
def test_killed_processes_go_on(
    photos: Path, whole: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Killed at several moments, some of them while it packs, a run ends with the same results."""
    out, base, codes = tmp_path / "out", tmp_path_factory.getbasetemp(), []
    words = ["invert", photos, "-g", "tiny", "-p", "pixels", "-o", out, "--batch", "2"]
    words += ["--export", "npz", "--shard-size", "2"]
    for wait in (6.0, 8.0, 10.0, 12.0, 14.0, 300.0):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(base), *map(str, words)])
        try:
            codes.append(child.wait(wait))
        except subprocess.TimeoutExpired:
            child.kill()
            codes.append(child.wait(60))
        for file in (out / "shards").glob("*.safetensors"):
            assert read_rows(file)  # whole as soon as it is there, and its tar as well
            assert file.with_suffix(".tar").is_file()
    assert codes[-1] == SOME_FAILED
    latent_shards.forget()
    assert loose(out) == []
    same(out, whole)


@pytest.mark.slow
def test_the_last_of_several_workers_packs(photos: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    more = ["--export", "npz", "--batch", "2", "--shard-size", "2", "--num-workers", "2"]
    for index in (0, 1):
        invert(photos, out, *more, "--worker-index", index)
    assert loose(out) == []
    names = {line["name"] for line in read_results(out) if line["status"] == "ok"}
    assert names == {line["name"] for line in read_results(whole) if line["status"] == "ok"}
    assert packed_rows(out).rows.keys() == names


def test_what_is_done_again_counts_before_what_was_packed(
    photos: Path, packed: Path, tmp_path: Path
) -> None:
    place, out = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(photos, place)
    more = ["--shard-size", "4", "--batch", "2"]
    assert invert(place, out, *more) == SOME_FAILED
    before = load_latents(out / "latents" / "a.safetensors")[0]["w+"]
    (place / "a.png").write_bytes(photo(9))
    assert invert(place, out, *more) == SOME_FAILED
    after, facts = load_latents(out / "latents" / "a.safetensors")
    assert (after["w+"] != before).any()
    line = next(line for line in read_results(out) if line["name"] == "a")
    assert facts["source_sha256"] == line["sha256"]
    assert len(list_latents([out])) == 6


@pytest.mark.slow
def test_every_verb_reads_packed_runs(
    packed: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    np.save("d.npy", np.eye(1, 16, dtype=np.float32)[0])
    for name, out in (("packed", packed), ("whole", whole)):
        commands = [
            ["render", str(out), "-o", f"{name}-render"],
            ["render", str(out / "latents" / "a.safetensors"), "-o", f"{name}-one"],
            ["evaluate", str(out), "-o", f"{name}.json"],
            ["interpolate", *(str(out / "latents" / f"{n}.safetensors") for n in "ab"),
             "-o", f"{name}-walk", "--steps", "3"],
            ["mix", *(str(out / "latents" / f"{n}.safetensors") for n in "ab"),
             "--rows", "0-1", "-o", f"{name}-mix.png"],
            ["edit", str(out), "-d", "d.npy", "--amount", "1", "-o", f"{name}-edit"],
            ["paste", str(out), "-o", f"{name}-paste"],
        ]  # fmt: skip
        for command in commands:
            assert main(command) == DONE, (command, capsys.readouterr().err)
    assert main(["compare", str(packed), str(whole)]) == DONE
    for kind in ("render", "one", "walk/images", "edit/images", "paste"):
        ours = {p.name: p.read_bytes() for p in Path(f"packed-{kind}").glob("*.png")}
        assert ours
        assert ours == {p.name: p.read_bytes() for p in Path(f"whole-{kind}").glob("*.png")}
    assert Path("packed-mix.png").read_bytes() == Path("whole-mix.png").read_bytes()
    # Latents of edits never stand in for those of the run.
    assert main(["edit", str(packed), "-d", "d.npy", "--amount", "1", "-o", str(packed)]) == 2


def test_samples_of_every_layout_are_packed(tmp_path: Path) -> None:
    """Noise maps, styles, trees and odd shapes come back as they were."""
    codes = [
        {"w+": np.ones((3, 4), np.float32), "noise": (np.zeros((2, 2)), np.ones((4, 4)))},
        {"s": (np.arange(3.0), np.arange(5.0))},
        {"w": np.ones(4, np.float16), "gain": np.float32(2)},
        {"w+": np.zeros((3, 4), np.float32), "noise": (np.ones((2, 2)), np.zeros((4, 4)))},
    ]
    (tmp_path / "shards").mkdir()
    for i, code in enumerate(codes[:2] + codes[3:]):
        save_latents(tmp_path / "latents" / f"{i}.safetensors", code, {"number": str(i)})
    before = [load_latents(tmp_path / "latents" / f"{i}.safetensors") for i in range(3)]
    packing.pack(tmp_path, ["0", "1", "2"])
    assert not list((tmp_path / "latents").iterdir())
    assert len(list((tmp_path / "shards").glob("*.tar"))) == 2
    for i, (code, facts) in enumerate(before):
        found, said = load_latents(tmp_path / "latents" / f"{i}.safetensors")
        assert said == facts
        assert found.keys() == code.keys()
        for name, value in code.items():
            for one, other in zip(np.atleast_1d(found[name]) if not isinstance(value, tuple)
                                  else found[name], value, strict=True):  # fmt: skip
                np.testing.assert_array_equal(one, other)


def test_shards_are_read_by_other_tools(packed: Path) -> None:
    from safetensors.numpy import load_file

    arrays = load_file(packed / "shards" / "00000.safetensors")
    assert arrays["w+"].shape[0] == 2
    rows = read_rows(packed / "shards" / "00000.safetensors")
    for name, row in rows.items():
        wanted = load_latents(packed / "latents" / f"{name}.safetensors")[0]["w+"]
        np.testing.assert_array_equal(arrays["w+"][row.row], wanted)
    with tarfile.open(packed / "shards" / "00000.tar") as archive:
        assert {f"images/{name}.png" for name in rows} <= set(archive.getnames())


@pytest.mark.parametrize(
    "facts",
    [
        {"kind": "generator"},
        {"rows": "{"},
        {"rows": "[[1]]"},
        {"rows": '[["a", "x", {}]]'},
        {"shared": "[]"},
        {"rows": "[" * 10**5},
        {"rows": json.dumps([["a", 1, {}], ["b", 1, {}]])},
    ],
)
def test_broken_shards_end_in_one_error(facts: dict[str, str], tmp_path: Path) -> None:
    from jaxinv.io import checkpoints

    usual = {"kind": latent_shards.KIND, "shared": "{}", "rows": '[["a", 1, {}]]'}
    file = tmp_path / "shards" / "00000.safetensors"
    checkpoints.save(file, {"w": np.zeros((1, 4), np.float32)}, usual | facts)
    latent_shards.forget()
    with pytest.raises(CheckpointError):
        load_latents(tmp_path / "latents" / "b.safetensors")
    save_latents(tmp_path / "latents" / "c.safetensors", {"w": np.zeros(4, np.float32)}, {})
    found = list_latents([tmp_path])  # it costs what is in it, and is listed
    assert [one.name for one in found if not one.reason] in (["c"], ["a", "c"])
    assert any(one.reason for one in found)


def test_the_size_of_shards_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for size in ("0", "-1", "x", "10001"):
        assert invert(tmp_path, tmp_path / "out", "--shard-size", size) == USAGE
        assert "argument --shard-size" in capsys.readouterr().err
