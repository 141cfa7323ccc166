"""Scores of sets, pictures and paths against the code that papers used."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.metrics import distributions, neighbours, paths, sliced
from jaxinv.metrics.reconstruction import ms_ssim, psnr, ssim
from tests.net_fixtures.rules import check_close, read_arrays, read_meta, rule_tensor


def features(folder: Path) -> None:
    """FID, KID, Inception Score, precision, recall, density and coverage of given features."""
    values, held = read_meta(folder)["values"], read_arrays(folder / "io.npz")
    real, fake = held["real"], held["fake"]
    frechet = partial(distributions.frechet_distance, real, fake)
    for code in ("pytorch_fid", "clean_fid", "torch_fidelity_float64_features"):
        check_close(frechet(), values[f"fid_{code}"], code)
    check_close(frechet(), values["fid_torch_fidelity_float32_features"], "mean in float32")
    check_close(frechet(ddof=0), values["fid_nvidia_stylegan2ada"], "divided by N")
    _kernels(values, held)
    for splits, order in ((10, "shuffled2020"), (10, "inorder"), (4, "shuffled2020")):
        rows = held["is_permutation_2020"] if order == "shuffled2020" else slice(None)
        score = distributions.inception_score(held["logits"][rows], splits=splits)
        check_close(score, values[f"is_torch_fidelity_splits{splits}_{order}"], f"IS {order}")
    one = distributions.inception_score(held["logits"], splits=1)
    check_close(one, values["is_torch_fidelity_splits1_inorder"], "IS of one split")
    for k in (1, 3):
        ours, theirs = neighbours.neighbourhoods(real, fake, k), values[f"prdc_k{k}"]
        check_close(ours, [theirs[name] for name in ours._fields], f"prdc k={k}")
        check_close(ours.f_score, values[f"prc_torch_fidelity_k{k}"]["f_score"], "F score")
    # What was stored is over all balls, not only over the small ones of the paper.
    check_close(neighbours.radii(real, 3), held["radii_real"], "radii")
    check_close(
        neighbours.realism(real, fake[:5], 3, pruned=False),
        held["realism_of_first5_fake"],
        "realism",
    )


def _kernels(values: dict[str, Any], held: dict[str, np.ndarray]) -> None:
    real, fake = held["real"], held["fake"]
    check_close(distributions.mmd(real, fake), values["kid_clean_fid_full"], "one subset")

    def subsets(code: str, kernel: distributions.Kernel | None = None) -> np.ndarray:
        rows = zip(held[f"kid_{code}_index_real"], held[f"kid_{code}_index_fake"], strict=True)
        return np.array([distributions.mmd(real[i], fake[j], kernel) for i, j in rows])

    check_close(subsets("clean").mean(), values["kid_clean_fid_subsets"], "KID of clean-fid")
    found = subsets("torchfidelity")
    check_close(found.mean(), values["kid_torch_fidelity_mean"], "KID of torch-fidelity")
    check_close(found.std(), values["kid_torch_fidelity_std"], "its deviation")
    others = {
        "rbf_sigma10": distributions.gaussian(10.0),
        "poly_degree2_gamma0.05_coef0.5": distributions.polynomial(2, 0.05, 0.5),
    }
    for name, kernel in others.items():
        mean = subsets("torchfidelity", kernel).mean()
        check_close(mean, values[f"kid_torch_fidelity_{name}_mean"], name)


def images(folder: Path) -> None:
    """PSNR, SSIM and MS-SSIM; those of the progressive GAN's code are float32."""
    values, held = read_meta(folder)["values"], read_arrays(folder / "io.npz")
    a, b = held["a_uint8_nhwc"], held["b_uint8_nhwc"]
    check_close(psnr(a, b), values["psnr_skimage"], "PSNR")
    check_close(psnr(a, b), values["psnr_piq"], "PSNR of piq, 1e-8 added to the error")
    for code in ("pggan_per_pair", "piq_rgb_downsample_False", "skimage_gaussian"):
        check_close(ssim(a, b), values[f"ssim_{code}"], f"SSIM {code}")
    check_close(ms_ssim(a, b), values["msssim_pggan_per_pair"], "MS-SSIM")
    check_close(ms_ssim(a, b).mean(), values["msssim_pggan_mean"], "mean MS-SSIM")
    small = ms_ssim(a[:, :48, :48], b[:, :48, :48])
    check_close(small, values["msssim_pggan_48px_per_pair"], "MS-SSIM with smaller windows")
    within = ms_ssim(a[[0, 2]], a[[1, 3]]).mean()
    check_close(within, values["msssim_pggan_api_style_pairs_within_a"], "MS-SSIM of a set")
    # piq multiplies the scales for every colour by itself, and means over colours come last.
    alone = [ms_ssim(a[..., [c, c, c]], b[..., [c, c, c]]) for c in range(3)]
    check_close(np.mean(alone, axis=0), values["msssim_piq"], "MS-SSIM of piq")
    check_close(ms_ssim(a, b), values["msssim_piq"], "MS-SSIM of all colours at once", 1e-4)


