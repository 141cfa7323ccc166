"""Discriminators in TensorFlow's checkpoints of SAGAN, and all of YLG's, against numpy."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.models.loading import load_generator
from jaxinv.models.rendering import render
from jaxinv.nn.local_attention import HEADS, mask
from tests.tfbundles import bundle, write
from tests.weights_convert import test_sagan
from tests.weights_convert.test_sagan import CLASSES, SIZE, cache, network, scoped, trained, unit
from weights_convert import UnsafeFileError, convert, sources

pytestmark = pytest.mark.usefixtures("quick_compilation")

Arrays = dict[str, np.ndarray]
WIDTHS = (3, 8, 16, 16, 24, 24, 24)  # of the image, then of the blocks
__all__ = ["cache"]  # a fixture


# --- SAGAN's discriminator, by the names of its variables -----------------------------------------


def judge(seed: int = 5, widths: tuple[int, ...] = WIDTHS, look: str = "d_non_local") -> Arrays:
    draws = np.random.default_rng(seed)
    found: Arrays = {}

    def weight(name: str, leaf: str, *shape: int, outputs: int = -1) -> None:
        found[f"{name}/{leaf}"] = draws.standard_normal(shape).astype(np.float32)
        found[f"{name}/u"] = draws.standard_normal((1, shape[outputs])).astype(np.float32)

    def bias(name: str, count: int) -> None:
        found[name] = (draws.standard_normal(count) / 4).astype(np.float32)

    for index, (inside, outside) in enumerate(pairwise(widths)):
        base = f"d_block{index + 1}" if index else "d_optimized_block1"
        last = index == len(widths) - 2
        for number, before in ((1, inside), (2, outside)):
            weight(f"{base}/sn_conv{number}", "w", 3, 3, before, outside)
            bias(f"{base}/sn_conv{number}/biases", outside)
        if not last:
            weight(f"{base}/sn_conv3", "w", 1, 1, inside, outside)
            bias(f"{base}/sn_conv3/biases", outside)
    width = widths[2]
    for name, (before, after) in {
        "theta": (width, width // 8),
        "phi": (width, width // 8),
        "g": (width, width // 2),
        "attn": (width // 2, width),
    }.items():
        weight(f"{look}/sn_conv_{name}", "w", 1, 1, before, after)
    found[f"{look}/sigma_ratio"] = np.asarray(0.7, np.float32)
    weight("d_sn_linear", "Matrix", widths[-1], 1)
    bias("d_sn_linear/bias", 1)
    weight("d_embedding", "embedding_map", CLASSES, widths[-1], outputs=0)
    return found


class Judge(test_sagan.Network):
    """What the variables mean, one image at a time; `seen` keeps the attention's input and map."""

    last = 6

    def __init__(self, arrays: Arrays) -> None:
        super().__init__(arrays)
        self.seen: list[np.ndarray] = []

    def embedded(self, label: int) -> np.ndarray:
        table = self.arrays["d_embedding/embedding_map"]
        return test_sagan.divided(table.T, self.arrays["d_embedding/u"])[:, label]

    def judged(self, x: np.ndarray, name: str, *, first: bool, down: bool) -> np.ndarray:
        y = self.conv(x if first else np.maximum(x, 0), f"{name}/sn_conv1")
        y = self.conv(np.maximum(y, 0), f"{name}/sn_conv2")
        if not down:
            return x + y
        around = self.conv(averaged(x), f"{name}/sn_conv3") if first else None
        return averaged(y) + (averaged(self.conv(x, f"{name}/sn_conv3")) if not first else around)

    def score(self, x: np.ndarray, label: int) -> float:
        for number in range(1, self.last + 1):
            name = f"d_block{number}" if number > 1 else "d_optimized_block1"
            x = self.judged(x, name, first=number == 1, down=number < self.last)
            if number == 2:
                self.seen = [x, *self.attended(x)]
                x = self.seen[1]
        summed = np.maximum(x, 0).sum((0, 1))
        plain = summed @ self.weight("d_sn_linear", "Matrix") + self.arrays["d_sn_linear/bias"]
        return float(plain[0] + self.embedded(label) @ summed)

    def attended(self, x: np.ndarray) -> list[np.ndarray]:
        return [self.looked(x)]


def averaged(x: np.ndarray) -> np.ndarray:
    side = len(x) // 2
    return x.reshape(side, 2, side, 2, -1).mean((1, 3))


def picture(side: int = 128) -> np.ndarray:
    return np.random.default_rng(2).uniform(-1, 1, (side, side, 3)).astype(np.float32)


def close(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(np.abs(theirs).max(), 1.0))


