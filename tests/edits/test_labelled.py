"""Directions by labels: each changes its own score as it says, and is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.cli.foreign_files import find_direction
from jaxinv.cli.main import main
from jaxinv.edits.directions import Direction
from jaxinv.edits.discovery.samples import draw_codes, pictures
from jaxinv.edits.editing import edit
from jaxinv.edits.holding import held_ways
from jaxinv.edits.kept import kept_names
from jaxinv.edits.labelled import labelled_direction, learn_labelled
from jaxinv.io.image_ops import to_uint8
from jaxinv.metrics.labels import label_scores
from jaxinv.models.loading import generator_hash, load_generator
from jaxinv.training.stylegan2 import save_generator
from tests.tiny import STYLE, draw, grown, style
from tests.tiny_labels import LABELS, save_labels

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder with a generator "g" and its net of labels."""
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    params = {name: style()[1][name] for name in ("mapping", "synthesis")}
    spec = replace(STYLE, facts=tuple(f for f in STYLE.facts if f[0] != "discriminator"))
    save_generator(tmp_path / "g.safetensors", spec, params)
    save_labels(tmp_path, "g")
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_a_direction_changes_the_score_that_it_is_called_after() -> None:
    gen, params = load_generator("g")
    found = learn_labelled(gen, params, "g", samples=200, report=lambda line: None)
    assert list(found) == list(LABELS["attributes"])
    latents = draw_codes(gen, params, "w", 32, 9)[1]
    for name, direction in found.items():
        assert next(iter(direction.effects)) == name
        assert direction.effects[name] > 0
        scores = [
            np.concatenate(
                [label_scores("g", name, one) for one in pictures(gen, params, moved)]
            ).mean()
            for moved in (edit(gen, params, latents, [(direction, a)]) for a in (-1.0, 0.0, 1.0))
        ]
        assert scores == sorted(scores), name


@pytest.mark.slow
def test_it_is_learned_once_and_found_by_name(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["directions", "-g", "g"]) == 0
    assert "first named: round, shaped, turned" in capsys.readouterr().out
    gen, params = load_generator("g")
    first: Any = find_direction("turned", "g", gen, params)
    assert kept_names("g") == ["round", "shaped", "turned"]
    monkeypatch.setattr("jaxinv.edits.labelled.learn_labelled", None)
    again: Any = find_direction("turned", "g", gen, params)
    np.testing.assert_array_equal(again.vector, first.vector)
    assert main(["directions", "-g", "g"]) == 0
    assert "1 is one deviation of W" in capsys.readouterr().out
    # Scores by name for the methods that look at scores, before those of any pictures.
    out = cache / "d.safetensors"
    words = ["discover", "regression", "-g", "g", "--samples", "40", "--attribute", "round"]
    assert main([*words, "-o", str(out)]) == 0
    assert out.is_file()
    assert main([*words[:-1], "rund", "-o", str(out)]) == 2
    assert "round" in capsys.readouterr().err


@pytest.mark.usefixtures("cache")
def test_a_label_is_held_by_the_net_that_tells_it() -> None:
    gen, params = load_generator("g")
    owner: dict[str, Any] = {"generator": generator_hash(params), "generator_name": "g"}
    draws = np.random.default_rng(0).standard_normal((2, gen.spec.w_dim)).astype(np.float32)
    turn, other = (
        Direction(name, "w", vector, effects={name: 1.0}, **owner)
        for name, vector in zip(("turned", "round"), draws, strict=True)
    )
    (held,) = held_ways(gen, params, [turn], [other])
    drawn = to_uint8(np.stack([draw((gen, params), seed)[0] for seed in range(3)]))
    assert held.score is not None
    np.testing.assert_array_equal(held.score(drawn), label_scores("g", "turned", drawn))
    with pytest.raises(ValueError, match="'turned' changes 'turned', which is held"):
        held_ways(gen, params, [turn], [turn])
    far = replace(turn, name="age", effects={"age": 1.0})
    with pytest.raises(ValueError, match="other pictures"):
        held_ways(gen, params, [far])
    with pytest.raises(ValueError, match="allowed: directions about round, shaped, turned, luma"):
        held_ways(gen, params, [replace(turn, effects={"beard": 1.0})])


@pytest.mark.usefixtures("cache")
def test_what_has_no_labels_or_no_w_is_refused() -> None:
    gen, params = style()
    with pytest.raises(ValueError, match="generator 'other' has no net of labels"):
        learn_labelled(gen, params, "other")
    with pytest.raises(ValueError, match="generator 'g' has no W"):
        learn_labelled(*grown(), "g")
    with pytest.raises(ValueError, match="samples"):
        learn_labelled(gen, params, "g", samples=99)
    with pytest.raises(ValueError, match="attribute 'smile'; "):
        labelled_direction(gen, params, "g", "smile")
