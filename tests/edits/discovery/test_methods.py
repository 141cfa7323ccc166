"""Methods by name, and the verb that runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.cli.main import main
from jaxinv.edits.directions import load_direction
from jaxinv.edits.discovery.methods import EDIT_NAMES, METHODS, discover
from jaxinv.edits.discovery.samples import draw_codes
from jaxinv.models.loading import generator_hash, load_generator
from tests.edits.renderer import FACTORS, directions, likeness, renderer
from tests.offline import go_offline
from tests.tiny import chain, classes, style


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    go_offline(tmp_path, monkeypatch)
    return tmp_path


def test_scored_methods_find_a_factor_and_say_its_effect() -> None:
    pair = renderer()
    codes, _ = draw_codes(*pair, "w", 1000, seed=2)
    truth = codes @ directions(pair)[3]
    for method in ("interfacegan", "regression"):
        (found,) = discover(method, *pair, scores=truth, samples=1000, seed=2, name="aspect")
        assert found.vector @ directions(pair)[3] > 0.99
        assert found.effects["aspect"] == pytest.approx(1, abs=0.03)
        assert (found.space, found.name) == ("w", "aspect")
        assert found.generator == generator_hash(pair[1])
        assert METHODS[method].reference in found.source


def test_channels_are_directions_of_s_in_its_layers() -> None:
    pair = renderer()
    styles, _ = draw_codes(*pair, "s", 500)
    found = discover("stylespace", *pair, scores=styles[:, 6], samples=500, count=2)
    moved = np.concatenate(found[0].vector)
    assert [len(part) for part in found[0].vector] == [5, 3]
    assert FACTORS[np.flatnonzero(moved)[0]] == "brightness"
    assert [one.name for one in found] == ["stylespace-00", "stylespace-01"]


def test_unscored_methods_give_as_many_as_are_asked_for() -> None:
    pair = renderer()
    found = discover("sefa", *pair, count=3, rows=(1,))
    assert [one.rows for one in found] == [(1,)] * 3
    found = discover("ganspace", *pair, count=2, samples=300, space="s")
    assert {one.space for one in found} == {"s"}
    gen, params = chain()
    layer = {**params["synthesis"]["layer0"], "bias": np.arange(128, dtype=np.float32)}
    params = {**params, "synthesis": {**params["synthesis"], "layer0": layer}}
    (found,) = discover("first-layer", gen, params, edit="shift-x")
    assert (found.space, found.vector.shape) == ("z", (8,))


@pytest.mark.slow
def test_jacobians_and_nets_find_directions_by_name() -> None:
    pair = renderer()
    found = discover("jacobian", *pair, count=3)
    vectors = np.stack([one.vector for one in found])
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(3), atol=1e-5)
    (found,) = discover("steerability", *pair, edit="shift-x", steps=300)
    assert likeness(pair, found.vector)[0] > 0.8  # few steps, of 4 pictures each
    found = discover("reconstructor", *classes(), count=2, steps=3)
    assert "of pairs" in found[0].source


def test_every_method_is_refused_what_it_does_not_take() -> None:
    pair = style()
    scores = np.arange(50.0)
    cases: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("svm", {}, "unknown method 'svm'; allowed: interfacegan"),
        ("interfacegan", {}, "scores None for method 'interfacegan'; allowed: scores of"),
        ("sefa", {"scores": scores}, "for method 'sefa'; allowed: no scores"),
        ("interfacegan", {"scores": scores}, "50 scores for 2000 samples"),
        ("interfacegan", {"scores": np.ones(50), "samples": 50}, "all 50 scores are 1"),
        ("interfacegan", {"scores": scores * np.nan, "samples": 50}, "must be finite"),
        ("interfacegan", {"scores": scores, "samples": 50, "space": "p"}, "space of method"),
        ("steerability", {"edit": "smile"}, "unknown edit of method"),
        ("sefa", {"edit": "zoom"}, "edit 'zoom' for method 'sefa'; allowed: none"),
        ("first-layer", {"edit": "red"}, "unknown edit of method"),
        ("sefa", {"count": 0}, "count must be a whole number of at least 1"),
        ("sefa", {"rows": (7,)}, "allowed: some of 0 to 5"),
        ("sefa", {"seed": -1}, "seed -1"),
    )
    for method, given, message in cases:
        with pytest.raises(ValueError, match=message):
            discover(method, *pair, **given)
    with pytest.raises(ValueError, match="looks in s; generator 'chain' has z"):
        discover("stylespace", *chain(), scores=scores, samples=50)
    assert {name for name, one in METHODS.items() if one.needs == "edit"} == set(EDIT_NAMES)


def test_the_verb_writes_directions_that_load(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, many = str(offline / "a.safetensors"), str(offline / "b.safetensors")
    assert main(["discover", "sefa", "-g", "tiny", "-o", one]) == 0
    assert (
        main(["discover", "sefa", "-g", "tiny", "--count", "2", "--rows", "1-2", "-o", many]) == 0
    )
    names = [line.split("/")[-1] for line in capsys.readouterr().out.splitlines()]
    assert names == ["a.safetensors", "b-00.safetensors", "b-01.safetensors"]
    gen, params = load_generator("tiny")
    found = load_direction(one)
    assert (found.generator, found.vector.shape) == (generator_hash(params), (gen.spec.w_dim,))
    assert load_direction(offline / "b-01.safetensors").rows == (1, 2)
    assert main(["discover", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(METHODS)


def test_the_verb_scores_by_name_or_from_a_table_of_its_own_pictures(offline: Path) -> None:
    folder, out = offline / "pictures", str(offline / "a.safetensors")
    common = ["-g", "tiny", "--samples", "12"]
    assert main(["discover", "regression", *common, "--pictures", str(folder)]) == 0
    assert len(list(folder.glob("*.png"))) == 12
    table = offline / "smile.csv"
    table.write_text("score\n" + "".join(f"{i}\n" for i in range(12)))
    chosen = ["discover", "regression", *common, "-o", out]
    assert main([*chosen, "--attribute", str(table)]) == 0
    assert load_direction(out).name == "smile"
    assert main([*chosen, "--attribute", "luma", "--overwrite"]) == 0
    assert load_direction(out).effects["luma"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sefa"], "no place for the result"),
        (["sefa", "-o", "a.npy"], "a name that ends in .safetensors"),
        (["pca", "-o", "a.safetensors"], "unknown method 'pca'"),
        (["interfacegan", "-o", "a.safetensors"], "allowed: scores of an attribute"),
        (["interfacegan", "--attribute", "mood", "-o", "a.safetensors"], "unknown attribute"),
        (["interfacegan", "--attribute", "a.csv", "-o", "a.safetensors"], "no table of scores"),
    ],
)
def test_the_verb_says_in_one_line_what_is_wrong(
    offline: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["discover", *words, "-g", "tiny"]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
