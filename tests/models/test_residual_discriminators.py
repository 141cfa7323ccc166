"""Discriminators of ajbrock's BigGAN, BigGAN-deep and SAGAN, against their definition in numpy."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.cli.console import DONE
from jaxinv.cli.main import main
from jaxinv.models import loading
from jaxinv.models.discriminators import residual
from jaxinv.models.discriminators.base import DISCRIMINATOR, Discriminator
from jaxinv.models.loading import load_generator
from jaxinv.nn.conv import BACKWARD_KERNELS, precompute_backward
from jaxinv.specs import GeneratorSpec
from tests.tiers import mostly_slow
from tests.torchlike import state_dict, zip_file
from tests.weights import SHARED
from weights_convert import UnsafeFileError, sources
from weights_convert.networks.residual_discriminators import ajbrock

pytestmark = pytest.mark.usefixtures("quick_compilation")

CLASSES = 10
Arrays = dict[str, np.ndarray]


class Shape(NamedTuple):
    """Channels that come into the stages and leave the last, blocks in a stage, where halved."""

    side: int
    widths: tuple[int, ...]
    halvings: int
    look: int  # the stage behind which attention stands
    depth: int = 1
    deep: bool = False
    wide: bool = True


SHAPES = {
    "64 px": Shape(64, (3, 8, 16, 24, 32, 32), 4, look=1),
    "32 px": Shape(32, (3, 16, 16, 16, 16), 2, look=0),
    "128 px, without attention": Shape(128, (3, 4, 8, 8, 8, 16, 16), 5, look=-1),
    "narrow": Shape(32, (3, 8, 16, 16, 24), 2, look=1, wide=False),
    "deep, 64 px": Shape(64, (8, 16, 24, 24, 32), 4, look=1, depth=2, deep=True),
    "deep, 32 px": Shape(32, (16, 16, 16, 16), 2, look=0, depth=3, deep=True),
}


# --- the file -------------------------------------------------------------------------------------


def network(shape: Shape, seed: int = 0) -> Arrays:
    """Random arrays under the names of D.pth."""
    draws = np.random.default_rng(seed)
    found: Arrays = {}

    def layer(name: str, *sizes: int, bias: bool = True) -> None:
        found[f"{name}.weight"] = draws.standard_normal(sizes).astype(np.float32)
        found[f"{name}.u0"] = draws.standard_normal((1, sizes[0])).astype(np.float32)
        found[f"{name}.sv0"] = np.full(1, 7.0, np.float32)  # a record, not used
        if bias:
            found[f"{name}.bias"] = draws.standard_normal(sizes[0]).astype(np.float32) / 4

    def block(name: str, inside: int, outside: int, down: bool) -> None:
        if shape.deep:
            middle = outside // 4
            layer(f"{name}.conv1", middle, inside, 1, 1)
            layer(f"{name}.conv2", middle, middle, 3, 3)
            layer(f"{name}.conv3", middle, middle, 3, 3)
            layer(f"{name}.conv4", outside, middle, 1, 1)
            if inside != outside:
                layer(f"{name}.conv_sc", outside - inside, inside, 1, 1)
            return
        middle = outside if shape.wide else inside
        layer(f"{name}.conv1", middle, inside, 3, 3)
        layer(f"{name}.conv2", outside, middle, 3, 3)
        if inside != outside or down:
            layer(f"{name}.conv_sc", outside, inside, 1, 1)

    if shape.deep:
        layer("input_conv", shape.widths[0], 3, 3, 3)
    for stage, (inside, outside) in enumerate(pairwise(shape.widths)):
        for place in range(shape.depth):
            down = stage < shape.halvings and place == 0
            block(f"blocks.{stage}.{place}", outside if place else inside, outside, down)
        if stage == shape.look:
            look = f"blocks.{stage}.{shape.depth}"
            for name, (before, after) in {
                "theta": (outside, outside // 8),
                "phi": (outside, outside // 8),
                "g": (outside, outside // 2),
                "o": (outside // 2, outside),
            }.items():
                layer(f"{look}.{name}", after, before, 1, 1, bias=False)
            found[f"{look}.gamma"] = np.asarray(0.8, np.float32)
    layer("linear", 1, shape.widths[-1])
    layer("embed", CLASSES, shape.widths[-1], bias=False)
    return found


# --- what it means, on one image [channels, h, w] -------------------------------------------------


class Network:
    def __init__(self, arrays: Arrays, shape: Shape) -> None:
        self.arrays, self.shape = arrays, shape
        self.features: list[tuple[np.ndarray, np.ndarray | None]] = []

    def weight(self, name: str) -> np.ndarray:
        weight = self.arrays[f"{name}.weight"].astype(np.float64)
        matrix, u = weight.reshape(len(weight), -1), self.arrays[f"{name}.u0"]
        v = u @ matrix
        v /= np.linalg.norm(v)
        u = v @ matrix.T
        u /= np.linalg.norm(u)
        return weight / (v @ matrix.T @ u.T)[0, 0]

    def conv(self, x: np.ndarray, name: str) -> np.ndarray:
        weight = self.weight(name)
        size = weight.shape[2]
        wide = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2))
        side = x.shape[1]
        found = np.zeros((len(weight), side, side))
        for row in range(size):
            for column in range(size):
                part = wide[:, row : row + side, column : column + side]
                found += np.einsum("oi,ihw->ohw", weight[:, :, row, column], part)
        bias = self.arrays.get(f"{name}.bias")
        return found if bias is None else found + bias[:, None, None]

    def block(self, x: np.ndarray, name: str, *, first: bool, down: bool) -> np.ndarray:
        half = averaged if down else np.asarray
        skip = f"{name}.conv_sc"
        if self.shape.deep:
            y = self.conv(relu(x), f"{name}.conv1")
            y = self.conv(relu(y), f"{name}.conv2")
            y = self.conv(relu(y), f"{name}.conv3")
            y = self.conv(half(relu(y)), f"{name}.conv4")
            around = half(x)
            if f"{skip}.weight" in self.arrays:
                around = np.concatenate([around, self.conv(around, skip)])
            return y + around
        y = self.conv(x if first else relu(x), f"{name}.conv1")
        y = half(self.conv(relu(y), f"{name}.conv2"))
        if f"{skip}.weight" not in self.arrays:
            return y + half(x)
        return y + (self.conv(half(x), skip) if first else half(self.conv(x, skip)))

    def looked(self, x: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
        side = x.shape[1]
        theta, phi, g = (self.conv(x, f"{name}.{n}") for n in ("theta", "phi", "g"))
        phi, g = (y.reshape(len(y), side // 2, 2, side // 2, 2).max((2, 4)) for y in (phi, g))
        theta, phi, g = (y.reshape(len(y), -1) for y in (theta, phi, g))
        scores = theta.T @ phi
        scores = np.exp(scores - scores.max(1, keepdims=True))
        scores /= scores.sum(1, keepdims=True)
        out = self.conv((g @ scores.T).reshape(-1, side, side), f"{name}.o")
        return x + self.arrays[f"{name}.gamma"] * out, scores

    def score(self, image: np.ndarray, label: int) -> float:
        """Of an image [h, w, 3]; fills `features`."""
        x = image.transpose(2, 0, 1)
        if self.shape.deep:
            x = self.conv(x, "input_conv")
            self.features.append((x, None))
        for stage in range(len(self.shape.widths) - 1):
            for place in range(self.shape.depth):
                x = self.block(
                    x,
                    f"blocks.{stage}.{place}",
                    first=stage == place == 0,
                    down=stage < self.shape.halvings and place == 0,
                )
                self.features.append((x, None))
            if stage == self.shape.look:
                x, looks = self.looked(x, f"blocks.{stage}.{self.shape.depth}")
                self.features.append((x, looks))
        summed = relu(x).sum((1, 2))
        plain = self.weight("linear") @ summed + self.arrays["linear.bias"]
        return float(plain[0] + self.weight("embed")[label] @ summed)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def averaged(x: np.ndarray) -> np.ndarray:
    side = x.shape[1] // 2
    return x.reshape(len(x), side, 2, side, 2).mean((2, 4))


# --- ours -----------------------------------------------------------------------------------------


def frozen(value: Any) -> Any:
    return tuple(map(frozen, value)) if isinstance(value, list) else value


def built(arrays: Arrays, side: int) -> tuple[Discriminator, dict[str, Any]]:
    judged = ajbrock(arrays, {"resolution": side, "labels": CLASSES})
    assert judged is not None
    params, plan = judged
    facts = (("discriminator", frozen(plan)),)
    spec = GeneratorSpec("d", "biggan", side, 8, labels=CLASSES, embedding=4, facts=facts)
    ours = {DISCRIMINATOR: params}
    return residual.build(spec), {**ours, BACKWARD_KERNELS: precompute_backward(ours)}


def images(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(9).uniform(-1, 1, (count, side, side, 3)).astype(np.float32)


def close(ours: Any, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(np.abs(theirs).max(), 1.0))


@pytest.mark.parametrize("case", mostly_slow(SHAPES, ("narrow", "deep, 32 px")))
def test_scores_features_and_maps_are_the_definition(case: str) -> None:
    shape = SHAPES[case]
    arrays = network(shape)
    judge, params = built(arrays, shape.side)
    pictures, labels = images(2, shape.side), np.eye(CLASSES)[[3, 7]]
    wanted = [Network(arrays, shape) for _ in pictures]
    scores = [n.score(x, y) for n, x, y in zip(wanted, pictures, (3, 7), strict=True)]
    close(judge.scores(params, jnp.asarray(pictures), jnp.asarray(labels)), np.asarray(scores))
    assert abs(scores[0] - scores[1]) > 1e-2
    found = judge.features(params, jnp.asarray(pictures[0]))
    assert tuple(found) == judge.steps
    assert len(found) == len(wanted[0].features)
    for state, (x, looks) in zip(found.values(), wanted[0].features, strict=True):
        close(state["x"], x.transpose(1, 2, 0))
        assert ("attention" in state) == (looks is not None)
        if looks is not None:
            close(state["attention"], looks)


def test_scores_have_gradients_at_the_image() -> None:
    judge, params = built(network(SHAPES["32 px"]), 32)
    picture, label = jnp.asarray(images(1, 32)), jnp.eye(CLASSES)[:1]

    def score(x: jax.Array) -> jax.Array:
        return judge.scores(params, x, label)[0]

    slope = jax.grad(score)(picture)
    step = 1e-3 * slope / jnp.linalg.norm(slope)
    np.testing.assert_allclose(
        score(picture + step) - score(picture - step), 2 * jnp.sum(step * slope), rtol=2e-2
    )


def test_a_class_is_asked_for() -> None:
    judge, params = built(network(SHAPES["32 px"]), 32)
    with pytest.raises(ValueError, match=r"needs labels \[n, classes\]"):
        judge.scores(params, jnp.asarray(images(1, 32)))


REFUSED: dict[str, tuple[Callable[[Arrays], Arrays], dict[str, Any], str]] = {
    "other classes": (dict, {"labels": 3}, "a discriminator of 10 classes; allowed: 3"),
    "larger images": (dict, {"resolution": 256}, "other images than those of 256 px"),
    "a part more": (lambda a: {**a, "extra.bias": np.ones(3)}, {}, "used by no rule: extra.bias"),
    "no bias": (lambda a: {n: v for n, v in a.items() if n != "linear.bias"}, {}, "linear.bias"),
    "two outputs": (
        lambda a: {**a, "linear.weight": np.ones((2, 32)), "linear.u0": np.ones((1, 2))},
        {},
        "out/kernel",
    ),
    "no last layer": (
        lambda a: {n: v for n, v in a.items() if n != "blocks.1.0.conv2.weight"},
        {},
        "blocks.1.0.conv2.weight",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_discriminators_are_refused(case: str) -> None:
    change, facts, told = REFUSED[case]
    arrays = change(network(SHAPES["64 px"]))
    with pytest.raises(UnsafeFileError, match=told):
        ajbrock(arrays, {"resolution": 64, "labels": CLASSES} | facts)


def test_another_file_is_none_of_them() -> None:
    assert ajbrock({"main.0.weight": np.ones((3, 3))}, {"resolution": 64}) is None


# --- beside a generator, by the command -----------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "use_compilation_cache", lambda: None)
    return tmp_path


FIXTURES = {"biggan-ajbrock": "32 px", "biggan-deep-ajbrock": "deep, 32 px"}


@pytest.mark.parametrize("fixture", FIXTURES)
def test_a_discriminator_comes_along_with_its_generator(
    cache: Path, fixture: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = SHARED / "fixtures" / fixture / "G_ema.pth"
    if not file.is_file():
        pytest.skip("needs shared/fixtures (set JAXINV_SHARED)")
    depth = json.loads(file.with_name("meta.json").read_text("utf-8"))["kwargs"].get("G_depth")
    shape = SHAPES[FIXTURES[fixture]]
    arrays = network(shape)
    own = cache / "D.pth"
    own.write_bytes(zip_file(state_dict(arrays), arrays))
    more = [f"--depth={depth}"] if depth else []
    assert main(["convert", str(file), "--discriminator", str(own), "--name=big", *more]) == DONE
    gen, params = load_generator("big")
    assert gen.discriminator is not None
    picture = images(1, 32)
    ours = gen.discriminator.scores(params, jnp.asarray(picture), jnp.eye(CLASSES)[4:5])
    close(ours[0], np.asarray(Network(arrays, shape).score(picture[0], 4)))
    assert main(["inspect", str(cache / "cache" / "big.safetensors")]) == DONE
    said = capsys.readouterr().out
    assert "discriminator residual" in said
    assert "judges images one by one" in said


def test_a_second_discriminator_replaces_the_first() -> None:
    arrays, other = network(SHAPES["32 px"]), network(SHAPES["32 px"], seed=1)
    facts = {"resolution": 32, "labels": CLASSES, "facts": [["blocks", []]]}
    plain = sources.Converted({"synthesis": {}}, facts, "some")
    once = sources.attach(plain, arrays)
    twice = sources.attach(sources.attach(plain, other), arrays)
    assert [name for name, _ in twice.facts["facts"]] == ["blocks", "discriminator"]
    jax.tree.map(partial(np.testing.assert_array_equal), once.params, twice.params)


def test_the_published_discriminator_has_as_many_parameters_as_its_code_prints() -> None:
    """BigGAN, 128 px, 96 channels: 87982370; a halving convolution of ours is 4x4, not 3x3."""
    widths = (3, *(96 * times for times in (1, 2, 4, 8, 16, 16)))
    blocks = tuple((a, b, b, i < 5) for i, (a, b) in enumerate(pairwise(widths)))
    facts = (("discriminator", ("residual", False, blocks, (0,), False)),)
    spec = GeneratorSpec("d", "biggan", 128, 120, labels=1000, embedding=128, facts=facts)
    shapes = jax.eval_shape(residual.build(spec).init, jax.random.key(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert count - sum(7 * middle * out for _, middle, out, down in blocks if down) == 87_982_370
