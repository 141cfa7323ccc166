"""A small net of labels with random weights, as a file beside a generator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxinv.io import checkpoints
from jaxinv.models.features.nets import build_net
from jaxinv.models.features.picture_labels import ARCHITECTURE, layer_shapes

GROUPS = {"shape": ["round", "square", "none"], "turn": ["-5", "0", "5", "10"]}


def attribute(unit: str, group: str, values: list[float], accuracy: float = 0.9) -> dict[str, Any]:
    return {
        "title": "of a test",
        "unit": unit,
        "group": group,
        "values": values,
        "accuracy": accuracy,
    }


LABELS: dict[str, Any] = {
    "groups": GROUPS,
    "attributes": {
        "round": attribute("share", "shape", [1, 0, 0]),
        "shaped": attribute("share", "shape", [1, 1, 0]),
        "turned": attribute("degrees", "turn", [-5, 0, 5, 10]),
    },
}


def save_labels(place: Path, generator: str, labels: Any = LABELS, scale: float = 8.0) -> Path:
    """Write the net of labels of a generator into a folder."""
    net = build_net(ARCHITECTURE, layer_shapes(16, (6, 8, 8), 4, 7))
    params = jax.device_get(net.init(jax.random.key(5)))
    params["labels"]["kernel"] = scale * params["labels"]["kernel"]
    params = jax.tree.map(np.asarray, params)
    facts = {"format": "jaxinv", "schema": "1", "kind": "features", "architecture": ARCHITECTURE}
    facts |= {"labels": json.dumps(labels), "content_sha256": checkpoints.content_sha256(params)}
    return checkpoints.save(place / f"{generator}-labels.safetensors", params, facts)
