"""Pictures of a study, drawn by matplotlib, which is imported only when one is drawn."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.io.files import atomic_write
from jaxinv.metrics.convergence import over_seeds, profile, ratios
from jaxinv.studies.study import LINE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jaxinv.studies.study import Study, Trial

# Eight colours that stay apart for colour-blind readers; then they come again, dashed.
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31",
)  # fmt: skip
STYLES = ("-", "--", ":", "-.")
BAND = (0.1, 0.5, 0.9)
INSTALL = "no plots: matplotlib is not installed; pip install 'jaxinv[notebook]'"


def can_draw() -> bool:
    """Whether matplotlib is there."""
    return find_spec("matplotlib") is not None


def _figure(rows: int, columns: int, *, width: float = 6.0, height: float = 4.2) -> Any:
    """A figure and its panels [rows, columns]; it knows no screen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), dpi=110, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
    return figure, panels


def _styles(study: Study) -> list[tuple[Trial, dict[str, Any]]]:
    """Every trial with the colour, dashes and name of its lines."""
    return [
        (
            trial,
            {
                "color": COLOURS[i % len(COLOURS)],
                "linestyle": STYLES[i // len(COLOURS) % len(STYLES)],
                "label": trial.preset.name,
            },
        )
        for i, trial in enumerate(study.trials)
    ]


def _legend(figure: Any, panel: Any) -> None:
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False)


