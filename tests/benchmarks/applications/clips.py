"""Videos whose true path is known: photographs that are turned, moved and enlarged smoothly.

Of faces, how steady their cuts are; of drawn figures also what is found, and how borders fit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.ndimage import affine_transform

import jaxinv
from jaxinv.applications.video import (
    border_mask,
    invert_frames,
    smoothed_landmarks,
    stitched,
)
from jaxinv.edits.pasting import BORDER
from jaxinv.inversion.presets import find_preset, with_steps
from jaxinv.io.face_frame import ffhq_quad
from jaxinv.io.face_search import find_face
from jaxinv.io.images import read_images
from jaxinv.latents.sampling import sample_latents
from jaxinv.models.arguments import samples_of
from jaxinv.models.generators.base import convert
from jaxinv.models.rendering import render
from tests.benchmarks.applications import faces
from tests.benchmarks.applications.rows import Found, Row, write_sheet
from tests.benchmarks.applications.segmentation import drawn_figures
from tests.weights import ROOT

FRAMES, FEW = 32, 6  # of a clip of a face, and of a figure
NOISE = 8.0  # levels, as small cameras have them: finders see another face in each frame
STEPS, TUNING = 80, 40
TOWARDS = 0.3  # of the way to another figure: the edit


class Pose(NamedTuple):
    """Where a picture lies in a frame: turned by radians, enlarged, moved by shares of its side."""

    turn: float
    zoom: float
    across: float
    down: float


def path(count: int, strength: float = 1.0) -> list[Pose]:
    """A smooth path that ends where it began."""
    times = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return [
        Pose(
            *(strength * np.deg2rad(8) * np.sin(t), 1 + 0.08 * strength * np.sin(2 * t)),
            *(0.04 * strength * np.cos(t), 0.03 * strength * np.sin(t + 1)),
        )
        for t in times
    ]


def matrix(pose: Pose, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and shift: where pixel (x, y) of the picture lies in the frame."""
    c, s = np.cos(pose.turn) * pose.zoom, np.sin(pose.turn) * pose.zoom
    turn = np.array([[c, -s], [s, c]])
    middle = np.full(2, (side - 1) / 2)
    return turn, middle - turn @ middle + side * np.array([pose.across, pose.down])


def frame(picture: np.ndarray, pose: Pose) -> np.ndarray:
    """The picture [s, s, 3] as it lies in a frame; its edges go on."""
    turn, shift = matrix(pose, len(picture))
    back = np.linalg.inv(turn)[::-1, ::-1]  # rows come first
    offset: Any = -back @ shift[::-1]
    layers = [
        affine_transform(picture[..., c], back, offset, order=1, mode="nearest") for c in range(3)
    ]
    return np.stack(layers, axis=-1)


def steady_cuts(folder: Path) -> Found:
    """How far cuts stray from the path of each face, in px of a frame, as found and smoothed."""
    pictures = [*faces.photos(3), read_images([ROOT / "notebooks/photos"], size=faces.SIZE)[0]]
    draws, rows, raw, held, shaky = np.random.default_rng(0), [], [], [], []
    for picture in pictures:
        poses, found = path(FRAMES, 0.5), []
        frames = [frame(picture, pose) for pose in poses]
        for one in frames:
            noisy = faces.eight(one) + draws.normal(0, NOISE, one.shape)
            points, _ = find_face(np.clip(noisy, 0, 255).astype(np.uint8))
            found.append(np.full((68, 2), np.nan) if points is None else points)
        points = smoothed_landmarks(np.stack(found), 0.0, 0.0)
        steady = smoothed_landmarks(np.stack(found))
        each = [
            [back(ffhq_quad(one), pose) for one, pose in zip(some, poses, strict=True)]
            for some in (points, steady)
        ]
        strays = [np.linalg.norm(np.stack(one) - np.mean(one, 0), axis=-1).mean() for one in each]
        jumps = [
            np.abs(np.diff(np.stack([ffhq_quad(x) for x in some]), 2, axis=0)).mean()
            for some in (points, steady)
        ]
        true = np.stack([there(np.mean(each[0], 0), pose) for pose in poses])
        shaky.append((*jumps, np.abs(np.diff(true, 2, axis=0)).mean()))
        raw.append(strays[0])
        held.append(strays[1])
        rows.append(frames[::4])
    write_sheet(folder, rows, ("frames",), 128)
    jumps = np.mean(shaky, axis=0)
    figures: dict[str, float | str] = {
        "px from the path": f"{np.mean(raw):.2f} -> {np.mean(held):.2f}",
        "second differences": f"{jumps[0]:.2f} -> {jumps[1]:.2f}, of the path {jumps[2]:.2f}",
    }
    return figures, bool(jumps[1] < jumps[0])


