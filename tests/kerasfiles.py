"""HDF5 files as Keras writes them, made by h5py."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np


def keras_file(
    layers: list[dict[str, Any]], arrays: Mapping[str, np.ndarray], prefix: bool = True
) -> bytes:
    """A saved Sequential; `arrays` by "layer/weight", the group of a layer's own name optional."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["keras_version"] = "2.12.0"
        config = {"name": "generator", "layers": layers}
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config})
        top: h5py.Group = file.create_group("model_weights")
        top.attrs["layer_names"] = [layer["config"]["name"].encode() for layer in layers]
        for layer in layers:  # those without weights too
            top.create_group(layer["config"]["name"]).attrs["weight_names"] = []
        for name, array in arrays.items():
            own, _, weight = name.partition("/")
            top[f"{own}/{own}/{weight}:0" if prefix else name] = array
    return buffer.getvalue()
