"""Misuse of `invert`, `bind` and `study`: what is called, and what its error says."""

# What is wrong here would be found by a checker of types.
# pyright: reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.bind import bind
from jaxinv.inversion.invert import invert
from jaxinv.io.images import write_images
from jaxinv.latents.sampling import sample_latents
from jaxinv.models.rendering import render
from jaxinv.solvers.minimise import minimise
from jaxinv.specs import (
    InitSpec,
    MaskSpec,
    Preset,
    Stage,
    Term,
    Variable,
    View,
)
from jaxinv.studies.study import study
from tests import tiny

SIDE = 16
# A preset whose statistics would be measured as soon as everything is found right.
MEASURED = Preset(
    "p", (Stage((Variable("w+", codec="preconditioned"),), (Term("mse"),), 4),), "", ""
)
PLAIN = Preset("q", (Stage((Variable("z"),), (Term("mse"),), 4),), "", "")
MASKED = Preset(
    "m",
    (Stage((Variable("z"),), (Term("mse", mask="hair"),), 4),),
    "",
    "",
    masks=(MaskSpec("hair"),),
)
WITH_NET = Preset(
    "n",
    (Stage((Variable("z"),), (Term("lpips", net="alexnet", view=View(min_size=64)),), 4),),
    "",
    "",
)
GIVEN = Preset("g", (Stage((Variable("z", init=InitSpec("given")),), (Term("mse"),), 4),), "", "")
STAGE = PLAIN.stages[0]


@lru_cache
def pictures(count: int = 2, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, side, side, 3)).astype(np.float32)


def put(value: float) -> np.ndarray:
    """Pictures of which one number is `value`."""
    changed = pictures().copy()
    changed[1, 2, 3, 0] = value
    return changed


def call(function: Callable[..., Any], pair: tuple[Any, Any] | None, **usual: Any) -> Any:
    """A call with the usual arguments of `function`, of which a case changes some."""

    def changed(*swapped: Any, **others: Any) -> Callable[[], Any]:
        def made() -> Any:
            given = swapped or pair or tiny.style()
            return function(*given, **{**usual, **others})

        return made

    return changed


inverted = call(invert, None, images=pictures(), preset=MEASURED, nets={})
bound = call(bind, None, images=pictures(), preset=MEASURED, nets={})
of_classes = call(lambda **k: invert(*tiny.classes(), **k), (), images=pictures(), nets={})
drawn = call(render, None, latents={"z": np.zeros((1, 8), np.float32)})
sampled = call(sample_latents, None, count=2)
studied = call(study, None, images=pictures(), presets=[MEASURED], nets={})


def classed(**others: Any) -> Callable[[], Any]:
    usual: dict[str, Any] = {"preset": PLAIN, "nets": {}, "labels": [1, 2]}
    return lambda: invert(*tiny.classes(), pictures(), **{**usual, **others})


def valley(u: Any) -> Any:
    return jnp.sum(u**2)


def lowest(fn: Any = valley, solver: Any = "adam", u0: Any = None, steps: Any = 5, **k: Any) -> Any:
    start = np.zeros((2, 3), np.float32) if u0 is None else u0
    return lambda: minimise(fn, solver, start, steps, **k)


def written(images: Any, folder: Any = "/nonexistent/folder", **others: Any) -> Any:
    return lambda: write_images(folder, images, **others)


def misfit(**changes: Any) -> dict[str, Any]:
    """Parameters of the generator with some of its branches changed."""
    return {**tiny.style()[1], **changes}


def odd_mapping(change: Callable[[Any], Any]) -> dict[str, Any]:
    """Parameters of which the first array of the mapping is changed."""
    params = tiny.style()[1]
    name, *_ = params["mapping"]
    return misfit(mapping={**params["mapping"], name: change(params["mapping"][name])})


def grown_leaf(layer: Any) -> Any:
    return jax.tree.map(lambda leaf: np.zeros((3, *np.shape(leaf)), np.float32), layer)


def whole_numbers(layer: Any) -> Any:
    return jax.tree.map(lambda leaf: np.zeros(np.shape(leaf), int), layer)


