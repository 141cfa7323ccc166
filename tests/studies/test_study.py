"""Studies: figures that agree with the engine's own, tables, plots, refusals, and the verb."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.inversion.invert import invert
from jaxinv.inversion.result import Progress
from jaxinv.metrics.convergence import log_spaced_counts
from jaxinv.models.rendering import render
from jaxinv.models.statistics import STATISTICS
from jaxinv.presets import PRESETS
from jaxinv.specs import InitSpec, Preset, SolverSpec, Stop, Term, Variable, View
from jaxinv.studies.plots import COLOURS, PLOTS, draw_all, drawable
from jaxinv.studies.study import LINE, MSE_PROBE, ChunkTimer, Study, study, with_mse_term, with_rate
from jaxinv.studies.tables import curve_rows, final_rows, slice_rows, summary, write_rows
from tests.engine import one, preset, targets
from tests.methods import images_for, short
from tests.tiny import grown, linear

pytestmark = pytest.mark.usefixtures("quick_compilation")
RANDOM = Variable("w", init=InitSpec("prior"))
ADAM = Preset("adam", (one(RANDOM, steps=25),), "", "")
LBFGS = Preset("lbfgs", (one(RANDOM, steps=25, solver=SolverSpec("lbfgs")),), "", "")
SEER = Preset("seer", (one(RANDOM, terms=(Term("lpips", net="vgg16", view=View(8)),)),), "", "")
NAMES = ("a", "b")


def compare(*presets: Preset | str, count: int = 2, **others: Any) -> Study:
    return study(*linear(), targets(count), presets, **{"nets": {}, "seeds": 3, **others})


@lru_cache
def both() -> Study:
    return compare(ADAM, LBFGS, truth={"z": np.zeros((2, 7), np.float32)})


# --- against the engine ---------------------------------------------------------------------------


def test_a_trial_holds_what_the_engine_found() -> None:
    adam, lbfgs = both().trials
    for trial in (adam, lbfgs):
        found = invert(
            *linear(), targets(2), preset=trial.preset, nets={}, restarts=3, keep_all_restarts=True
        )
        assert found.all_restarts is not None
        assert trial.loss.shape == trial.psnr.shape == found.losses.shape == (2, 3, 25)
        np.testing.assert_array_equal(trial.loss, np.minimum.accumulate(found.losses, axis=-1))
        np.testing.assert_array_equal(trial.loss[..., -1], found.all_restarts.loss)
        np.testing.assert_array_equal(trial.evaluations, found.all_restarts.evaluations)
        np.testing.assert_allclose(trial.psnr, 10 * np.log10(4 / trial.loss), rtol=1e-5)
        w = found.all_restarts.latents["w"]
        mean = np.asarray(linear()[1][STATISTICS]["mean"])
        centre = np.sqrt(np.mean((w - mean) ** 2, axis=-1))
        np.testing.assert_allclose(trial.from_centre, centre, rtol=1e-5)
        pair = np.sqrt(np.mean((w[:, 0] - w[:, 1]) ** 2, axis=-1))
        third = np.sqrt(np.mean((w[:, 0] - w[:, 2]) ** 2, axis=-1))
        np.testing.assert_allclose(trial.rms_between_seeds[:, 0], (pair + third) / 2, rtol=1e-5)
        shift = np.asarray(linear()[1]["mapping"]["shift"])  # the w of z = 0
        truth = np.sqrt(np.mean((w - shift) ** 2, axis=-1))
        np.testing.assert_allclose(trial.from_truth, truth, rtol=1e-5)
    # From the same starts, of which L-BFGS makes more.
    np.testing.assert_allclose(adam.loss[..., 0], lbfgs.loss[..., 0], rtol=1e-5)
    assert np.all(lbfgs.loss[..., -1] < adam.loss[..., -1])
    mix = np.asarray(linear()[1]["mapping"]["mix"])
    np.testing.assert_allclose(adam.prior_rms, np.sqrt(np.mean(np.sum(mix**2, axis=0))), rtol=0.15)


def test_slices_lead_from_the_best_solution_to_the_next() -> None:
    for trial in both().trials:
        final = np.sort(trial.loss[..., -1], axis=1)
        for place, rank in ((0.0, 0), (1.0, 1)):
            at = int(np.flatnonzero(np.isclose(LINE, place))[0])
            np.testing.assert_allclose(trial.interpolation_errors[:, at], final[:, rank], rtol=1e-3)
        # The error of a linear generator is a parabola on every line.
        bends = np.diff(trial.interpolation_errors, 3, axis=1)
        np.testing.assert_allclose(bends, 0, atol=1e-4 * trial.interpolation_errors.max())
    single = compare(ADAM, seeds=1, count=1, steps=3).trials[0]
    assert np.isnan(single.interpolation_errors).all()
    assert np.isnan(single.rms_between_seeds).all()


def test_seeds_do_not_depend_on_the_batch_nor_on_their_number() -> None:
    together, fewer = compare(ADAM, batch=2).trials[0], compare(ADAM, seeds=2).trials[0]
    alone = both().trials[0]
    np.testing.assert_allclose(together.loss, alone.loss, rtol=1e-4)
    np.testing.assert_allclose(fewer.loss, alone.loss[:, :2], rtol=1e-4)
    assert len(np.unique(alone.loss[..., 0])) == 6


def test_psnr_of_presets_that_do_not_look_at_all_pixels() -> None:
    blurred = preset(one(RANDOM, terms=(Term("mse", view=View(8)),), steps=8))
    cropped = preset(one(RANDOM, terms=(Term("mse", view=View(crop=(0, 0, 0.5, 0.5))),), steps=8))
    plain = preset(one(RANDOM, terms=(Term("l1"), Term("mse", 2.0)), steps=8))
    assert with_mse_term(plain, 32) == (plain, "mse")
    assert with_mse_term(replace(plain, enlarge=64), 32)[1] == "mse@32"
    for made in (blurred, cropped):
        seeing, label = with_mse_term(made, 32)
        assert label == MSE_PROBE.label
        assert seeing.stages[0].terms == (*made.stages[0].terms, MSE_PROBE)
        (trial,) = compare(made).trials
        assert trial.preset == made
        found = invert(
            *linear(), targets(2), preset=made, nets={}, restarts=3, keep_all_restarts=True
        )
        assert found.all_restarts is not None
        np.testing.assert_allclose(trial.loss[..., -1], found.all_restarts.loss, rtol=1e-5)
        drawn = [render(*linear(), {"w": w}) for w in found.all_restarts.latents["w"]]
        errors = np.mean((np.stack(drawn) - targets(2)[:, None]) ** 2, axis=(2, 3, 4))
        np.testing.assert_allclose(trial.psnr[..., -1], 10 * np.log10(4 / errors), rtol=1e-4)


# --- targets --------------------------------------------------------------------------------------


def test_the_target_is_what_the_baseline_reaches() -> None:
    adam, lbfgs = both().trials
    np.testing.assert_allclose(both().target, np.median(adam.psnr[..., -1], axis=1))
    other = Study(both().trials, np.median(lbfgs.psnr[..., -1], axis=1), "")
    assert np.mean(np.isfinite(both().reached(adam))) == 4 / 6  # the median of 3 and what is above
    assert np.isfinite(both().reached(lbfgs)).all()
    assert not np.isfinite(other.reached(adam)).any()
    for image, seed in np.ndindex(2, 3):
        count = int(both().reached(lbfgs)[image, seed])
        curve = lbfgs.psnr[image, seed]
        assert curve[count - 1] >= both().target[image] > curve[count - 2]


@pytest.mark.parametrize(("target", "words"), [(21.5, "21.5 dB"), ("lbfgs", "what lbfgs reaches")])
def test_targets_by_number_and_by_name(target: float | str, words: str) -> None:
    found = compare(ADAM, LBFGS, target=target, steps=5)
    assert words in found.aim
    expected = np.median(found.trials[1].psnr[..., -1], axis=1)
    np.testing.assert_allclose(found.target, expected if target == "lbfgs" else [21.5, 21.5])


def test_rates_replace_those_of_every_stage() -> None:
    made = with_rate(preset(one(), one()), 0.25)
    assert made.name == "p 0.25"
    assert [stage.solver.learning_rate for stage in made.stages] == [0.25, 0.25]


def test_only_warm_chunks_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two batches of three lanes; compiling takes a hundred seconds and more.
    reports = [(1, 10, 100.0), (1, 20, 103.0), (1, 25, 104.5), (2, 5, 300.0)]
    reports += [(1, 10, 500.0), (1, 20, 506.0), (1, 25, 509.0), (2, 5, 900.0)]
    watch = ChunkTimer()
    for stage, step, now in reports:
        monkeypatch.setattr("jaxinv.studies.study.time.monotonic", lambda now=now: now)
        watch(Progress(stage, 2, step, 25, np.zeros(3)))
    assert set(watch.chunks) == {1}
    np.testing.assert_allclose(watch.chunks[1], [0.1, 0.1, 0.2, 0.2])
    pace = watch.pace(preset(one(steps=25), one(steps=5)))
    np.testing.assert_allclose(pace[:25], 0.15)
    assert np.isnan(pace[25:]).all()


def test_starts_that_were_compared_count_as_evaluations() -> None:
    chosen = Variable("w", init=InitSpec("best-of", count=16))
    again = Variable("w", init=InitSpec("previous"))
    stopped = one(chosen, steps=12, stop=Stop("mse", 1e9))
    found = compare(preset(stopped, one(again, steps=10)), target=0.5)
    (trial,) = found.trials
    # 16 starts, one step of the first stage, ten of the second.
    assert (trial.spent[0, 0, [0, 11, 12, 21]] == [17, 17, 18, 27]).all()
    assert (trial.evaluations == 27).all()
    rows = [row for row in curve_rows(found, NAMES) if (row["image"], row["seed"]) == ("a", 0)]
    assert [row["evaluations"] for row in rows] == [20, 25, 27]
    np.testing.assert_allclose(
        [row["loss"] for row in rows], trial.loss[0, 0, [14, 19, 21]], rtol=1e-6
    )
    assert {row["evaluations_to_target"] for row in final_rows(found, NAMES)} == {17}
    assert summary(found).splitlines()[4].split(" | ")[1] == "27"
    assert set(drawable(found)) >= {"evaluations", "profiles"}


def test_several_codes_that_are_mixed_have_no_true_one() -> None:
    (stage,) = short(PRESETS["mganprior"]).stages
    mixed = preset(replace(stage, terms=(Term("mse"),)))
    pictures = images_for(mixed, grown())
    truth = {"z": np.zeros((1, grown()[0].spec.z_dim), np.float32)}
    (trial,) = study(*grown(), pictures, [mixed], seeds=2, nets={}, truth=truth).trials
    assert np.isnan(trial.from_truth).all()
    assert (trial.rms_between_seeds > 0).all()
    assert np.isfinite(trial.from_centre).all()


# --- tables and plots -----------------------------------------------------------------------------


def test_tables_are_complete_and_agree_with_the_trials() -> None:
    rows, finals = curve_rows(both(), NAMES), final_rows(both(), NAMES)
    marks = log_spaced_counts(25)
    assert len(rows) == 2 * 2 * 3 * len(marks)
    assert len(finals) == 2 * 2 * 3
    assert len({(row["preset"], row["image"], row["seed"]) for row in finals}) == len(finals)
    for trial in both().trials:
        mine = [row for row in rows if row["preset"] == trial.preset.name]
        losses = np.asarray([row["loss"] for row in mine]).reshape(2, 3, len(marks))
        np.testing.assert_allclose(losses, trial.loss[..., np.asarray(marks) - 1], rtol=1e-6)
        assert np.all(np.diff(losses) <= 0)
        assert [row["evaluations"] for row in mine[: len(marks)]] == marks
        assert mine[0]["seconds"] > 0
        ends = [row for row in finals if row["preset"] == trial.preset.name]
        for name, values in (("psnr", trial.psnr[..., -1]), ("apart", trial.rms_between_seeds)):
            np.testing.assert_allclose([row[name] for row in ends], values.ravel(), rtol=1e-6)
        met = [row["evaluations_to_target"] or np.inf for row in ends]
        np.testing.assert_array_equal(met, both().reached(trial).ravel())
    lines = slice_rows(both(), NAMES)
    assert len(lines) == 2 * 2 * len(LINE)
    assert all(row["mse"] > 0 for row in lines)


def test_the_summary_has_a_line_for_every_preset() -> None:
    head, _, names, _, adam, lbfgs = summary(both()).splitlines()
    assert head.startswith("2 images x 3 seeds. Target: the median over seeds of what adam")
    cells = [line.strip("| ").split(" | ") for line in (names, adam, lbfgs)]
    assert len({len(line) for line in cells}) == 1
    first, second = both().trials
    assert cells[1][:4] == ["adam", "25", f"{np.median(first.psnr[..., -1]):.2f}", "67%"]
    assert cells[2][3:5] == ["100%", f"{np.median(both().reached(second)):.0f}"]
    hopeless = Study(both().trials, np.full(2, 99.0), "99 dB")
    assert summary(hopeless).splitlines()[4].split(" | ")[3:5] == ["0%", "> 25"]


def test_searches_that_end_early_and_diverge_are_told() -> None:
    stop = preset(one(RANDOM, steps=25, stop=Stop("mse", 1e9)))
    wild = Preset("wild", (one(RANDOM, steps=25, solver=SolverSpec("sgd", 1e12)),), "", "")
    found = compare(stop, wild)
    rows = final_rows(found, NAMES)
    assert [(row["status"], row["evaluations"]) for row in rows[:6]] == [("ok", 1)] * 6
    assert {row["status"] for row in rows[6:]} == {"diverged"}
    curves = curve_rows(found, NAMES)
    assert sum(row["preset"] == "p" for row in curves) == 6
    text = json.dumps([rows, curves], allow_nan=False)
    assert "null" in text
    assert summary(found).splitlines()[-1].endswith("| 6 |")


def test_every_plot_is_drawn_and_names_every_preset(tmp_path: Path) -> None:
    assert drawable(both()) == list(PLOTS)
    written = draw_all(both(), tmp_path)
    assert {path.name for path in written} == {f"{name}.png" for name in PLOTS}
    for path in written:
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    for name, plot in PLOTS.items():
        figure = plot(both())
        legends = [text.get_text() for box in figure.legends for text in box.get_texts()]
        ticks = [t.get_text() for panel in figure.axes for t in panel.get_yticklabels()]
        titles = [panel.get_title() for panel in figure.axes]
        for trial in both().trials:
            shown = [*legends, *ticks, *titles]
            assert any(text.startswith(trial.preset.name) for text in shown), name
        for panel in figure.axes:
            assert panel.get_xlabel() or figure.get_supxlabel()


def test_plots_of_one_seed_and_of_many_presets(tmp_path: Path) -> None:
    single = compare(ADAM, seeds=1, count=1, steps=3)
    assert drawable(single) == ["evaluations", "profiles", "targets", "distances"]
    draw_all(single, tmp_path)
    (trial,) = single.trials
    many = Study((trial,) * (len(COLOURS) + 1), single.target, "")
    first, *_, last = PLOTS["evaluations"](many).axes[0].get_lines()
    assert first.get_color() == last.get_color()
    assert first.get_linestyle() != last.get_linestyle()


def test_tables_as_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = final_rows(both(), NAMES)
    text, table = write_rows(tmp_path, "finals", rows)
    assert [json.loads(line) for line in text.read_text("utf-8").splitlines()] == rows
    assert parquet.read_table(table).to_pylist() == rows


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("presets", "others", "told"),
    [
        (["best"], {}, "unknown preset 'best'; allowed: quick"),
        ([], {}, r"presets \(none\); allowed: some, each name once"),
        ([ADAM, ADAM], {}, "presets adam, adam; allowed: some, each name once"),
        ([ADAM], {"seeds": 0}, "seeds must be a whole number of at least 1"),
        ([ADAM], {"target": "lbfgs"}, "unknown baseline 'lbfgs'; allowed: adam"),
        ([ADAM], {"target": -1.0}, "target must be above 0.0 and finite, got -1.0"),
        ([ADAM, SEER], {}, "preset 'seer', stage 1, .* sees 8x8 px"),
    ],
)
def test_what_cannot_be_studied_is_refused(
    presets: list[Any], others: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = "jaxinv.studies.study.invert"
    monkeypatch.setattr(late, lambda *given, **named: pytest.fail("too late"))
    with pytest.raises(ValueError, match=told):
        compare(*presets, **others)
