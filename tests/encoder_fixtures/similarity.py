"""The nets that losses of encoders compare pictures by: ArcFace and MoCo, and those losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.models.features.named_layers import Net
from jaxinv.types import Array, Params
from tests.encoder_fixtures.rules import check_gradient, check_output, formula, inputs, tensors
from tests.net_fixtures.nets import converted
from tests.net_fixtures.rules import read_arrays, read_meta

SIMILARITY = {"feats_target": "y_target", "feats_hat": "y_hat", "feats_input": "x_input"}


@pytest.mark.slow
def arcface(folder: Path) -> None:
    found = inputs(folder)
    found["y_hat"] = formula(folder, "y_hat")
    limit = _allowed(folder, "embedding")
    with converted(tensors(folder)) as (net, params):
        taps = _taps(net, params, _last(found["x112"]))
        _check_taps(folder, taps, limit)
        check_output(folder, "embedding", taps["embedding"], limit)
        check_output(folder, "pre_norm", taps["vector"], limit)
        vectors = dict(_check_vectors(folder, net, params, found, limit))
        dots = _check_logs(folder, "id_logs", vectors)
        _check_dots(folder, "id_loss", 1 - dots[:, 0].mean())
        _check_dots(folder, "sim_improvement", (dots[:, 0] - dots[:, 2]).mean())
        target = jnp.asarray(vectors["feats_target"])

        def loss(image: Array, target: Array) -> Array:
            return (1 - net.embed(params, image) @ target) / len(found["y_hat"])

        gradients = [
            jax.jit(jax.grad(loss))(image, one)
            for image, one in zip(_last(found["y_hat"]), target, strict=True)
        ]
        check_gradient(folder, "id_loss_grad_y_hat", _first(gradients))


@pytest.mark.slow
def moco(folder: Path) -> None:
    found = inputs(folder)
    found["y_hat"] = formula(folder, "y_hat")
    limit = _allowed(folder, "feats_target")
    with converted(tensors(folder)) as (net, params):
        prepared = np.stack([net.prepare(x) for x in jnp.asarray(_last(found["y_target"]))])
        _check_taps(folder, _taps(net, params, prepared), limit)
        vectors = dict(_check_vectors(folder, net, params, found, limit))
        dots = _check_logs(folder, "logs", vectors)
        _check_dots(folder, "loss", 1 - dots[:, 0].mean())


def _allowed(folder: Path, output: str) -> float:
    """1e-5, or five times the distance of the original's own float32 from its float64.

    Normalisations are folded into kernels here, which is another order of the same sums.
    """
    return max(1e-5, 5 * read_meta(folder).get("f64", {}).get(output, 0.0))


def _taps(net: Net, params: Params, prepared: np.ndarray) -> dict[str, np.ndarray]:
    run = jax.jit(net.run)
    each = [run(params, jnp.asarray(x)) for x in prepared]
    return {name: np.stack([one[name] for one in each]) for name in each[0]}


def _check_taps(folder: Path, taps: Mapping[str, np.ndarray], limit: float) -> None:
    """Hold the maps that the fixture has against ours; "bodyK" is the output of unit K + 1."""
    for name in read_meta(folder)["io"]:
        own = f"unit{int(name[4:]) + 1}" if name.startswith("body") else name
        if own in taps and taps[own].ndim == 4:
            check_output(folder, name, _first(taps[own]), limit)


def _check_vectors(
    folder: Path, net: Net, params: Params, found: Mapping[str, np.ndarray], limit: float
) -> Iterator[tuple[str, np.ndarray]]:
    embed = jax.jit(net.embed)
    for output, name in SIMILARITY.items():
        vectors = np.stack([embed(params, x) for x in jnp.asarray(_last(found[name]))])
        if output in read_meta(folder)["io"]:
            check_output(folder, output, vectors, limit)
        yield output, vectors


def _check_logs(folder: Path, name: str, vectors: Mapping[str, np.ndarray]) -> np.ndarray:
    """The cosines [n, 3] of result and target, result and input, target and input."""
    hat, target, image = (vectors[f"feats_{key}"] for key in ("hat", "target", "input"))
    pairs = ((hat, target), (hat, image), (target, image))
    dots = np.stack([np.sum(a * b, axis=1) for a, b in pairs], axis=1)
    check_output(folder, name, dots)
    return dots


def _check_dots(folder: Path, name: str, found: float) -> None:
    """Hold a difference of cosines against the fixture's, in units of a cosine, which is near 1."""
    assert abs(found - read_arrays(folder / "io.npz")[name].item()) < 2e-6, name


def _last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1)


def _first(x: Any) -> np.ndarray:
    return np.moveaxis(np.asarray(x), -1, 1)


CHECKS: dict[str, Callable[[Path], None]] = {"arcface-irse50": arcface, "moco-resnet50": moco}
