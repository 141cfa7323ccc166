"""Names and files to generators and nets; statistics of W, their cache and its damage."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.io import checkpoints
from jaxinv.io.checkpoints import read_spec, weights_file
from jaxinv.models import loading, statistics
from jaxinv.models.loading import build, load_features, load_generator
from jaxinv.models.rendering import render
from jaxinv.models.statistics import STATISTICS, cached_statistics, w_statistics
from jaxinv.models.weights import read_weights, use_compilation_cache
from jaxinv.nn.conv import BACKWARD_KERNELS, backward_kernel
from jaxinv.runs.doctor import TINY
from jaxinv.specs import GeneratorSpec
from tests.offline import save_weights
from tests.tiny import CHAIN, linear, mobile


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder; compiled programs are not kept."""
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    monkeypatch.setattr(loading, "use_compilation_cache", lambda: None)
    return tmp_path


def bare() -> dict[str, Any]:
    """Parameters of the tiny generator as a checkpoint holds them."""
    return {k: v for k, v in mobile()[1].items() if k not in (BACKWARD_KERNELS, STATISTICS)}


def save_tiny(path: Path) -> Path:
    save_weights(path, bare(), "generator", spec=asdict(TINY))
    return path


# --- weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["by name", "by file"])
def test_a_generator_comes_back_as_it_was_saved(cache: Path, tmp_path: Path, how: str) -> None:
    path = save_tiny(cache / "tiny.safetensors")
    gen, params = load_generator("tiny" if how == "by name" else str(path))
    assert gen is build(TINY)
    jax.tree.map(np.testing.assert_array_equal, {k: params[k] for k in bare()}, bare())
    z = {"z": np.ones((1, TINY.z_dim), np.float32)}
    np.testing.assert_array_equal(render(gen, params, z), render(*mobile(), z))
    near = partial(np.testing.assert_allclose, rtol=1e-6)  # sums, by another program
    jax.tree.map(near, params[BACKWARD_KERNELS], mobile()[1][BACKWARD_KERNELS])
    close = {k: np.asarray(v) for k, v in params[STATISTICS].items()}
    np.testing.assert_allclose(close["mean"], mobile()[1][STATISTICS]["mean"], atol=1e-5)


def test_equal_specs_share_one_generator() -> None:
    again = read_spec({"kind": "generator", "spec": json.dumps(asdict(TINY))})
    assert again == TINY
    assert build(again) is build(TINY)


def test_nets_carry_their_backward_kernels(cache: Path) -> None:
    params = {"conv1": {"kernel": np.random.default_rng(0).random((3, 3, 2, 4), np.float32)}}
    save_weights(cache / "alexnet.safetensors", params, "features")
    (net,) = load_features(("alexnet",)).values()
    kernel = jnp.asarray(params["conv1"]["kernel"])
    np.testing.assert_array_equal(
        net[BACKWARD_KERNELS]["conv1"]["backward"], backward_kernel(kernel)
    )
    assert load_features(()) == {}
    with pytest.raises(ValueError, match="unknown feature net 'squeeze'; allowed: alexnet, vgg16"):
        load_features(("squeeze",))


def test_missing_weights_say_what_is_there_and_what_to_pull(cache: Path) -> None:
    with pytest.raises(
        ValueError, match=r"'ffhq' are not in .*\(there: none\); `jaxinv zoo` lists"
    ):
        weights_file("ffhq")
    save_tiny(cache / "tiny.safetensors")
    with pytest.raises(ValueError, match=r"\(there: tiny\)"):
        weights_file("ffhq")
    with pytest.raises(ValueError, match=r"no such weights file: gone\.safetensors"):
        weights_file("gone.safetensors")


def test_damaged_weights_are_refused(cache: Path) -> None:
    path = save_tiny(cache / "tiny.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match="damaged: its contents do not have the recorded SHA-256"):
        read_weights(path)
    path.write_bytes(whole[:-100])
    with pytest.raises(checkpoints.CheckpointError):
        load_generator("tiny")


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({}, "kind 'missing'; allowed: 'generator'"),
        ({"kind": "features", "spec": "{}"}, "kind 'features'"),
        ({"kind": "generator", "spec": '{"name": "x"}'}, "not the facts of a generator"),
        ({"kind": "generator", "spec": '{"color": 1}'}, "not the facts of a generator"),
        ({"kind": "generator", "spec": "{"}, "Expecting property name"),
    ],
)
def test_other_files_are_no_generators(metadata: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_spec(metadata)


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"unknown architecture 'linear'; allowed: .*mobilestylegan"
    ):
        build(linear()[0].spec)


# --- statistics -----------------------------------------------------------------------------------


def test_statistics_are_computed_once_and_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gen, params = linear()
    first = cached_statistics(gen, params)
    jax.tree.map(np.testing.assert_array_equal, first, w_statistics(gen, params))

    def recompute(*args: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(statistics, "w_statistics", recompute)
    jax.tree.map(np.testing.assert_array_equal, cached_statistics(gen, params), first)
    other = {**params, "mapping": {**params["mapping"], "shift": params["mapping"]["shift"] + 1}}
    with pytest.raises(AssertionError, match="computed again"):
        cached_statistics(gen, other)


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "replaced"])
def test_damaged_statistics_are_computed_anew(cache: Path, damage: str) -> None:
    gen, params = linear()
    first = cached_statistics(gen, params)
    (path,) = (cache / "statistics").iterdir()
    whole = path.read_bytes()
    broken = {
        "cut": whole[:-7],
        "flipped": whole[:-9] + bytes([whole[-9] ^ 255]) + whole[-8:],
        "emptied": b"",
        "replaced": b"not a checkpoint",
    }
    path.write_bytes(broken[damage])
    jax.tree.map(np.testing.assert_array_equal, cached_statistics(gen, params), first)
    assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_done_without(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(checkpoints, "save", full)
    gen, params = linear()
    found = cached_statistics(gen, params)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), found, params[STATISTICS])


# --- compiled programs ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "enabled", "expected"),
    [(None, True, "ours"), ("theirs", True, "theirs"), (None, False, None)],
)
def test_compiled_programs_go_where_the_user_said(
    chosen: str | None,
    enabled: bool,
    expected: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    config: Any = jax.config
    names = ("jax_compilation_cache_dir", "jax_enable_compilation_cache")
    before = {name: getattr(config, name) for name in names}
    wait = config.jax_persistent_cache_min_compile_time_secs
    try:
        config.update(names[0], chosen)
        config.update(names[1], enabled)
        use_compilation_cache()
        ours = str(tmp_path / "compiled")
        assert config.jax_compilation_cache_dir == {"ours": ours}.get(str(expected), expected)
    finally:
        for name, value in before.items():
            config.update(name, value)
        config.update("jax_persistent_cache_min_compile_time_secs", wait)


def test_facts_that_fit_no_architecture_are_one_error() -> None:
    with pytest.raises(ValueError, match="facts of 'odd' fit no generator"):
        loading.build(GeneratorSpec("odd", "dcgan", 16, 4))
    more = (*CHAIN.facts, ("discriminator", ("chain",)))
    with pytest.raises(ValueError, match="facts of 'odd' fit no generator"):
        loading.build(replace(CHAIN, name="odd", facts=more))
