"""Files of encoders as their authors' code writes them, and what `jaxinv convert` makes of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxinv.cli.main import main
from jaxinv.encoders.base import Encoder
from jaxinv.encoders.loading import load_encoder
from jaxinv.models.generators.base import Generator
from jaxinv.models.loading import load_generator
from jaxinv.types import Params
from tests.torchlike import finished, network, state_dict, tensor, value, zip_file


class Pair(NamedTuple):
    """An encoder and its generator, if its file has one."""

    encoder: Encoder
    params: Params
    gen: Generator | None = None
    weights: Params | None = None


def checkpoint(arrays: Mapping[str, np.ndarray], **beside: Any) -> bytes:
    """A file of {"state_dict": arrays}, and of what stands beside it: arrays and plain values.

    An array that has two names is stored once, as torch does.
    """
    stored: dict[str, np.ndarray] = {}

    def one(array: np.ndarray) -> bytes:
        key = next((key for key, held in stored.items() if held is array), str(len(stored)))
        stored[key] = array
        return tensor(array, key)

    body = b"}(" + value("state_dict") + b"}("
    body += b"".join(value(label) + one(array) for label, array in arrays.items()) + b"u"
    for key, item in beside.items():
        body += value(key) + (one(item) if isinstance(item, np.ndarray) else value(item))
    return zip_file(body + b"u", stored)


def bare(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A file of one state dict."""
    return zip_file(state_dict(arrays), arrays)


def networks(*variables: Mapping[str, np.ndarray]) -> bytes:
    """A pickle of a tuple of TensorFlow networks, by their variables."""
    parts = [network({"variables": list(own.items()), "components": {}}) for own in variables]
    return finished(b"(" + b"".join(parts) + b"t")


@contextmanager
def converted(
    content: bytes | Path, *options: str, suffix: str = ".pt", before: bytes | None = None
) -> Iterator[Pair]:
    """What the public command makes of a file's content, or of a file."""
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder, f"published{suffix}"), Path(folder, "encoder.safetensors")
        file.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
        if before is not None:
            other = Path(folder, f"before{suffix}")
            other.write_bytes(before)
            options = (*options, "--before", str(other))
        assert main(["convert", str(file), "--out", str(out), *options]) == 0
        encoder, params = load_encoder(str(out))
        decoder = sorted(path for path in Path(folder).glob("*-generator.safetensors"))
        own = load_generator(str(decoder[0])) if decoder else (None, None)
        yield Pair(encoder, params, *own)
