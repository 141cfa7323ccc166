"""Regions told by a generator's features, learned from one to eight pictures with masks.

Of drawn figures the masks are known to the pixel, by the colours that they were drawn with; of
faces they are hulls of landmarks.
"""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import binary_opening, distance_transform_edt
from scipy.spatial import ConvexHull

import jaxinv
from jaxinv.applications.segmentation import learn_segmenter, segment
from jaxinv.io.image_ops import from_uint8
from jaxinv.io.latent_files import load_latents
from jaxinv.training.data import split
from tests.benchmarks.applications import faces
from tests.benchmarks.applications.rows import Found, Row, write_sheet
from tests.weights import SHARED

FIGURES = SHARED / "data" / "open-peeps-64.zip"
COLOURS = ("backgroundColor", "skinColor", "headContrastColor", "clothingColor")
SHADES = np.array([[220, 220, 220], [230, 160, 120], [110, 60, 30], [60, 110, 200]], np.uint8)
SKIN, HAIR, CLOTHES = 1, 2, 3  # in the order of these colours
LINE, SHOULDERS = 2, 40  # px at 64: half of a thick line; what is higher is no clothing
LABELLED, ASKED, APART, NEAR = 8, 16, 90.0, 40.0  # pictures; distances of colours
# Hulls of landmarks, one over the other.
PARTS = (range(68), (*range(36, 42),), (*range(42, 48),), (*range(48, 60),))
NAMES = ("rest", "face", "eyes", "mouth")
MAPS = 64  # px of maps of faces


def figures(folder: Path) -> Found:
    """mIoU on held-out figures, which the generator has not seen, after 1, 4 and 8 masks."""
    gen, params = jaxinv.load_generator("avatars")
    pictures, masks = drawn_figures(LABELLED + ASKED, gen.spec.resolution)
    codes = jaxinv.invert(gen, params, pictures, preset="w+").latents
    asked = slice(LABELLED, None)
    words: dict[str, float | str] = {}
    for count in (1, 4, 8):
        few = jax.tree.map(lambda a, count=count: a[:count], codes)
        made = learn_segmenter(gen, params, few, masks[:count])
        told = segment(gen, params, made, codes).labels
        each = [miou(a, b) for a, b in zip(told[asked], masks[asked], strict=True)]
        words[f"mIoU after {count}"] = float(np.mean(each))
    usual = np.array([np.bincount(one, minlength=4).argmax() for one in masks[:8].reshape(8, -1).T])
    usual = usual.reshape(masks.shape[1:])
    place = float(np.mean([miou(usual, one) for one in masks[asked]]))
    words["by the most usual region of each place"] = place
    rows = [[pictures[i], SHADES[masks[i]], SHADES[told[i]]] for i in range(LABELLED, LABELLED + 8)]
    write_sheet(folder, rows, ("picture", "its regions", "told, after 8"), 128)
    return words, float(words["mIoU after 8"]) > (1 + place) / 2