HALF, ONES = np.zeros((2, SIDE, SIDE), np.float32), np.ones((2, SIDE, SIDE), np.float32)
U8 = np.zeros((1, 64, 64, 3), np.uint8)
Z = np.zeros((2, 8), np.float32)

IMAGES: dict[str, tuple[Any, str]] = {
    "nan": (put(np.nan), r"images must be finite, got nan at \[1, 2, 3, 0\]"),
    "inf": (put(np.inf), "got inf"),
    "0-255-float": ((pictures() + 1) * 127.5, "images / 127.5 - 1"),
    "one-of-them-0-255": (np.stack([pictures()[0], np.full((SIDE, SIDE, 3), 99.0)]), "number 1"),
    "minus-128-to-127": (pictures() * 128, "reach from"),
    "0-to-2": (pictures() + 1, "reach from"),
    "uint8": (np.zeros((2, SIDE, SIDE, 3), np.uint8), "uint8"),
    "int": (np.zeros((2, SIDE, SIDE, 3), int), "int64"),
    "bool": (np.zeros((2, SIDE, SIDE, 3), bool), "bool"),
    "complex": (pictures() + 0j, "complex"),
    "objects": (pictures().astype(object), "object"),
    "texts": (np.full((2, SIDE, SIDE, 3), "a"), "<U1"),
    "path": ("photo.png", "'photo.png'"),
    "none": (None, "images must be floats.*got None"),
    "dict": ({"a": pictures()}, "a dict"),
    "list-of-unequal-pictures": ([np.zeros((8, 8, 3)), np.zeros((9, 9, 3))], "no array"),
    "one-without-batch": (pictures()[0], r"image\[None\]"),
    "channels-first": (pictures().transpose(0, 3, 1, 2), r"\(2, 3, 16, 16\)"),
    "grey": (pictures()[..., :1], r"\(2, 16, 16, 1\)"),
    "grey-without-channels": (pictures()[..., 0], r"\(2, 16, 16\)"),
    "four-channels": (np.zeros((2, SIDE, SIDE, 4)), r"\(2, 16, 16, 4\)"),
    "not-square": (pictures()[:, :8], r"\(2, 8, 16, 3\)"),
    "rank-5": (pictures()[None], r"\(1, 2, 16, 16, 3\)"),
    "number": (0.5, r"\(\)"),
    "empty": (pictures()[:0], "no images"),
    "too-large": (pictures(1, 32), "32 px; allowed: at most 16"),
    "of-no-size": (np.zeros((2, 0, 0, 3)), "0 px|images"),
    "generator": (tiny.STYLE, "a GeneratorSpec"),
    "random-key": (jax.random.key(0), "no array"),
}
MASKS: dict[str, tuple[Any, str]] = {
    "negative": (HALF - 1, "masks hold -1"),
    "all-zero": (HALF, "mask 0 is 0 everywhere"),
    "second-all-zero": (np.stack([ONES[0], HALF[0]]), "mask 1 is 0 everywhere"),
    "nan": (np.full_like(HALF, np.nan), "masks must be finite, got nan"),
    "bytes": (np.full(HALF.shape, 255, np.uint8), "masks hold 255"),
    "complex": (ONES + 0j, "complex"),
    "texts": (np.full(HALF.shape, "a"), "<U1"),
    "with-channels": (ONES[..., None], r"\(2, 16, 16, 1\); allowed: \(2, 16, 16\)"),
    "one-for-all": (ONES[:1], r"\(1, 16, 16\)"),
    "one-without-batch": (ONES[0], r"\(16, 16\)"),
    "other-size": (np.ones((2, 8, 8)), r"\(2, 8, 8\)"),
    "dict": ({"hair": ONES}, "masks must be.*got a dict"),
    "path": ("mask.png", "'mask.png'"),
}
COUNTS: dict[str, Any] = {
    "half": 2.5, "zero": 0, "negative": -3, "nan": np.nan, "inf": np.inf, "text": "5", "list": [5],
    "true": True, "array": np.ones(2),
}  # fmt: skip
SEEDS: dict[str, Any] = {
    "negative": -1, "half": 0.5, "too-large": 2**32, "text": "0", "key": jax.random.key(0),
    "none": None, "true": True,
}  # fmt: skip
STARTS: dict[str, tuple[Any, str]] = {
    "unknown-space": ({"q": Z}, "cannot draw 'q' of shape.*allowed: only z,"),
    "near-name": ({"embeding": Z}, "'embeding'"),
    "array": (Z, "starts is float32"),
    "other-count": ({"z": np.zeros((3, 8), np.float32)}, r"starts of \[3\] images; allowed: 2"),
    "other-length": ({"z": np.zeros((2, 9), np.float32)}, r"'z' of shape \(9,\)"),
    "unequal-counts": ({"z": Z, "w": Z[:1]}, "of one common leading axis|common leading axis"),
    "without-batch": ({"z": np.float32(1.0)}, "common leading axis"),
    "nan": ({"z": Z * np.nan}, r"starts\['z'\] must be finite, got nan"),
    "whole-numbers": ({"z": Z.astype(int)}, "int64"),
    "texts": ({"z": "zero"}, "'zero'"),
    "empty": ({}, "starts need one"),
    "features-elsewhere": ({"z": Z, "features": {"b99": Z}}, "'b99'"),
    "features-of-other-shape": ({"z": Z, "features": {"b8_conv0": Z}}, "do not fit generator"),
}
LABELS: dict[str, tuple[Any, str]] = {
    "missing": (None, "give a label per image"),
    "too-large": ([1, 10], "label 10; allowed: 0 to 9"),
    "negative": ([-1, 0], "label -1"),
    "fraction": ([0.5, 1], "label 0.5"),
    "true": ([True, 1], "label True"),
    "names": (["dog", "cat"], "label 'dog'"),
    "too-few": ([1], "1 labels; allowed: 2"),
    "number": (3, "labels is 3"),
    "text": ("12", "labels is '12'"),
    "one-hot": (np.eye(10)[:2], "label"),
}
OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "preset-misspelt": ({"preset": "defualt"}, "unknown preset 'defualt'.*nearest: default"),
    "preset-none": ({"preset": None}, "preset is None"),
    "preset-number": ({"preset": 3}, "preset is 3"),
    "preset-stage": ({"preset": STAGE}, "preset is a Stage"),
    "preset-class": ({"preset": Preset}, "preset is the class Preset"),
    "preset-file-missing": ({"preset": "nowhere.json"}, "nowhere.json"),
    "batch-word": ({"batch": "all"}, "batch 'all'"),
    "precision": ({"precision": "float16"}, "precision 'float16'"),
    "precision-type": ({"precision": np.float32}, "precision"),
    "nets-list": ({"nets": ["vgg16"]}, "nets is a list"),
    "nets-of-other-name": ({"nets": {"resnet": {}}}, "'resnet'"),
    "nets-missing": ({"preset": WITH_NET}, "needs the nets alexnet"),
    "nets-of-other-shape": ({"preset": WITH_NET, "nets": {"alexnet": {"conv1": {}}}}, "alexnet"),
    "labels-without-classes": ({"labels": [0, 0]}, "has no classes"),
    "record-terms-text": ({"record_terms": "mse"}, "record_terms is 'mse'"),
    "record-terms-unknown": ({"record_terms": ("lpips",)}, "'lpips'"),
    "report": ({"report": 1}, "report is 1"),
    "named-images-unknown": ({"named_images": {"hair": ONES}}, "'hair'; allowed: none"),
    "named-images-list": ({"named_images": [ONES]}, "named_images is a list"),
    "named-masks-unknown": ({"named_masks": {"hair": ONES}}, "'hair'; allowed: none"),
    "starts-missing": ({"preset": GIVEN}, "needs starts"),
    "preset-of-other-space": (
        {"preset": Preset("e", (Stage((Variable("embedding"),), (Term("mse"),), 1),), "", "")},
        "'embedding'",
    ),
}
NAMED: dict[str, tuple[Any, str]] = {
    "missing": (None, "needs named masks hair"),
    "misspelt": ({"hiar": ONES}, "'hiar'; allowed: hair"),
    "array": (ONES, "named_masks"),
    "list": ([ONES], "named_masks is a list"),
    "above-1": ({"hair": ONES * 2}, r"outside \[0, 1\]"),
    "nan": ({"hair": ONES * np.nan}, r"outside \[0, 1\]"),
    "other-size": ({"hair": np.ones((2, 8, 8))}, r"\(2, 8, 8\)"),
}


