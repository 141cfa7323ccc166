"""How far a training run is, from what it leaves in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jaxinv.io.files import BadFile, read_bytes
from jaxinv.io.output_folder import TRAINING, is_locked
from jaxinv.io.text import shortened
from jaxinv.training.checkpoints import Checkpoints
from jaxinv.training.logs import read_log
from jaxinv.training.loop import MANIFEST

NUMBERS = ("validation", "loss")  # of which the last is told, the first that there is


def is_training(folder: str | Path) -> bool:
    """Whether a folder is that of a training run."""
    return all((Path(folder) / mark).exists() for mark in TRAINING.marks)


def training_status(folder: str | Path) -> str:
    """The state of a training run in a line: running, done or stopped, steps, a number of its log.

    Raises `ValueError` for a folder whose manifest cannot be read.
    """
    try:
        steps = int(json.loads(read_bytes(Path(folder) / MANIFEST))["steps"])
    except (BadFile, OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder} has no status ({shortened(error)}); allowed: a folder of a run"
        ) from error
    kept, lines = Checkpoints(folder).steps(), read_log(folder)
    reached = kept[-1] if kept else 0
    running = is_locked(folder)
    state = "running" if running else "done" if reached >= steps else "stopped"
    done = max(reached, lines[-1]["step"]) if running and lines else reached
    words = [state, f"{done} of {steps} steps", *_last(lines)]
    if state == "stopped":
        words.append("the same command goes on from there")
    return ", ".join(words)


def _last(lines: list[dict[str, Any]]) -> list[str]:
    for name in NUMBERS:
        found = [line for line in lines if isinstance(line.get(name), int | float)]
        if found:
            return [f"{name} {found[-1][name]:.4g} at step {found[-1]['step']}"]
    return []