def test_the_discriminator_beside_a_generator_judges_as_it_says(cache: Path) -> None:
    arrays = judge()
    tree = {n: a for n, a in trained(network()).items() if not n.startswith("model/d_")}
    path = write(cache, "model.ckpt-1000", bundle({**tree, **scoped(arrays)}))
    convert(path, name="sagan")
    gen, params = load_generator("sagan")
    assert gen.discriminator is not None
    image, ours = picture(), Judge(arrays)
    scores = gen.discriminator.scores(params, jnp.asarray(image)[None], jnp.eye(CLASSES)[1:2])
    close(scores[0], ours.score(image, 1))
    assert abs(ours.score(image, 1) - ours.score(image, 2)) > 0.1
    found = gen.discriminator.features(params, jnp.asarray(image))
    close(found["block1"]["x"], ours.seen[0])
    close(found["attention1"]["x"], ours.seen[1])
    assert found["attention1"]["attention"].shape == (1024, 256)


def test_without_attention_it_is_one_too() -> None:
    arrays = {n: a for n, a in judge().items() if "non_local" not in n}
    found = sources.attach(sources.convert(scoped(network())), scoped(arrays))
    assert dict(found.facts["facts"])["discriminator"][3] == []


def test_one_of_other_classes_stays_behind() -> None:
    arrays = judge()
    for name in ("d_embedding/embedding_map", "d_embedding/u"):
        arrays[name] = np.ones((7, 24) if name.endswith("map") else (1, 7))
    found = sources.convert({**scoped(network()), **scoped(arrays)})
    assert "discriminator" not in dict(found.facts["facts"])
    with pytest.raises(UnsafeFileError, match="a discriminator of 7 classes; allowed: 3"):
        sources.attach(found, scoped(arrays))


# --- YLG ------------------------------------------------------------------------------------------


def ylg(arrays: Arrays, scope: str, seed: int = 3) -> Arrays:
    """The same network as YLG's code calls it; vectors belong to inputs there."""
    draws = np.random.default_rng(seed)
    found: Arrays = {}
    for name, array in arrays.items():
        owner, _, leaf = name.rpartition("/")
        layer = owner.rpartition("/")[2]
        if leaf in ("w", "Matrix", "embedding_map"):
            rows = array.shape[1] if leaf == "embedding_map" else array.size // array.shape[-1]
            vector = draws.standard_normal((rows, 1)).astype(np.float32)
            inner = {"Matrix": "dense/", "w": f"{layer}/", "embedding_map": ""}[leaf]
            kernel = {"embedding_map": leaf}.get(leaf, "kernel")
            if layer.startswith("sn_conv_"):
                inner, kernel = "", "weights"
            whole = f"{scope}{owner}/{inner}{kernel}"
            nested = "" if leaf == "embedding_map" else f"{whole}/"
            end = "spectral_normalize/spectral_norm/spectral_norm_u"
            found[whole] = array
            found[f"{scope}{owner}/{inner}{nested}{end}"] = vector
        elif leaf in ("gamma", "beta"):
            found[scope + name] = array.reshape(-1, 1, 1, array.shape[-1])
        elif leaf in ("mean", "var"):
            known = {"mean": "moving_mean", "var": "moving_variance"}[leaf]
            found[f"{scope}{owner}/{known}"] = array.ravel()
        elif leaf == "biases":
            found[f"{scope}{owner}/{layer}/bias"] = array
        elif leaf == "bias":
            found[f"{scope}{owner}/dense/bias"] = array
        elif leaf != "u":
            found[scope + name] = array
    return found


