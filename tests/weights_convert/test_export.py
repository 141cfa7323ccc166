"""The way back: generators as state dicts that the original code loads, and read once more."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxinv.cli.console import DONE, USAGE
from jaxinv.cli.main import main
from jaxinv.io import checkpoints
from jaxinv.io.checkpoints import read_spec
from jaxinv.models import loading
from jaxinv.models.generators.weight_deltas import leaves
from jaxinv.models.loading import build, load_generator
from jaxinv.specs import GeneratorSpec
from tests.offline import save_weights
from tests.tiny import CHAIN, STYLE
from weights_convert import UnsafeFileError, convert, export, sources
from weights_convert.networks.rules import Rule, apply_rules, undo_rules
from weights_convert.sources import containers

ALLOWED = 1e-6  # relative to an array's largest value
BOTH = ("rosinality", "nvlabs-state-dict")

PLAIN = GeneratorSpec(
    name="plain",
    architecture="stylegan2",
    resolution=8,
    z_dim=6,
    w_dim=6,
    rows=4,
    styles=(5, 5, 5, 4, 4),
    noise=(4, 8, 8),
    layout18=(0, 1, 2, 3),
    facts=(("mapping_layers", 2),),
)
CLAMPED = replace(PLAIN, name="clamped", facts=(("clamp", 4.0), ("mapping_layers", 2)))
LABELLED = replace(
    PLAIN,
    name="labelled",
    labels=3,
    facts=(("label", "embed"), ("label_width", 6), ("mapping_layers", 2)),
)
OLDER = replace(LABELLED, facts=(("label", "concat"), ("label_width", 6), ("mapping_layers", 2)))
UNEVEN = replace(PLAIN, name="uneven", z_dim=7)
# Rates 16, 16, 16 with filters of 12 taps; the second layer cuts the margin off.
THIRD = GeneratorSpec(
    name="third",
    architecture="stylegan3",
    resolution=16,
    z_dim=6,
    w_dim=6,
    rows=4,
    styles=(4, 8, 8, 7),
    facts=(
        ("grid", (8, 36, 16.0, 2.0)),
        (
            "layers",
            (
                (8, 8, 3, 2, 2, (12, 12), True, (9, 8, 9, 8), 256.0, False),
                (8, 7, 3, 2, 2, (12, 12), False, (-11, -12, -11, -12), 256.0, False),
                (7, 3, 1, 1, 1, (0, 0), False, (0, 0, 0, 0), 256.0, True),
            ),
        ),
        ("mapping_layers", 2),
        ("scale", 0.25),
    ),
)

ROSINALITY = """
style.1.weight 6 6, style.1.bias 6, style.2.weight 6 6, style.2.bias 6, input.input 1 5 4 4
conv1.conv.weight 1 5 5 3 3, conv1.conv.modulation.weight 5 6, conv1.conv.modulation.bias 5
conv1.noise.weight 1, conv1.activate.bias 5
to_rgb1.bias 1 3 1 1, to_rgb1.conv.weight 1 3 5 1 1
to_rgb1.conv.modulation.weight 5 6, to_rgb1.conv.modulation.bias 5
convs.0.conv.weight 1 4 5 3 3, convs.0.conv.blur.kernel 4 4
convs.0.conv.modulation.weight 5 6, convs.0.conv.modulation.bias 5
convs.0.noise.weight 1, convs.0.activate.bias 4
convs.1.conv.weight 1 4 4 3 3, convs.1.conv.modulation.weight 4 6, convs.1.conv.modulation.bias 4
convs.1.noise.weight 1, convs.1.activate.bias 4
to_rgbs.0.bias 1 3 1 1, to_rgbs.0.upsample.kernel 4 4, to_rgbs.0.conv.weight 1 3 4 1 1
to_rgbs.0.conv.modulation.weight 4 6, to_rgbs.0.conv.modulation.bias 4
noises.noise_0 1 1 4 4, noises.noise_1 1 1 8 8, noises.noise_2 1 1 8 8
"""
NVLABS = """
mapping.fc0.weight 6 12, mapping.fc0.bias 6, mapping.fc1.weight 6 6, mapping.fc1.bias 6
mapping.embed.weight 6 3, mapping.embed.bias 6, mapping.w_avg 6
synthesis.b4.const 5 4 4, synthesis.b4.resample_filter 4 4
synthesis.b4.conv1.weight 5 5 3 3, synthesis.b4.conv1.bias 5, synthesis.b4.conv1.noise_strength
synthesis.b4.conv1.noise_const 4 4, synthesis.b4.conv1.resample_filter 4 4
synthesis.b4.conv1.affine.weight 5 6, synthesis.b4.conv1.affine.bias 5
synthesis.b4.torgb.weight 3 5 1 1, synthesis.b4.torgb.bias 3
synthesis.b4.torgb.affine.weight 5 6, synthesis.b4.torgb.affine.bias 5
synthesis.b8.resample_filter 4 4
synthesis.b8.conv0.weight 4 5 3 3, synthesis.b8.conv0.bias 4, synthesis.b8.conv0.noise_strength
synthesis.b8.conv0.noise_const 8 8, synthesis.b8.conv0.resample_filter 4 4
synthesis.b8.conv0.affine.weight 5 6, synthesis.b8.conv0.affine.bias 5
synthesis.b8.conv1.weight 4 4 3 3, synthesis.b8.conv1.bias 4, synthesis.b8.conv1.noise_strength
synthesis.b8.conv1.noise_const 8 8, synthesis.b8.conv1.resample_filter 4 4
synthesis.b8.conv1.affine.weight 4 6, synthesis.b8.conv1.affine.bias 4
synthesis.b8.torgb.weight 3 4 1 1, synthesis.b8.torgb.bias 3
synthesis.b8.torgb.affine.weight 4 6, synthesis.b8.torgb.affine.bias 4
"""
NVLABS3 = """
mapping.fc0.weight 6 6, mapping.fc0.bias 6, mapping.fc1.weight 6 6, mapping.fc1.bias 6
mapping.w_avg 6, synthesis.input.weight 8 8, synthesis.input.transform 3 3
synthesis.input.freqs 8 2, synthesis.input.phases 8
synthesis.input.affine.weight 4 6, synthesis.input.affine.bias 4
synthesis.L0_36_8.weight 8 8 3 3, synthesis.L0_36_8.bias 8, synthesis.L0_36_8.magnitude_ema
synthesis.L0_36_8.up_filter 12, synthesis.L0_36_8.down_filter 12 12
synthesis.L0_36_8.affine.weight 8 6, synthesis.L0_36_8.affine.bias 8
synthesis.L1_16_7.weight 7 8 3 3, synthesis.L1_16_7.bias 7, synthesis.L1_16_7.magnitude_ema
synthesis.L1_16_7.up_filter 12, synthesis.L1_16_7.down_filter 12
synthesis.L1_16_7.affine.weight 8 6, synthesis.L1_16_7.affine.bias 8
synthesis.L2_16_3.weight 3 7 1 1, synthesis.L2_16_3.bias 3, synthesis.L2_16_3.magnitude_ema
synthesis.L2_16_3.affine.weight 7 6, synthesis.L2_16_3.affine.bias 7
"""


def shapes(table: str) -> dict[str, tuple[int, ...]]:
    lines = [line.split() for line in table.strip().replace(",", "\n").splitlines()]
    return {name: tuple(map(int, sizes)) for name, *sizes in lines}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "use_compilation_cache", lambda: None)
    monkeypatch.chdir(tmp_path)


def random_params(spec: GeneratorSpec) -> dict[str, Any]:
    """Parameters of any values; a StyleGAN3's kernels have mean square 1, as converted ones."""
    draws = np.random.default_rng(1)

    def fill(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        name, values = path[-1].key, draws.standard_normal(leaf.shape)
        if name == "gain":
            values = np.exp(values)
        if name == "kernel" and leaf.ndim == 4 and leaf.shape[-1] > 3:
            values /= np.sqrt(np.mean(np.square(values), (0, 1, 2)))
        return np.asarray(values, np.float32)

    known = jax.eval_shape(build(spec).init, jax.random.key(0))
    return jax.tree_util.tree_map_with_path(fill, known)


def saved(spec: GeneratorSpec, folder: Path) -> Path:
    path = folder / f"{spec.name}.safetensors"
    save_weights(path, random_params(spec), "generator", spec=asdict(spec))
    return path


def arrays_of(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The generator's arrays of an exported file, and the rest of it."""
    tree = containers.read_checkpoint(path).tree
    inner = tree.pop("g_ema", None)
    return (tree, {}) if inner is None else (inner, tree)


def error(found: Any, wanted: Any) -> float:
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-30))


