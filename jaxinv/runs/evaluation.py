"""Finished runs side by side: means with intervals over the pictures that they share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.io import images
from jaxinv.io.output_folder import check_target
from jaxinv.metrics.intervals import CONFIDENCE, RESAMPLES, estimate
from jaxinv.metrics.opinions import mean_opinions, read_ratings
from jaxinv.metrics.set_table import SET_METRICS
from jaxinv.reports.columns import Column, Estimate
from jaxinv.reports.comparison import Cell, Comparison, Shown, check_suffix
from jaxinv.runs.edited import measure_edits
from jaxinv.runs.finished import SCORES, FinishedRun, read_run, shared_content
from jaxinv.runs.results import thumbnail
from jaxinv.runs.set_scores import score_sets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Values = dict[str, dict[str, dict[str, float]]]  # run, score, content


@dataclass(frozen=True)
class EvaluationRequest:
    """What is compared with what.

    `reference` is a folder of real pictures, `features` the net that looks at both sets, `edits`
    are folders of `jaxinv edit`, `attributes` what is measured of them, `ratings` a file of
    opinions whose methods are the runs. The table goes to `out`, of a suffix that `comparison` can
    write; None: it is only printed.
    """

    runs: tuple[str, ...]
    out: str | None = None
    reference: str | None = None
    features: str | None = None
    edits: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    ratings: str | None = None
    seed: int = 0

    @property
    def read(self) -> list[Path]:
        """All that is read and must not be replaced."""
        given = (*self.runs, *self.edits, self.reference, self.ratings)
        return [Path(one) for one in given if one is not None]


def evaluate(request: EvaluationRequest) -> Comparison:
    """The table of all runs of a request.

    Raises:
        ValueError: no runs, one twice, runs of other pictures or sizes, an empty one, folders of
            other kinds, an unknown suffix; before anything is measured.
    """
    if request.features is not None and request.reference is None:
        raise ValueError(f"features of {request.features!r} alone; allowed: with a reference")
    if request.attributes and not request.edits:
        raise ValueError(f"attribute {request.attributes[0]!r} alone; allowed: with edits")
    runs, shared = read_runs(request, least=1)
    problems = [problem for run in runs for problem in run.problems]
    values: Values = {run.label: {} for run in runs}
    for run in runs:
        for name in SCORES:
            found = {c: run.pictures[c].scores.get(name) for c in shared}
            values[run.label][name] = {c: x for c, x in found.items() if x is not None}
    columns: dict[str, Column] = dict(SCORES)
    if request.edits:
        edited = measure_edits(request.edits, runs, request.attributes)
        columns |= edited.columns
        problems += edited.problems
        for label, scores in edited.values.items():
            of = {n: {c: x for c, x in v.items() if c in shared} for n, v in scores.items()}
            values[label] |= of
    cells = {name: paired_cells(runs, values, name, request.seed) for name in columns}
    protocol = describe(runs, shared)
    if request.reference is not None:
        found = score_sets(runs, shared, request.reference, request.features)
        protocol |= found.protocol
        problems += found.problems
        for name, metric in SET_METRICS.items():
            columns[name] = metric.on(found.net)
            cells[name] = {
                label: Cell(Estimate(scores[name], np.nan, np.nan, len(shared)), scores[name])
                for label, scores in found.values.items()
                if name in scores
            }
    if request.ratings is not None:
        columns["opinion"] = Column("mean opinion", ".2f", "", lower_is_better=False)
        cells["opinion"] = _opinions(request.ratings, runs)
    kept = {name: column for name, column in columns.items() if cells[name]}
    return Comparison(
        {run.label: run.facts for run in runs}, kept, cells, protocol, tuple(problems),
        tuple(_shown(runs, shared, values, kept) if pictures_wanted(request) else ()),
    )  # fmt: skip


def compare(request: EvaluationRequest) -> Comparison:
    """Every run against the first, picture by picture: differences of all scores.

    Arguments and errors are those of `evaluate`; at least two runs.
    """
    runs, shared = read_runs(request, least=2)
    first, *others = runs
    cells: dict[str, dict[str, Cell]] = {}
    rows: list[Shown] = []
    for name in SCORES:
        cells[name] = {}
        for run in others:
            apart = {
                c: run.pictures[c].scores[name] - first.pictures[c].scores[name]
                for c in shared
                if name in run.pictures[c].scores and name in first.pictures[c].scores
            }
            if apart:
                cells[name][run.label] = _difference(list(apart.values()), name, request.seed)
                rows += [
                    Shown(first.pictures[c].file, {run.label: {name: x}}) for c, x in apart.items()
                ]
    kept: dict[str, Column] = {name: SCORES[name] for name in SCORES if cells[name]}
    protocol = describe(runs, shared) | {"differences": f"from {first.label}"}
    return Comparison(
        {run.label: run.facts for run in others}, kept, cells, protocol,
        tuple(problem for run in runs for problem in run.problems), _merged(rows),
        reference=first.label,
    )  # fmt: skip


def read_runs(request: EvaluationRequest, *, least: int) -> tuple[list[FinishedRun], list[str]]:
    """All runs and the pictures that they share; `ValueError` as `evaluate` says."""
    if request.out is not None:
        check_suffix(request.out)
        check_target(request.out, request.read)
    if len(request.runs) < least:
        raise ValueError(f"{len(request.runs)} runs; allowed: at least {least}")
    places = [Path(one).resolve() for one in request.runs]
    for place, name in zip(places, request.runs, strict=True):
        if places.count(place) > 1:
            raise ValueError(f"{name} is named twice; allowed: every run once")
    runs = [read_run(place) for place in request.runs]
    return runs, shared_content(runs)


def pictures_wanted(request: EvaluationRequest) -> bool:
    """Whether the table shows pictures."""
    return request.out is not None and Path(request.out).suffix.lower() == ".html"


def paired_cells(
    runs: Sequence[FinishedRun], values: Values, name: str, seed: int
) -> dict[str, Cell]:
    """The cells of one score by run: over the pictures for which all runs have it that have any."""
    having = [run.label for run in runs if values[run.label].get(name)]
    if not having:
        return {}
    sets = [values[label][name] for label in having]
    common = [content for content in sets[0] if all(content in one for one in sets)]
    if not common:
        return {}
    rows = {label: np.array([values[label][name][c] for c in common]) for label in having}
    lower = SCORES[name].lower_is_better if name in SCORES else None
    found = {}
    for label in having:
        apart = None
        if label != having[0] and having[0] == runs[0].label:
            apart = estimate(rows[label] - rows[having[0]], seed=seed)
        worst = float(rows[label].min() if lower is False else rows[label].max())
        found[label] = Cell(estimate(rows[label], seed=seed), worst, apart)
    return found


def _difference(apart: list[float], name: str, seed: int) -> Cell:
    """Differences of one score: their mean, the worst, and how many are better, equal and worse."""
    found, lower = np.array(apart), SCORES[name].lower_is_better
    gain = -found if lower else found
    counts = tuple(int((np.sign(gain) == sign).sum()) for sign in (1, 0, -1))
    worst = float(found[np.argmin(gain)])
    return Cell(estimate(found, seed=seed), worst, counts=None if lower is None else counts)


def describe(runs: Sequence[FinishedRun], shared: Sequence[str]) -> dict[str, object]:
    """How the numbers came about: what one must know to compare them with others."""
    first = runs[0]
    sizes = sorted({first.pictures[content].size for content in shared})
    left = {run.label: len(run.pictures) - len(shared) for run in runs}
    return {
        "pictures": f"{len(shared)} shared by all runs"
        + "".join(f"; {n} more in {label}" for label, n in left.items() if n)
        + "".join(
            f"; {run.unfinished} not finished in {run.label}" for run in runs if run.unfinished
        ),
        "size": f"{' and '.join(map(str, sizes))} px, larger results reduced by area",
        "framing": ", ".join(f"{k} {first.request.get(k)}" for k in ("align", "fit")),
        "pixels": "8 bit; PSNR, SSIM and MS-SSIM of peak 255; MSE and L1 of pixels in [-1, 1]",
        "LPIPS": "v0.1 at 256 px",
        "nets": {name: digest[:12] for name, digest in sorted(first.nets.items())},
        "intervals": f"{CONFIDENCE:.0%}, bootstrap over pictures (BCa, {RESAMPLES} draws); "
        "differences are paired",
    }


def _opinions(file: str, runs: Sequence[FinishedRun]) -> dict[str, Cell]:
    scores = mean_opinions(read_ratings(file))
    names = {run.label: [run.label, run.folder.resolve().name] for run in runs}
    found = {
        label: Cell(scores[name], scores[name].low)
        for label, both in names.items()
        for name in both
        if name in scores
    }
    if not found:
        raise ValueError(
            f"{file} rates {', '.join(scores)}; allowed: the runs {', '.join(names)}, or the names "
            "of their folders"
        )
    return found


def _shown(
    runs: Sequence[FinishedRun],
    shared: Sequence[str],
    values: Values,
    columns: Mapping[str, Column],
) -> list[Shown]:
    """Every shared picture with its scores, the photo where it can be read, and what was found."""
    rows = []
    for content in shared:
        scores = {
            run.label: {
                name: values[run.label][name][content]
                for name in columns
                if content in values[run.label].get(name, {})
            }
            for run in runs
        }
        file, request = runs[0].pictures[content].file, runs[0].request
        framing = {"align": request.get("align", "none"), "fit": request.get("fit", "crop")}
        pictures = [("target", _jpeg(Path(file), framing))]
        pictures += [(run.label, _jpeg(run.picture(content), {})) for run in runs]
        rows.append(Shown(file, scores, tuple((n, data) for n, data in pictures if data)))
    return rows


def _jpeg(file: Path, framing: Mapping[str, str]) -> bytes:
    """A small JPEG of a picture; nothing where it cannot be read (any more)."""
    try:
        return thumbnail(images.to_uint8(images.read_photo(file, **framing).pixels))  # pyright: ignore[reportArgumentType]
    except ValueError:
        return b""


def _merged(rows: Sequence[Shown]) -> tuple[Shown, ...]:
    """One row for each picture."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        for label, scores in row.scores.items():
            found.setdefault(row.file, {}).setdefault(label, {}).update(scores)
    return tuple(Shown(file, scores) for file, scores in found.items())
