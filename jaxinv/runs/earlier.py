"""What an earlier run has left in the folder, and whether the same run goes on there."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from jaxinv.io import latent_shards
from jaxinv.io.archives import find_member
from jaxinv.io.differences import differences, told
from jaxinv.io.files import BadFile, atomic_write, read_bytes
from jaxinv.io.output_folder import EARLIER, RUN
from jaxinv.io.text import json_text, shortened
from jaxinv.runs.results import ImageResult, result_of
from jaxinv.runs.tables import Tables, tables_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from jaxinv.runs.manifest import Manifest

MANIFEST = "run.json"
# What may change from one start of a run to the next: more files, other places, other batches.
FREE = ("paths", "out", "limit", "batch", "shard_size")
WEIGHTS = ("generator", "generator_sha256", "encoder_sha256")
AGREEING = ("schema", *WEIGHTS, "preset", "versions", "backend")
TEXTS = ("file", "name", "status")
BETTER = ("diverged", "ok")  # than skipped: of two lines of a file the better one stands
LARGEST_LINE = 2**20  # bytes
CONTENT = re.compile("[0-9a-f]{32}")  # see `Input.dedup_key`


@dataclass(frozen=True)
class Earlier:
    """Lines of results that stay, by the absolute path of the file.

    `places` are the folders of the tables that they stand in.
    """

    lines: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    places: dict[str, Path] = field(default_factory=dict[str, Path])

    @property
    def names(self) -> dict[str, str]:
        """The names of their results, by absolute path."""
        return {path: line["name"] for path, line in self.lines.items()}

    @property
    def files(self) -> set[str]:
        """The files as the lines call them."""
        return {line["file"] for line in self.lines.values()}

    @property
    def failed(self) -> int:
        """How many are not "ok"."""
        return sum(line["status"] != "ok" for line in self.lines.values())

    def own(self, tables: Tables) -> list[dict[str, Any]]:
        """The lines that stay in these tables: of a worker its own, else all."""
        pairs = self.lines.items()
        return [x for path, x in pairs if not tables.shared or self.places[path] == tables.place]

    def contents(self, tables: Tables, shown: Collection[str]) -> dict[bytes, str]:
        """The file whose result stands for each content, of those whose items are `shown`."""
        lines = [line for line in self.own(tables) if line["file"] in shown]
        found = [(line.get("content"), line["file"]) for line in lines]
        return {
            bytes.fromhex(content): file
            for content, file in reversed(found)  # the first one counts
            if isinstance(content, str) and CONTENT.fullmatch(content)
        }


def read_earlier(manifest: Manifest, *, retry_failed: bool = False) -> Earlier:
    """What is finished of the same run; nothing where the folder holds no run.

    A file that has changed since, one whose results are gone, and, with `retry_failed`, one that
    failed are not finished. Raises `ValueError`, with the differences, for another run's folder.
    """
    out = manifest.out
    if not all((out / mark).is_file() for mark in RUN.marks):
        return Earlier()
    ours = json.loads(json_text(manifest.to_json()))
    found_other = differing(_stored(out / MANIFEST), ours)
    if found_other:
        raise ValueError(
            f"{out} holds another run: {told(found_other)}; allowed: "
            f"the same, another folder, or --fresh (old results are moved to {EARLIER}/)"
        )
    return standing(out, retry_failed=retry_failed)


def standing(out: Path, *, retry_failed: bool = False) -> Earlier:
    """The lines of all tables in a folder whose results stand, one for each file."""
    found = Earlier()
    for tables in tables_of(out):
        for line in whole_lines(tables.results):
            if not _finished(out, line) or (retry_failed and line["status"] != "ok"):
                continue
            path = path_of(line)
            held = found.lines.get(path)
            if held is None or _rank(held) <= _rank(line):
                found.lines[path], found.places[path] = line, tables.place
    return found


def _rank(line: dict[str, Any]) -> int:
    return BETTER.index(line["status"]) + 1 if line["status"] in BETTER else 0


def differing(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """What differs between two manifests as they are stored: what was asked for, or what was used.

    Nets that only one of them used are no difference: they go with what was asked for.
    """
    asked = [
        {k: v for k, v in one.get("request", {}).items() if k not in FREE} for one in (theirs, ours)
    ]
    found = list(differences(asked[0], asked[1]))
    nets = [one.get("nets_sha256") or {} for one in (theirs, ours)]
    shared = nets[0].keys() & nets[1].keys()
    used = [
        {name: one.get(name) for name in AGREEING} | {"nets": {k: held[k] for k in sorted(shared)}}
        for one, held in zip((theirs, ours), nets, strict=True)
    ]
    return found or list(differences(used[0], used[1]))


def _stored(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_bytes(file))
    except (BadFile, ValueError) as error:
        raise ValueError(f"{file} cannot be read ({shortened(error)}); allowed: --fresh") from error
    if not isinstance(found, dict) or not isinstance(found.get("request"), dict):
        raise ValueError(f"{file} is no manifest of a run; allowed: another folder, or --fresh")
    return found


def whole_lines(file: Path) -> Iterator[dict[str, Any]]:
    """The lines that are whole; torn ones are left out, and so is a file that is not there."""
    with contextlib.suppress(FileNotFoundError), file.open("rb") as lines:
        for text in lines:
            line: Any = None
            with contextlib.suppress(ValueError):
                line = json.loads(text) if len(text) < LARGEST_LINE else None
            if isinstance(line, dict) and all(isinstance(line.get(k), str) for k in TEXTS):
                yield from [line] if Path(line["name"]).name == line["name"] else []


def _finished(out: Path, line: dict[str, Any]) -> bool:
    """Whether the file is as it was, or gone, and its results are there, as large as they were."""
    now = stamp(path_of(line))
    if now is not None and line.get("stamp") != now:
        return False
    if line["status"] not in ("ok", "diverged"):
        return True
    return line.get("sizes") == sizes(out, line["name"])


def path_of(line: dict[str, Any]) -> str:
    """The absolute path of the file of a line."""
    path = line.get("path")
    return path if isinstance(path, str) else str(Path(line["file"]).absolute())


def sizes(out: Path, name: str) -> list[int] | None:
    """Bytes of the picture and of the latents of a result; None unless both are there.

    They may be packed with others, from where they are as large as they were.
    """
    picture, latents = out / "images" / f"{name}.png", out / "latents" / f"{name}.safetensors"
    try:
        own = [file.stat().st_size if file.is_file() else -1 for file in (picture, latents)]
        if own[0] < 0 and (found := find_member(picture)) is not None:
            own[0] = found[0].member(found[1]).size
        if own[1] < 0 and (packed := latent_shards.find(latents)) is not None:
            own[1] = packed.size
    except (ValueError, OSError):  # a shard that cannot be read
        return None
    return None if min(own) < 0 else own


def stamp(file: str | Path) -> list[int] | None:
    """Size and time of change of a file, by which it is seen to have changed; None without one.

    Of a member of an archive its size, and its checksum or the archive's time of change.
    """
    try:
        if (packed := find_member(file)) is not None:
            member = packed[0].member(packed[1])
            return [member.size, member.stamp]
        found = Path(file).stat()
    except (OSError, ValueError):
        return None
    return [found.st_size, found.st_mtime_ns]


def traces(out: Path, file: str, name: str) -> dict[str, Any]:
    """What a line keeps so that it can be told whether it still stands."""
    path = str(Path(file).absolute())
    return {"path": path, "stamp": stamp(path), "sizes": sizes(out, name)}


def finished_results(tables: Tables, files: set[str]) -> dict[str, ImageResult]:
    """The results of these files, read from their lines."""
    lines = (line for line in whole_lines(tables.results) if line["file"] in files)
    return {line["file"]: result_of(line) for line in lines} if files else {}


def rewrite(tables: Tables, earlier: Earlier) -> None:
    """Put down only the lines that stay: of a worker its own, else all."""

    def kept(handle: BinaryIO) -> None:
        for line in earlier.own(tables):
            handle.write(json_text(line).encode() + b"\n")

    atomic_write(tables.results, kept)


def set_aside(out: Path) -> None:
    """Move the results of an earlier run to a folder of their own below EARLIER."""
    held = [
        path
        for name in sorted((RUN.names | RUN.marks) - {EARLIER})
        if (path := out / name).exists()
    ]
    if not held:
        return
    number = 1 + max(
        (int(p.name) for p in (out / EARLIER).glob("[0-9]*") if p.name.isdigit()), default=0
    )
    place = out / EARLIER / f"{number:03d}"
    place.mkdir(parents=True)
    for path in held:
        path.rename(place / path.name)