def compare(found: dict[str, Any], wanted: dict[str, Any]) -> float:
    """The largest relative error of nested parameters with the same names and shapes."""
    ours, theirs = dict(leaves(found)), dict(leaves(wanted))
    assert set(ours) == set(theirs)
    assert all(np.shape(ours[name]) == np.shape(theirs[name]) for name in ours)
    return max(error(np.asarray(ours[name]), np.asarray(theirs[name])) for name in ours)


# --- without fixtures -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "target", "table"),
    [
        (PLAIN, "rosinality", ROSINALITY),
        (LABELLED, "nvlabs-state-dict", NVLABS),
        (THIRD, "nvlabs-state-dict", NVLABS3),
    ],
    ids=lambda value: value.name if isinstance(value, GeneratorSpec) else "",
)
def test_state_dicts_have_the_names_and_shapes_of_the_original_code(
    spec: GeneratorSpec, target: str, table: str, tmp_path: Path
) -> None:
    arrays, rest = arrays_of(export(saved(spec, tmp_path), target))
    assert {name: array.shape for name, array in arrays.items()} == shapes(table)
    assert all(array.dtype == np.float32 for array in arrays.values())
    assert {name: array.shape for name, array in rest.items()} == (
        {"latent_avg": (6,)} if target == "rosinality" else {}
    )
    for name, array in arrays.items():
        if name.endswith(("resample_filter", "kernel")):
            gain = 4.0 if target == "rosinality" else 1.0
            np.testing.assert_array_equal(array * 64 / gain, np.outer([1, 3, 3, 1], [1, 3, 3, 1]))