def pairs() -> dict[str, tuple[Callable[[], tuple[Any, Any]], str]]:
    """Generators and parameters that do not belong together."""
    gen: Any = tiny.style
    return {
        "swapped": (lambda: gen()[::-1], "gen is a dict"),
        "pair-as-generator": (lambda: (gen(), gen()[1]), "gen is a tuple|gen is"),
        "spec-as-generator": (lambda: (tiny.STYLE, gen()[1]), "gen is a GeneratorSpec"),
        "name-as-generator": (lambda: ("ffhq", gen()[1]), "gen is 'ffhq'"),
        "params-none": (lambda: (gen()[0], None), "params is None"),
        "params-list": (lambda: (gen()[0], [1]), "params is a list"),
        "params-empty": (lambda: (gen()[0], {}), "params lacks"),
        "params-of-another": (lambda: (gen()[0], tiny.old()[1]), "generator 'style'"),
        "params-of-one-without-w": (lambda: (gen()[0], tiny.chain()[1]), "params lacks 'mapping"),
        "params-lack-a-branch": (lambda: (gen()[0], misfit(mapping={})), "params lacks 'mapping"),
        "params-with-more": (
            lambda: (gen()[0], misfit(mapping={**gen()[1]["mapping"], "more": np.ones(3)})),
            "params holds 'mapping/more'",
        ),
        "params-of-other-shape": (lambda: (gen()[0], odd_mapping(grown_leaf)), "of shape"),
        "params-of-whole-numbers": (lambda: (gen()[0], odd_mapping(whole_numbers)), "floats"),
        "statistics-of-another": (
            lambda: (gen()[0], misfit(statistics={"mean": np.zeros(5)})),
            r"\(5,\); allowed: \(8,\)",
        ),
    }


