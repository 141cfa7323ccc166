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
from tests.torchlike import name, state_dict, value, zip_file


class Pair(NamedTuple):
    """An encoder and its generator, if its file has one."""

    encoder: Encoder
    params: Params
    gen: Generator | None = None
    weights: Params | None = None


def checkpoint(arrays: Mapping[str, np.ndarray], **beside: Any) -> bytes:
    """A file of {"state_dict": arrays}, and of what stands beside it: arrays and plain values."""
    held = dict(arrays)
    body = b"}(" + value("state_dict") + state_dict(held)
    for key, item in beside.items():
        if isinstance(item, np.ndarray):
            body += value(key) + _last_tensor(item, len(held))
            held[f"{key} beside"] = item
        else:
            body += value(key) + value(item)
    return zip_file(body + b"u", held)


def _last_tensor(array: np.ndarray, number: int) -> bytes:
    from tests.torchlike import tensor

    return tensor(array, str(number))


def bare(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A file of one state dict."""
    return zip_file(state_dict(arrays), arrays)


def networks(*variables: Mapping[str, np.ndarray]) -> bytes:
    """A pickle of a tuple of TensorFlow networks, by their variables."""
    from tests.torchlike import finished, network

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


__all__ = ["Pair", "bare", "checkpoint", "converted", "name", "networks"]
