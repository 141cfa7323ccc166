"""Plans become encoders of any generator that has their space: sizes, counts, refusals."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import pytest

from jaxinv.encoders.code_maps import inception_shapes
from jaxinv.encoders.networks import build
from jaxinv.encoders.plans import encoder_spec, shared_rows
from jaxinv.models.loading import build as build_generator
from jaxinv.presets import ENCODERS
from jaxinv.specs import EncoderPreset, GeneratorSpec, PictureSource, Term
from jaxinv.specs.encoders import EncoderSpec
from jaxinv.specs.serialization import preset_from_json, to_json
from tests.tiers import mostly_slow
from tests.tiny import CHAIN, CLASSES, GROWN, OLD, STYLE
from tests.weights import SHARED

FIXTURES = SHARED / "fixtures-encoders"


def stylegan2(side: int) -> GeneratorSpec:
    """The facts that count of a StyleGAN2 of published widths."""
    rows = 2 * int(math.log2(side)) - 2
    widths = [min(512, 32768 // (4 << block)) for block in range(rows // 2)]
    styles = [widths[0]] * 2
    for inside, outside in pairwise(widths):
        styles += [inside, outside, outside]
    facts = (("mapping_layers", 8),)
    return GeneratorSpec("g", "stylegan2", side, 512, 512, rows, tuple(styles), (4,), facts=facts)


# MobileStyleGAN has 23 rows.
MOBILE = (512, *(512, 128, 512) * 4, 512, 128, 256, 256, 64, 128, 128, 32, 64, 64)
FFHQ = GeneratorSpec("ffhq", "mobilestylegan", 1024, 512, 512, 23, MOBILE, (4,))
GENERATORS = {f"stylegan2-{side}": stylegan2(side) for side in (32, 256, 1024)} | {
    "ffhq": FFHQ,
    **{spec.name: spec for spec in (STYLE, OLD, CHAIN, GROWN, CLASSES)},
}


def spec_of(name: str, generator: GeneratorSpec) -> EncoderSpec:
    preset = ENCODERS[name]
    before = spec_of(preset.before, generator) if preset.before else None
    return encoder_spec(preset, generator, before)


def suits(name: str, spec: GeneratorSpec) -> bool:
    """Whether the generator has a space of the preset's codes."""
    return bool({*spec.spaces} & {*ENCODERS[name].plan.outputs})


def weights(encoder: Any) -> Any:
    return jax.eval_shape(encoder.init, jax.random.key(0))["params"]


