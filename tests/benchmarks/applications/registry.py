"""All rows of `python -m tests.benchmarks applications`: claim, what was measured, and pictures.

A row says what was found whether or not the claim holds. Whoever adds an application adds a file
here with its rows, `ROWS = {"name": Row(...)}`: it is found. What was measured is kept beside the
pictures, so that the same command goes on where it ended, and writes the page without measuring
again.
"""

from __future__ import annotations

import json
import pkgutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from jaxinv.io.checkpoints import cache_dir
from jaxinv.io.files import write_json
from jaxinv.reports.markdown import head, line, markdown
from jaxinv.specs.checks import check_choice
from tests.benchmarks import applications
from tests.benchmarks.applications import defense, texts
from tests.benchmarks.applications.rows import Missing, Row, said

HEAD = ("application", "claim", "inputs", "measured", "holds", "looked at")
VERDICTS = {True: "yes", False: "NO", None: "not decided"}
KEPT = "row.json"  # in the folder of a row
COMMAND = "python -m tests.benchmarks applications -o docs/applications_measured.md"

ROWS: dict[str, Row] = {
    "defense-gan": Row(
        "attacked digits are classified again as they were (Defense-GAN, table 1)",
        defense.digits,
        inputs=f"{defense.COUNT} handwritten digits",
    ),
    "styleclip": Row(
        "a text moves what it names, and little else (StyleCLIP, section 6; not by CLIP here)",
        texts.global_direction,
        inputs=f"{texts.COUNT} held-out figures of 32 px",
        looked="walls hardly turn; hair, faces and a head's turn change more",
    ),
}
for _module in pkgutil.iter_modules(applications.__path__, f"{applications.__name__}."):
    if _module.name != __name__:
        ROWS |= getattr(import_module(_module.name), "ROWS", {})


def report(
    names: Sequence[str], page: Path | None, pictures: Path | None = None, again: bool = False
) -> None:
    """Print the table of rows, one by one; `page` also gets what was measured of all others.

    pictures: where each row has a folder; if nobody says, in the cache.
    again: whether rows are measured that were measured before.
    """
    for name in names:
        check_choice("application", name, tuple(ROWS))
    folder = pictures or cache_dir() / "benchmarks" / "applications"
    print(head(HEAD))
    for name in names or ROWS:
        try:
            if again or not (folder / name / KEPT).is_file():
                measure(name, folder / name)
        except Missing as reason:
            print(line(f"`{name}`", ROWS[name].claim, "", str(reason), "", ""), flush=True)
            continue
        print(line(*cells(name, folder)), flush=True)
    if page is not None:
        page.write_text(page_text(folder), "utf-8")


def measure(name: str, folder: Path) -> None:
    """Measure one row, and keep what was found in its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    measured, holds = ROWS[name].measure(folder)
    facts = {
        "measured": said(measured),
        "holds": holds,
        "seconds": round(time.perf_counter() - began),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }
    write_json(folder / KEPT, facts)


def cells(name: str, folder: Path) -> tuple[str, ...]:
    """The line of a row that was measured."""
    row = ROWS[name]
    kept = json.loads((folder / name / KEPT).read_text("utf-8"))
    claim = f"{row.claim} ({row.paper})" if row.paper else row.claim
    verdict = VERDICTS[kept["holds"]]
    return (f"`{name}`", claim, row.inputs, kept["measured"], verdict, row.looked)


def page_text(folder: Path) -> str:
    """The page of all rows that were measured, with the names of the others."""
    done = [name for name in sorted(ROWS) if (folder / name / KEPT).is_file()]
    missing = [f"`{name}`" for name in sorted(ROWS) if name not in done]
    parts = [
        "# Applications, measured",
        f"This page is written by `{COMMAND}`. Each line is an application, what its paper claims "
        "of it, and what was measured here; a claim that does not hold is said to. PSNR and LPIPS "
        "(AlexNet) are of pictures of 256 px unless a line says otherwise; identity is the "
        "distance of dlib's face descriptors, below 0.6 for one person.",
        markdown(HEAD, [cells(name, folder) for name in done]),
    ]
    if missing:
        parts.append(f"Not measured: {', '.join(missing)}.")
    return "\n\n".join(parts) + "\n"
