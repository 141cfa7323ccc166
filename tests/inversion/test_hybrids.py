"""Hybrids: lists of presets by name, which begin where an encoder looks."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxinv.cli.main import main
from jaxinv.encoders.encoding import encode
from jaxinv.encoders.networks import build
from jaxinv.encoders.plans import encoder_spec
from jaxinv.encoders.training import unchanging
from jaxinv.inversion.invert import invert
from jaxinv.inversion.presets import composed, find_preset
from jaxinv.presets import ENCODERS, HYBRIDS, PRESETS
from jaxinv.specs import EncoderPlan, Hybrid, OperatorSpec, Preset, Term
from jaxinv.specs.serialization import to_json
from jaxinv.specs.vocabulary import LATENT_SPACES
from tests.tiny import Pair, chain, draw, grown, mobile

pytestmark = pytest.mark.usefixtures("quick_compilation")


@lru_cache
def looker(space: str, make: Any) -> Any:
    """A small encoder with random weights, of a generator."""
    gen, params = make()
    facts = (("width", 4), ("last", 4), *((("bounded", True),) if space == "z" else ()))
    base = "zeros" if space == "z" else "mean"
    plan = EncoderPlan("dcgan", "dcgan-dense", side=16, outputs=(space,), base=base, facts=facts)
    spec = encoder_spec(replace(ENCODERS["encoder"], plan=plan, terms=(Term("mse"),)), gen.spec)
    return build(spec), {**build(spec).init(jax.random.key(3)), **unchanging(gen, params, spec)}


def pixels(preset: Preset, steps: int) -> Preset:
    """The preset by pixels alone, few evaluations a stage, for pictures as large as they are."""
    stages = tuple(
        replace(
            stage,
            steps=min(stage.steps, steps),
            stop=None,
            terms=(Term("mse"), *(t for t in stage.terms if t.name == "residual_energy")),
        )
        for stage in preset.stages
    )
    return replace(preset, stages=stages, enlarge=None, restarts=1)


@pytest.mark.parametrize("name", HYBRIDS)
def test_a_hybrid_is_the_stages_of_its_parts(name: str) -> None:
    made, (first, *rest) = find_preset(name), HYBRIDS[name].parts
    assert HYBRIDS[name].name == made.name == name
    assert made.encoder == first
    assert first in ENCODERS
    parts = [PRESETS[part] for part in rest]
    assert sum(len(part.stages) for part in parts) == len(made.stages)
    assert made.steps == sum(part.steps for part in parts)
    codes = [v for stage in made.stages for v in stage.variables if v.space in LATENT_SPACES]
    assert not codes or codes[0].init.kind in ("given", "encoder")
    if codes:  # the encoder gives a code that leads there
        assert set(ENCODERS[first].plan.outputs) & set(LATENT_SPACES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "make", "space"),
    [("zhu2016-igan", chain, "z"), ("encoder-default", mobile, "w+")],
)
def test_a_search_goes_on_from_the_code_of_the_encoder(name: str, make: Any, space: str) -> None:
    pair: Pair = make()
    pictures = draw(pair, 5, 1)
    made = pixels(find_preset(name), 6)
    loaded = looker(space, make)
    found = invert(*pair, pictures, preset=made, init=loaded)
    code = encode(pictures, loaded)[space][0]
    first = np.asarray(pair[0].synthesize(pair[1], {space: code}))
    error = np.mean(np.square(first - pictures[0]))
    np.testing.assert_allclose(found.losses[0, 0, 0], error, rtol=2e-3)
    assert found.loss[0] < error


@pytest.mark.slow
def test_residuals_are_found_behind_the_code_of_an_encoder() -> None:
    pair, loaded = grown(), looker("z", grown)
    pictures = draw(pair, 5, 1)
    found = invert(*pair, pictures, preset=pixels(find_preset("gan-paint-hybrid"), 12), init=loaded)
    np.testing.assert_array_equal(found.latents["z"], encode(pictures, loaded)["z"])
    assert set(found.latents) == {"z", "features", "weights"}
    first = np.asarray(pair[0].synthesize(pair[1], {"z": found.latents["z"][0]}))
    assert found.loss[0] < np.mean(np.square(first - pictures[0]))


@pytest.mark.slow
def test_npgd_looks_with_the_encoder_that_is_given() -> None:
    pair, loaded = chain(), looker("z", chain)
    pictures = draw(pair, 5, 1)
    made = replace(find_preset("npgd-hybrid"), operator=OperatorSpec("hole", share=0.5))
    made = replace(made, stages=made.stages[:4])
    found = invert(*pair, pictures, preset=made, init=loaded)
    assert found.losses.shape[2] == 4
    assert np.isfinite(found.loss).all()


def test_the_encoder_that_is_missing_is_named_with_its_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    told = r"'zhu2016-igan' begins at the codes of an encoder.*train-encoder zhu2016 -"
    with pytest.raises(ValueError, match=told):
        invert(*chain(), draw(chain(), 5, 1), preset=pixels(find_preset("zhu2016-igan"), 2))
    (tmp_path / "a.png").write_bytes(b"")
    words = ["invert", str(tmp_path), "-g", "mine", "-o", str(tmp_path / "out")]
    assert main([*words, "-p", "idinvert-hybrid"]) == 2
    said = capsys.readouterr().err
    assert "jaxinv train-encoder idinvert-encoder -g mine -o RUN" in said


def test_a_hybrid_can_be_written_and_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    mine = Hybrid("mine", ("psp", "quick", "pti-tuning"), "three", "me")
    file.write_text(to_json(mine), "utf-8")
    found = find_preset(str(file))
    assert found == composed(mine)
    assert [len(find_preset(part).stages) for part in mine.parts[1:]] == [1, 1]
    assert len(found.stages) == 2
    assert found.encoder == "psp"


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (("psp",), "hybrid 'mine' of psp; allowed: at least 2 presets"),
        (("quick", "psp"), "unknown part of hybrid 'mine' 'psp'; allowed: quick, default"),
        (("default", "igan"), "'z'; allowed: w+"),
        (("psp", "quik"), "unknown part of hybrid 'mine' 'quik'"),
    ],
)
def test_parts_that_cannot_follow_one_another_are_refused(
    parts: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ValueError, match=told.replace("+", r"\+")):
        composed(Hybrid("mine", parts, "a", "b"))
