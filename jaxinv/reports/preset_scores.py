"""What presets reached, as `python -m tests.benchmarks methods --presets -o FILE` wrote it down."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jaxinv.reports.markdown import markdown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxinv.specs import Preset, Stage

FILE = Path(__file__).parents[1] / "presets" / "scores.jsonl"
COLUMNS = (
    "preset", "generator", "images", "evaluations", "PSNR mean / worst", "SSIM", "LPIPS-Alex",
    "seconds per image",
)  # fmt: skip
FITTED = "*"  # behind the name of a preset that was fitted to its generator
LEGEND = (
    "Evaluations are those made per image, over all restarts; seconds include compiling; pictures "
    "that a preset measures through its operator are scored against the clean ones; starts that a "
    f"preset asks for are draws. {FITTED}: without the class, or with fewer layers of the "
    "discriminator, than the preset names. mnist28 and dense (a ReLU net with random weights) get "
    "their own pictures."
)


class Figure(NamedTuple):
    """Scores of one preset on one generator: means over `images` pictures of `side` px.

    `own`: whether the generator drew them; `worst` is the lowest PSNR (`psnr` is None where
    some 8-bit picture is the same, `worst` where all are); `fitted`: whether the preset
    was run without a class, or with fewer layers of the discriminator, than it names; `seconds` are
    those of an image, compiling included.
    """

    preset: str
    generator: str
    images: int
    side: int
    own: bool
    evaluations: str
    psnr: float | None
    worst: float | None
    ssim: float
    lpips_alex: float
    seconds: float
    fitted: bool = False

    @property
    def pictures(self) -> str:
        """What was searched for, in words."""
        return f"{self.images} {'of its own' if self.own else 'faces'}, {self.side} px"

    @property
    def decibels(self) -> str:
        """PSNR, mean and worst."""
        return " / ".join("equal" if x is None else f"{x:.2f}" for x in (self.psnr, self.worst))

    @property
    def cells(self) -> tuple[str, ...]:
        """Its line of a table with `COLUMNS`."""
        name = self.preset + (FITTED if self.fitted else "")
        scores = (self.decibels, f"{self.ssim:.3f}", f"{self.lpips_alex:.3f}")
        found = (name, self.generator, self.pictures, self.evaluations, *scores)
        return (*found, f"{self.seconds:.1f}")

    def __str__(self) -> str:
        """The figure as a sentence without its preset."""
        return (
            f"{self.generator}{', fitted to it' if self.fitted else ''}, {self.pictures}, "
            f"{self.evaluations} evaluations: PSNR {self.decibels} dB (mean / worst), "
            f"SSIM {self.ssim:.3f}, LPIPS-Alex {self.lpips_alex:.3f}"
        )


def read(file: Path = FILE) -> list[Figure]:
    """All figures, in the order in which they stand in the file."""
    return [Figure(**json.loads(line)) for line in file.read_text("utf-8").splitlines()]


def table(figures: list[Figure]) -> str:
    """Figures in Markdown."""
    return markdown(COLUMNS, (figure.cells for figure in figures))


def describe(preset: Preset, figures: Iterable[Figure] = ()) -> str:
    """A preset in a few lines: what it does, whom it follows, its stages, and what was measured."""
    lines = [preset.summary, preset.reference]
    for line, same in groupby(map(_stage, preset.stages)):
        count = len(list(same))
        lines.append(f"{count} times {line}" if count > 1 else line)
    lines += [f"checked: {preset.checked}"] if preset.checked else []
    lines += [f"measured: {figure}" for figure in figures if figure.preset == preset.name]
    return "\n  ".join((preset.name, *lines))


def _stage(stage: Stage) -> str:
    spaces = ", ".join(variable.space for variable in stage.variables)
    return f"{stage.steps} evaluations of {spaces} by {stage.solver.name}"
