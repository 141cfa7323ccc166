"""Fixtures of what finds directions: numbers of the original code, from the inputs they state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.edits.conditions import conditioned
from jaxinv.edits.directions import Direction
from jaxinv.edits.discovery import (
    boundaries,
    flows,
    jacobian,
    latent_discovery,
    principal,
    reconstructors,
    sefa,
    styleclip,
    stylespace,
)
from jaxinv.edits.discovery.affines import latent_weights
from jaxinv.edits.published import published_mapper
from jaxinv.edits.walk_paths import walk_path
from jaxinv.latents.sampling import truncate
from jaxinv.models.generators.base import Generator
from jaxinv.models.loading import load_generator
from jaxinv.models.rendering import render
from jaxinv.types import Params
from tests.edits.renderer import renderer
from tests.net_fixtures.rules import check_close, read_arrays, read_meta, rule_tensor, tensors
from tests.weights import SHARED


def check_cosines(found: Any, expected: Any, what: str, allowed: float = 1e-5) -> None:
    """Fail unless rows agree but for their signs."""
    turned = np.sign(np.sum(np.asarray(found) * expected, -1, keepdims=True)) * found
    check_close(turned, expected, what, allowed)


def check_interfacegan(folder: Path) -> None:
    held, meta = read_arrays(folder / "io.npz"), read_meta(folder)
    settings = meta["settings"]
    shuffler = np.random.RandomState(settings["numpy_seed"])
    rows = boundaries.select(
        held["scores"],
        settings["chosen_num_or_ratio"],
        settings["split_ratio"],
        shuffler=shuffler,
    )
    names = ("train_positive", "train_negative", "val_positive", "val_negative")
    for ours, name in zip(rows, names, strict=False):
        np.testing.assert_array_equal(ours, held[f"{name}_index"])
    found = boundaries.boundary(held["latents"], held["scores"], rows)
    # libsvm stops at a tolerance of 1e-3, so that only the angle can be compared.
    assert found.normal @ held["boundary"][0] > 0.9999
    said = [line.split()[-1] for line in meta["log"] if line.startswith("Accuracy")]
    assert [f"{found.validation:.6f}", f"{found.rest:.6f}"] == said
    normal = Direction("boundary", "z", held["boundary"][0])
    others = [Direction(f"other {i}", "z", row) for i, row in enumerate(held["conditions"])]
    for count in range(1, len(others) + 1):
        left = conditioned(normal, others[:count]).vector
        check_close(left, held[f"projected_{count}"][0], f"without {count}")


def check_sefa(folder: Path) -> None:
    held, meta = read_arrays(folder / "io.npz"), read_meta(folder)
    for kind, facts in meta["generators"].items():
        gen, params = converted(facts["fixture"])
        for case in ("all", "0to1"):
            name = f"{kind}_{case}"
            if f"{name}_layers" not in held:
                continue
            rows = None if kind == "pggan" else [int(row) for row in held[f"{name}_layers"]]
            found = sefa.factorise(latent_weights(gen, params, rows))
            order = held[f"{name}_order_descending"]
            values = held[f"{name}_eigenvalues_as_returned"][order]
            vectors = held[f"{name}_eigenvectors_as_returned"][order]
            check_close(found.values, values, f"{name} eigenvalues")
            top = held[f"{name}_top_direction"][0]
            check_close(found.directions[0], top, f"{name} top direction", 2e-5)
            # Of near eigenvalues vectors may mix: each must be an eigenvector by its own residual.
            gaps = np.min(np.abs(np.diff(values))[:4]) / values[0]
            check_cosines(found.directions[:4], vectors[:4], f"{name} vectors", 1e-6 / gaps)
            codes, space = sefa_codes(gen, params, held[f"z_{kind}"][:1], meta["settings"])
            rows = range(len(codes)) if rows is None else rows
            moved = np.isin(np.arange(codes.shape[-2]), rows)[:, None] * found.directions[0]
            edits = [codes + distance * moved for distance in meta["settings"]["distances"]]
            for key, code in (("base", codes), ("edited_minus3_plus1p8", np.stack(edits))):
                drawn = render(gen, params, {space: code.reshape(-1, *shape_of(gen, space))})
                expected = np.moveaxis(held[f"{name}_{key}"], -3, -1)
                check_close(drawn[:, ::2, ::2], expected.reshape(-1, 16, 16, 3), f"{name} {key}")


def shape_of(gen: Generator, space: str) -> tuple[int, ...]:
    return (gen.spec.z_dim,) if space == "z" else (gen.spec.rows, gen.spec.w_dim)


def sefa_codes(
    gen: Generator, params: Params, z: np.ndarray, settings: dict[str, Any]
) -> tuple[np.ndarray, str]:
    """What the original moves [n, rows, d]: w+ truncated in its first rows, or the normalised z."""
    if not gen.spec.w_dim:
        return (z / np.sqrt(np.mean(z**2, 1, keepdims=True) + 1e-8))[:, None], "z"
    w = np.repeat(np.asarray(gen.map(params, z[0]))[None], gen.spec.rows, 0)
    short = truncate(params, jnp.asarray(w), settings["trunc_psi"], settings["trunc_layers"])
    return np.asarray(short)[None], "w+"


def converted(name: str) -> tuple[Any, Any]:
    """The small generator of a fixture of generators, through the public command."""
    import os
    import tempfile

    from jaxinv.cli.main import main

    folder = Path(os.environ.get("JAXINV_FIXTURES", SHARED / "fixtures")) / name
    (file,) = (p for p in folder.iterdir() if p.suffix in (".pth", ".pt", ".pkl"))
    with tempfile.TemporaryDirectory() as target:
        out = str(Path(target) / f"{name}.safetensors")
        assert main(["convert", str(file), "-o", out]) == 0
        return load_generator(out)


def check_ganspace(folder: Path) -> None:
    held, settings = read_arrays(folder / "io.npz"), read_meta(folder)["settings"]
    seed, count, dim, kept = 1520, settings["N"], settings["dim"], settings["components"]

    def normal(name: str, *shape: int) -> np.ndarray:
        return rule_tensor(f"ganspace.{name}", shape, seed=seed).astype(np.float64)

    mixed = (normal("n", count, dim) * 2.0 * 0.8 ** np.arange(dim)) @ (normal("A", dim, dim) / 4)
    x = (mixed + normal("b", dim)).astype(np.float32)
    np.testing.assert_allclose(x[:3], held["X_first3"], rtol=1e-5, atol=1e-6)
    for name, estimator, divisor in (
        ("pca", "pca", 0),
        ("fbpca", "randomized", 0),
        ("ipca", "incremental", 1),
    ):
        found = principal.principal(x, kept, estimator)
        # The randomised and the incremental fit depend on their draws and batches.
        allowed = 1e-5 if name == "pca" else 2e-2
        check_cosines(found.directions, held[f"{name}_components"], f"{name} components", allowed)
        deviations = found.deviations * np.sqrt(count / (count - divisor))
        check_close(deviations, held[f"{name}_stdev"], f"{name} stdev", allowed)
        check_close(found.shares, held[f"{name}_var_ratio"], f"{name} shares", allowed)
    z = normal("Z", 10000, 8)
    features = np.tanh(z @ held["feature_W"] + held["feature_b"])
    layer = principal.Components(
        held["feature_components"],
        held["feature_stdev"],
        held["feature_stdev"],
        held["feature_mean"][0],
    )
    raw = principal.regress_latents(z, principal.coordinates(layer, features))
    check_close(raw, held["Z_components_raw"], "Z components")
    check_close(boundaries.unit(raw), held["Z_components_unit"], "unit Z components")


def check_stylespace(folder: Path) -> None:
    held, meta = read_arrays(folder / "io.npz"), read_meta(folder)
    found = stylespace.overlaps(
        held["gradient_mask"], held["labels"], meta["settings"]["num_semantic"]
    )
    np.testing.assert_array_equal(found, held["overlap_n_union_size"])
    score = stylespace.disentanglement(held["importance"])
    check_close(score.disentanglement, held["disentanglement"], "disentanglement")
    check_close(score.completeness, held["completeness"], "completeness")
    check_close(score.of_codes, held["disentanglement_per_code"], "by code")
    check_close(score.of_factors, held["completeness_per_factor"], "by factor")


def check_styleclip_global(folder: Path) -> None:
    held, settings = read_arrays(folder / "io.npz"), read_meta(folder)["settings"]
    effects = styleclip.channel_effects(held["single_channel_features"])
    check_close(effects, held["fs3"], "channel effects")
    relevance = effects @ held["delta_t"]
    check_close(relevance, held["relevance"], "relevance")
    styles, measured = settings["s_dims"], settings["measured_layers"]
    assert styleclip.without_torgb(styles) == tuple(settings["conv_layers"])
    codes = np.concatenate([_global_codes(i, width) for i, width in enumerate(styles)], 1)
    check_close(codes.std(0), held["dlatents_std"], "deviations")
    check_close(codes.mean(0), held["dlatents_mean"], "means")
    spread = styleclip.spread_channels(relevance, styles, measured)
    for index, beta in enumerate(settings["betas"]):
        found = styleclip.global_direction(spread, codes.std(0), beta)
        check_close(found, held[f"boundary_beta{index}"], f"direction {index}")
        assert np.count_nonzero(found) == held[f"num_channels_beta{index}"]
        alphas = np.array(settings["alphas"])[:, None]
        edited = codes[:3, None] + alphas * found
        check_close(edited, held[f"edited_beta{index}"], f"edits {index}")
    widths = [int(width) for width in held["fmaps_1024"][:26]]
    for flat, expected in zip(held["flat_all"], held["layer_channel_all"], strict=True):
        assert styleclip.layer_and_channel(int(flat), widths) == tuple(expected)
    layers = styleclip.without_torgb(widths)
    pairs = zip(held["flat_without_torgb"], held["layer_channel_without_torgb"], strict=True)
    for flat, expected in pairs:
        assert styleclip.layer_and_channel(int(flat), widths, layers) == tuple(expected)


def _global_codes(index: int, width: int) -> np.ndarray:
    spread = rule_tensor(f"global.s{index}", (40, width), seed=1550) * np.float32(0.5 + 0.1 * index)
    return spread + rule_tensor(f"global.m{index}", (width,), seed=1550)


def check_styleclip_mapper(folder: Path) -> None:
    held, settings = read_arrays(folder / "io.npz"), read_meta(folder)["settings"]
    w = rule_tensor("styleclip.w", (2, 18, 512), seed=1540)
    levels = tensors(folder)
    nets = {
        "levels": {n: a for n, a in levels.items() if n.split(".")[0] in styleclip.LEVEL_NAMES},
        "single": tensors(folder, "single"),
    }
    deltas = {name: np.asarray(styleclip.mapped(net, jnp.asarray(w))) for name, net in nets.items()}
    for name, delta in deltas.items():
        check_close(delta[..., ::8], held[f"{name}_delta_s8"], f"{name} delta")
        mean = np.abs(delta).mean(-1)
        check_close(mean, held[f"{name}_delta_abs_mean_per_row"], f"{name} per row")
    moved = w + settings["step"] * deltas["levels"]
    check_close(moved[..., ::8], held["levels_w_hat_s8"], "moved w")
    file = {"state_dict": {f"mapper.{n}": a for n, a in nets["levels"].items()}, "opts": {}}
    walk = published_mapper(file, "afro.pt")
    assert walk is not None
    gen, params = renderer()
    wide = gen._replace(spec=replace(gen.spec, w_dim=512, rows=18))
    path = walk_path(walk, wide, params)
    check_close(path.move(w[0], 1.0)[..., ::8], held["levels_w_hat_s8"][0], "the walk of the file")
    check_close(path.move(w[1], 0.0), w[1], "no step")
    weights = tensors(folder, "stylespace")
    for layer, width in enumerate(settings["stylespace_dimensions"]):
        style = rule_tensor(f"styleclip.s{layer}", (2, 1, width, 1, 1), seed=1540)
        style = style.reshape(2, width)
        if layer in settings["without_torgb"]:
            net = f"mapper_{layer}"
            change = np.asarray(styleclip.level_changes(weights, jnp.asarray(style), net))
        else:
            change = np.zeros_like(style)
        np.testing.assert_allclose(
            np.abs(change).mean(), held["stylespace_abs_mean"][layer], rtol=1e-5
        )
        few = change[0, :8]
        np.testing.assert_allclose(few, held["stylespace_first8"][layer], rtol=2e-4, atol=1e-6)


def check_lowrankgan(folder: Path) -> None:
    held, settings = read_arrays(folder / "io.npz"), read_meta(folder)["settings"]
    parts = {}
    for index, name in enumerate(("fore", "back")):
        found = jacobian.robust_pca(
            held[f"M_{name}"], settings["lamb"], rounds=settings["max_iter"]
        )
        check_close(found.low, held[f"L_{name}"], f"low rank of {name}")
        assert found.rank == held[f"rank_{name}"]
        assert found.rounds == held["iterations"][index]
        parts[name] = found
    check_close(parts["fore"].sparse, held["S_fore"], "sparse part")
    directions = jacobian.low_rank_directions(parts["fore"])
    check_cosines(directions, held["directions"], "directions")
    free = jacobian.null_projected(directions, parts["back"], settings["num_relax"])
    check_cosines(free, held["projected"], "projected")


@pytest.mark.slow
def check_styleflow(folder: Path) -> None:
    held, weights = read_arrays(folder / "io.npz"), tensors(folder)
    rows = held["w"].shape[1]
    with jax.enable_x64(True):
        wide = {name: jnp.asarray(array, jnp.float64) for name, array in weights.items()}
        w = jnp.asarray(held["w"][0], jnp.float64)
        probe = jnp.asarray(held["probe_sign"][0], jnp.float64)
        given, target = (
            jnp.repeat(jnp.asarray(held[name].reshape(1, -1), jnp.float64), rows, 0)
            for name in ("attributes", "target_attributes")
        )
        there = flows.forward(wide, w, given, probe=probe, tolerance=1e-9)
        back = flows.reverse(wide, there.codes, given, probe=probe, tolerance=1e-9)
        other = flows.reverse(wide, there.codes, target, probe=probe, tolerance=1e-9)
        slope = flows.field(wide, jnp.asarray(0.3), w, given)
    # The answer of the mathematics; both solvers stop at 1e-9.
    check_close(there.codes, held["z_tight"][0], "z", 1e-6)
    check_close(other.codes, held["edited_w_tight"][0], "edit", 1e-6)
    check_close(there.log_density, held["delta_logp_tight"][0, :, 0], "density", 1e-6)
    check_close(slope, held["vector_field_t03"][0], "field", 1e-5)
    check_close(back.codes, held["w"][0], "round trip", 1e-6)
    # At the settings of the original, in float32: as far from it as it is from the mathematics.
    loose = flows.forward(
        weights, jnp.asarray(held["w"][0]), jnp.asarray(given, jnp.float32), probe=None
    )
    check_close(loose.codes, held["z_tight"][0], "z at 1e-5", 5e-4)
    assert np.abs(np.asarray(other.log_density) - held["delta_logp_edit"][0, :, 0]).max() < 1e-2


@pytest.mark.slow
def check_latent_discovery(folder: Path) -> None:
    held, settings = read_arrays(folder / "io.npz"), read_meta(folder)["settings"]
    given = jnp.asarray(held["input"])
    for name in ("linear", "linear_nobias", "projective", "fc", "ortho"):
        weights, kind = tensors(folder, name), name.removesuffix("_nobias")
        ours = reconstructors.deform(kind, weights, given, settings["shift_dim"])
        check_close(ours, held[f"out_{name}"], name)
    check_close(reconstructors.deform("id", {}, given), held["out_id"], "id")
    half = jnp.asarray(tensors(folder, "ortho")["log_mat_half"])
    check_close(reconstructors.orthogonal(half), held["ortho_matrix"], "matrix")
    shifts = latent_discovery.Shifts(
        settings["params"]["shift_scale"], settings["params"]["min_shift"]
    )
    sizes = latent_discovery.shift_sizes(jnp.asarray(held["uniform"]), shifts)
    check_close(sizes, held["shifts"], "shifts")
    one_hot = np.eye(settings["input_dim"])[held["target_index"]]
    check_close(one_hot * np.asarray(sizes)[:, None], held["basis_shift"], "basis")
    images = [jnp.asarray(held[name]) / 127.5 - 1 for name in ("image_a", "image_b")]
    channels = settings["lenet_channels"]
    small = [x[:, :32, :32, :channels] for x in images]
    for name, net, pair in (
        ("resnet", reconstructors.resnet, images),
        ("lenet", reconstructors.lenet, small),
    ):
        logits, sizes = net(tensors(folder, f"{name} reconstructor"), *pair)
        check_close(logits, held[f"{name}_logits"], f"{name} logits", 2e-5)
        check_close(sizes, held[f"{name}_shift"], f"{name} shift", 2e-5)
    logits, targets = jnp.asarray(held["loss_logits"]), jnp.asarray(held["target_index"])
    label, size = latent_discovery.losses(
        logits, jnp.asarray(held["loss_shift_prediction"]), targets, jnp.asarray(held["shifts"])
    )
    check_close(label, held["loss_label"], "label loss")
    check_close(size, held["loss_shift"], "shift loss")
    check_close(latent_discovery.accuracy(logits, targets), held["rca"], "RCA")


CHECKS: dict[str, Callable[[Path], None]] = {
    "gan-latent-discovery": check_latent_discovery,
    "ganspace": check_ganspace,
    "interfacegan": check_interfacegan,
    "lowrankgan": check_lowrankgan,
    "sefa": check_sefa,
    "styleclip-global": check_styleclip_global,
    "styleclip-mapper": check_styleclip_mapper,
    "styleflow-cnf": check_styleflow,
    "stylespace": check_stylespace,
}