def drawn_figures(count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Held-out pictures [count, side, side, 3] whose colours are apart, and their regions."""
    with zipfile.ZipFile(FIGURES) as file:
        lines = [json.loads(line) for line in file.read("attributes.jsonl").splitlines()]
        _, held = split(len(lines))
        pictures, masks = [], []
        for facts in (lines[i] for i in held):
            known = np.array([list(bytes.fromhex(facts[name])) for name in COLOURS], float)
            gaps = np.linalg.norm(known[:, None] - known[None], axis=-1)
            if len(pictures) == count or gaps[np.triu_indices(4, 1)].min() < APART:
                continue
            seen = Image.open(BytesIO(file.read(facts["file"]))).convert("RGB")
            whole = regions(np.asarray(seen, float), known)
            masks.append(whole[:: 64 // side, :: 64 // side])
            pictures.append(from_uint8(np.asarray(seen.resize((side, side), Image.Resampling.BOX))))
    return np.stack(pictures), np.stack(masks)


def regions(picture: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The region of each pixel [64, 64]; black is hair, lines belong to what lies beside them."""
    gaps = np.linalg.norm(picture[..., None, :] - np.vstack([known, np.zeros(3)]), axis=-1)
    nearest, black = gaps.argmin(-1), np.linalg.norm(picture, axis=-1) < NEAR
    thick: Any = binary_opening(black, iterations=LINE)
    lines = black & ~thick
    found = np.where(nearest == len(known), HAIR, nearest)
    ribbons = (found == CLOTHES) & (np.arange(len(picture)) < SHOULDERS)[:, None]
    found = np.where(ribbons, HAIR, found)
    unknown = lines | (gaps.min(-1) > NEAR)
    beside: Any = distance_transform_edt(unknown, return_distances=False, return_indices=True)
    return found[tuple(beside)]


def miou(told: np.ndarray, true: np.ndarray) -> float:
    """Mean intersection over union of the regions that are there."""
    shares = []
    for region in np.unique(true):
        a, b = told == region, true == region
        shares.append((a & b).sum() / (a | b).sum())
    return float(np.mean(shares))


def real_faces(folder: Path) -> Found:
    """mIoU of each face after the masks of the three others."""
    gen, params = jaxinv.load_generator("ffhq")
    run = faces.codes(folder.parent)
    names = [line["name"] for line in faces.results(run)][: faces.COUNT]
    read = [load_latents(run / "latents" / f"{name}.safetensors")[0] for name in names]
    codes: Any = jax.tree.map(lambda *a: np.stack([np.asarray(x) for x in a]), *read)
    true = faces.photos()
    masks = np.stack([face_regions(faces.landmarks(one)) for one in true])
    shares, rows = [], []
    for asked in range(len(true)):
        others = np.arange(len(true)) != asked
        few, one = (jax.tree.map(lambda a, at=at: a[at], codes) for at in (others, ~others))
        given = {"kind": "pixel", "size": MAPS}
        made = learn_segmenter(gen, params, few, masks[others], **given)
        told = segment(gen, params, made, one).labels[0]
        shares.append([iou(told, masks[asked], region) for region in range(len(NAMES))])
        rows.append([true[asked], SHADES[masks[asked]], SHADES[told]])
    write_sheet(folder, rows, ("photograph", "hulls of landmarks", "told after three others"))
    means = np.mean(shares, axis=0)
    figures = {f"IoU of {name}": float(m) for name, m in zip(NAMES, means, strict=True)}
    return {"mIoU": float(means.mean()), **figures}, bool(means.min() > 0.5)


def iou(told: np.ndarray, true: np.ndarray, region: int) -> float:
    """Intersection over union of one region."""
    a, b = told == region, true == region
    return float((a & b).sum() / max((a | b).sum(), 1))


def face_regions(points: np.ndarray) -> np.ndarray:
    """[MAPS, MAPS], numbers of `NAMES`, of landmarks at the size of the faces."""
    canvas = Image.new("L", (faces.SIZE, faces.SIZE))
    pen = ImageDraw.Draw(canvas)
    for number, part in zip((1, 2, 2, 3), PARTS, strict=True):
        some = points[list(part)]
        corners = some[ConvexHull(some).vertices]
        pen.polygon([tuple(map(float, one)) for one in corners], fill=number)
    step = faces.SIZE // MAPS
    return np.asarray(canvas).astype(int)[step // 2 :: step, step // 2 :: step]


CLAIM = "one to ten masks are enough to tell regions of all pictures of a generator"
PAPER = "RepurposeGAN, section 4"
ROWS = {
    "segmentation": Row(
        CLAIM,
        figures,
        PAPER,
        f"{ASKED} held-out figures of 32 px, four regions by their colours",
        "hair, skin and clothes as they were drawn; a shaved head with a comb is given hair",
    ),
    "segmentation-faces": Row(
        CLAIM,
        real_faces,
        PAPER,
        f"{faces.INPUTS}, each after the masks of the three others",
        "faces, eyes and mouths as in the photographs, but also eyes in the helmet and sky of "
        "one, which the others have not, and a strip of neck taken for face in another",
    ),
}
