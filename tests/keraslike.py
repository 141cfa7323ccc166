"""Layers of Keras: their configurations, and what they compute by definition, in plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np

Layers = list[dict[str, Any]]


def layer(kind: str, **facts: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": facts}


def entry(size: int, key: str = "batch_input_shape") -> dict[str, Any]:
    return layer("InputLayer", **{key: [None, size]})


def up(filters: int, size: int, stride: int, padding: str = "same", **facts: Any) -> dict[str, Any]:
    sizes = {"kernel_size": [size, size], "strides": [stride, stride]}
    return layer("Conv2DTranspose", filters=filters, padding=padding, **sizes, **facts)


def flat(filters: int, size: int, padding: str = "same", **facts: Any) -> dict[str, Any]:
    sizes = {"kernel_size": [size, size], "strides": [1, 1]}
    return layer("Conv2D", filters=filters, padding=padding, **sizes, **facts)


def dense(units: int, **facts: Any) -> dict[str, Any]:
    return layer("Dense", units=units, **facts)


def norm(**facts: Any) -> dict[str, Any]:
    return layer("BatchNormalization", **{"axis": [-1], "epsilon": 0.001} | facts)


def reshape(*shape: int) -> dict[str, Any]:
    return layer("Reshape", target_shape=list(shape))


def leaky(slope: float) -> dict[str, Any]:
    return layer("LeakyReLU", alpha=slope)


def named(layers: Layers) -> Layers:
    return [
        {**one, "config": {**one["config"], "name": f"{one['class_name'].lower()}_{i}"}}
        for i, one in enumerate(layers)
    ]


# --- Keras's definitions, one pixel at a time -----------------------------------------------------


def correlated(x: np.ndarray, kernel: np.ndarray, stride: int, padding: str) -> np.ndarray:
    """Conv2D of [h, h, in]; "same" gives ceil(h / stride) and pads less before than behind."""
    side, size = len(x), len(kernel)
    count = -(-side // stride) if padding == "same" else (side - size) // stride + 1
    total = max((count - 1) * stride + size - side, 0)
    before = total // 2
    wide = np.zeros((side + total, side + total, x.shape[-1]))
    wide[before : before + side, before : before + side] = x
    out = np.zeros((count, count, kernel.shape[-1]))
    for i, j in np.ndindex(count, count):
        patch = wide[i * stride : i * stride + size, j * stride : j * stride + size]
        out[i, j] = np.einsum("hwi,hwio->o", patch, kernel)
    return out


def transposed(x: np.ndarray, kernel: np.ndarray, stride: int, padding: str) -> np.ndarray:
    """Conv2DTranspose by its definition: the gradient of the Conv2D that makes x's shape."""
    side = len(x) * stride if padding == "same" else (len(x) - 1) * stride + len(kernel)
    shape = (side, side, kernel.shape[2])
    out = np.zeros(shape)
    for place in np.ndindex(*shape):
        one = np.zeros(shape)
        one[place] = 1
        out[place] = np.sum(x * correlated(one, kernel, stride, padding))
    return out


def scattered(x: np.ndarray, kernel: np.ndarray, stride: int, padding: str) -> np.ndarray:
    """The same, every pixel of x adding its kernel: fast enough for whole pictures."""
    size, reach = len(kernel), (len(x) - 1) * stride + 1
    whole = np.zeros((reach + size - 1, reach + size - 1, kernel.shape[2]))
    for i, j in np.ndindex(size, size):
        whole[i : i + reach : stride, j : j + reach : stride] += x @ kernel[i, j].T
    if padding == "valid":
        return whole
    before, side = (size - stride) // 2, len(x) * stride
    return whole[before : before + side, before : before + side]


def activated(x: np.ndarray, facts: dict[str, Any], kind: str) -> np.ndarray:
    given = facts.get("activation") or "linear"
    if isinstance(given, dict):
        return activated(x, given["config"], given["class_name"])
    if kind == "LeakyReLU":
        return np.where(x < 0, facts.get("alpha", facts.get("negative_slope", 0.3)) * x, x)
    found = {
        "linear": x,
        "relu": np.maximum(x, 0),
        "leaky_relu": np.where(x < 0, 0.2 * x, x),
        "tanh": np.tanh(x),
        "sigmoid": 1 / (1 + np.exp(-x)),
    }
    return found["relu" if kind == "ReLU" else given]


def weights(layers: Layers) -> dict[str, np.ndarray]:
    """Random arrays "layer/weight" of all layers, by running their shapes along."""
    draws = np.random.default_rng(0)
    found: dict[str, np.ndarray] = {}
    shape: list[int] = []
    for one in layers:
        kind, facts = one["class_name"], one["config"]
        kernel: tuple[int, ...] = ()
        made: dict[str, np.ndarray] = {}
        if kind == "InputLayer":
            shape = (facts.get("batch_input_shape") or facts["batch_shape"])[1:]
        elif kind == "Reshape":
            shape = facts["target_shape"]
        elif kind == "BatchNormalization":
            names = ["moving_mean", "moving_variance"]
            names += ["gamma"] * facts.get("scale", True) + ["beta"] * facts.get("center", True)
            made = {name: draws.standard_normal(shape[-1:]) for name in names}
            made["moving_variance"] = 0.3 + made["moving_variance"] ** 2
        elif kind == "Dense":
            kernel = (shape[0], facts["units"])
        elif kind == "Conv2D":
            kernel = (*facts["kernel_size"], shape[-1], facts["filters"])
        elif kind == "Conv2DTranspose":
            kernel = (*facts["kernel_size"], facts["filters"], shape[-1])
        if kernel:
            shape = [facts.get("units") or facts["filters"]]
            made["kernel"] = draws.standard_normal(kernel) / np.sqrt(np.prod(kernel) / shape[0])
            if facts.get("use_bias", True):
                made["bias"] = draws.standard_normal(shape)
        found |= {f"{facts['name']}/{n}": a.astype(np.float32) for n, a in made.items()}
    return found


def drawn(layers: Layers, arrays: dict[str, np.ndarray], z: np.ndarray) -> np.ndarray:
    """The picture, in Keras's own range."""
    x = z.astype(np.float64)
    for one in layers:
        kind, facts = one["class_name"], one["config"]
        own = {n.split("/")[1]: a for n, a in arrays.items() if n.startswith(facts["name"] + "/")}
        if kind == "Reshape":
            x = x.reshape(facts["target_shape"])
        elif kind == "UpSampling2D":
            x = np.kron(x, np.ones((*facts["size"], 1)))
        elif kind == "BatchNormalization":
            x = (x - own["moving_mean"]) / np.sqrt(own["moving_variance"] + facts["epsilon"])
            x = x * own.get("gamma", 1) + own.get("beta", 0)
        elif kind == "Dense":
            x = x @ own["kernel"]
        elif kind in ("Conv2D", "Conv2DTranspose"):
            run = correlated if kind == "Conv2D" else scattered
            x = run(x, own["kernel"], facts["strides"][0], facts["padding"])
        if kind in ("Dense", "Conv2D", "Conv2DTranspose"):
            x = x + own.get("bias", 0)
        x = activated(x, facts, kind)
    return x