def count(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


KERNELS = ("weight-factors", "added-weights")
FAST = ("encoder", "icgan-z", "latent-composition")


@pytest.mark.parametrize("place", GENERATORS)
@pytest.mark.parametrize("name", mostly_slow(ENCODERS, FAST))
def test_every_preset_builds_where_its_space_is(name: str, place: str) -> None:
    generator = GENERATORS[place]
    known = ("stylegan2",) if ENCODERS[name].plan.head in KERNELS else ("dcgan", "pggan")
    inside = ENCODERS[name].plan.head in (*KERNELS, "layer-inverses")
    if suits(name, generator) and inside and generator.architecture not in known:
        told = f"'{name}' (changes kernels|inverts the layers) of {' or '.join(known)}.*generator"
        with pytest.raises(ValueError, match=told):
            spec_of(name, generator)
        return
    if not suits(name, generator):
        with pytest.raises(ValueError, match=r"encoder '.*' gives .*, which generator"):
            spec_of(name, generator)
        return
    spec = spec_of(name, generator)
    encoder = build(spec)
    params = jax.eval_shape(encoder.init, jax.random.key(0))
    planes = jax.ShapeDtypeStruct(spec.input_shape, "float32")
    made = jax.eval_shape(encoder.predict, params, planes)
    shapes = {
        "w+": (generator.rows, generator.w_dim),
        "w": (generator.w_dim,),
        "z": (generator.z_dim,),
        "label": (generator.labels,),
    }
    if {"features", "weights"} & {*made}:  # they fit the generator
        drawer = build_generator(generator)
        inside = {kind: made[kind] for kind in ("features", "weights") if kind in made}
        latents = {"s": tuple(jax.ShapeDtypeStruct((n,), "float32") for n in generator.styles)}
        held = jax.eval_shape(drawer.init, jax.random.key(0))
        picture = jax.eval_shape(drawer.synthesize, held, {**latents, **inside})
        assert picture.shape == (generator.resolution, generator.resolution, 3)
    if "code" not in made:
        assert ENCODERS[name].before
        assert spec.output == (spec.before.output if spec.before else "")
    elif spec.output == "s":
        assert [leaf.shape for leaf in made["code"]] == [(n,) for n in generator.styles]
    else:
        assert made["code"].shape == shapes[spec.output]
    plan = ENCODERS[name].plan
    assert spec.side == max(min(plan.side, generator.resolution), plan.least_side)


@pytest.mark.parametrize("name", ENCODERS)
def test_presets_are_data_that_can_be_written_and_read(name: str) -> None:
    preset = ENCODERS[name]
    assert preset.name == name
    assert preset_from_json(to_json(preset), EncoderPreset) == preset


def learned(folder: Path, *prefixes: str) -> Iterator[tuple[str, int]]:
    """Names and sizes of the arrays of a layout that are trained."""
    for name, shape, *_ in json.loads((folder / "meta.json").read_text("utf-8"))["tensors"]:
        fixed = ("running_mean", "running_var", "num_batches_tracked", "moving_")
        if name.startswith(prefixes) and not any(word in name for word in fixed):
            yield name, math.prod(shape)


@pytest.mark.parametrize(
    ("name", "folder", "prefix", "side"),
    mostly_slow(
        [
            ("psp-w", "psp-w", "encoder.", 1024),
            ("e4e", "e4e", "encoder.", 1024),
            ("psp", "psp-gradual", "encoder.", 1024),
            ("restyle-psp", "restyle-psp-irse50", "encoder.", 1024),
            ("restyle-e4e-moco", "restyle-e4e-resnet34", "encoder.", 1024),
            ("wei", "e2style", "encoder_firststage.", 1024),
            ("idinvert-encoder", "idinvert-256", "", 256),
            ("latent-composition", "latentcomp-stylegan", "", 64),
            ("sam", "sam-aging", "encoder.", 1024),
            ("hfgi", "hfgi", "residue. grid_align.", 1024),
            ("featurestyle", "featurestyle", "conv. block_ content_layer. styles.", 1024),
        ],
        [("psp-w", "psp-w", "encoder.", 1024)],
    ),
)
def test_counts_are_those_of_the_published_layouts(
    name: str, folder: str, prefix: str, side: int
) -> None:
    if not FIXTURES.is_dir():
        pytest.skip("needs the fixtures of encoders in the shared folder")
    sizes = dict(learned(FIXTURES / folder, *(prefix.split() or [""])))
    expected = sum(sizes.values())
    of_rows = [re.search(r"(?:^|\.)styles\.(\d+)\.", key) for key in sizes]
    rows = {int(found[1]) for found in of_rows if found}
    if rows:  # the layout is of a smaller generator: the others have as many weights as its last
        last = f"styles.{max(rows)}."
        more = 2 * int(math.log2(side)) - 2 - len(rows)
        expected += more * sum(size for key, size in sizes.items() if last in key)
    assert count(weights(build(spec_of(name, stylegan2(side))))) == expected


def test_counts_are_those_that_papers_and_their_code_say() -> None:
    """For StyleGAN2 at 1024 px: layers whose widths are known, without their whole layout."""
    hyper = weights(build(spec_of("hyperstyle", stylegan2(1024))))
    assert hyper["shared_weight_hypernet.first"]["kernel"].size == 512 * 262144
    mapper = weights(build(spec_of("nitzan", stylegan2(1024))))
    widths = (2560, 2048, 1024, 512, 512)
    expected = sum((a + 1) * b for a, b in pairwise(widths))
    assert sum(count(held) for name, held in mapper.items() if name.startswith("mlp")) == expected
    rig = weights(build(spec_of("stylerig", stylegan2(1024))))
    assert count(rig) == 18 * ((512 + 1) * 32 + (32 + 1 + 1) * 512)


def test_inception_has_the_kernels_of_the_published_net() -> None:
    place = SHARED / "fixtures-nets" / "inception-fid" / "meta.json"
    if not place.is_file():
        pytest.skip("needs the fixtures of nets in the shared folder")
    held = {one["name"]: one["shape"] for one in json.loads(place.read_text("utf-8"))["tensors"]}
    known = {
        name.removesuffix(".conv.weight"): (rows, columns, out)
        for name, (out, _, rows, columns) in (
            (name, shape) for name, shape in held.items() if name.endswith(".conv.weight")
        )
    }
    ours = {
        name.removesuffix("/kernel"): (rows, columns, out)
        for name, (rows, columns, _, out) in inception_shapes()
    }
    assert ours == known


@pytest.mark.parametrize(
    ("groups", "rows", "found"),
    [
        ((3, 4), 18, (3, 4)),
        ((3, 4), 8, (3, 4)),
        ((3, 4), 6, (3, 2)),
        ((3, 4), 3, (1, 1)),
        ((0.5, 0.28), 18, (9, 5)),
        ((0.5, 0.28), 8, (4, 2)),
        ((0.29, 0.29), 14, (4, 4)),
        ((), 5, ()),
    ],
)
def test_every_group_of_rows_has_one(
    groups: tuple[float, ...], rows: int, found: tuple[int, ...]
) -> None:
    assert shared_rows(groups, rows) == found
    assert rows - sum(found) >= 1


def test_an_encoder_before_is_asked_for() -> None:
    first = encoder_spec(ENCODERS["wei"], STYLE)
    for name, before, told in (
        ("wei-refine", None, "encoder before 'wei-refine': none; allowed: one of preset 'wei'"),
        ("wei", first, "encoder before 'wei': wei; allowed: none"),
    ):
        with pytest.raises(ValueError, match=told):
            encoder_spec(ENCODERS[name], STYLE, before)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"terms": (Term("realism"),)}, "compares no pictures and no codes"),
        ({"terms": (Term("mse"), Term("realism"))}, "'realism' with a critic of images"),
        ({"terms": (Term("mse"), Term("drift"))}, "term 'drift-weights'; allowed: terms of pict"),
        ({"terms": (Term("mse"), Term("high_pass_anchor"))}, "'high_pass_anchor'; allowed"),
        ({"terms": (Term("mse"), Term("aside"))}, "a term 'aside' and planes .*; allowed: with"),
        ({"terms": (Term("mse"), Term("attribute", net="attribute"))}, "1 terms 'attribute'"),
        ({"back": 1.0}, "a way back of weight 1.0 and 0 terms 'attribute'"),
        (
            {"source": PictureSource("mixed")},
            r"a term 'latent-w\+' with mixed pictures; allowed: known codes when='drawn'",
        ),
        (
            {"source": PictureSource("real"), "terms": (Term("mse", when="drawn"),)},
            "'mse-drawn' with real pictures",
        ),
        ({"terms": (Term("mse"), Term("identity", net="attribute"))}, "recogniser ''.*allowed"),
        ({"source": PictureSource("either", moved=0.5)}, "moves or knows codes of an encoder"),
        ({"fade": 1.5}, "fade must lie between 0 and 1, got 1.5"),
        ({"batch": 0}, "batch must be a whole number of at least 1"),
        ({"average": 1.0}, "average must be at least 0 and below 1"),
        ({"before": "psp"}, "base 'mean' and before 'psp'"),
    ],
)
def test_presets_that_cannot_be_trained_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(ENCODERS["encoder"], **changes)