def _plain(axis: Any) -> None:
    """The ticks of a logarithmic axis above 1 as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.5)))


def curves(study: Study, against: str) -> Any:
    """Loss and PSNR against "evaluations" or "seconds", medians and bands over seeds.

    For every seed the images are averaged first: the loss geometrically, the PSNR as it is.
    """
    figure, panels = _figure(1, 2)
    for trial, style in _styles(study):
        x = (trial.spent if against == "evaluations" else trial.seconds).max((0, 1))
        with np.errstate(divide="ignore"):
            losses = np.exp(over_seeds(np.log(trial.loss), BAND))
        for panel, (low, mid, high) in zip(
            panels[0], (losses, over_seeds(trial.psnr, BAND)), strict=True
        ):
            panel.plot(x, mid, linewidth=1.6, **style)
            panel.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
    unit = "evaluations" if against == "evaluations" else "seconds of one search"
    for panel, name in zip(panels[0], ("loss (mean over images)", "PSNR, dB"), strict=True):
        panel.set(xlabel=unit, ylabel=name, xscale="log")
        if against == "evaluations":
            _plain(panel.xaxis)
    panels[0, 0].set_yscale("log")
    figure.suptitle("median over seeds; band: 10 % to 90 %")
    _legend(figure, panels[0, 0])
    return figure


def profiles(study: Study) -> Any:
    """The performance profile, and the share of searches that have met the target."""
    figure, panels = _figure(1, 2)
    costs = np.stack([study.reached(trial).ravel() for trial in study.trials])
    relative, longest = ratios(costs), max(trial.spent.max() for trial in study.trials)
    finite = relative[np.isfinite(relative)]
    limits = np.geomspace(1, max(2.0, 1.1 * finite.max(initial=1.0)), 200)
    counts = np.arange(1, longest + 1)
    for (trial, style), ratio, cost in zip(_styles(study), relative, costs, strict=True):
        style["label"] = f"{trial.preset.name} ({np.mean(np.isfinite(cost)):.0%})"
        panels[0, 0].step(limits, profile(ratio, limits), where="post", **style)
        panels[0, 1].step(counts, profile(cost, counts), where="post", **style)
    panels[0, 0].set(
        xlabel="evaluations to target / those of the best method",
        ylabel="share of searches",
        title="performance profile",
        xscale="log",
    )
    panels[0, 1].set(
        xlabel="evaluations", ylabel="share of searches", title="target reached", xscale="log"
    )
    for panel in panels.flat:
        panel.set_ylim(-0.03, 1.03)
        _plain(panel.xaxis)
    figure.suptitle(f"target: {study.aim}")
    _legend(figure, panels[0, 0])
    return figure


def targets(study: Study) -> Any:
    """Success rates as bars, and the evaluations to the target of every search that met it."""
    figure, panels = _figure(1, 2, height=_tall(study))
    names = [trial.preset.name for trial in study.trials]
    for row, (trial, style) in enumerate(_styles(study)):
        reached = study.reached(trial).ravel()
        met = reached[np.isfinite(reached)]
        rate = len(met) / len(reached)
        panels[0, 0].barh(row, rate, color=style["color"], height=0.6)
        panels[0, 0].text(rate + 0.02, row, f"{rate:.0%}", va="center")
        _dots(panels[0, 1], row, met, style["color"])
    panels[0, 0].set(xlabel="share of searches that met the target", xlim=(0, 1.15))
    panels[0, 1].set(xlabel="evaluations to target (bar: median of those that met it)")
    panels[0, 1].set_xscale("log")
    _plain(panels[0, 1].xaxis)
    _rows(panels, names)
    figure.suptitle(f"target: {study.aim}")
    return figure


def distances(study: Study) -> Any:
    """How far solutions lie from one another, from the centre, and from the true code if known.

    Grey ticks show how far random draws lie from one another and from the centre.
    """
    known = any(np.isfinite(trial.from_truth).any() for trial in study.trials)
    figure, panels = _figure(1, 2 + known, width=5.0, height=_tall(study))
    for row, (trial, style) in enumerate(_styles(study)):
        columns = (trial.rms_between_seeds, trial.from_centre, trial.from_truth)[: 2 + known]
        usual = (2**0.5 * trial.prior_rms, trial.prior_rms, 2**0.5 * trial.prior_rms)
        for panel, values, mark in zip(panels[0], columns, usual, strict=False):
            _dots(panel, row, values[np.isfinite(values)], style["color"])
            panel.plot([mark] * 2, [row - 0.35, row + 0.35], color="0.6", linestyle=":")
    titles = ("from the other seeds' solutions", "from the mean of W, or from 0 of z")
    for panel, title in zip(panels[0], (*titles, "from the code it was drawn from"), strict=False):
        panel.set_title(title)
        panel.set_xlabel("RMS over coordinates (dotted: random draws)")
        panel.set_xlim(left=0)
    _rows(panels, [trial.preset.name for trial in study.trials])
    return figure


def slices(study: Study) -> Any:
    """Error on the line through the two best solutions of every image, a panel per preset."""
    columns = min(4, len(study.trials))
    rows = -(-len(study.trials) // columns)
    figure, panels = _figure(rows, columns, width=3.4, height=2.9)
    lines = np.concatenate([trial.interpolation_errors for trial in study.trials])
    for panel, (trial, style) in zip(panels.flat, _styles(study), strict=False):
        panel.plot(LINE, trial.interpolation_errors.T, color=style["color"], linewidth=1, alpha=0.7)
        panel.set(title=trial.preset.name, yscale="log")
        panel.set_ylim(0.7 * np.nanmin(lines), 1.4 * np.nanmax(lines))
        for end in (0, 1):
            panel.axvline(end, color="0.5", linewidth=0.8, linestyle=":")
    for panel in panels.flat[len(study.trials) :]:
        panel.set_visible(False)
    figure.supxlabel("place on the line: 0 and 1 are the two best seeds' solutions")
    figure.supylabel("mean squared error")
    return figure


def _tall(study: Study) -> float:
    return 1.6 + 0.42 * len(study.trials)


def _dots(panel: Any, row: int, values: np.ndarray, colour: str) -> None:
    """Every value as a dot on its row, spread a little across it, and a bar at the median."""
    offsets = np.linspace(-0.22, 0.22, len(values)) if len(values) > 1 else np.zeros(len(values))
    panel.scatter(values, row + offsets, s=12, color=colour, alpha=0.6, linewidth=0)
    if len(values):
        panel.plot([np.median(values)] * 2, [row - 0.35, row + 0.35], color=colour, linewidth=2.5)


def _rows(panels: Any, names: list[str]) -> None:
    """Names on the left, the first on top."""
    for panel in panels.flat:
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(len(names) - 0.4, -0.6)
        panel.grid(visible=False, axis="y")


PLOTS: dict[str, Callable[[Study], Any]] = {
    "evaluations": lambda study: curves(study, "evaluations"),
    "seconds": lambda study: curves(study, "seconds"),
    "profiles": profiles,
    "targets": targets,
    "slices": slices,
    "distances": distances,
}


def drawable(study: Study) -> list[str]:
    """Names of the plots that the study has the numbers for."""
    several = study.trials[0].evaluations.shape[1] > 1
    timed = any(np.isfinite(trial.seconds[..., -1]).any() for trial in study.trials)
    lacking = {name for name, there in (("slices", several), ("seconds", timed)) if not there}
    return [name for name in PLOTS if name not in lacking]


def draw_all(study: Study, folder: Path) -> list[Path]:
    """Write every plot as FOLDER/NAME.png; returns the paths."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    written = []
    for name in drawable(study):
        canvas = FigureCanvasAgg(PLOTS[name](study))
        written.append(atomic_write(folder / f"{name}.png", canvas.print_png))
    return written
