"""The registry of claims is sound, its command lists it, and what is cheap is measured."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from jaxinv.cli import main
from jaxinv.inversion.presets import with_steps
from jaxinv.presets import PRESETS
from jaxinv.reports import preset_scores
from tests.benchmarks import __main__ as command
from tests.benchmarks.methods import presets, registry
from tests.benchmarks.methods.claims import Claim, Found, row
from tests.benchmarks.methods.registry import CLAIMS, FAMILIES

pytestmark = pytest.mark.usefixtures("quick_compilation")


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.methods_options(parser)
    return parser.parse_args(words)


def printed(*words: str) -> list[str]:
    lines: list[str] = []
    registry.report(options(*words), lines.append)
    return lines


def test_names_are_unique_and_plain() -> None:
    every = [claim.name for family in FAMILIES for claim in family.CLAIMS]
    assert sorted(every) == sorted(set(every)) == sorted(CLAIMS)
    assert all(re.fullmatch(r"[a-z0-9+-]+", name) for name in every)


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda claim: claim.name)
def test_a_claim_names_presets_and_fills_one_row(claim: Claim) -> None:
    assert claim.methods
    assert set(claim.methods) <= set(PRESETS)
    texts = (claim.paper, claim.words, claim.goal, claim.reason)
    assert all(texts[:3])
    assert not any(mark in text for text in texts for mark in "|\n")


def test_the_command_lists_the_claims_and_refuses_others() -> None:
    listed = printed("--list")
    assert [text.split(" | ")[0].strip("| ") for text in listed] == list(CLAIMS)
    with pytest.raises(ValueError, match="unknown claim 'one'; allowed: csgm-linear"):
        printed("one")


def test_what_is_cheap_is_measured() -> None:
    *heads, last = printed("aberdam-exact")
    assert last.startswith("| aberdam (Aberdam et al. 2020")
    assert last.endswith("| yes |")
    assert heads[0].splitlines()[0].count("|") == last.count("|") == 7


def test_what_does_not_hold_says_why() -> None:
    def measure() -> Found:
        return Found("1 dB", holds=False, evaluations="5", images="8 faces")

    said = row(Claim("a", ("z",), "paper", "words", "goal", measure, reason="too small"))
    assert said.endswith("| no: too small |")


def test_what_is_not_here_is_named() -> None:
    def measure() -> Found:
        raise FileNotFoundError("no weights.pt")

    said = row(Claim("a", ("z",), "paper", "words", "goal", measure))
    assert said == "| z (paper) | words (goal: goal) |  |  | not measured: no weights.pt |  |"


def test_presets_are_paired_with_generators_that_suit() -> None:
    chosen = list(presets.pairs((), ()))
    assert ("z", "mnist28") in chosen
    assert ("pti", "celeba32") not in chosen
    assert {generator for _, generator in chosen} == set(presets.USUAL)
    assert ("pti", "ffhq") in list(presets.pairs((), ("ffhq",)))
    assert list(presets.pairs(("z",), ("celeba32",))) == [("z", "celeba32")]
    with pytest.raises(ValueError, match="unknown generator 'sg'; allowed: celeba32, mnist28"):
        list(presets.pairs(("z",), ("sg",)))


@pytest.mark.parametrize("name", ["pix2latent-adam", "dgp-reconstruct", "igan-edit", "hmc"])
@pytest.mark.parametrize("most", [600, 2000, None])
def test_most_bounds_the_evaluations_of_an_image(name: str, most: int | None) -> None:
    preset = PRESETS[name]
    made = with_steps(preset, presets.steps_for(preset, most)).steps * preset.restarts
    whole = preset.steps * preset.restarts
    assert made == whole if most is None or whole <= most else most / 2 < made <= most


def test_the_table_of_presets_shortens_and_scores() -> None:
    if not presets.measurable():
        pytest.skip("needs shared/data/weights (set JAXINV_SHARED) and jaxinv pull lpips")
    lines = printed("--presets", "z", "ylg", "--generators", "mnist28", "--images", "1", "--most=8")
    assert "| z | mnist28 | 1 of its own, 28 px | 8 |" in lines[1]
    assert "refused: preset 'ylg'" in lines[2]


FIGURE = preset_scores.Figure("z", "mnist28", 2, 28, True, "8", 20.0, 19.0, 0.9, 0.1, 3.0)


def test_a_figure_takes_the_place_of_the_last_one(tmp_path: Path) -> None:
    file = tmp_path / "scores.jsonl"
    for figure in (
        FIGURE._replace(preset="pti", generator="ffhq"),
        FIGURE._replace(ssim=0.2),
        FIGURE._replace(generator="dense", psnr=None),
        FIGURE,
    ):
        presets.keep(figure, file)
    kept = preset_scores.read(file)
    assert [(one.preset, one.generator) for one in kept] == [
        ("z", "dense"),
        ("z", "mnist28"),
        ("pti", "ffhq"),
    ]
    assert kept[1] == FIGURE
    assert "PSNR equal / 19.00 dB" in str(kept[0])


def test_figures_that_are_shown_are_of_presets_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = preset_scores.read()
    assert {one.preset for one in known} <= set(PRESETS)
    assert {one.generator for one in known} <= set(presets.GENERATORS)
    assert main.main(["presets"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n  measured: {one}\n" in said for one in known)
