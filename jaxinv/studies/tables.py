"""A study as tidy tables, one row per thing measured, and as a summary in Markdown."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.io.files import atomic_write
from jaxinv.io.text import json_text
from jaxinv.metrics.convergence import log_spaced_counts, median
from jaxinv.reports.markdown import markdown
from jaxinv.studies.study import LINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from jaxinv.studies.study import Study, Trial

Row = dict[str, Any]
COLUMNS = (
    "preset",
    "evaluations",
    "median final PSNR, dB",
    "success",
    "evaluations to target, median",
    "seconds per search",
    "diverged",
)


def number(value: Any) -> float | None:
    """A finite float with seven digits; None for what JSON has no number for."""
    return float(f"{float(value):.7g}") if math.isfinite(value) else None


def _searches(study: Study, names: Sequence[str]) -> Iterator[tuple[Trial, Row, tuple[int, int]]]:
    """Every search: its trial, the columns that name it, and its place [image, seed]."""
    for trial in study.trials:
        for place in np.ndindex(trial.evaluations.shape):
            image, seed = place
            key = {"preset": trial.preset.name, "image": names[image], "seed": study.seed + seed}
            yield trial, key, (image, seed)


def curve_rows(study: Study, names: Sequence[str]) -> list[Row]:
    """One row per search and checkpoint: evaluations, loss, psnr, seconds.

    `names` [B] are those of the images. Loss and PSNR are those of the best point so far; a search
    that ended early has no rows behind its end, and none before its start was chosen.
    """
    return [
        key
        | {
            "evaluations": count,
            "loss": number(trial.loss[*place, step]),
            "psnr": number(trial.psnr[*place, step]),
            "seconds": number(trial.seconds[*place, step]),
        }
        for trial, key, place in _searches(study, names)
        for count in log_spaced_counts(int(trial.evaluations[place]))
        if (step := int(np.searchsorted(trial.spent[place], count, side="right")) - 1) >= 0
    ]


def final_rows(study: Study, names: Sequence[str]) -> list[Row]:
    """One row per search: how it ended, whether and when it met its target, and where it lies."""
    reached = {trial.preset.name: study.reached(trial) for trial in study.trials}
    return [
        key
        | {
            "status": "diverged" if trial.diverged[place] else "ok",
            "evaluations": int(trial.evaluations[place]),
            "loss": number(trial.loss[*place, -1]),
            "psnr": number(trial.psnr[*place, -1]),
            "seconds": number(trial.seconds[*place, -1]),
            "target": number(study.target[place[0]]),
            "evaluations_to_target": number(reached[trial.preset.name][place]),
            "apart": number(trial.rms_between_seeds[place]),
            "from_centre": number(trial.from_centre[place]),
            "draw_from_centre": number(trial.prior_rms),
            "from_truth": number(trial.from_truth[place]),
        }
        for trial, key, place in _searches(study, names)
    ]


def slice_rows(study: Study, names: Sequence[str]) -> list[Row]:
    """One row per preset, image and place on the line between its two best seeds' solutions."""
    return [
        {"preset": trial.preset.name, "image": name, "at": number(at), "mse": number(value)}
        for trial in study.trials
        for name, line in zip(names, trial.interpolation_errors, strict=True)
        for at, value in zip(LINE, line, strict=True)
    ]


def summary(study: Study) -> str:
    """The study in one table of Markdown, a row per preset."""
    images, seeds = study.trials[0].evaluations.shape
    told = f"{images} images x {seeds} seeds. Target: {study.aim}."
    return f"{told}\n\n{markdown(COLUMNS, (_cells(study, trial) for trial in study.trials))}"


def _cells(study: Study, trial: Trial) -> tuple[str, ...]:
    reached = study.reached(trial)
    typical, spent = median(reached), median(trial.seconds[..., -1])
    longest = trial.spent.max()
    return (
        trial.preset.name,
        str(longest),
        f"{median(trial.psnr[..., -1]):.2f}",
        f"{np.mean(np.isfinite(reached)):.0%}",
        f"{typical:.0f}" if math.isfinite(typical) else f"> {longest}",
        f"{spent:.3g}" if math.isfinite(spent) else "not measured",
        str(int(trial.diverged.sum())),
    )


def write_rows(folder: Path, name: str, rows: list[Row]) -> list[Path]:
    """Write NAME.jsonl, and NAME.parquet where pyarrow is installed; returns the paths."""
    data = "".join(json_text(row) + "\n" for row in rows).encode()
    written = [atomic_write(folder / f"{name}.jsonl", lambda file: file.write(data))]
    if find_spec("pyarrow") is not None:
        from pyarrow import Table, parquet  # pyright: ignore[reportMissingImports]

        table = Table.from_pylist(rows)
        path = folder / f"{name}.parquet"
        written.append(atomic_write(path, lambda file: parquet.write_table(table, file)))
    return written
