"""Sequential generators of Keras: converted, and held against its definitions in plain loops."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxinv.cli.console import DONE
from jaxinv.cli.main import main
from jaxinv.models import loading
from jaxinv.models.loading import load_generator
from jaxinv.models.rendering import render
from jaxinv.nn.conv import BACKWARD_KERNELS
from jaxinv.nn.layer_chain import Layer, Step
from tests.kerasfiles import keras_file
from tests.keraslike import (
    Layers,
    dense,
    drawn,
    entry,
    flat,
    layer,
    leaky,
    named,
    norm,
    reshape,
    scattered,
    transposed,
    up,
    weights,
)
from tests.tiers import mostly_slow
from tests.weights import SHARED
from weights_convert import UnsafeFileError, convert, sources
from weights_convert.networks import keras
from weights_convert.readers.keras_config import Config
from weights_convert.sources import containers

ANIME = SHARED / "data" / "weights" / "animeface64_dcgan_generator.h5"
# Every kind of layer, strides above and below, even and odd kernels, normalisation before and
# behind activations, of vectors and of images, with and without its parts.
MODELS: dict[str, Layers] = {
    "normalised behind the activation": [
        entry(5),
        dense(4 * 4 * 6, activation="linear"),
        reshape(4, 4, 6),
        up(5, 4, 2, activation="relu"),
        norm(axis=[3]),
        up(4, 4, 1, activation="relu", output_padding=None),
        norm(axis=3),
        up(3, 4, 1, activation="sigmoid"),
    ],
    "normalised before the activation": [
        entry(5, "batch_shape"),
        dense(4 * 4 * 3, use_bias=False),
        norm(axis=[1]),
        layer("LeakyReLU"),
        reshape(4, 4, 3),
        up(4, 5, 1, use_bias=False),
        norm(scale=False, epsilon=0.01),
        layer("LeakyReLU", negative_slope=0.15),
        up(1, 5, 2, activation="tanh"),
    ],
    "pixels doubled": [
        entry(4),
        dense(2 * 2 * 6, activation="relu"),
        reshape(2, 2, 6),
        layer("UpSampling2D", size=[2, 2], interpolation="nearest"),
        flat(4, 3),
        norm(center=False),
        layer("Activation", activation="relu"),
        layer("UpSampling2D", size=[3, 3]),
        layer("Dropout", rate=0.5),
        flat(4, 4, activation={"class_name": "LeakyReLU", "config": {"alpha": 0.1}}),
        norm(),
        norm(),
        layer("ReLU", max_value=None, threshold=0.0),
        flat(3, 2),
        layer("Activation", activation="tanh"),
        reshape(12, 12, 3),
    ],
    "grown from one pixel": [
        entry(6),
        reshape(1, 1, 6),
        up(5, 3, 1, "valid", activation="leaky_relu"),
        up(4, 3, 2, "valid", activation="tanh"),
        up(3, 2, 2, activation="relu"),
        flat(3, 3, "valid", activation="tanh"),
    ],
    "of vectors": [
        entry(4),
        dense(9),
        leaky(0.3),
        norm(),
        dense(8 * 8, activation="tanh"),
        reshape(8, 8, 1),
    ],
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "use_compilation_cache", lambda: None)
    return tmp_path


def converted(layers: Layers, arrays: dict[str, np.ndarray], folder: Path) -> Any:
    path = folder / "model.h5"
    path.write_bytes(keras_file(layers, arrays))
    convert(path)
    return load_generator("model")


@pytest.mark.parametrize("case", MODELS)
def test_pictures_are_those_of_keras_definitions(case: str, cache: Path) -> None:
    layers = named(MODELS[case])
    arrays = weights(layers)
    gen, params = converted(layers, arrays, cache)
    z = np.random.default_rng(1).standard_normal((2, gen.spec.z_dim)).astype(np.float32)
    expected = np.stack([drawn(layers, arrays, one) for one in z])
    if layers[-1]["config"].get("activation") == "sigmoid":
        expected = 2 * expected - 1
    assert expected.std() > 0.1
    found = render(gen, params, {"z": z})
    assert found.shape == (2, gen.spec.resolution, gen.spec.resolution, 3)
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-5)


@pytest.mark.parametrize(
    "case", mostly_slow(MODELS, ("normalised before the activation", "pixels doubled"))
)
def test_gradients_by_backward_kernels_are_the_automatic_ones(case: str, cache: Path) -> None:
    layers = named(MODELS[case])
    gen, params = converted(layers, weights(layers), cache)
    z = jax.random.normal(jax.random.key(0), (gen.spec.z_dim,))

    def size(given: Any, z: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(3 * gen.synthesize(given, {"z": z})))

    ours, theirs = (
        jax.grad(partial(size, given))(z)
        for given in (params, {k: v for k, v in params.items() if k != BACKWARD_KERNELS})
    )
    assert jnp.abs(theirs).max() > 0.1
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_transposed_convolutions_of_all_sizes(padding: str) -> None:
    for size, stride in itertools.product(range(1, 7), range(1, 4)):
        if stride > size:
            continue
        layers = named([entry(18), reshape(3, 3, 2), up(3, size, stride, padding)])
        arrays = weights(layers)
        (kernel,) = (array for name, array in arrays.items() if name.endswith("kernel"))
        chain = keras.Chain((3, 3, 2))
        chain.transposed(Config(layers[2]))
        step: Any = Step(Layer(*chain.parts[0].layer()))
        x = np.random.default_rng(1).standard_normal((3, 3, 2)).astype(np.float32)
        (rule,) = (r for r in chain.parts[0].rules("") if r.target == "/kernel")
        params = {"kernel": rule.transform(kernel), "bias": np.zeros(3)}
        found = step.apply({"params": params}, x)["x"]
        expected = transposed(x, kernel, stride, padding)
        np.testing.assert_allclose(scattered(x, kernel, stride, padding), expected, atol=1e-6)
        np.testing.assert_allclose(found, expected, atol=1e-6)


# --- what is read, and what is refused ------------------------------------------------------------

WHOLE: Layers = [entry(4), dense(8 * 8 * 2), reshape(8, 8, 2), flat(3, 3, activation="tanh")]


def tree(layers: Layers, arrays: dict[str, np.ndarray] | None = None, **options: Any) -> Any:
    layers = named(layers)
    data = keras_file(layers, weights(layers) if arrays is None else arrays, **options)
    return containers.parse(data).tree


def test_names_of_newer_and_older_files_are_the_same() -> None:
    old, new = (sources.convert(tree(WHOLE, prefix=prefix)) for prefix in (True, False))
    jax.tree.map(np.testing.assert_array_equal, old.params, new.params)
    assert (old.source, old.facts) == ("Sequential, Keras", new.facts)


def test_a_configuration_may_be_a_plain_list_of_layers() -> None:
    whole = tree(WHOLE)
    listed = whole | {"model_config": {"class_name": "Sequential"}}
    listed["model_config"]["config"] = whole["model_config"]["config"]["layers"]
    assert sources.convert(listed).facts == sources.convert(whole).facts


REFUSED: dict[str, tuple[Layers, str]] = {
    "an unknown layer": ([*WHOLE[:3], layer("PReLU")], "a layer 'PReLU'; allowed: Dense, Reshape"),
    "no input": (WHOLE[1:], r"batch_input_shape None; allowed: \[None, z_dim\]"),
    "an image for z": (
        [layer("InputLayer", batch_input_shape=[None, 2, 2, 4]), *WHOLE[3:]],
        r"allowed: \[None, z_dim\]",
    ),
    "no image": (WHOLE[:2], "pictures of shape"),
    "four channels": ([*WHOLE[:3], flat(4, 3, activation="tanh")], "images of 4 channels"),
    "an unknown range": ([*WHOLE[:3], flat(3, 3)], "none; allowed: tanh or sigmoid at the end"),
    "an inner sigmoid": (
        [entry(4), dense(8 * 8 * 2, activation="sigmoid"), *WHOLE[2:]],
        "sigmoid nowhere else",
    ),
    "two activations": ([*WHOLE, layer("Activation", activation="tanh")], "tanh here"),
    "another activation": ([*WHOLE[:3], flat(3, 3, activation="selu")], "'selu'; allowed: linear"),
    "an activation of unknown class": (
        [*WHOLE[:3], flat(3, 3, activation={"class_name": "PReLU", "config": {}})],
        "activation .*PReLU",
    ),
    "a capped ReLU": ([*WHOLE, layer("ReLU", max_value=6.0)], "max_value 6.0; allowed: None"),
    "a steep ReLU": ([*WHOLE[:3], flat(3, 3), leaky(1.5)], "alpha 1.5; allowed: 0 to 1"),
    "another shape": ([*WHOLE[:2], reshape(8, 8, 3)], "square image of 128 numbers"),
    "an oblong": ([*WHOLE[:2], reshape(4, 16, 2)], "square image"),
    "an oblong kernel": (
        [*WHOLE[:3], layer("Conv2D", filters=3, kernel_size=[3, 1], strides=1, padding="same")],
        "allowed: a square",
    ),
    "a dense image": ([*WHOLE[:3], dense(3)], "allowed: a vector"),
    "a convolved vector": ([*WHOLE[:2], flat(3, 3)], "allowed: an image"),
    "a strided convolution": (
        [*WHOLE[:3], layer("Conv2D", filters=3, kernel_size=3, strides=2, padding="same")],
        "strides 2; allowed: 1",
    ),
    "holes": ([*WHOLE[:3], flat(3, 3, dilation_rate=[2, 2])], "dilation_rate"),
    "groups": ([*WHOLE[:3], flat(3, 3, groups=2)], "groups 2; allowed: 1"),
    "channels first": ([*WHOLE[:3], up(3, 3, 1, data_format="channels_first")], "channels_last"),
    "gaps": ([*WHOLE[:3], up(3, 2, 3)], "strides .*allowed: at most kernel_size, 2"),
    "output padding": ([*WHOLE[:3], up(3, 3, 2, output_padding=[1, 1])], "allowed: None"),
    "another padding": ([*WHOLE[:3], flat(3, 3, "causal")], "'causal'; allowed: same, valid"),
    "smooth enlargement": (
        [*WHOLE[:3], layer("UpSampling2D", size=[2, 2], interpolation="bilinear")],
        "'bilinear'; allowed: nearest",
    ),
    "normalisation along rows": ([*WHOLE[:3], norm(axis=[1])], r"axis \[1\]; allowed: 3"),
    "no size": ([*WHOLE[:1], layer("Dense", units=0)], "units 0; allowed: 1 positive"),
    "huge": ([*WHOLE[:3], layer("UpSampling2D", size=[999, 999]), *WHOLE[3:]], "at most 4096 px"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_chain_does_not_know_is_refused_by_name(case: str) -> None:
    layers, told = REFUSED[case]
    with pytest.raises(UnsafeFileError, match=told):
        sources.convert(tree(layers, {}))


def test_a_generator_is_converted_whole_or_not_at_all() -> None:
    layers = named([*WHOLE[:2], norm(), *WHOLE[2:]])
    whole = weights(layers)
    sources.convert(tree(layers, whole))
    for name, array in whole.items():
        rest = {n: a for n, a in whole.items() if n != name}
        for changed, told in (
            (rest, "the source has no"),
            (rest | {f"{name}_too": array}, "no rule|has no"),
            (rest | {name: array[..., :1]}, "shape|size"),
            (rest | {name: np.full_like(array, np.nan)}, "not finite"),
        ):
            with pytest.raises(UnsafeFileError, match=told):
                sources.convert(tree(layers, changed))


STRANGE = (None, True, -1, 2, 2**40, 1e300, math.nan, "", "relu", [], [1], [None, 4], {}, [[1]])


def spots(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of nested dicts and lists."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from spots(node[key])


@pytest.mark.parametrize("case", MODELS)
def test_whatever_stands_in_the_configuration_the_error_is_the_one(case: str) -> None:
    whole = tree(MODELS[case])
    outcomes = Counter[str]()
    for node, key in list(spots(whole["model_config"])):
        usual = node[key]
        for strange in STRANGE:
            node[key] = strange
            try:
                sources.convert(whole)
                outcomes["converted"] += 1
            except UnsafeFileError:
                outcomes["refused"] += 1
        node[key] = usual
    assert outcomes["refused"] > 300
    assert sources.convert(whole).source == "Sequential, Keras"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"class_name": "Functional"}, "class 'Functional'; allowed: Sequential"),
        ({"config": {"layers": []}}, "without layers"),
        ({"config": None}, "without layers"),
        ({"config": {"layers": [3]}}, "without a configuration"),
        ({"config": {"layers": [{"class_name": "Dense", "config": []}]}}, "without a config"),
    ],
)
def test_models_of_another_kind_are_refused(change: dict[str, Any], told: str) -> None:
    whole = tree(WHOLE)
    with pytest.raises(UnsafeFileError, match=told):
        sources.convert(whole | {"model_config": whole["model_config"] | change})


# --- a published file -----------------------------------------------------------------------------


def test_a_published_generator_draws_what_the_definitions_say(cache: Path) -> None:
    if not ANIME.is_file():
        pytest.skip(f"needs {ANIME.name} of shared/data/weights (set JAXINV_SHARED)")
    convert(ANIME, name="anime")
    gen, params = load_generator("anime")
    assert (gen.spec.resolution, gen.spec.z_dim) == (64, 128)
    found = containers.read_checkpoint(ANIME).tree
    groups = found["weights"]["model_weights"]
    arrays = {
        f"{name}/{end.removesuffix(':0')}": array
        for name, group in groups.items()
        for end, array in group.get(name, {}).items()
    }
    z = np.random.default_rng(0).standard_normal((2, 128)).astype(np.float32)
    layers = found["model_config"]["config"]["layers"]
    expected = 2 * np.stack([drawn(layers, arrays, one) for one in z]) - 1
    np.testing.assert_allclose(render(gen, params, {"z": z}), expected, atol=2e-5)
    assert main(["sample", "anime", "-n", "4", "-o", str(cache / "grid.png")]) == DONE
    with Image.open(cache / "grid.png") as picture:
        assert np.asarray(picture).std() > 40