def textures(folder: Path) -> None:
    """The sliced Wasserstein distance of the progressive GAN, with its stream of random numbers."""
    values, held = read_meta(folder)["values"], read_arrays(folder / "io.npz")
    raw = held["directions_raw"]
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    found = [sliced.sliced_wasserstein_distance(held["P"], held["Q"], one) for one in unit]
    check_close(np.mean(found), held["swd_PQ"], "given directions")
    real, fake = (
        sliced.laplacian_pyramid(held[f"{name}_uint8_nhwc"], 2) for name in ("real", "fake")
    )
    stream = np.random.RandomState(1720)  # what was drawn there
    scores, drawn = [], {}
    for name in ("real", "fake"):
        for index, (level, other) in enumerate(zip(real, fake, strict=True)):
            side = level.shape[1]
            x, y = (stream.randint(3, side - 3, len(level) * sliced.PATCHES) for _ in "xy")
            middle = "" if name == "real" else "fake_"
            np.testing.assert_array_equal([x, y], held[f"positions_xy_{middle}level{index}"])
            picture = level if name == "real" else other
            drawn[name, index] = sliced.patch_descriptors(picture, y, x)
        for index in range(2):
            rows = drawn[name, index]
            lines = [stream.randn(rows.shape[1], sliced.DIRECTIONS) for _ in range(sliced.REPEATS)]
            if name == "fake":
                directions = np.concatenate([one / np.linalg.norm(one, axis=0) for one in lines], 1)
                apart = sliced.sliced_wasserstein_distance(drawn["real", index], rows, directions)
                scores.append(sliced.SCALE * apart)
    for index in range(2):
        level = real[index][0].transpose(2, 0, 1)
        check_close(level, held[f"laplacian_level{index}_image0"], f"level {index}")
    check_close(drawn["real", 0][:4], held["descriptors_real_level0_first4"], "descriptors")
    check_close([*scores, np.mean(scores)], values["real_vs_fake"], "all levels")


def lengths(folder: Path) -> None:
    """Perceptual path lengths of a toy generator, in float64 and float32, and their limit."""
    values, held = read_meta(folder)["values"], read_arrays(folder / "io.npz")
    with jax.enable_x64(True):
        exact = _lengths(held, np.float64, epsilon=1e-4)
        check_close(exact.lengths, held["distance_float64"], "paths in float64")
        limit = _lengths(held, np.float64, epsilon=None)
        # the step of 1e-4 itself: an error of first order in it
        check_close(limit.lengths, exact.lengths, "the limit", 1e-3)
        z0, z1 = (jnp.asarray(held[name], np.float64) for name in ("z0", "z1"))
        check_close(paths.slerp(z0, z1, jnp.asarray(0.25)), held["slerp_t025"], "slerp")
    rough = _lengths(held, np.float32, epsilon=1e-4)
    # A step of 1e-4 leaves float32 three digits of a difference: 1.5 % of single paths.
    check_close(rough.lengths, held["distance"], "paths in float32", 0.03)
    check_close(rough.mean, values["ppl"], "their mean", 0.01)
    check_close(exact.mean, values["ppl"], "the mean in float64", 1e-3)
    check_close(_lengths(held, np.float32, epsilon=None).lengths, limit.lengths, "float32", 1e-4)


def _lengths(held: dict[str, np.ndarray], kind: Any, epsilon: float | None) -> paths.PathLength:
    draw = {
        "map": rule_tensor("ppl.map", (12, 12), seed=1730) / np.sqrt(12),
        "synth": rule_tensor("ppl.synth", (36, 768), seed=1730) / np.sqrt(36),
        "vgg": 0.01 * rule_tensor("ppl.vgg", (768, 20), seed=1730),
    }
    tensors = {name: jnp.asarray(value, kind) for name, value in draw.items()}

    def synthesis(synth: jax.Array, w: jax.Array, key: jax.Array) -> jax.Array:
        del key
        small = jnp.tanh(0.5 * jnp.tile(w, 3) @ synth).reshape(3, 16, 16)
        return jax.image.resize(small, (3, 64, 64), "bilinear").transpose(1, 2, 0)

    def features(vgg: jax.Array, image: jax.Array) -> jax.Array:
        levels = (image.transpose(2, 0, 1) + 1) * 127.5
        pooled = levels.reshape(3, 16, 4, 16, 4).mean((2, 4))
        return jnp.tanh(pooled.ravel() @ vgg / 8)

    ends = (np.asarray(jnp.tanh(held[name].astype(kind) @ tensors["map"])) for name in ("z0", "z1"))
    return paths.perceptual_path_length(
        synthesis,
        features,
        (tensors["synth"], tensors["vgg"]),
        *ends,
        sampling="end",
        epsilon=epsilon,
        batch=40,
    )


CHECKS: dict[str, Callable[[Path], None]] = {
    "metrics-features": features,
    "metrics-images": images,
    "metrics-swd": textures,
    "metrics-ppl": lengths,
}
