"""A small classifier of digits under attack, and with a generator before it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from jaxinv.applications.adversarial_defense import fgsm, pgd, purify
from jaxinv.types import Array
from tests.benchmarks.applications.rows import write_sheet
from tests.benchmarks.methods.sources import trained

COUNT, EPS = 40, 0.6  # pictures; 0.3 of [0, 1], as in the paper
STEPS, BATCH, RATE = 600, 64, 2e-3


def digits(out: Path | None = None) -> tuple[str, bool]:
    """Accuracy on scikit-learn's digits, enlarged to MNIST's frame, and what residuals tell."""
    pictures, labels = handwriting()
    known, asked = slice(0, 1400), slice(1400, 1400 + COUNT)
    classify = learned(pictures[known], labels[known])
    clean, true = pictures[asked], labels[asked]
    attacks = {"clean": clean, "FGSM": fgsm(classify, clean, true, EPS)}
    attacks["PGD"] = pgd(classify, clean, true, EPS)
    gen, params = trained("mnist28")
    words, scores, residuals, shown = [], {}, {}, []
    for name, seen in attacks.items():
        found = purify(gen, params, seen)
        plain, scores[name] = (accuracy(classify, few, true) for few in (seen, found.images))
        residuals[name] = found.residuals
        words.append(f"{name} {plain:.2f}, defended {scores[name]:.2f}")
        shown += [list(seen[:8]), list(found.images[:8])]
    if out is not None:
        write_sheet(out, shown, ("rows: seen, and drawn: clean, FGSM, PGD",), 112)
    told = np.concatenate([residuals["clean"], residuals["FGSM"]])
    area = roc_auc_score(np.repeat([0, 1], COUNT), told)
    words.append(f"residuals tell attacks with an area of {area:.2f}")
    return "; ".join(words), scores["FGSM"] > 0.5 + accuracy(classify, attacks["FGSM"], true)


def handwriting() -> tuple[np.ndarray, np.ndarray]:
    """Digits [n, 28, 28, 3] in [-1, 1], 20 px within a dark frame as MNIST's are, and classes."""
    found: Any = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    small = jnp.asarray(found.images[order] / 8 - 1, jnp.float32)
    large = jax.image.resize(small, (len(small), 20, 20), "cubic")
    framed = np.pad(np.asarray(large), ((0, 0), (4, 4), (4, 4)), constant_values=-1)
    return np.clip(np.repeat(framed[..., None], 3, axis=-1), -1, 1), found.target[order]


def logits(weights: dict[str, Array], pictures: Array) -> Array:
    """Two strided convolutions and a dense layer."""
    state = pictures[..., :1]
    for name in ("first", "second"):
        state = jax.lax.conv_general_dilated(
            state, weights[name], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        state = jax.nn.relu(state)
    return state.reshape(len(state), -1) @ weights["last"]


def learned(pictures: np.ndarray, labels: np.ndarray) -> Any:
    """A classifier that has seen the pictures, by Adam."""
    shapes = {"first": (3, 3, 1, 16), "second": (3, 3, 16, 32), "last": (7 * 7 * 32, 10)}
    keys = jax.random.split(jax.random.key(0), len(shapes))
    weights = {
        name: jax.random.normal(key, shape) / np.sqrt(np.prod(shape[:-1]))
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }
    optimizer = optax.adam(RATE)

    def loss(weights: dict[str, Array], seen: Array, true: Array) -> Array:
        given = logits(weights, seen), true
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(*given))

    @jax.jit
    def step(weights: Any, state: Any, seen: Array, true: Array) -> tuple[Any, Any]:
        change, state = optimizer.update(jax.grad(loss)(weights, seen, true), state)
        return optax.apply_updates(weights, change), state

    state, draws = optimizer.init(weights), np.random.default_rng(0)
    for _ in range(STEPS):
        few = draws.choice(len(pictures), BATCH)
        weights, state = step(weights, state, pictures[few], labels[few])
    return partial(logits, weights)


def accuracy(classify: Any, pictures: np.ndarray, labels: np.ndarray) -> float:
    """Share of pictures that are told rightly."""
    return float(np.mean(np.asarray(classify(jnp.asarray(pictures))).argmax(1) == labels))
