"""Lines of results, report and table of a run made again from what lies in its folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jaxinv.io import latent_shards
from jaxinv.io.files import BadFile, atomic_write, is_there, read_bytes
from jaxinv.io.images import ImageError, read_upright
from jaxinv.io.latent_files import load_latents
from jaxinv.io.output_folder import RUN, output_folder
from jaxinv.io.text import json_text
from jaxinv.reports.html import FOLDER, write_report
from jaxinv.reports.items import ItemFile, ReportItem
from jaxinv.runs.earlier import MANIFEST, path_of, sizes, traces, whole_lines
from jaxinv.runs.manifest import REPEATED
from jaxinv.runs.results import (
    COLUMNS,
    DIFFERENCE_GAIN,
    ImageResult,
    report_item,
    result_of,
    thumbnail,
)
from jaxinv.runs.tables import ITEMS, RESULTS, living, tables_of

TABLE = "index.parquet"
FINISHED = ("ok", "diverged")  # states that have latents
OWN = ("path", "stamp", "sizes")  # of a line, of use to the run alone


@dataclass(frozen=True)
class Found:
    """What lies in a run: its lines, how many of them are new, and how many others are dropped."""

    lines: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    made: int = 0
    gone: int = 0


def index_run(place: str) -> Found:
    """Make `results.jsonl`, the report and, where pyarrow is installed, `index.parquet` again.

    A line stays if what it tells of is there; latents without a line get one, without scores.
    Raises `ValueError` for a folder of no run.
    """
    out = Path(place)
    if not (out / MANIFEST).is_file():
        raise ValueError(f"{place} is no run; allowed: folders that `jaxinv invert` has written")
    manifest = _manifest(out / MANIFEST)
    if living(out):
        raise ValueError(f"{place} has workers that are at it; allowed: when they have ended")
    (out / RESULTS).touch()
    with output_folder(out, RUN):
        found = _found(out)
        text = "".join(json_text(line) + "\n" for line in found.lines)
        atomic_write(out / RESULTS, lambda handle: handle.write(text.encode()))
        (out / FOLDER).mkdir(exist_ok=True)
        items = ItemFile(out / FOLDER / ITEMS)
        items.keep({line["file"] for line in found.lines})
        for line in found.lines:
            if line["file"] not in items.names:
                items.add([_item(out, line)])
        facts = _headline(manifest)
        write_report(out / "report.html", facts, items, COLUMNS, difference_gain=DIFFERENCE_GAIN)
        if find_spec("pyarrow") is not None:
            write_table(out / TABLE, out, found.lines)
    return found


def _manifest(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_bytes(file))
    except (BadFile, ValueError) as error:
        raise ValueError(f"{file} cannot be read ({error!s:.120})") from error
    if not isinstance(found, dict) or not isinstance(found.get("request"), dict):
        raise ValueError(f"{file} is no manifest of a run")
    return found


def _found(out: Path) -> Found:
    by_path: dict[str, dict[str, Any]] = {}
    for tables in tables_of(out):
        for line in whole_lines(tables.results):
            by_path[path_of(line)] = line
    kept = [one for one in by_path.values() if _stands(out, one)]
    named = {line["name"] for line in kept}
    made = [line for name in _names(out) if name not in named for line in _line(out, name)]
    paths = {path_of(line) for line in kept}
    made = [line for line in made if line["path"] not in paths]
    return Found([*kept, *made], len(made), len(by_path) - len(kept))


def _stands(out: Path, line: dict[str, Any]) -> bool:
    return line["status"] not in FINISHED or sizes(out, line["name"]) is not None


def _names(out: Path) -> list[str]:
    loose = {file.stem for file in (out / "latents").glob("*.safetensors")}
    return sorted(loose | latent_shards.packed_rows(out).rows.keys())


def _line(out: Path, name: str) -> Iterator[dict[str, Any]]:
    """The line of latents that have none: what they say of themselves, if they can be read."""
    try:
        _, facts = load_latents(out / "latents" / f"{name}.safetensors")
    except (ValueError, OSError):
        return
    size = facts.get("size", "")
    result = ImageResult(
        file=facts.get("source", ""),
        name=name,
        status=facts.get("status", "ok"),
        sha256=facts.get("source_sha256", ""),
        size=int(size) if size.isdecimal() and len(size) < 9 else None,
    )
    if result.file and result.status in FINISHED:
        said = {key: facts.get(key) for key in REPEATED}
        yield result.record() | said | traces(out, result.file, name)


def _item(out: Path, line: dict[str, Any]) -> ReportItem:
    """The line in the report, with the picture alone."""
    item = report_item(result_of(line))
    picture = out / "images" / f"{line['name']}.png"
    if line["status"] not in FINISHED or not is_there(picture):
        return item
    try:
        shown = thumbnail(read_upright(picture)[0])
    except ImageError:
        return item
    return ReportItem(item.name, item.status, item.reason, item.warnings, item.metrics, b"", shown)


def _headline(manifest: dict[str, Any]) -> dict[str, object]:
    asked = manifest["request"]
    versions = manifest.get("versions")
    return {
        "generator": asked.get("generator"),
        "preset": asked.get("preset"),
        "started": manifest.get("started"),
        "versions": versions if isinstance(versions, dict) else "",
        "device": manifest.get("device"),
    }


def write_table(file: Path, out: Path, lines: list[dict[str, Any]]) -> None:
    """Write the lines as a parquet table, with the file in which the latents of each lie."""
    from pyarrow import Table, parquet  # pyright: ignore[reportMissingImports]

    packed = latent_shards.packed_rows(out).rows
    rows = []
    for line in lines:
        one = packed.get(line["name"])
        own = out / "latents" / f"{line['name']}.safetensors"
        place = own if own.is_file() or one is None else one.file
        told = {k: v for k, v in line.items() if k not in OWN and not isinstance(v, list | dict)}
        told["warnings"] = "; ".join(map(str, line.get("warnings", ())))
        told["latents"] = place.relative_to(out).as_posix()
        told["row"] = None if place == own or one is None else one.row
        rows.append(told)
    columns = dict.fromkeys(name for row in rows for name in row)
    table = Table.from_pydict({name: [row.get(name) for row in rows] for name in columns})
    atomic_write(file, lambda handle: parquet.write_table(table, handle))
