"""What a file is, from its first bytes: names tell little, and people mix weights and codes up."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from jaxinv.io.files import BadFile, open_regular

HEAD_BYTES = 512
ZIP, HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
TORCH_LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa850190ee803")[:14]
_CONVERT = "run `jaxinv convert` on it, or, if it holds latent codes, `jaxinv render`"
_PICTURE = "a picture is inverted by `jaxinv invert`"


class FileKind(NamedTuple):
    """What a file is called in a sentence, and what can be done with it (may be empty)."""

    name: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.advice}" if self.advice else self.name


SAFETENSORS = FileKind("a safetensors file")
NPY = FileKind("a NumPy array (.npy)", "latent codes are drawn by `jaxinv render`")
NPZ = FileKind("a NumPy archive (.npz)", "latent codes are drawn by `jaxinv render`")
TORCH = FileKind("a torch checkpoint", _CONVERT)
PICKLE = FileKind("a pickle", _CONVERT)
UNKNOWN = FileKind("of an unknown kind")
_SIGNATURES = (
    (b"\x93NUMPY", NPY),
    (TORCH_LEGACY, TORCH),
    (HDF5, FileKind("an HDF5 file", "run `jaxinv convert` on it")),
    (b"\x89PNG", FileKind("a PNG picture", _PICTURE)),
    (b"\xff\xd8\xff", FileKind("a JPEG picture", _PICTURE)),
    (b"GIF8", FileKind("a GIF picture", _PICTURE)),
    (b"%PDF", FileKind("a PDF document")),
    (b"\x1f\x8b", FileKind("a gzip archive", "unpack it first")),
    (b"7z\xbc\xaf", FileKind("a 7z archive", "unpack it first")),
    (b"Rar!", FileKind("a RAR archive", "unpack it first")),
    (b"GGUF", FileKind("a GGUF file")),
    (b"version https://git-lfs", FileKind("a pointer of Git LFS", "fetch it by `git lfs pull`")),
    (b"<!doctype html", FileKind("a web page", "the download gave a page, not the file")),
    (b"<html", FileKind("a web page", "the download gave a page, not the file")),
)


def kind_of(head: bytes) -> FileKind:
    """The kind of a file from its first `HEAD_BYTES`; `UNKNOWN` if they are no signature."""
    if head.startswith(ZIP):
        return _kind_of_zip(head)
    start = head.lstrip()[:32].lower()
    for signature, kind in _SIGNATURES:
        if head.startswith(signature) or (signature.islower() and start.startswith(signature)):
            return kind
    if head[8:9] == b"{":
        return SAFETENSORS
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return PICKLE
    if not head:
        return FileKind("empty")
    return FileKind("a text") if _is_text(head) else UNKNOWN


def read_kind(path: str | Path) -> FileKind:
    """The same of a file; `OSError` if there is none, `ValueError` for what is no regular file."""
    try:
        with open_regular(path) as handle:
            return kind_of(handle.read(HEAD_BYTES))
    except BadFile as error:
        raise BadFile(f"{path}: {error}") from error


def _kind_of_zip(head: bytes) -> FileKind:
    """By the name of the first member: torch's are "NAME/data.pkl" and others in that folder."""
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if name.endswith(b".npy"):
        return NPZ
    folder, _, file = name.partition(b"/")
    return TORCH if folder and file else FileKind("a zip archive", "unpack it first")


def _is_text(head: bytes) -> bool:
    printable = sum(byte in (9, 10, 13) or 32 <= byte != 127 for byte in head)
    return printable == len(head) and b"\0" not in head