@pytest.mark.parametrize(
    ("spec", "target"),
    [
        *((PLAIN, target) for target in BOTH),
        *((spec, "nvlabs-state-dict") for spec in (CLAMPED, LABELLED, UNEVEN, THIRD)),
    ],
    ids=lambda value: value.name if isinstance(value, GeneratorSpec) else value,
)
def test_what_was_written_is_read_again(spec: GeneratorSpec, target: str, tmp_path: Path) -> None:
    path = export(saved(spec, tmp_path), target, out=tmp_path / "back.pth")
    again = convert(path, name=spec.name, clamp=dict(spec.facts).get("clamp"))
    params, notes = checkpoints.load(again)
    assert read_spec(notes) == spec
    assert params["mapping"].pop("average").shape == (spec.w_dim,)
    assert compare(params, random_params(spec)) <= ALLOWED


def test_a_missing_mean_of_w_is_measured(tmp_path: Path) -> None:
    path = saved(PLAIN, tmp_path)
    _, rest = arrays_of(export(path, "rosinality"))
    mean = load_generator(str(path))[1]["statistics"]["mean"]
    np.testing.assert_array_equal(rest["latent_avg"], np.asarray(mean))


REFUSED = {
    "architecture": (CHAIN, "rosinality", r"architecture 'dcgan', not stylegan2; .* no target"),
    "any architecture": (CHAIN, "nvlabs-state-dict", "not stylegan2 or stylegan3; .* no target"),
    "a StyleGAN3": (THIRD, "rosinality", r"'stylegan3', not .* for it: nvlabs-state-dict"),
    "a clamp": (STYLE, "rosinality", r"clamps its layers at 4.0; .* for it: nvlabs-state-dict"),
    "classes": (LABELLED, "rosinality", r"it has 3 classes; .* for it: nvlabs-state-dict"),
    "uneven codes": (UNEVEN, "rosinality", r"z has 7 numbers and w 6; .*: nvlabs-state-dict"),
    "older classes": (OLDER, "nvlabs-state-dict", r"embedded as in the first .* no target"),
    "target": (PLAIN, "keras", r"unknown target 'keras'; allowed: rosinality, nvlabs-state-dict"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_target_cannot_express_is_refused_before_arrays_are_read(
    case: str, tmp_path: Path
) -> None:
    spec, target, told = REFUSED[case]
    path = tmp_path / "it.safetensors"
    save_weights(path, {"no": np.zeros(1)}, "generator", spec=asdict(spec))
    with pytest.raises(ValueError, match=told):
        export(path, target)
    assert [found.name for found in tmp_path.glob("*.pt*")] == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, "the generator has no synthesis/const"),
        ({"const": np.zeros((4, 4, 7), np.float32)}, r"shape \(4, 4, 7\); allowed: \(4, 4, 5\)"),
        ({"const": np.zeros((4, 4, 5)), "more": np.zeros(1)}, "used by no rule: synthesis/more"),
    ],
)
def test_parameters_of_another_network_are_refused(
    change: dict[str, np.ndarray], told: str, tmp_path: Path
) -> None:
    params = random_params(PLAIN)
    del params["synthesis"]["const"]
    params["synthesis"] |= change
    save_weights(tmp_path / "it.safetensors", params, "generator", spec=asdict(PLAIN))
    with pytest.raises(ValueError, match=told):
        export(tmp_path / "it.safetensors", "rosinality")


def test_a_rule_without_an_inverse_is_not_undone() -> None:
    rule = Rule("a", ("b",), np.abs, (2,))
    params = apply_rules([rule], {"b": np.ones(2)})
    with pytest.raises(ValueError, match="rule of a cannot be undone"):
        undo_rules([rule], params)