def there(quad: np.ndarray, pose: Pose) -> np.ndarray:
    """Corners [4, 2] of a picture, in a frame."""
    turn, shift = matrix(pose, faces.SIZE)
    return quad @ turn.T + shift


def back(quad: np.ndarray, pose: Pose) -> np.ndarray:
    """Corners [4, 2] in a frame, in the picture."""
    turn, shift = matrix(pose, faces.SIZE)
    return (quad - shift) @ np.linalg.inv(turn).T


def figure_clips(folder: Path) -> Found:
    """PSNR, flicker and borders of clips of four figures, with codes smoothed in time or not."""
    gen, params = jaxinv.load_generator("avatars")
    pictures, _ = drawn_figures(faces.COUNT, 64)
    side = gen.spec.resolution
    tuning = with_steps(find_preset("stit-tuning"), TUNING)
    options: dict[str, Any] = {"preset": "w+", "steps": STEPS, "tuning": tuning}
    rows, flickers, fits, borders, middles = [], [], [], [], []
    for number, picture in enumerate(pictures):
        clip = np.stack([frame(picture, pose) for pose in path(FEW, 0.6)])
        seen = clip.reshape(FEW, side, 2, side, 2, 3).mean((2, 4)).astype(np.float32)
        both = []
        for sigma in (0.0, 1.0):
            latents = invert_frames(gen, params, seen, sigma=sigma, **options)
            both.append(np.asarray(render(gen, params, latents)))
        flickers.append([flicker(one) for one in (seen, *both)])
        fits.append([psnr(one, seen) for one in both])
        one = next(iter(samples_of(latents)))
        edited = towards(gen, params, one, number)
        drawn = np.asarray(render(gen, params, batch(edited)))[0]
        border = border_mask(side, BORDER)
        fitted = stitched(gen, params, seen[0], (edited, np.clip(drawn, -1, 1)), border)
        final = np.asarray(render(gen, params, batch(fitted)))[0]
        borders.append([np.abs(x - seen[0])[border > 0].mean() for x in (drawn, final)])
        middles.append(np.abs(final - drawn)[border == 0].mean())
        rows.append([*seen[:4], *both[1][:4], drawn, final])
    heads = ("frames", "", "", "", "found", "", "", "", "edited", "stitched")
    write_sheet(folder, rows, heads, 96)
    shake, fit = np.mean(flickers, 0), np.mean(fits, 0)
    edge = np.mean(borders, 0)
    figures: dict[str, float | str] = {
        "PSNR alone and smoothed": f"{fit[0]:.1f}, {fit[1]:.1f}",
        "flicker of frames, alone, smoothed": ", ".join(f"{one:.3f}" for one in shake),
        "stitching: border apart": f"{edge[0]:.3f} -> {edge[1]:.3f}",
        "middle, from the edit": float(np.mean(middles)),
    }
    return figures, bool(shake[2] < shake[1] and edge[1] < edge[0] / 2)


def flicker(frames: np.ndarray) -> float:
    """Mean absolute second difference in time."""
    return float(np.abs(np.diff(frames, 2, axis=0)).mean())


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Of pixels in [-1, 1]."""
    return float(10 * np.log10(4 / np.mean(np.square(a - b))))


def batch(latents: Any) -> Any:
    """Latents of one sample as a batch of one."""
    return jax.tree.map(lambda a: np.asarray(a)[None], latents)


def towards(gen: Any, params: Any, latents: Any, seed: int) -> Any:
    """Latents whose code is a part of the way to a random figure's: an edit."""
    other = sample_latents(gen, params, 1, seed=100 + seed)
    code = convert(gen, params, jax.tree.map(lambda a: a[0], other), "w+")
    moved = np.asarray(latents["w+"]) + TOWARDS * (np.asarray(code) - np.asarray(latents["w+"]))
    return {**latents, "w+": moved}


ROWS = {
    "video-cuts": Row(
        "cuts of faces follow them without a jitter",
        steady_cuts,
        "STIT, section 3.1",
        f"{faces.COUNT} faces, {FRAMES} frames of a known path each, noise of {NOISE:g} levels",
        "frames move smoothly; smoothed cuts no longer tremble, but cut quick turns short by "
        "some pixels",
    ),
    "video": Row(
        "frames stay faithful and steady; the border of an edit fits its frame",
        figure_clips,
        "STIT, sections 3.2 and 3.4",
        f"4 clips of {FEW} frames, held-out figures of 32 px that turn",
    ),
}
