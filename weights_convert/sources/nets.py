"""Feature nets: whose files they are, and where in them the arrays lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from weights_convert.errors import UnsafeFileError, one_error
from weights_convert.networks import features
from weights_convert.sources.base import Arrays, plain_names
from weights_convert.sources.places import CONTAINERS

NETS: Mapping[str, str] = {
    "inception-fid": "Inception-v3 of FID, pytorch-fid and torch-fidelity",
    "arcface-ir": "ArcFace IR-50 and IR-SE50, InsightFace_Pytorch",
    "bisenet-faces": "BiSeNet face parsing, zllrunning",
    "clip": "CLIP, OpenAI: TorchScript archive or state dict",
    "facenet": "FaceNet Inception-ResNet-v1, facenet-pytorch",
    "moco-resnet50": "MoCo ResNet-50, facebookresearch",
}


class Found(NamedTuple):
    """The arrays of a net by name, and its architecture."""

    architecture: str
    arrays: Arrays


def find(tree: Any) -> Found | None:
    """The net that a file's tree holds; None if it is of no known kind."""
    for arrays in _state_dicts(tree):
        architecture = features.recognise(arrays)
        if architecture is not None:
            return Found(architecture, arrays)
    return None


def convert(found: Found) -> dict[str, Any]:
    """Its nested parameters; `UnsafeFileError` where it is incomplete."""
    source = NETS[found.architecture]
    try:
        with one_error(source):
            return features.convert(found.arrays, found.architecture)
    except UnsafeFileError as error:
        told = str(error).removeprefix(f"{source}: ")
        raise UnsafeFileError(f"found {source}: {told}") from error


def _state_dicts(tree: Any) -> Iterator[Arrays]:
    if not isinstance(tree, dict):
        return
    held = tree, *(tree[name] for name in CONTAINERS if isinstance(tree.get(name), dict))
    for one in held:
        yield plain_names(_attributes(one, "") if "class" in one else one)


def _attributes(module: Mapping[Any, Any], prefix: str) -> Arrays:
    """The arrays of a scripted module and of those inside, by the names of their attributes."""
    found: Arrays = {}
    for name, value in module.items():
        if isinstance(value, np.ndarray):
            found[f"{prefix}{name}"] = value
        elif isinstance(value, dict):
            found |= _attributes(value, f"{prefix}{name}.")
    return found
