"""A generator of one person, and a photograph of theirs that it has not seen, restored.

`JAXINV_PEOPLE` is a folder with a folder of at least three photographs for each person; the last by
name is restored, the others are learned from. No photographs of people come with this library.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from jaxinv.io.files import find_images
from jaxinv.io.images import read_photo
from tests.benchmarks.applications import faces
from tests.benchmarks.applications.rows import Found, Missing, Row, write_sheet

FACTOR = 16
# Of each way to restore: generator (the person's, or the general one) and preset.
WAYS = {
    "ffhq, restore": (False, "restore"),
    "own, restore": (True, "restore"),
    "own, mystyle": (True, "mystyle"),
}
ENOUGH = 4  # people, for the claim to be decided


def restored(folder: Path) -> Found:
    """Identity and LPIPS of a photograph restored from `FACTOR` times smaller, by each way."""
    place = os.environ.get("JAXINV_PEOPLE", "")
    if not Path(place).is_dir() or not place:
        raise Missing("JAXINV_PEOPLE is no folder of people")
    people = sorted(one for one in Path(place).iterdir() if one.is_dir())
    lines: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    rows = []
    for person in people:
        *known, asked = find_images([str(person)])
        name = f"benchmark-{person.name}"
        rows.append([])
        for way, (own, preset) in WAYS.items():
            run = folder / person.name / way.replace(", ", "-")
            if not (run / "results.jsonl").is_file():
                if own and not (folder / person.name / "learned" / "results.jsonl").is_file():
                    learned = ("-o", folder / person.name / "learned", "--overwrite")
                    faces.command("personalize", *known, "--name", name, *learned)
                given = ("-g", name if own else "ffhq", "-p", preset, "-o", run)
                faces.command("super-resolve", asked, "--factor", FACTOR, "--simulate", *given)
            (line,) = faces.results(run)
            lines[way].append(line)
            if not rows[-1]:
                rows[-1] += faces.drawn(run, [line["name"]], "degraded")
            rows[-1] += faces.drawn(run, [line["name"]])
        rows[-1].append(read_photo(asked, size=faces.SIZE, align="auto").pixels)
    write_sheet(folder, rows, ("given", *WAYS, "the photograph"))
    means = {
        way: [float(np.mean([line[key] for line in some])) for key in ("identity", "lpips_alex")]
        for way, some in lines.items()
    }
    figures: dict[str, float | str] = {
        way: f"identity {one[0]:.3f}, LPIPS {one[1]:.3f}" for way, one in means.items()
    }
    better = means["own, mystyle"][0] < means["ffhq, restore"][0]
    return {"people": str(len(people)), **figures}, better if len(people) >= ENOUGH else None


ROWS = {
    "mystyle": Row(
        "restored from few pixels, a photograph shows the person whose generator it is",
        restored,
        "MyStyle, section 5",
        f"photographs that the generator has not seen, {FACTOR} times smaller",
        "both generators keep pose and light with `restore`, and draw a man like him; `mystyle` "
        "draws him plainly, but in another pose, smiling, before another wall",
    )
}
