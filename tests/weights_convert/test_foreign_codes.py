"""Kinds of files by their first bytes, and latent codes of other tools."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.cli.console import DONE, USAGE
from jaxinv.cli.main import main
from jaxinv.io import images
from jaxinv.io.checkpoints import CheckpointError
from jaxinv.models.loading import load_generator
from tests import torchlike as torch
from tests.foreign import arrays_of
from tests.weights import SHARED, need
from weights_convert import UnsafeFileError, convert

USERS_CACHE = os.environ.get("JAXINV_CACHE")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("jaxinv.models.loading.use_compilation_cache", lambda: None)
    return tmp_path / "cache"


# --- kinds of files, and codes --------------------------------------------------------------------

SMALL = {"x": np.ones(4, np.float32)}


def numpy_file(path: Path, archive: bool) -> None:
    with path.open("wb") as file:
        np.savez(file, **SMALL) if archive else np.save(file, SMALL["x"])  # pyright: ignore[reportArgumentType]


KINDS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "torch zip": (
        lambda path: path.write_bytes(torch.zip_file(torch.state_dict(SMALL), SMALL)),
        "is a torch checkpoint: run `jaxinv convert`",
    ),
    "torch legacy": (
        lambda path: path.write_bytes(torch.legacy_file(torch.state_dict(SMALL), SMALL)),
        "is a torch checkpoint: run `jaxinv convert`",
    ),
    "pickle": (lambda path: path.write_bytes(torch.finished(b"N")), "is a pickle: run"),
    "npy": (lambda path: numpy_file(path, False), r"is a NumPy array \(\.npy\)"),
    "npz": (lambda path: numpy_file(path, True), r"is a NumPy archive \(\.npz\)"),
    "HDF5": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64)), "is an HDF5 file"),
    "PNG": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64)), "is a PNG picture"),
    "JPEG": (lambda path: path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(64)), "is a JPEG picture"),
    "web page": (lambda path: path.write_text("\n<!DOCTYPE HTML><p>no"), "is a web page"),
    "text": (lambda path: path.write_text("weights are elsewhere"), "is a text"),
    "Git LFS": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0"),
        "is a pointer of Git LFS: fetch it by",
    ),
}


@pytest.mark.parametrize("case", KINDS)
def test_wrong_kinds_of_file_are_told_by_their_first_bytes(case: str, tmp_path: Path) -> None:
    make, told = KINDS[case]
    path = tmp_path / "weights.safetensors"
    make(path)
    with pytest.raises(CheckpointError, match=told):
        load_generator(str(path))
    if case in ("npy", "npz", "PNG", "JPEG", "web page", "text", "Git LFS"):
        with pytest.raises(UnsafeFileError, match=f"this {told}"):
            convert(path)


CODES: dict[str, Callable[[np.ndarray], Any]] = {
    "[rows, w]": lambda w: w,
    "[1, rows, w]": lambda w: w[None],
    "[1, 1, rows, w]": lambda w: w[None, None],
    "by name": lambda w: {"latent_avg": w[0, :3], "latents": w[None]},
    "of a projector": lambda w: {"a.png": {"latent": w, "noise_0": w[:2, :2]}},
}


@pytest.mark.parametrize("layout", ["zip", "legacy"])
@pytest.mark.parametrize("case", CODES)
def test_codes_in_torch_files_are_drawn(case: str, layout: str, tmp_path: Path) -> None:
    w = np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)
    drawn = []
    for name, body in ((case, CODES[case](w)), ("[rows, w]", w)):
        file = tmp_path / f"{name.replace('/', ' ')}.bin"
        stored: dict[str, np.ndarray] = {}
        opcodes = pushed(body, stored)
        writer = torch.zip_file if layout == "zip" else torch.legacy_file
        file.write_bytes(writer(opcodes, stored))
        drawn.append(rendered(file, tmp_path / name / "out"))
    assert drawn[0] == drawn[1]


def pushed(value: Any, stored: dict[str, np.ndarray]) -> bytes:
    """Opcodes of nested dicts of tensors."""
    if isinstance(value, dict):
        items = (torch.value(key) + pushed(part, stored) for key, part in value.items())
        return b"}(" + b"".join(items) + b"u"
    key = str(len(stored))
    stored[key] = np.ascontiguousarray(value)
    return torch.tensor(stored[key], key)


def rendered(file: Path, out: Path) -> list[bytes]:
    """The pictures that `jaxinv render` draws, by a small StyleGAN2."""
    weights = file.with_name("style.pt")
    if not weights.is_file():
        held = arrays_of()
        weights.write_bytes(torch.zip_file(torch.state_dict(held), held))
        convert(weights, name="style")
    assert main(["render", str(file), "-g", "style", "-o", str(out)]) == DONE
    return [path.read_bytes() for path in sorted(out.iterdir())]


def test_every_code_of_a_file_is_drawn(tmp_path: Path) -> None:
    w = np.random.default_rng(0).standard_normal((3, 6, 8)).astype(np.float32)
    np.save(tmp_path / "all.npy", w)
    pictures = rendered(tmp_path / "all.npy", tmp_path / "out")
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [
        f"all-{i:02d}.png" for i in range(3)
    ]
    np.save(tmp_path / "one.npy", w[1])
    assert rendered(tmp_path / "one.npy", tmp_path / "one") == pictures[1:2]


def test_codes_of_another_generator_name_both_row_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "w.npy", np.ones((14, 8), np.float32))
    held = arrays_of()
    weights = tmp_path / "style.pt"
    weights.write_bytes(torch.zip_file(torch.state_dict(held), held))
    convert(weights, name="style")
    words = ["render", str(tmp_path / "w.npy"), "-g", "style", "-o", str(tmp_path / "out")]
    assert main(words) == USAGE
    said = capsys.readouterr().err
    assert "(14, 8) (the rows of a StyleGAN2 of 256 px)" in said
    assert "allowed: (6, 8) (the rows of a StyleGAN2 of 16 px)" in said


GIVEN = SHARED / "data" / "faults"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["e4e_latents.pt", "w18.npy", "w18_nobatch.npz", "w14.npz"])
def test_given_codes_are_drawn_by_ffhq_or_not_at_all(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 18 rows, which other tools have for the 23 of `ffhq`; 14 are those of another size."""
    monkeypatch.delenv("JAXINV_CACHE")
    if USERS_CACHE:
        monkeypatch.setenv("JAXINV_CACHE", USERS_CACHE)
    need("ffhq")
    if not (GIVEN / name).is_file():
        pytest.skip("needs shared/data/faults (set JAXINV_SHARED)")
    words = ["render", str(GIVEN / name), "-g", "ffhq", "-o", str(tmp_path / "out")]
    if name == "w14.npz":
        assert main(words) == USAGE
        assert re.search(r"\(14, 512\) .* of 256 px.*allowed: .*18", capsys.readouterr().err)
        return
    assert main(words) == DONE
    (picture,) = (tmp_path / "out").iterdir()
    assert images.read_photo(picture).pixels.shape == (1024, 1024, 3)