# --- state dicts of NVlabs ------------------------------------------------------------------------


def third_arrays(tmp_path: Path) -> dict[str, np.ndarray]:
    return arrays_of(export(saved(THIRD, tmp_path), "nvlabs-state-dict"))[0]


@pytest.mark.parametrize(
    ("name", "array", "told"),
    [
        ("synthesis.L1_16_7.weight", None, "allowed: L0, L1"),
        ("synthesis.L1_16_7.weight", np.zeros((7, 8)), "missing or of another shape"),
        ("synthesis.L1_16_7.up_filter", np.zeros(18), "rates 16 and 16"),
        ("synthesis.L1_16_7.up_filter", np.zeros(13), "rates 16 and 16"),
        ("synthesis.L1_16_7.up_filter", np.zeros(()), "missing or of another shape"),
        ("mapping.w_avg", None, "mapping.w_avg"),
        ("mapping.fc0.weight", np.zeros(3), "missing or of another shape"),
    ],
)
def test_a_stylegan3_whose_plan_does_not_follow_is_refused(
    name: str, array: np.ndarray | None, told: str, tmp_path: Path
) -> None:
    arrays = third_arrays(tmp_path)
    arrays.pop(name)
    arrays |= {} if array is None else {name: array}
    with pytest.raises(UnsafeFileError, match=told):
        sources.convert(arrays)


@pytest.mark.parametrize(
    ("spec", "target"),
    [(PLAIN, "rosinality"), (LABELLED, "nvlabs-state-dict"), (THIRD, "nvlabs-state-dict")],
    ids=lambda value: value.name if isinstance(value, GeneratorSpec) else value,
)
def test_arrays_of_other_shapes_are_converted_or_refused_with_the_one_error(
    spec: GeneratorSpec, target: str, tmp_path: Path
) -> None:
    arrays, rest = arrays_of(export(saved(spec, tmp_path), target))
    outcomes = []
    for name, array in arrays.items():
        for shape in ((), (0,), (0,) * array.ndim, (1, *array.shape), array.shape[:-1], (3, 2, 7)):
            changed = arrays | {name: np.ones(shape, np.float32)}
            try:
                sources.convert({"g_ema": changed, **rest} if rest else changed)
                outcomes.append("read")
            except UnsafeFileError:
                outcomes.append("refused")
    assert outcomes.count("refused") > len(outcomes) / 2
    assert "read" in outcomes  # one more axis of length 1 does no harm


def test_a_clamp_is_asked_for_where_the_file_does_not_say_it(tmp_path: Path) -> None:
    path = export(saved(PLAIN, tmp_path), "nvlabs-state-dict")
    assert dict(read_spec(checkpoints.read_metadata(convert(path))).facts).get("clamp") is None
    notes = checkpoints.read_metadata(convert(path, clamp=256))
    assert dict(read_spec(notes).facts)["clamp"] == 256
    with pytest.raises(ValueError, match=r"clamp must be above 0\.0 and finite, got nan"):
        convert(path, clamp=float("nan"))
    other = export(saved(PLAIN, tmp_path), "rosinality")
    with pytest.raises(ValueError, match="option 'clamp' with a file of StyleGAN2, rosinality"):
        convert(other, clamp=256)


# --- the verb -------------------------------------------------------------------------------------


def test_the_verb_writes_beside_nothing_of_yours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(PLAIN, tmp_path / "cache")
    assert main(["convert", "plain", "--to", "rosinality"]) == DONE
    assert capsys.readouterr().out.strip() == "plain-rosinality.pt"
    assert (
        main(["convert", "plain-rosinality.pt", "--name", "again", "--alignment", "ffhq"]) == DONE
    )
    notes = checkpoints.read_metadata(tmp_path / "cache" / "again.safetensors")
    assert json.loads(notes["spec"])["alignment"] == "ffhq"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["plain", "--to", "keras"], "unknown target 'keras'; allowed: rosinality"),
        (["plain", "--to", "rosinality", "-o", "x.pkl"], "ends in .pt or .pth"),
        (["plain", "--to", "rosinality", "--name", "x"], "option --name with --to; allowed: --out"),
        (["plain", "--to", "rosinality", "--no-fused"], "option --fused with --to"),
        (["nobody", "--to", "rosinality"], "'nobody' are not in"),
        (["other.pt", "--to", "rosinality"], "a name or .safetensors file that `jaxinv convert`"),
        (["other.pt", "--clamp", "-1"], "clamp must be above 0.0"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(PLAIN, tmp_path / "cache")
    (tmp_path / "other.pt").write_bytes(b"anything")
    assert main(["convert", *arguments]) == USAGE
    said = capsys.readouterr().err
    assert told in said
    assert len(said.splitlines()) == 1