class Local:
    """How YLG differs from SAGAN: norms of weights, epsilons, heads."""

    arrays: Arrays
    look: str
    stored: Arrays
    scope: str

    def divided(self, name: str, weight: np.ndarray) -> np.ndarray:
        """`name`: where the vector stands; [inputs, outputs] after all but the last axis."""
        (vector,) = (
            a for n, a in self.stored.items() if n.startswith(self.scope + name) and "_norm_u" in n
        )
        matrix = weight.astype(np.float64).reshape(-1, weight.shape[-1])
        v = unit(matrix.T @ vector)
        sigma = np.linalg.norm(matrix @ v)
        return weight / (sigma if "_conv_" in name else max(sigma, 1.0))

    def weight(self, name: str, leaf: str = "w") -> np.ndarray:
        return self.divided(f"{name}/", self.arrays[f"{name}/{leaf}"])

    def attended(self, x: np.ndarray) -> list[np.ndarray]:
        theta, phi, g = (
            np.einsum("hwi,io->hwo", x, self.weight(f"{self.look}/sn_conv_{n}")[0, 0])
            for n in ("theta", "phi", "g")
        )
        side = len(x)
        phi, g = (y.reshape(side // 2, 2, side // 2, 2, -1).max((1, 3)) for y in (phi, g))
        looks, mixed = [], np.zeros((side**2, g.shape[-1]))
        for head, kind in enumerate(HEADS):
            query, key, value = (
                y.reshape(-1, 8, y.shape[-1] // 8)[:, head] for y in (theta, phi, g)
            )
            scores = query @ key.T
            scores[~mask(kind, (side, side), (side // 2, side // 2))] -= 1000
            scores = np.exp(scores - scores.max(1, keepdims=True))
            looks.append(scores / scores.sum(1, keepdims=True))
            mixed[:, head::8] = looks[-1] @ value
        out = self.weight(f"{self.look}/sn_conv_attn")[0, 0]
        added = (mixed @ out).reshape(x.shape)
        return [x + self.arrays[f"{self.look}/sigma_ratio"] * added, np.stack(looks)]


class LocalJudge(Local, Judge):
    def __init__(self, arrays: Arrays, stored: Arrays, scope: str) -> None:
        super().__init__(arrays)
        self.stored, self.scope = stored, scope

    def embedded(self, label: int) -> np.ndarray:
        return self.divided("d_embedding/", self.arrays["d_embedding/embedding_map"].T)[:, label]


class LocalNetwork(Local, test_sagan.Network):
    def __init__(self, arrays: Arrays, stored: Arrays, scope: str) -> None:
        super().__init__(arrays)
        self.stored, self.scope = stored, scope

    def norm(self, x: np.ndarray, name: str, label: int | None) -> np.ndarray:
        mean, var = (self.arrays[f"{name}/{leaf}"][0] for leaf in ("mean", "var"))
        gamma, beta = (self.arrays[f"{name}/{leaf}"] for leaf in ("gamma", "beta"))
        if label is not None:
            gamma, beta = gamma[label], beta[label]
        return np.maximum(gamma * (x - mean) / np.sqrt(var + 1e-3) + beta, 0)

    def looked(self, x: np.ndarray) -> np.ndarray:
        return self.attended(x)[0]


SCOPES = ("Generator/generator/", "Discriminator/discriminator/")


def both(monkeypatch: pytest.MonkeyPatch) -> tuple[Arrays, Arrays, Arrays]:
    """A generator, a discriminator by SAGAN's names, and YLG's checkpoint of them."""
    monkeypatch.setattr(test_sagan, "WIDTHS", [64, 64, 64, 64, 32, 16])
    made = network(look="g_ops")
    beside = judge(widths=(3, 16, 64, 64, 64, 64, 64), look="d_ops")
    # Some norms are below 1, and divide nothing but attention's weights.
    for name in ("g_block2/snconv1/w", "d_block3/sn_conv2/w", "d_ops/sn_conv_phi/w"):
        one = beside if name.startswith("d_") else made
        one[name] = one[name] / 1000
    stored = {**ylg(made, SCOPES[0]), **ylg(beside, SCOPES[1])}
    return made, beside, stored


def test_ylg_draws_and_judges_what_its_network_says(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, beside, stored = both(monkeypatch)
    slots = {f"{n}/Adam": a for n, a in stored.items() if "_norm_u" not in n}
    convert(write(cache, "model.ckpt-900000", bundle({**stored, **slots})), name="ylg")
    gen, params = load_generator("ylg")
    assert (gen.spec.resolution, gen.spec.z_dim, gen.spec.labels) == (128, SIZE, CLASSES)
    z = np.random.default_rng(1).standard_normal((1, SIZE)).astype(np.float32)
    ours = render(gen, params, {"z": z, "label": np.eye(CLASSES, dtype=np.float32)[1:2]})
    expected = LocalNetwork(made, stored, SCOPES[0]).image(z[0], 1)
    assert expected.std() > 0.1
    close(ours[0], expected)
    assert gen.discriminator is not None
    image, theirs = picture(), LocalJudge(beside, stored, SCOPES[1])
    scores = gen.discriminator.scores(params, jnp.asarray(image)[None], jnp.eye(CLASSES)[1:2])
    close(scores[0], theirs.score(image, 1))
    found = gen.discriminator.features(params, jnp.asarray(image))
    close(found["block1"]["x"], theirs.seen[0])
    close(found["attention1"]["x"], theirs.seen[1])
    close(found["attention1"]["attention"], theirs.seen[2])


def test_dense_attention_has_the_same_names(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, stored = both(monkeypatch)
    sparse, dense = (sources.convert(stored, local=local) for local in (True, False))
    assert (sparse.source, dense.source) == ("YLG, TensorFlow", "YLG, TensorFlow")
    facts = [dict(found.facts["facts"]) for found in (sparse, dense)]
    assert [fact.get("local", False) for fact in facts] == [True, False]
    assert [fact["discriminator"][4] for fact in facts] == [True, False]
    ours, theirs = (f.params["synthesis"]["attention2"]["query"]["kernel"] for f in (sparse, dense))
    np.testing.assert_array_equal(ours.reshape(64, -1, 8), theirs.reshape(64, 8, -1).swapaxes(1, 2))


def test_a_vector_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, stored = both(monkeypatch)
    left = {n: a for n, a in stored.items() if not (n.endswith("_norm_u") and "g_block2" in n)}
    with pytest.raises(UnsafeFileError, match="the source has no g_block2/snconv"):
        sources.convert(left)
