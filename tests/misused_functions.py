"""Misuse of all other public functions: what is called, and what its error says."""

# What is wrong here would be found by a checker of types.
# pyright: reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxinv.io.images import read_images, read_photo
from jaxinv.io.latent_files import load_latents, save_latents
from jaxinv.latents.sampling import at_truncation, of_class, sample_latents
from jaxinv.metrics.naturalness import grid_energy
from jaxinv.metrics.perceptual import lpips
from jaxinv.metrics.reconstruction import psnr, ssim
from jaxinv.models.loading import load_features, load_generator
from jaxinv.models.rendering import render
from jaxinv.operators import build, mask
from jaxinv.specs import (
    OperatorSpec,
)
from tests import tiny
from tests.misused_searches import (
    COUNTS,
    MEASURED,
    U8,
    Z,
    drawn,
    lowest,
    pictures,
    put,
    sampled,
    studied,
    valley,
    written,
)

FUNCTIONS: dict[str, tuple[Callable[[], Any], str]] = {
    **{f"minimise-steps-{n}": (lowest(steps=v), "steps must be") for n, v in COUNTS.items()},
    **{f"minimise-width-{n}": (lowest(width=v), "width must be") for n, v in COUNTS.items()},
    "minimise-solver": (lowest(solver="adamm"), "nearest: adam"),
    "minimise-solver-class": (lowest(solver=np.sum), "solver a"),
    "minimise-fn-none": (lowest(fn=None), "fn None"),
    "minimise-fn-of-three": (lowest(fn=lambda a, b, c: a), "fn takes"),
    "minimise-fn-of-vector": (lowest(fn=lambda u: u), "fn returns float32"),
    "minimise-fn-of-text": (lowest(fn=lambda u: "a"), "fn returns"),
    "minimise-start-text": (lowest(u0="zero"), "u0 must be.*'zero'"),
    "minimise-start-int": (lowest(u0=np.zeros((2, 3), int)), "u0 must be.*int64"),
    "minimise-start-nan": (lowest(u0=np.full((2, 3), np.nan, np.float32)), "u0 must be finite"),
    "minimise-start-scalar": (lowest(u0=np.float32(1)), "u0 has leaves float32"),
    "minimise-start-empty": (lowest(u0=np.zeros((0, 3), np.float32)), "u0 has leaves"),
    "minimise-key-number": (lowest(key=0), "key 0; allowed: jax.random.key"),
    "minimise-key-old": (lowest(key=np.zeros(2, np.uint32)), "key uint32"),
    "minimise-swapped": (lowest("adam", valley), "solver a function"),
    "render-size-half": (drawn(size=8.5), "size must be a whole number"),
    "render-size-large": (drawn(size=32), "size 32; allowed: at most 16"),
    "render-size-zero": (drawn(size=0), "size must be"),
    "render-latents-array": (drawn(latents=Z), "latents is float32"),
    "render-latents-none": (drawn(latents=None), "latents is None"),
    "render-latents-of-other-length": (drawn(latents={"z": Z[:, :5]}), r"\(5,\)"),
    "render-latents-without-batch": (drawn(latents={"z": Z[0]}), r"'z'"),
    "render-space": (drawn(latents={"zz": Z}), "'zz'"),
    "render-noise-alone": (drawn(latents={"noise": [np.zeros((1, 4, 4))]}), "'noise'"),
    "render-class": (lambda: render(*tiny.classes(), {"z": np.zeros((1, 9), np.float32)}), "label"),
    "sample-count-zero": (sampled(count=0), "count must be"),
    "sample-count-half": (sampled(count=2.5), "count must be"),
    "sample-psi-text": (sampled(psi="0.7"), "psi must be a finite number"),
    "sample-psi-nan": (sampled(psi=np.nan), "psi must be a finite number"),
    "sample-label": (sampled(label=3), "label 3: generator 'style' has no classes"),
    "sample-label-missing": (lambda: sample_latents(*tiny.classes(), 2), "label None"),
    "sample-label-half": (lambda: sample_latents(*tiny.classes(), 2, label=0.5), "label 0.5"),
    "sample-psi-without-w": (lambda: sample_latents(*tiny.grown(), 2, psi=0.7), "psi = 1"),
    "of-class-of-w": (lambda: of_class(tiny.classes()[0], {"w": Z}, 1), "latents with z"),
    "truncation-text": (lambda: at_truncation(tiny.style()[1], "1"), "truncation"),
    "read-images-none": (lambda: read_images(None), "paths is None"),
    "read-images-numbers": (lambda: read_images([1, 2]), "path is 1"),
    "read-images-array": (lambda: read_images(pictures()), "path is float32"),
    "read-images-no-paths": (lambda: read_images([]), "no paths"),
    "read-images-missing": (lambda: read_images(["/nowhere.png"]), "/nowhere.png"),
    "read-images-size-text": (lambda: read_images(["a"], size="256"), "size must be"),
    "read-images-size-half": (lambda: read_images(["a"], size=25.5), "size must be"),
    "read-images-fit": (lambda: read_images(["a"], fit="corp"), "nearest: crop"),
    "read-images-limit": (lambda: read_images(["a"], limit=-1), "limit must be"),
    "read-images-align": (lambda: read_images(["a"], align=1), "align is 1"),
    "read-photo-background": (lambda: read_photo("a", background="white"), "background must be"),
    "write-images-folder": (written(pictures(), folder=None), "folder is None"),
    "write-images-0-255": (written((pictures() + 1) * 127.5), "images reach from"),
    "write-images-nan": (written(put(np.nan)), "images must be finite"),
    "write-images-int": (written(np.zeros((1, 8, 8, 3), int)), "int64"),
    "write-images-bool": (written(np.zeros((1, 8, 8, 3), bool)), "bool"),
    "write-images-grey": (written(pictures()[..., :1]), r"\[2, 16, 16, 1\]"),
    "write-images-one": (written(pictures()[0]), r"\[16, 16, 3\]"),
    "write-images-text": (written("photo"), "images must be.*'photo'"),
    "write-images-names-few": (written(pictures(), names=["a"]), "2 distinct"),
    "write-images-names-twice": (written(pictures(), names=["a", "a"]), "distinct"),
    "write-images-names-numbers": (written(pictures(), names=[1, 2]), "name is 1"),
    "write-images-names-climb": (written(pictures(), names=["../a", "b"]), "'../a'"),
    "load-generator-number": (lambda: load_generator(5), "name of weights is 5"),
    "load-generator-unknown": (lambda: load_generator("no-such-weights"), "'no-such-weights'"),
    "load-features-text": (lambda: load_features("alexnet"), "names is 'alexnet'"),
    "load-features-unknown": (lambda: load_features(("resnet",)), "'resnet'"),
    "load-latents-number": (lambda: load_latents(5), "path is 5"),
    "load-latents-no-latents": (lambda: load_latents(__file__), "misused_functions.py"),
    "save-latents-array": (lambda: save_latents("/nowhere/a", Z, {}), "latents is float32"),
    "save-latents-empty": (lambda: save_latents("/nowhere/a", {}, {}), "empty"),
    "save-latents-space": (lambda: save_latents("/nowhere/a", {"y": Z[0]}, {}), "'y'"),
    "save-latents-metadata": (lambda: save_latents("/nowhere/a", {"z": Z[0]}, {"n": 1}), "'n'"),
    "save-latents-metadata-text": (lambda: save_latents("/nowhere/a", {"z": Z}, "a"), "metadata"),
    "psnr-floats": (lambda: psnr(pictures(), pictures()), "a: expected uint8"),
    "psnr-shapes": (lambda: psnr(U8, U8[:, :8]), "shapes differ"),
    "psnr-text": (lambda: psnr("a", U8), "a must be.*'a'"),
    "ssim-small": (lambda: ssim(U8[:, :8], U8[:, :8]), "below the 11 px"),
    "grid-energy-floats": (lambda: grid_energy(pictures(1, 64), 2), "expected uint8"),
    "grid-energy-period": (lambda: grid_energy(U8, 3), "period 3"),
    "lpips-net": (lambda: lpips("vgg", {}, U8, U8), "net 'vgg'; allowed"),
    "lpips-swapped": (lambda: lpips(U8, U8, "alexnet", {}), "net uint8"),
    "lpips-params": (lambda: lpips("alexnet", {"conv1": {}}, U8, U8), "nets.*lacks"),
    "lpips-params-none": (lambda: lpips("alexnet", None, U8, U8), "'alexnet' are None"),
    "build-text": (lambda: build("gray", (8, 8, 3)), "operator is 'gray'"),
    "build-side": (lambda: build(OperatorSpec("gray"), 8), "image shape is 8"),
    "build-shape-short": (lambda: build(OperatorSpec("gray"), (8, 8)), r"image shape \(8, 8\)"),
    "build-shape-half": (lambda: build(OperatorSpec("gray"), (8.5, 8, 3)), "image shape"),
    "build-shape-zero": (lambda: build(OperatorSpec("gray"), (0, 8, 3)), "image shape"),
    "build-key-number": (lambda: build(OperatorSpec("noise"), (8, 8, 3), 1), "key 1"),
    "build-key-old": (
        lambda: build(OperatorSpec("noise"), (8, 8, 3), np.zeros(2, np.uint32)),
        "key uint32",
    ),
    "build-array-missing": (lambda: build(OperatorSpec("mask", array="m"), (8, 8, 3)), "'m'"),
    "build-array-of-other-size": (
        lambda: build(OperatorSpec("mask", array="m"), (8, 8, 3), arrays={"m": np.ones((4, 4))}),
        r"\(4, 4\); allowed: \(8, 8\)",
    ),
    "build-arrays-list": (
        lambda: build(OperatorSpec("mask", array="m"), (8, 8, 3), arrays=[np.ones((8, 8))]),
        "arrays is a list",
    ),
    "mask-of-no-mask": (lambda: mask(OperatorSpec("gray"), (8, 8, 3)), "mask 'gray'"),
    "study-one-name": (studied(presets="default"), "presets is 'default'"),
    "study-no-presets": (studied(presets=[]), "presets"),
    "study-misspelt": (studied(presets=["quik"]), "nearest: quick"),
    "study-twice": (studied(presets=[MEASURED, MEASURED]), "each name once"),
    "study-target-text": (studied(target="best"), "'best'"),
    "study-target-negative": (studied(target=-3.0), "target must be"),
    "study-truth": (studied(truth=Z), "truth is float32"),
    "study-labels": (studied(labels=[1, 2]), "has no classes"),
    "study-report": (studied(report="yes"), "report is 'yes'"),
    "study-nets": (studied(nets=[]), "nets is a list"),
}
