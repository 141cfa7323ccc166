"""SAGAN's TensorFlow checkpoints: converted, against the definition of its network in numpy."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.models import loading
from jaxinv.models.loading import load_generator
from jaxinv.models.rendering import render
from tests.tfbundles import bundle, write
from weights_convert import UnsafeFileError, convert, sources
from weights_convert.sources import containers

CLASSES, SIZE, WIDTH = 3, 6, 2  # of labels, of z, of the last block
WIDTHS = [16 * WIDTH, *(WIDTH << power for power in (4, 3, 2, 1, 0))]
Arrays = dict[str, np.ndarray]


# --- a network, by the names of its variables -----------------------------------------------------


def network(seed: int = 0, look: str = "g_non_local") -> Arrays:
    """Variables of the generator, without a scope."""
    draws = np.random.default_rng(seed)
    found: Arrays = {}

    def normal(name: str, *shape: int, scale: float = 1.0, shift: float = 0.0) -> None:
        found[name] = (shift + scale * draws.standard_normal(shape)).astype(np.float32)

    def conv(name: str, *shape: int, bias: bool = True) -> None:
        normal(f"{name}/w", *shape)
        normal(f"{name}/u", 1, shape[-1])
        if bias:
            normal(f"{name}/biases", shape[-1], scale=0.1)

    def norm(name: str, table: tuple[int, ...], width: int) -> None:
        normal(f"{name}/gamma", *table, width, scale=0.2, shift=0.6)
        normal(f"{name}/beta", *table, width, scale=0.3)
        normal(f"{name}/mean", 1, 1, 1, width, scale=0.1)
        found[f"{name}/var"] = draws.uniform(0.5, 1.5, (1, 1, 1, width)).astype(np.float32)

    normal("g_snh0/Matrix", SIZE, 16 * WIDTHS[0])
    normal("g_snh0/u", 1, 16 * WIDTHS[0])
    normal("g_snh0/bias", 16 * WIDTHS[0], scale=0.1)
    for number, (inside, outside) in enumerate(pairwise(WIDTHS), 1):
        base = f"g_block{number}"
        norm(f"{base}/cbn_0", (CLASSES,), inside)
        norm(f"{base}/cbn_1", (CLASSES,), outside)
        conv(f"{base}/snconv1", 3, 3, inside, outside)
        conv(f"{base}/snconv2", 3, 3, outside, outside)
        conv(f"{base}/snconv3", 1, 1, inside, outside)
    width = WIDTHS[3]
    for name, (before, after) in {
        "theta": (width, width // 8),
        "phi": (width, width // 8),
        "g": (width, width // 2),
        "attn": (width // 2, width),
    }.items():
        conv(f"{look}/sn_conv_{name}", 1, 1, before, after, bias=False)
    found[f"{look}/sigma_ratio"] = np.asarray(0.8, np.float32)
    norm("g_bn", (), WIDTHS[-1])
    conv("g_snconv_last", 3, 3, WIDTHS[-1], 3)
    return found


def unit(x: np.ndarray) -> np.ndarray:
    return x / (np.sqrt((x**2).sum()) + 1e-12)


def divided(weight: np.ndarray, u: np.ndarray) -> np.ndarray:
    """By the norm that one step of the power iteration finds, of rows [-1, outputs]."""
    matrix = weight.astype(np.float64).reshape(-1, weight.shape[-1])
    v = unit(u @ matrix.T)
    u = unit(v @ matrix)
    return weight / (v @ matrix @ u.T)[0, 0]


class Network:
    """What the variables mean, one image at a time."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.look = next(n for n in arrays if "sn_conv_theta" in n).split("/")[0]

    def weight(self, name: str, leaf: str = "w") -> np.ndarray:
        return divided(self.arrays[f"{name}/{leaf}"], self.arrays[f"{name}/u"])

    def conv(self, x: np.ndarray, name: str) -> np.ndarray:
        weight = self.weight(name)
        pad = len(weight) // 2
        wide = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
        found = np.zeros((*x.shape[:2], weight.shape[-1]))
        for row in range(len(weight)):
            for column in range(len(weight)):
                part = wide[row : row + len(x), column : column + len(x)]
                found += part @ weight[row, column]
        return found + self.arrays.get(f"{name}/biases", 0)

    def norm(self, x: np.ndarray, name: str, label: int | None) -> np.ndarray:
        mean, var = (self.arrays[f"{name}/{leaf}"][0] for leaf in ("mean", "var"))
        gamma, beta = (self.arrays[f"{name}/{leaf}"] for leaf in ("gamma", "beta"))
        if label is not None:
            gamma, beta = gamma[label], beta[label]
        return np.maximum(gamma * (x - mean) / np.sqrt(var + 1e-5) + beta, 0)

    def block(self, x: np.ndarray, name: str, label: int) -> np.ndarray:
        y = twice(self.norm(x, f"{name}/cbn_0", label))
        y = self.norm(self.conv(y, f"{name}/snconv1"), f"{name}/cbn_1", label)
        return self.conv(y, f"{name}/snconv2") + self.conv(twice(x), f"{name}/snconv3")

    def looked(self, x: np.ndarray) -> np.ndarray:
        theta, phi, g = (self.conv(x, f"{self.look}/sn_conv_{n}") for n in ("theta", "phi", "g"))
        side = len(x)
        phi, g = (y.reshape(side // 2, 2, side // 2, 2, -1).max((1, 3)) for y in (phi, g))
        scores = theta.reshape(side**2, -1) @ phi.reshape(side**2 // 4, -1).T
        scores = np.exp(scores - scores.max(1, keepdims=True))
        seen = scores / scores.sum(1, keepdims=True) @ g.reshape(side**2 // 4, -1)
        out = self.conv(seen.reshape(side, side, -1), f"{self.look}/sn_conv_attn")
        return x + self.arrays[f"{self.look}/sigma_ratio"] * out

    def image(self, z: np.ndarray, label: int) -> np.ndarray:
        first = z @ self.weight("g_snh0", "Matrix") + self.arrays["g_snh0/bias"]
        x = first.reshape(4, 4, WIDTHS[0])
        for number in range(1, 6):
            x = self.block(x, f"g_block{number}", label)
            x = self.looked(x) if number == 3 else x
        return np.tanh(self.conv(self.norm(x, "g_bn", None), "g_snconv_last"))


def twice(x: np.ndarray) -> np.ndarray:
    return x.repeat(2, 0).repeat(2, 1)


def scoped(arrays: Arrays, scope: str = "model/", end: str = "") -> Arrays:
    return {f"{scope}{name}{end}": array for name, array in arrays.items()}


def trained(arrays: Arrays) -> Arrays:
    """The same as a training run keeps it: slots of the optimiser, a discriminator, counters."""
    slots = {n: a for n, a in arrays.items() if not n.endswith(("/u", "/mean", "/var"))}
    return {
        **scoped(arrays),
        **scoped(slots, end="/Adam"),
        **scoped(slots, end="/Adam_1"),
        "model/d_block1/snconv1/w": np.ones((3, 3, 3, 2), np.float32),
        "model/d_non_local/sn_conv_theta/w": np.ones((1, 1, 8, 1), np.float32),
        "global_step": np.asarray(1_000_000),
        "beta1_power": np.asarray(0.5, np.float32),
    }


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "use_compilation_cache", lambda: None)
    return tmp_path


# --- what is converted ----------------------------------------------------------------------------


@pytest.mark.parametrize("look", ["g_non_local", "g_ops"])
def test_a_checkpoint_draws_what_the_network_says(cache: Path, look: str) -> None:
    arrays = network(look=look)
    path = write(cache, "model.ckpt-1000", bundle(trained(arrays), shards=2))
    convert(path, name="sagan")
    gen, params = load_generator("sagan")
    assert (gen.spec.resolution, gen.spec.z_dim, gen.spec.labels) == (128, SIZE, CLASSES)
    z = np.random.default_rng(1).standard_normal((CLASSES, SIZE)).astype(np.float32)
    ours = render(gen, params, {"z": z, "label": np.eye(CLASSES, dtype=np.float32)})
    expected = np.stack([Network(arrays).image(one, label) for label, one in enumerate(z)])
    assert expected.std() > 0.2
    np.testing.assert_allclose(ours, expected, atol=2e-6)
    other = Network(arrays).image(z[0], 1)
    assert np.abs(other - expected[0]).max() > 0.1, "classes differ"


def test_every_variable_counts() -> None:
    """Tenfold what the comparison above allows; of the vectors `u` it is what they divide by."""
    arrays = network()
    z, still = np.ones(SIZE), []
    before = Network(arrays).image(z, 1)
    for name, array in arrays.items():
        if not name.endswith("/u"):
            after = Network({**arrays, name: array + np.float32(0.5)}).image(z, 1)
            still += [name] if np.abs(after - before).max() < 2e-5 else []
    assert still == []


def test_averages_are_taken_where_there_are_any() -> None:
    now, mean = network(0), network(1)
    averaged = {n: a for n, a in mean.items() if not n.endswith(("/u", "/mean", "/var"))}
    tree = {**trained(now), **scoped(averaged, end="/ExponentialMovingAverage")}
    found = sources.convert(tree).params["synthesis"]
    plain = sources.convert(scoped({**now, **averaged})).params["synthesis"]
    assert found.keys() == plain.keys()
    for part in ("linear", "image"):
        np.testing.assert_array_equal(found[part]["kernel"], plain[part]["kernel"])
    np.testing.assert_array_equal(found["norm"]["mean"], now["g_bn/mean"].ravel())
    np.testing.assert_array_equal(found["norm"]["gain"], mean["g_bn/gamma"])


@pytest.mark.parametrize("scope", ["", "model/", "a/b/"])
def test_the_scope_does_not_matter(scope: str) -> None:
    found = sources.convert(scoped(network(), scope))
    assert found.source == "SAGAN, TensorFlow"
    assert found.facts["facts"][0] == ["attention", [2]]


def test_a_network_without_attention_is_one() -> None:
    arrays = {n: a for n, a in network().items() if "non_local" not in n}
    found = sources.convert(scoped(arrays))
    assert found.facts["facts"][0] == ["attention", []]
    assert not any(name.startswith("attention") for name in found.params["synthesis"])


# --- what is refused ------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a part more": ({"g_extra/beta": np.ones(3)}, "1 weights .* used by no rule: g_extra/beta"),
    "a vector of another length": ({"g_block2/snconv1/u": np.ones((1, 3))}, "another size"),
    "no vector": ({"g_bn/beta": None}, "has no g_bn/beta"),
    "no blocks": (dict.fromkeys([f"g_block{i}/snconv1/w" for i in range(6)]), "no g_block1"),
    "a flat kernel": ({"g_block1/snconv1/w": np.ones(32)}, "missing or of another shape"),
    "another width": ({"g_bn/gamma": np.ones(7)}, "synthesis/norm/gain"),
    "not finite": ({"g_bn/gamma": np.full(WIDTH, np.inf)}, "not finite"),
    "a number for a table": ({"g_block1/cbn_0/gamma": np.ones(())}, "missing or of another shape"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_networks_are_refused(case: str) -> None:
    change, told = REFUSED[case]
    arrays = {n: a for n, a in (network() | change).items() if a is not None}
    with pytest.raises(UnsafeFileError, match=told):
        sources.convert(scoped(arrays))


def test_a_bundle_of_something_else_is_no_known_generator(tmp_path: Path) -> None:
    path = write(tmp_path, "m", bundle({"layer_with_weights-0/kernel": np.ones((3, 3))}))
    with pytest.raises(UnsafeFileError, match="it holds layer_with_weights-0/kernel"):
        sources.convert(containers.read_checkpoint(path).tree)


@pytest.mark.parametrize("tree", [{3: np.ones(2)}, {b"g_snh0/Matrix": np.ones(2)}, {}, [], None])
def test_trees_of_other_kinds_are_no_known_generator(tree: Any) -> None:
    with pytest.raises(UnsafeFileError, match="no known generator"):
        sources.convert(tree)


def test_two_generators_in_one_file_are_not_told_apart() -> None:
    tree = scoped(network(), "a/") | scoped(network(), "b/")
    with pytest.raises(UnsafeFileError, match="no known generator"):
        sources.convert(tree)


STRANGE = (np.ones(()), np.ones(0), np.ones(1), np.ones((2, 2)), np.ones((3, 3, 1, 9)))


def test_whatever_the_shapes_are_it_ends_in_the_one_error() -> None:
    usual = scoped(network())
    for name, array in usual.items():
        for strange in STRANGE:
            if name.endswith(("/u", "/sigma_ratio")) and strange.size == array.size:
                continue  # as many numbers in a row say the same
            with pytest.raises(UnsafeFileError):
                sources.convert({**usual, name: strange})


def test_every_variable_is_needed() -> None:
    usual = scoped(network())
    for name in usual:
        with pytest.raises(UnsafeFileError):
            sources.convert({n: array for n, array in usual.items() if n != name})
