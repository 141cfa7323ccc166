"""Entries of the zoo that are checkpoints of other code: a toy one, and the rendered faces."""

from __future__ import annotations

import hashlib
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxinv.io import checkpoints
from jaxinv.io.checkpoints import read_spec
from jaxinv.models import loading, zoo
from jaxinv.models.loading import load_generator
from jaxinv.models.rendering import render
from tests import torchlike as torch
from tests.keraslike import scattered
from tests.weights import members, need
from weights_convert import UnsafeFileError, pull, sources
from weights_convert.download import fetch
from weights_convert.readers import archives
from weights_convert.sources import containers

FACES = zoo.entry("faces-64")
DRAWS = np.random.default_rng(0)


def toy() -> dict[str, np.ndarray]:
    """The state dict of an 8-px DCGAN."""
    arrays = {
        "main.0.weight": DRAWS.standard_normal((5, 4, 4, 4)),
        "main.3.weight": DRAWS.standard_normal((4, 3, 4, 4)),
        "main.1.running_var": 1 + DRAWS.standard_normal(4) ** 2,
    }
    arrays |= {f"main.1.{end}": DRAWS.standard_normal(4) for end in ("weight", "bias")}
    arrays["main.1.running_mean"] = DRAWS.standard_normal(4)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def training_file(arrays: dict[str, np.ndarray]) -> bytes:
    inner = torch.state_dict(arrays)
    return torch.zip_file(b"}(" + torch.value("netG_state_dict") + inner + b"u", arrays)


def drawn(arrays: dict[str, np.ndarray], z: np.ndarray) -> np.ndarray:
    """The picture as torch's layers define it, normalisation behind each convolution."""
    x = z.astype(np.float64)[None, None]
    numbers = sorted(int(name.split(".")[1]) for name in arrays if arrays[name].ndim == 4)
    for number in numbers:
        kernel = arrays[f"main.{number}.weight"].astype(np.float64).transpose(2, 3, 1, 0)
        stride, cut = (1, 0) if number == 0 else (2, 1)
        x = scattered(x, kernel, stride, "valid")
        x = x[cut : len(x) - cut, cut : len(x) - cut]
        if number == numbers[-1]:
            return np.tanh(x)
        own = {end: arrays[f"main.{number + 1}.{end}"] for end in ("weight", "bias")}
        mean, variance = (arrays[f"main.{number + 1}.running_{end}"] for end in ("mean", "var"))
        x = (x - mean) / np.sqrt(variance + 1e-5) * own["weight"] + own["bias"]
        x = np.maximum(x, 0)
    raise ValueError("no layers")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    monkeypatch.setattr(loading, "use_compilation_cache", lambda: None)
    return tmp_path


def offered(monkeypatch: pytest.MonkeyPatch, data: bytes) -> zoo.Entry:
    """An entry "toy" whose archive needs no network, holding `data`."""
    spec = {"name": "toy", "architecture": "dcgan", "resolution": 8, "z_dim": 5}
    layers = (("up", 4, "relu", 0, 4, 1, 0), ("up", 3, "tanh", 0, 4, 2, 1))
    output = zoo.Output(
        file="toy.safetensors",
        converter="foreign",
        kind="generator",
        architecture="dcgan",
        members={"toy/weights.tar": len(data)},
        spec=spec | {"facts": (("layers", layers),)},
    )
    sha256 = hashlib.sha256(data).hexdigest()
    archive = zoo.Archive("toy", "1", "wheel", "toy.whl", sha256, len(data))
    item = zoo.Entry("toy", "a toy", archive, (output,), ("toy: a line",))
    monkeypatch.setattr(zoo, "ZOO", {"toy": item})
    monkeypatch.setattr(fetch, "obtain", lambda archive: nullcontext(Path("toy.whl")))
    monkeypatch.setattr(archives, "read_members", lambda path, wanted: dict.fromkeys(wanted, data))
    return item


def test_a_checkpoint_of_other_code_is_converted_when_it_is_pulled(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = toy()
    offered(monkeypatch, training_file(arrays))
    assert pull("toy", report=lambda _: None) == (cache / "toy.safetensors",)
    gen, params = load_generator("toy")
    z = DRAWS.standard_normal((2, 5)).astype(np.float32)
    expected = np.stack([drawn(arrays, one) for one in z])
    assert expected.shape == (2, 8, 8, 3)
    np.testing.assert_allclose(render(gen, params, {"z": z}), expected, atol=1e-5)
    monkeypatch.setattr(fetch, "obtain", lambda archive: pytest.fail("it is here already"))
    pull("toy")


def test_a_checkpoint_of_no_known_code_is_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered(monkeypatch, training_file({"stranger": np.ones(2, np.float32)}))
    with pytest.raises(UnsafeFileError, match="no known generator"):
        pull("toy", report=lambda _: None)
    assert list(cache.iterdir()) == []


# --- the real package -----------------------------------------------------------------------------


def test_the_published_faces_are_those_of_their_own_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    need("faces-64")
    monkeypatch.setattr(loading, "use_compilation_cache", lambda: None)
    (output,) = FACES.outputs
    (data,) = members(FACES.archive, dict(output.members)).values()
    tree = containers.parse(data).tree
    found = sources.convert(tree)
    stored = read_spec({"kind": "generator", "spec": json.dumps(dict(output.spec))})
    facts: dict[str, Any] = {"name": "faces-64", **found.facts}
    assert read_spec({"kind": "generator", "spec": json.dumps(facts)}) == stored
    params, notes = checkpoints.load(zoo.locate(output.file))
    jax.tree.map(np.testing.assert_array_equal, params, found.params)
    assert notes["source_sha256"] == FACES.archive.sha256
    z = np.random.default_rng(1).standard_normal((2, 100)).astype(np.float32)
    expected = np.stack([drawn(tree["netG_state_dict"], one) for one in z])
    assert expected.shape == (2, 64, 64, 3)
    pictures = render(*load_generator("faces-64"), {"z": z})
    np.testing.assert_allclose(pictures, expected, atol=1e-5)
