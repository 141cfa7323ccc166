"""Dense generators inverted layer by layer: exact answers, noise, parts of images, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from jaxinv.inversion.layerwise import dense_layers, invert_dense
from jaxinv.models.rendering import render
from jaxinv.solvers.layerwise import METHODS, Layer, Options, invert_layers, run_layers
from jaxinv.specs import GeneratorSpec
from tests.problems import loaded
from tests.tiny import CHAIN, Pair, mobile
from tests.weights import SHARED
from weights_convert import convert

# Largest error of codes of size 1: solver tolerance, and that of the relaxed program, which may
# exceed outputs by its own.
EXACT = {"lp": 1e-8, "lp-relaxed": 1e-4, "nnls": 1e-10, "ista": 1e-10}


def gaussian(sizes: Sequence[int], *, bias: float = 0.0, **kinds: Any) -> list[Layer]:
    """A net of Gaussian weights; `kinds` are fields of the hidden layers."""
    draws = np.random.default_rng(0)
    return [
        Layer(
            draws.standard_normal((after, before)) / np.sqrt(after),
            bias * draws.standard_normal(after),
            **kinds,
        )
        for before, after in pairwise(sizes)
    ]


def codes(count: int, size: int = 20) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, size))


def away(method: str, layers: list[Layer], count: int = 1, **others: Any) -> float:
    """Largest error of codes found from their own outputs."""
    z = codes(count, layers[0].matrix.shape[1])
    found = invert_layers(layers, run_layers(layers, z), method, **others)
    assert found.status == ("ok",) * count
    return float(np.abs(found.codes - z).max())


# --- exact answers --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_an_expansive_relu_net_is_inverted_exactly(method: str) -> None:
    assert away(method, gaussian((20, 60, 784)), 2) < EXACT[method]


@pytest.mark.parametrize("method", ["lp", "nnls", "ista"])
def test_three_layers_are_inverted_exactly(method: str) -> None:
    assert away(method, gaussian((20, 200, 500, 784))) < EXACT[method]


@pytest.mark.parametrize("method", METHODS)
def test_one_relu_layer_is_inverted_from_half_of_its_outputs(method: str) -> None:
    """Those above 0; of a linear layer, by plain least squares to rounding (compressed sensing)."""
    assert away(method, gaussian((8, 40), bias=0.1)) < EXACT[method]
    linear = gaussian((8, 40), bias=0.1, slope=1.0)
    assert away(method, linear) < EXACT[method]
    if method != "lp-relaxed":
        assert away("nnls", linear) < 1e-14 * 40


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "last", [{"slope": 0.1}, {"slope": 1.0}, {"squash": "tanh"}, {"squash": "sigmoid"}]
)
def test_other_activations_are_inverted_too(method: str, last: dict[str, Any]) -> None:
    hidden = gaussian((10, 40, 160), bias=0.05, slope=0.0 if "squash" in last else 0.1)
    layers = [hidden[0], hidden[1]._replace(**{"slope": 1.0, **last})]
    assert away(method, layers) < 10 * EXACT[method]


@pytest.mark.parametrize("method", METHODS)
def test_some_of_the_outputs_are_enough(method: str) -> None:
    layers, z = gaussian((10, 40, 784), bias=0.05), codes(2, 10)
    rows = np.random.default_rng(2).permutation(784)[:200]
    found = invert_layers(layers, run_layers(layers, z)[:, rows], method, rows)
    np.testing.assert_allclose(found.codes, z, atol=EXACT[method])
    with pytest.raises(ValueError, match=r"outputs \(2, 784\); allowed: \(n, 200\)"):
        invert_layers(layers, run_layers(layers, z), method, rows)


# --- noise, and images that cannot be solved ------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_errors_grow_with_the_noise_and_no_faster(method: str) -> None:
    layers, z = gaussian((10, 40, 300)), codes(2, 10)
    clean = run_layers(layers, z)
    noise = clean.std() * np.random.default_rng(3).standard_normal(clean.shape)
    for level in (1e-3, 1e-2):
        found = invert_layers(layers, clean + level * noise, method)
        relative = np.linalg.norm(found.codes - z) / np.linalg.norm(z)
        assert 0.01 * level < relative < 5 * level, (method, level)


@pytest.mark.parametrize("method", METHODS)
def test_a_bad_image_costs_itself_alone(method: str) -> None:
    layers, z = gaussian((10, 40, 100)), codes(3, 10)
    outputs = run_layers(layers, z)
    outputs[1, 0] = np.nan
    found = invert_layers(layers, outputs, method)
    assert found.status == ("ok", "failed", "ok")
    np.testing.assert_array_equal(np.isnan(found.errors), [False, True, False])
    np.testing.assert_allclose(found.codes[[0, 2]], z[[0, 2]], atol=EXACT[method])


def test_what_no_code_draws_is_met_as_each_method_measures_it() -> None:
    """Noise through one linear layer: the program has the smallest largest error, the pursuit the
    smallest sum of squares; all answers are finite."""
    layers = gaussian((10, 100), slope=1.0)
    outputs = np.random.default_rng(4).standard_normal((1, 100))
    left = {}
    for method in METHODS:
        found = invert_layers(layers, outputs, method)
        assert found.status == ("ok",)
        left[method] = np.abs(run_layers(layers, found.codes) - outputs)
    assert left["lp"].max() < 0.9 * left["nnls"].max()
    assert np.sum(left["nnls"] ** 2) < 0.9 * np.sum(left["lp"] ** 2)
    assert left["lp"].max() < np.abs(outputs).max()


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ([], "no layers; allowed: at least 1"),
        ([Layer(np.ones((3, 2)), np.ones(2))], r"matrix \(3, 2\) and bias \(2,\)"),
        ([Layer(np.ones((3, 2)), np.ones(3), -0.1)], "slope -0.1 and squash 'none'; allowed: 0 to"),
        ([Layer(np.ones((3, 2)), np.ones(3), 0.0, "tanh")], "slope 0.0 and squash 'tanh'"),
        ([Layer(np.ones((3, 2)), np.ones(3), 1.0, "softmax")], "'softmax'; allowed: none, tanh"),
        ([*gaussian((2, 5)), *gaussian((4, 3))], "layer 1 takes 4 inputs; allowed: 5"),
    ],
)
def test_what_is_no_chain_is_refused(layers: list[Layer], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        invert_layers(layers, np.ones((1, 3)))


def test_options_are_checked() -> None:
    layers, outputs = gaussian((2, 5)), np.ones((1, 5))
    with pytest.raises(ValueError, match="unknown method 'omp'; allowed: lp, lp-relaxed, nnls"):
        invert_layers(layers, outputs, "omp")
    for options in (Options(tolerance=0.0), Options(sparsity=0.0)):
        with pytest.raises(ValueError, match="must be above 0"):
            invert_layers(layers, outputs, options=options)
    with pytest.raises(ValueError, match="iterations must be a whole number of at least 1"):
        invert_layers(layers, outputs, options=Options(iterations=0))


# --- generators -----------------------------------------------------------------------------------


def dense(*layers: tuple[Any, ...]) -> Pair:
    """A chain of dense layers with random weights."""
    return mobile(GeneratorSpec("dense", "dcgan", 8, 5, facts=(("layers", layers),)))


@pytest.mark.parametrize("last", ["relu", "tanh", "sigmoid", "none"])
@pytest.mark.parametrize("channels", [1, 3])
def test_codes_of_a_dense_generator_are_found_again(last: str, channels: int) -> None:
    gen, params = dense(
        ("dense", 24, "relu"), ("dense", 20, "leaky_relu"), ("dense", channels, last, 8)
    )
    z = codes(3, 5)
    images = render(gen, params, {"z": z.astype(np.float32)})
    layers = dense_layers(gen, params)
    drawn = run_layers(layers, z).reshape(3, 8, 8, channels)
    np.testing.assert_allclose(
        np.broadcast_to(2 * drawn - 1 if last == "sigmoid" else drawn, images.shape),
        images,
        atol=1e-4,
    )
    seen = np.ones((8, 8), bool)
    seen[:2] = False
    for known in (None, seen):
        found = invert_dense(gen, params, images, "nnls", seen=known)
        assert found.status == ("ok",) * 3
        np.testing.assert_allclose(found.codes, z, atol=5e-3)


def test_generators_that_are_no_dense_chain_are_named() -> None:
    with pytest.raises(ValueError, match="'tiny' is a mobilestylegan; allowed: dcgan, a chain"):
        dense_layers(*mobile())
    with pytest.raises(ValueError, match="'chain' is a chain of dense, conv, attend, up, up"):
        dense_layers(*mobile(CHAIN))
    tanh = dense(("dense", 16, "tanh"), ("dense", 1, "tanh", 8))
    with pytest.raises(ValueError, match="has tanh behind layer 0; allowed before the last: none"):
        dense_layers(*tanh)
    pair = dense(("dense", 16, "relu"), ("dense", 1, "tanh", 8))
    with pytest.raises(ValueError, match=r"images \(1, 9, 9, 3\); allowed: \(n, 8, 8, 3\)"):
        invert_dense(*pair, np.zeros((1, 9, 9, 3)))
    with pytest.raises(ValueError, match=r"seen \(3, 3\); allowed: \(8, 8\)"):
        invert_dense(*pair, np.zeros((1, 8, 8, 3)), seen=np.ones((3, 3)))


def test_pictures_of_a_converted_perceptron_are_drawn_again(tmp_path: Any) -> None:
    """Its first layer narrows, so that many codes draw one picture: the picture is compared."""
    file = SHARED / "fixtures" / "gan-mlp-mnist" / "netG.pth"
    if not file.is_file():
        pytest.skip("needs fixtures/gan-mlp-mnist in the folder JAXINV_SHARED")
    gen, params = loaded(convert(file, out=tmp_path / "mlp.safetensors", name="mlp"))
    z = codes(2, gen.spec.z_dim).astype(np.float32)
    images = render(gen, params, {"z": z})
    found = invert_dense(gen, params, images, "lp")
    again = render(gen, params, {"z": found.codes.astype(np.float32)})
    np.testing.assert_allclose(again, images, atol=2e-3)
