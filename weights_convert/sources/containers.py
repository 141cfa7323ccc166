"""Any checkpoint file -> a plain tree of dicts, lists, numbers, strings and arrays.

The kind of a file is read from its first bytes (of TensorFlow's indices, from the last), never from
its name. Nothing in it is executed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from jaxinv.io import checkpoints
from jaxinv.io.file_kinds import HDF5, HEAD_BYTES, NPZ, TORCH_LEGACY, UNKNOWN, ZIP, kind_of
from jaxinv.io.files import BadFile, open_regular
from weights_convert.errors import UnsafeFileError
from weights_convert.readers import keras_files, nvlabs, tf_bundles, torch_files
from weights_convert.readers.pickles import USUAL, Limits
from weights_convert.sources import folders

ASK = "`jaxinv convert --formats` lists what is read"
CONTAINERS = (
    "torch, zip or legacy (.pt, .pth, .bin): a state dict, one inside others, or a whole module",
    "pickles of NVlabs' code (.pkl)",
    "safetensors",
    "HDF5 of Keras (.h5)",
    "TensorFlow bundles (.index, with the .data file beside it)",
    "folders: orbax, OpenVINO",
)
SLACK = 2**20  # bytes that a tree may take beyond twice the file


class Contents(NamedTuple):
    """What a file holds: the kind of container, and its plain tree."""

    container: str
    tree: Any


def read_checkpoint(path: str | Path, *, limits: Limits = USUAL) -> Contents:
    """The contents of a checkpoint: a file, TensorFlow's NAME.index, or a folder.

    Raises `UnsafeFileError` for a file of unknown kind, and for one that is malformed, hostile or
    larger than `limits`; `OSError` if there is none. The tree takes at most twice the file's size.
    Nothing but the file is opened; of a bundle the NAME.data-*-of-* beside it, too.
    """
    path = Path(path)
    if path.is_dir():
        return Contents(*folders.read(path, limits))
    try:
        opened = open_regular(path)
    except BadFile as error:
        raise UnsafeFileError(f"{path.name}: {error}") from error
    with opened as handle:
        size, head = os.fstat(handle.fileno()).st_size, handle.read(16)
    if size > limits.file_bytes:
        raise UnsafeFileError(f"file of {size} bytes; allowed: at most {limits.file_bytes}")
    if _is_safetensors(head, size):
        return Contents("safetensors", _safetensors(path))
    return parse(path.read_bytes(), limits=limits, beside=partial(_beside, path, limits))


def _alone(end: str) -> bytes:
    raise UnsafeFileError(f"the index of a TensorFlow bundle without its file {end}")


def parse(
    data: bytes, *, limits: Limits = USUAL, beside: Callable[[str], bytes] = _alone
) -> Contents:
    """The same of the bytes of a torch, pickle or Keras file, or of the index of a bundle.

    `beside` gives the bytes of a bundle's data file from the end of its name.
    """
    head = data[:16]
    limits = replace(limits, decoded_bytes=min(limits.decoded_bytes, 2 * len(data) + SLACK))
    if head.startswith(ZIP) and (kind := kind_of(data[:HEAD_BYTES])) == NPZ:
        raise UnsafeFileError(f"this is {kind}")
    if head.startswith(ZIP):
        return Contents("torch zip", torch_files.read_zip(data, limits=limits))
    if head.startswith(TORCH_LEGACY):
        return Contents("torch legacy", torch_files.read_legacy(data, limits=limits))
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return Contents("pickle", nvlabs.read(data, limits=limits))
    if head.startswith(HDF5):
        return Contents("HDF5", keras_files.read(data, limits=limits))
    if data.endswith(tf_bundles.MAGIC):
        return Contents("TensorFlow bundle", tf_bundles.read(data, beside, limits=limits))
    kind = kind_of(data[:HEAD_BYTES])
    start = f", starting with {head[:8].hex(' ')}" if kind == UNKNOWN else ""
    raise UnsafeFileError(f"this is {kind}{start}; {ASK}")


def _beside(path: Path, limits: Limits, end: str) -> bytes:
    """The file beside NAME.index that is called NAME and `end`."""
    if path.suffix != ".index":
        raise UnsafeFileError(f"{path.name}: the index of a bundle; allowed: a name NAME.index")
    other = path.with_name(path.stem + end)
    if not other.is_file():
        raise UnsafeFileError(f"{path.name} needs the file {other.name} beside it")
    if (size := other.stat().st_size) > limits.file_bytes:
        raise UnsafeFileError(f"{other.name} of {size} bytes; allowed: {limits.file_bytes}")
    return other.read_bytes()


def _is_safetensors(head: bytes, size: int) -> bool:
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8


def _safetensors(path: Path) -> Any:
    try:
        params, _ = checkpoints.load(path)
    except checkpoints.CheckpointError as error:
        raise UnsafeFileError(str(error)) from error
    return params