def searches() -> Iterator[tuple[str, Callable[[], Any], str]]:
    """All misuses of searches, and of the generators that other functions take."""
    for name, (images, says) in IMAGES.items():
        for way, function in (("invert", inverted), ("study", studied)):
            yield f"{way}-images-{name}", function(images=images), says
    for name, (masks, says) in MASKS.items():
        yield f"invert-masks-{name}", inverted(masks=masks), says
    for argument in ("steps", "restarts", "batch", "width"):
        for name, value in COUNTS.items():
            says = f"unknown batch '5'|{argument} must be"
            yield f"invert-{argument}-{name}", inverted(**{argument: value}), says
    for name, value in COUNTS.items():
        yield f"study-seeds-{name}", studied(seeds=value), "seeds must be"
    for name, seed in SEEDS.items():
        for way, function in (("invert", inverted), ("sample", sampled), ("study", studied)):
            yield f"{way}-seed-{name}", function(seed=seed), "seed"
    for name, (starts, says) in STARTS.items():
        yield f"invert-starts-{name}", inverted(starts=starts), says
    for name, (labels, says) in LABELS.items():
        yield f"invert-labels-{name}", classed(labels=labels), says
    for name, (others, says) in OTHERS.items():
        yield f"invert-{name}", inverted(**others), says
    for name, (masks, says) in NAMED.items():
        yield f"invert-named-{name}", inverted(preset=MASKED, named_masks=masks), says
    for name, (pair, says) in pairs().items():
        for way, function in (("invert", inverted), ("render", drawn), ("sample", sampled)):
            yield f"{way}-{name}", partial(_swapped, function, pair), says
        yield f"study-{name}", partial(_swapped, studied, pair), says


def _swapped(function: Callable[..., Any], pair: Callable[[], tuple[Any, Any]]) -> Any:
    return function(*pair())()
