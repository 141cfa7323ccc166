"""Checkpoints of the original code, converted by the public command, against their own outputs.

The folder is JAXINV_FIXTURES (default ../shared/fixtures); without it the tests skip.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.cli.main import main
from jaxinv.latents.sampling import at_truncation, truncate
from jaxinv.models.generators.base import Generator
from jaxinv.models.loading import build, load_generator
from jaxinv.nn.layer_chain import ACTIVATIONS
from jaxinv.specs import GeneratorSpec
from jaxinv.types import Latents, Params
from tests.original_features import ours, places, theirs
from tests.tiny import chain
from tests.weights import SHARED
from weights_convert.networks.chains import Step
from weights_convert.networks.dcgan import READERS
from weights_convert.sources import containers
from weights_convert.sources.state_dicts import bare

FIXTURES = Path(os.environ.get("JAXINV_FIXTURES", SHARED / "fixtures"))
# Relative to the largest value, absolute, and relative to the largest value or to 1, the size of
# the terms whose sum a score is.
IMAGES, CODES, SCORES = "images", "codes", "scores"
ALLOWED = {IMAGES: 1e-5, CODES: 5e-6, SCORES: 1e-5}
CHECKPOINTS = (".pkl", ".pt", ".pth", ".bin")

INNER = ("linear_out", "gen_z_out")

ONE = np.ones(2, np.float32)
Comparison = tuple[str, np.ndarray, np.ndarray, str]
Wanted = dict[str, np.ndarray]


def fixtures() -> list[Any]:
    """A case for every folder; one that is skipped where there is none."""
    folders = sorted(path for path in FIXTURES.glob("*") if path.is_dir())
    missing = pytest.mark.skip(reason=f"no fixtures in {FIXTURES.name}")
    return [pytest.param(path, id=path.name) for path in folders] or [
        pytest.param(FIXTURES, id="none", marks=missing)
    ]


def chain_steps(checkpoint: Path) -> tuple[Step, ...]:
    """The layers of a chain by the names of its file; none for another kind of network."""
    arrays = bare(containers.read_checkpoint(checkpoint).tree) or {}
    plans = (reader(arrays) for reader in READERS.values())
    return next((plan.steps for plan in plans if plan is not None), ())


def options(path: Path) -> list[str]:
    """What a checkpoint does not say about how it was built, for the command line."""
    facts = json.loads((path / "meta.json").read_text("utf-8"))
    own = {**facts.get("generator_kwargs", {}), **facts.get("kwargs", {})}
    found: list[str] = []
    if facts.get("gan_type") == "stylegan" and isinstance(own.get("fused_scale"), bool):
        found.append("--fused" if own["fused_scale"] else "--no-fused")
    if path.name.endswith("ajbrock"):
        found += [f"--epsilon={own['BN_eps']}"]
        found += [f"--depth={own['G_depth']}"] if "G_depth" in own else []
    return found


def nhwc(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 2, 3, 1)


def first(wanted: Wanted, *names: str) -> str:
    return next(name for name in names if name in wanted)


class Drawn:
    """One converted generator and what it draws; `steps` are the layers of a chain."""

    def __init__(self, gen: Generator, params: Params, steps: tuple[Step, ...] = ()) -> None:
        self.gen, self.params, self.steps = gen, params, steps

    def map(self, *given: np.ndarray) -> np.ndarray:
        return np.asarray(jax.vmap(lambda *a: self.gen.map(self.params, *a))(*given))

    def images(self, space: str, codes: np.ndarray, **more: object) -> np.ndarray:
        def draw(code: jax.Array, other: dict) -> jax.Array:
            return self.gen.synthesize(self.params, {space: code, **other})

        return np.asarray(jax.jit(jax.vmap(draw, in_axes=(0, None)))(jnp.asarray(codes), more))


def codes(drawn: Drawn, wanted: Wanted) -> list[Comparison]:
    """w, its truncations and the styles of the first sample's layers."""
    label = [wanted[n] for n in ("c", "label") if n in wanted and wanted[n].shape[-1]]
    w = drawn.map(wanted["z"], *label)
    reference = wanted[first(wanted, "ws", "w", "out_w")]
    found = [("w", w, reference[:, 0] if reference.ndim == 3 else reference, CODES)]
    rows = np.tile(w[:, None], (1, drawn.gen.spec.rows, 1))
    for name, psi, cutoff in (
        ("ws_psi0.7", 0.7, None),
        ("ws_psi0.5_cut3", 0.5, 3),
        ("wp_psi0.7_layers4", 0.7, 4),
    ):
        if name in wanted:
            short = [np.asarray(truncate(drawn.params, row, psi, cutoff)) for row in rows]
            found.append((name, np.stack(short), wanted[name], CODES))
    return found


