"""What files of newer decoders leave open, and what their pickles carry beside arrays."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.models.generators.base import Generator
from jaxinv.models.loading import build
from jaxinv.specs.serialization import generator_from_json
from tests.weights_convert.test_convert import digits
from weights_convert import UnsafeFileError, sources
from weights_convert.readers import nvlabs
from weights_convert.sources import lucidrains

DRAWS = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return DRAWS.standard_normal(shape).astype(np.float32)


def text(word: str) -> bytes:
    return b"X" + len(word).to_bytes(4, "little") + word.encode()


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


@pytest.mark.parametrize("pair", [("os", "system"), ("builtins", "eval"), ("posix", "system")])
def test_only_known_libraries_may_be_named(pair: tuple[str, str]) -> None:
    with pytest.raises(UnsafeFileError, match="pickle names"):
        nvlabs.read(b"\x80\x02" + named(*pair) + b"(X\x02\x00\x00\x00idtR.")


def test_objects_of_training_code_become_their_attributes_and_calls_are_dropped() -> None:
    module = named("torch.nn.modules.linear", "Linear") + b")\x81}" + text("bias") + b"K\x07sb"
    hook = named("dill._dill", "_create_function") + b"(" + text("code") + b"tR"
    called = b"(" + text("again") + b"tR}" + text("a") + b"K\x01sb"
    raw = b"\x80\x02}(" + text("G") + module + text("hook") + hook + called
    raw += text("kind") + named("torch", "float32") + text("get") + named("builtins", "getattr")
    read = nvlabs.read(raw + b"u.")
    assert read == {
        "G": {"class": "Linear", "state": {"bias": 7}},
        "hook": {"class": "_create_function"},
        "kind": None,
        "get": None,
    }


def test_arrays_that_dill_takes_apart_are_read() -> None:
    array = np.arange(6, dtype=np.int64).reshape(2, 3)
    function, given, state = array.__reduce__()
    raw = pickle.dumps(state, 2)[2:-1]
    rebuilt = named("numpy._core.multiarray", "_reconstruct") + b"(" + named("numpy", "ndarray")
    rebuilt += b"K\x00\x85C\x01bt"
    whole = b"\x80\x02" + named("dill._dill", "_create_array") + b"(" + rebuilt + raw + b"tR."
    assert (function.__name__, given[1]) == ("_reconstruct", (0,))
    np.testing.assert_array_equal(nvlabs.read(whole), array)
    other = b"\x80\x02" + named("dill._dill", "_create_array")
    with pytest.raises(UnsafeFileError, match="something other than an array"):
        nvlabs.read(other + b"(" + named("torch", "float32") + b")K\x01tR.")


def generator(arrays: dict[str, np.ndarray], **options: Any) -> tuple[Generator, Any]:
    found = sources.convert(arrays, **options)
    return build(generator_from_json(json.dumps({"name": "one", **found.facts}))), found.params


def test_the_last_inputs_of_a_chain_are_its_classes() -> None:
    arrays = digits()
    plain, params = generator(arrays)
    gen, own = generator(arrays, classes=2)
    inputs = plain.spec.z_dim
    assert (gen.spec.z_dim, gen.spec.labels, gen.spec.spaces) == (
        inputs - 2,
        2,
        ("z", "label", "embedding"),
    )
    z, label = draw(inputs - 2), np.asarray([0.0, 1.0], np.float32)
    mine = gen.synthesize(own, {"z": z, "label": label})
    whole = plain.synthesize(params, {"z": np.concatenate([z, label])})
    np.testing.assert_array_equal(mine, whole)
    with pytest.raises(ValueError, match=f"{inputs} classes among {inputs} inputs; allowed: at"):
        sources.convert(arrays, classes=inputs)


def wavegan(layers: int) -> dict[str, Any]:
    channels = [1 << max(layers - 1 - i, 0) for i in range(layers + 1)]
    arrays = {"fc1.weight": draw(16 * channels[0], 3), "fc1.bias": draw(16 * channels[0])}
    for i, pair in enumerate(zip(channels[1:], channels, strict=False)):
        name = f"deconv_list.{i}.transpose_ops.1"
        arrays |= {f"{name}.weight": draw(*pair, 25), f"{name}.bias": draw(pair[0])}
    return {"generator": arrays}


def test_the_length_of_long_sounds_is_asked_for() -> None:
    with pytest.raises(ValueError, match=r"--length: 32768, 65536"):
        sources.convert(wavegan(6))
    with pytest.raises(ValueError, match=r"length 16384 .* allowed: 32768, 65536"):
        sources.convert(wavegan(6), length=16384)
    with pytest.raises(ValueError, match="allowed: none, it is 16384"):
        sources.convert(wavegan(5), length=32768)
    for length, side in ((32768, 182), (65536, 256)):
        assert sources.convert(wavegan(6), length=length).facts["resolution"] == side


def test_the_settings_of_lucidrains_must_be_beside_the_file(tmp_path: Path) -> None:
    find, convert = lucidrains.SOURCES[0].find, lucidrains.SOURCES[0].convert
    found = find({"GAN": {"GE.initial_conv.weight": draw(2, 2, 3, 3)}})
    assert found is not None
    for config in (None, {}, {"lr_mlp": 0}, {"lr_mlp": "fast"}):
        with pytest.raises(UnsafeFileError, match=r"\.config\.json"):
            convert(found, config=config)
