"""Checkpoints that are folders: orbax's, and the two graphs of an OpenVINO generator."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as orbax
import pytest
import tensorstore

from jaxinv.io import checkpoints
from jaxinv.models.loading import load_generator
from tests.tiny import CHAIN, Pair, chain
from weights_convert import UnsafeFileError, convert
from weights_convert.readers.pickles import USUAL
from weights_convert.sources import containers, folders


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """A generator in the cache folder, called "chain"."""
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("jaxinv.models.loading.use_compilation_cache", lambda: None)
    gen, params = chain()
    source = tmp_path / "chain.safetensors"
    facts = {"name": "chain", "spec": spec_text(), "kind": "generator", "format": "jaxinv"}
    checkpoints.save(source, {"synthesis": params["synthesis"]}, {**facts, "schema": "1"})
    (tmp_path / "cache").mkdir()
    source.rename(tmp_path / "cache" / "chain.safetensors")
    return gen, params


def spec_text() -> str:
    return json.dumps(asdict(CHAIN))


def save(path: Path, tree: Any) -> Path:
    with orbax.StandardCheckpointer() as writer:
        writer.save(path, tree)
    return path


def test_tuned_parameters_come_back_as_a_generator(pair: Pair, tmp_path: Path) -> None:
    moved = jax.tree.map(lambda a: np.asarray(a) + 1, pair[1]["synthesis"])
    folder = save(tmp_path / "tuned", {"synthesis": moved})
    gen, params = load_generator(str(convert(folder, name="tuned", like="chain")))
    assert gen.spec == replace(CHAIN, name="tuned")
    jax.tree.map(np.testing.assert_array_equal, params["synthesis"], moved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {"other": t}, "has no 'synthesis'"),
        (lambda t: {"synthesis": {**t, "more": np.ones(1)}}, "synthesis holds"),
        (lambda t: {"synthesis": jax.tree.map(lambda a: np.ones(3), t)}, r"of shape \(3,\)"),
        (lambda t: {"synthesis": jax.tree.map(lambda a: a * np.nan, t)}, "allowed: finite"),
    ],
)
def test_other_arrays_are_refused(change: Any, message: str, pair: Pair, tmp_path: Path) -> None:
    tree = jax.tree.map(np.asarray, pair[1]["synthesis"])
    folder = save(tmp_path / "tuned", change(tree))
    with pytest.raises(UnsafeFileError, match=message):
        convert(folder, name="tuned", like="chain")


def test_orbax_needs_to_know_the_generator(pair: Pair, tmp_path: Path) -> None:
    folder = save(tmp_path / "tuned", {"synthesis": {"a": np.ones(2)}})
    with pytest.raises(ValueError, match=r"give the one .* with --like"):
        convert(folder, name="tuned")


def test_folders_that_are_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UnsafeFileError, match="unknown kind; allowed: orbax"):
        containers.read_checkpoint(tmp_path)
    (tmp_path / folders.ORBAX).write_text("{}")
    with pytest.raises(UnsafeFileError, match="no readable orbax checkpoint"):
        containers.read_checkpoint(tmp_path)
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(UnsafeFileError, match="holds links"):
        containers.read_checkpoint(tmp_path)


def test_folders_have_budgets(tmp_path: Path) -> None:
    folder = save(tmp_path / "zeros", {"synthesis": {"a": np.zeros(2**22, np.float32)}})
    with pytest.raises(UnsafeFileError, match="arrays of 16777216 bytes; allowed: at most"):
        containers.read_checkpoint(folder)  # it compresses well
    with pytest.raises(UnsafeFileError, match="folder of"):
        containers.read_checkpoint(folder, limits=replace(USUAL, file_bytes=100))


def test_graphs_that_are_none_are_refused(tmp_path: Path) -> None:
    for name in folders.GRAPHS:
        (tmp_path / name).write_bytes(b"<net/>")
    with pytest.raises(UnsafeFileError):
        containers.read_checkpoint(tmp_path)


def chunks_of(folder: Path, **changes: Any) -> None:
    """Change how the array `synthesis.a` of a checkpoint says that it is stored."""
    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{folder}/"}).result()
    facts = json.loads(store.read("synthesis.a/.zarray").result().value)
    store.write("synthesis.a/.zarray", json.dumps(facts | changes).encode()).result()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chunks": [2**28]}, "arrays of 1073741824 bytes"),
        ({"shape": [2**40], "chunks": [1000]}, r"arrays of \d+ bytes"),
        ({"shape": [2**40], "chunks": [2**40]}, r"arrays of \d+ bytes"),
        ({"compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1}}, "blosc"),
        ({"compressor": {"id": "bz2", "level": 1}}, "bz2"),
        ({"chunks": [0]}, "no readable orbax checkpoint"),
        ({"dtype": "|O"}, "no readable orbax checkpoint"),
    ],
)
def test_chunks_are_not_unpacked_beyond_the_budget(
    changes: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save(tmp_path / "a", {"synthesis": {"a": np.arange(1000, dtype=np.float32)}})
    assert containers.read_checkpoint(folder).tree["synthesis"]["a"].shape == (1000,)
    chunks_of(folder, **changes)
    monkeypatch.setattr(orbax.PyTreeCheckpointer, "restore", lambda *_: pytest.fail("is read"))
    with pytest.raises(UnsafeFileError, match=message):
        containers.read_checkpoint(folder)


ELSEWHERE = [
    "/etc/passwd", "gs://bucket/a", "s3://bucket/a", "http://localhost/a", "file:///etc/passwd",
    "../../a", "..", "a\\b", "a/b", "gcs_grpc://b",
]  # fmt: skip


@pytest.mark.parametrize("name", ELSEWHERE)
def test_names_of_arrays_are_no_places(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save(tmp_path / "a", {"synthesis": {"a": np.arange(9, dtype=np.float32)}})
    text = (folder / folders.ORBAX).read_text()
    (folder / folders.ORBAX).write_text(text.replace('"a"', json.dumps(name)))
    monkeypatch.setattr(orbax.PyTreeCheckpointer, "metadata", lambda *_: pytest.fail("is opened"))
    with pytest.raises(UnsafeFileError, match="an array called"):
        containers.read_checkpoint(folder)


def test_what_is_no_file_in_a_folder_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "a", {"synthesis": {"a": np.arange(9, dtype=np.float32)}})
    os.mkfifo(folder / "d" / "pipe")
    with pytest.raises(UnsafeFileError, match="holds links or devices"):
        containers.read_checkpoint(folder)