def styles(drawn: Drawn, wanted: Wanted) -> list[Comparison]:
    """Every modulation, in drawing order: conv0, conv1, torgb of each block."""
    plus = wanted[first(wanted, "ws", "wplus_repeated", "out_wp")]
    ours = jax.vmap(lambda row: drawn.gen.affine(drawn.params, row))(plus)
    if "out_style01" in wanted and "out_output_style0" not in wanted:  # the first StyleGAN
        return [
            (name, np.asarray(mine), wanted[name], IMAGES)
            for name, mine in ((f"out_style{i:02}", mine) for i, mine in enumerate(ours))
        ]
    if "s_input" in wanted:  # StyleGAN3
        plain = ["s_input", *(name for name in wanted if name.startswith("s_L"))]
        pairs = zip(plain, ours, strict=True)
        return [(name, np.asarray(mine), wanted[name], IMAGES) for name, mine in pairs]
    layer, names = 0, []
    for block in range(len(ours) // 3 + 1):
        side = 4 << block
        for _ in range(2 if block else 1):
            kind = "conv0" if layer % 2 else "conv1"
            names.append((f"s_b{side}.{kind}", f"s_conv{layer}", f"out_style{layer:02}"))
            layer += 1
        names.append((f"s_b{side}.torgb", f"s_torgb{block}", f"out_output_style{block}"))
    pairs = [(first(wanted, *kinds), mine) for kinds, mine in zip(names, ours, strict=True)]
    return [(name, np.asarray(mine), wanted[name], IMAGES) for name, mine in pairs]


def pictures(drawn: Drawn, wanted: Wanted) -> list[Comparison]:
    """Images from w, w+, truncated w and with every kind of noise."""
    spec = drawn.gen.spec
    w = wanted[first(wanted, "ws", "w", "out_w")]
    w = w[:, 0] if w.ndim == 3 else w
    silent = tuple(jnp.zeros((side, side)) for side in spec.noise)
    cases = [
        ("w", w, {}, ("img_const", "out_image", "img")),
        ("w", w, {"noise": silent}, ("img_none", "img_zero_noise", "image_zero_noise")),
        ("w+", wanted["wplus"], {}, ("img_wplus_const", "image_wplus", "img_wplus")),
    ]
    for name in ("ws_psi0.7", "wp_psi0.7_layers4"):
        if name in wanted:
            short = name.partition("_")[2]
            keys = (f"img_{short}_const", f"image_{short}", f"img_{short}")
            cases.append(("w+", wanted[name], {}, keys))
    found = []
    for space, code, noise, names in cases:
        for name in names:
            if name in wanted:
                found.append((name, drawn.images(space, code, **noise), nhwc(wanted[name]), IMAGES))
    return found + given_noise(drawn, wanted, w) + transformed(drawn, wanted, w)


def transformed(drawn: Drawn, wanted: Wanted, w: np.ndarray) -> list[Comparison]:
    """StyleGAN3 under a transformation of the image, which is one of its parameters."""
    if "img_transformed" not in wanted:
        return []
    synthesis = drawn.params["synthesis"]
    inputs = {**synthesis["input"], "transform": jnp.asarray(wanted["transform_buffer"])}
    moved = {**drawn.params, "synthesis": {**synthesis, "input": inputs}}
    mine = Drawn(drawn.gen, moved).images("w", w)
    return [("img_transformed", mine, nhwc(wanted["img_transformed"]), IMAGES)]


def given_noise(drawn: Drawn, wanted: Wanted, w: np.ndarray) -> list[Comparison]:
    """Maps of its own for every sample."""
    if "img_given_noise" not in wanted:
        return []
    maps = [wanted[f"noise_in_{i}"][:, 0] for i in range(len(drawn.gen.spec.noise))]
    own = [
        drawn.images("w", w[i : i + 1], noise=tuple(jnp.asarray(m[i]) for m in maps))[0]
        for i in range(len(w))
    ]
    return [("img_given_noise", np.stack(own), nhwc(wanted["img_given_noise"]), IMAGES)]


def from_z(drawn: Drawn, wanted: Wanted) -> list[Comparison]:
    """Images of generators without W; grey ones have one channel there, three equal ones here."""
    if drawn.gen.spec.embedding:
        return of_classes(drawn, wanted)
    mine, reference = drawn.images("z", wanted["z"]), wanted[first(wanted, "img", "out_image")]
    if reference.ndim == 2:
        side = drawn.gen.spec.resolution
        reference = reference.reshape(-1, 1, side, side)
    if "feat_sigmoid" in wanted:  # on [0, 1] there
        reference = 2 * reference - 1
    reference = np.broadcast_to(nhwc(reference), mine.shape)
    return [("img", mine, reference, IMAGES), *levels(drawn, wanted)]


def classes(spec: GeneratorSpec, wanted: Wanted) -> np.ndarray:
    return wanted["class_onehot"] if "class_onehot" in wanted else np.eye(spec.labels)[wanted["y"]]


def of_classes(drawn: Drawn, wanted: Wanted) -> list[Comparison]:
    """Class vectors, and images of classes, of mixtures and at several truncations."""
    spec, z = drawn.gen.spec, wanted["z"]
    labels = (
        wanted["class_onehot"] if "class_onehot" in wanted else np.eye(spec.labels)[wanted["y"]]
    )
    embedded = np.asarray(jax.vmap(lambda one: drawn.gen.embed(drawn.params, one))(labels))
    found: list[Comparison] = []
    if "cond_vector" in wanted:
        found.append(("cond_vector", np.hstack([z, embedded]), wanted["cond_vector"], CODES))
    elif wanted["y_embed"].ndim == 2:
        found.append(("y_embed", embedded, wanted["y_embed"], CODES))
    cases = [("img", {"label": labels})]
    if "img_mix" in wanted:
        cases.append(("img_mix", {"embedding": wanted["y_embed_mix"]}))
    for name in wanted:
        if "_trunc" in name:
            kind = "class_soft" if "soft" in name else "class_onehot"
            cases.append((name, {"label": wanted[kind]}))
    for name, given in cases:
        if name not in wanted:
            continue
        truncation = float(name.partition("_trunc")[2] or 1)
        params = at_truncation(drawn.params, truncation)
        mine = np.asarray(
            jax.jit(jax.vmap(partial(drawn.gen.synthesize, params)))({"z": z, **given})
        )
        found.append((name, mine, nhwc(wanted[name]), IMAGES))
    return found


def levels(drawn: Drawn, wanted: Wanted) -> list[Comparison]:
    """Images of networks in mid-training: whole and blended levels of detail."""
    found = []
    for lod in (1.0, 0.4):
        if (name := f"image_lod{lod}") in wanted:
            facts = {**dict(drawn.gen.spec.facts), "lod": lod}
            younger = build(replace(drawn.gen.spec, facts=tuple(facts.items())))
            mine = Drawn(younger, drawn.params).images("z", wanted["z"])
            found.append((name, mine, nhwc(wanted[name]), IMAGES))
    return found


def features(drawn: Drawn, wanted: Wanted) -> list[Comparison]:
    """What is inside, at every cut, for the first sample."""
    gen = drawn.gen
    names = [n for n in wanted if n.startswith(("feat_", "rgb_")) or n.endswith(INNER)]
    params = at_truncation(drawn.params, 0.4) if "img_trunc0.4" in wanted else drawn.params
    states = jax.jit(gen.features)(params, one_sample(drawn, wanted))
    found = []
    for name, place in places(gen, names, drawn.steps).items():
        mine = ours(states, gen.steps, place)
        found.append((name, mine, theirs(wanted[name], place, mine.shape), IMAGES))
    return found


def scores(drawn: Drawn, wanted: Wanted) -> list[Comparison]:
    """What the discriminator beside the generator says of the original images."""
    name = next((n for n in ("d_logits", "d_out", "d_logits_of_img_const") if n in wanted), None)
    if name is None or drawn.gen.discriminator is None:
        return []
    images = nhwc(wanted[first(wanted, "img_const", "img", "out_image")])
    labels = [jnp.asarray(wanted[n]) for n in ("c", "label") if n in wanted and wanted[n].size]
    mine = drawn.gen.discriminator.scores(drawn.params, jnp.asarray(images), *labels)
    return [(name, np.asarray(mine), wanted[name][:, 0], SCORES)]


def one_sample(drawn: Drawn, wanted: Wanted) -> Latents:
    """The first sample's latents."""
    spec = drawn.gen.spec
    if not spec.w_dim:
        return {"z": wanted["z"][0]} | ({"label": classes(spec, wanted)[0]} if spec.labels else {})
    w = wanted[first(wanted, "ws", "w", "out_w")][0]
    return {"w": w[0] if w.ndim == 2 else w}


def comparisons(drawn: Drawn, wanted: Wanted) -> list[Comparison]:
    if not drawn.gen.spec.w_dim:
        return [*from_z(drawn, wanted), *features(drawn, wanted), *scores(drawn, wanted)]
    return [
        *codes(drawn, wanted),
        *styles(drawn, wanted),
        *pictures(drawn, wanted),
        *features(drawn, wanted),
        *scores(drawn, wanted),
    ]


@pytest.mark.parametrize("folder", fixtures())
def test_a_converted_checkpoint_draws_what_the_original_code_drew(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    monkeypatch.setattr("jaxinv.models.loading.use_compilation_cache", lambda: None)
    held = [path for path in folder.iterdir() if path.suffix in CHECKPOINTS]
    assert len(held) == 1, f"{folder.name} is no fixture: one checkpoint, found {held}"
    words = ["convert", str(held[0]), "--name", folder.name, *options(folder)]
    assert main(words) == 0, capsys.readouterr().err
    gen, params = load_generator(folder.name)
    steps = chain_steps(held[0]) if gen.spec.architecture == "dcgan" else ()
    drawn = Drawn(gen, params, steps)
    compared = comparisons(drawn, dict(np.load(folder / "io.npz")))
    assert compared, f"{folder.name} has no output that is known"
    errors = {}
    for name, mine, reference, kind in compared:
        assert mine.shape == reference.shape, name
        largest = float(np.abs(reference).max())
        scale = {CODES: 1.0, SCORES: max(largest, 1.0)}.get(kind, largest)
        errors[name] = float(np.abs(mine - reference).max()) / scale
        assert errors[name] <= ALLOWED[kind], (name, errors[name])
    record_property("worst relative error", max(errors.values()))


@pytest.mark.parametrize("depth", [1, 3, 7])
def test_places_are_found_in_a_chain_of_any_depth(depth: int) -> None:
    """Arrays of a DCGAN with so many layers: before and after norms and activations."""
    arrays: dict[str, np.ndarray] = {}
    for index in range(depth):
        arrays[f"main.{3 * index}.weight"] = np.ones((2, 2, 4, 4), np.float32)
        arrays |= dict.fromkeys((f"main.{3 * index + 1}.{end}" for end in ("weight", "bias")), ONE)
    arrays[f"main.{3 * depth}.weight"] = np.ones((2, 3, 4, 4), np.float32)
    plan = READERS["DCGAN, pytorch/examples"](arrays)
    assert plan is not None
    layers = tuple(("up", 2, step.activation) for step in plan.steps)
    gen = chain()[0]
    gen = gen._replace(spec=replace(gen.spec, facts=(("layers", layers),)))
    names = [f"feat_main.{n}" for n in range(3 * depth + 2)]
    found = places(gen, names, plan.steps)
    assert [place.step for place in found.values()] == [f"layer{i}" for i in range(depth + 1)]
    activated = [f"feat_main.{3 * i + 2}" for i in range(depth)] + [f"feat_main.{3 * depth + 1}"]
    assert list(found) == activated
    assert all(place.change is ACTIVATIONS["none"] for place in found.values())
    early = [name for name in names[: 3 * depth] if name not in activated]
    changes = [place.change for place in places(gen, early, plan.steps).values()]
    assert changes == [ACTIVATIONS["relu"]] * depth
