"""Parts of several pictures in one: crossover, local style transfer and hair transfer.

On drawn figures of 32 px, which their generator has not seen, and on faces with fewer steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter
from scipy.spatial import ConvexHull

import jaxinv
from jaxinv.losses.distances import gram
from jaxinv.models.features.backbones import NETS
from jaxinv.models.loading import load_features
from jaxinv.models.rendering import render
from jaxinv.presets.transfer import LOHO
from jaxinv.specs import Preset
from tests.benchmarks.applications import faces
from tests.benchmarks.applications.rows import Found, Row, write_sheet
from tests.benchmarks.applications.segmentation import HAIR, SKIN, drawn_figures

COUNT = 4
SOFT = 0.02  # blur of masks, in sides
FEW, FEWEST = 800, 60  # steps of a search for a figure, and for a face
MARGIN = 0.02  # a share by which hair is farther or nearer, to count
HAIR_STEPS = {"avatars": 300, "ffhq": 40}  # its steps cost twice as much


class Pictures(NamedTuple):
    """Pictures, and the generator that searches for parts of them.

    steps: of a search, fewer than those of the presets.
    faces, hair: [COUNT, s, s], where they are, 0 or 1.
    """

    generator: str
    pictures: np.ndarray
    steps: int
    faces: np.ndarray
    hair: np.ndarray

    @property
    def others(self) -> np.ndarray:
        """For each picture another one."""
        return np.roll(self.pictures, 1, axis=0)


@lru_cache
def figures() -> Pictures:
    """Held-out figures with the regions that they were drawn with."""
    pictures, regions = drawn_figures(COUNT, 32)
    return Pictures("avatars", pictures, FEW, regions == SKIN, regions == HAIR)


@lru_cache
def portraits() -> Pictures:
    """Faces; hair is what lies above and beside the face and has the colour above the forehead."""
    pictures = faces.photos(COUNT)
    points = [faces.landmarks(one) for one in pictures]
    masks = np.stack([face_mask(one) for one in points])
    given = zip(pictures, points, masks, strict=True)
    return Pictures("ffhq", pictures, FEWEST, masks, np.stack([hair_mask(*one) for one in given]))


def face_mask(points: np.ndarray) -> np.ndarray:
    """[SIZE, SIZE], the hull of landmarks [68, 2], continued over the forehead."""
    brows = points[17:27]
    forehead = brows - 0.45 * (points[8] - points[27])
    every = np.concatenate([points, forehead])
    canvas = Image.new("L", (faces.SIZE, faces.SIZE))
    corners = every[ConvexHull(every).vertices]
    ImageDraw.Draw(canvas).polygon([tuple(map(float, one)) for one in corners], fill=1)
    return np.asarray(canvas) > 0


def hair_mask(picture: np.ndarray, points: np.ndarray, face: np.ndarray) -> np.ndarray:
    """[SIZE, SIZE], above the mouth and around the face, of the colours above the forehead."""
    rows, columns = np.mgrid[: faces.SIZE, : faces.SIZE]
    up = points[8] - points[27]
    centre = points[27] - 0.15 * up
    radius = 1.35 * np.linalg.norm(up)
    near = (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2 < radius**2
    around = near & ~face & (rows < points[62, 1])
    above = around & (np.abs(columns - centre[0]) < 0.5 * radius) & (rows < points[27, 1])
    seed = picture[above & binary_dilation(face, iterations=faces.SIZE // 20)]
    middle = np.median(seed, axis=0)
    spread = 2.5 * np.median(np.linalg.norm(seed - middle, axis=1)) + 0.1
    return around & (np.linalg.norm(picture - middle, axis=-1) < spread)


def searched(
    given: Pictures, preset: Preset | str, folder: Path, **named: dict[str, np.ndarray]
) -> np.ndarray:
    """What a preset draws of each picture, [COUNT, s, s, 3]; kept in the folder."""
    gen, params = jaxinv.load_generator(given.generator)
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for i in range(len(given.pictures)):
        file = folder / f"{i}.npy"
        if not file.is_file():
            own: Any = {
                key: {k: v[i : i + 1].astype(np.float32) for k, v in some.items()}
                for key, some in named.items()
            }
            image = given.pictures[i : i + 1]
            own |= {"preset": preset, "steps": given.steps}
            found = jaxinv.invert(gen, params, image, **own)
            np.save(file, np.asarray(render(gen, params, found.latents))[0])
        shown.append(np.load(file))
    return faces.at(shown, given.pictures.shape[1])


def crossover(some: Callable[[], Pictures], folder: Path) -> Found:
    """PSNR of both halves, and how strong the border is beside that of the halves laid together."""
    given = some()
    side = given.pictures.shape[1]
    hard = np.zeros((side, side), np.float32)
    hard[:, : side // 2] = 1
    mask = np.broadcast_to(soft(hard), (COUNT, side, side))
    names: Any = {"named_images": {"other": given.others}, "named_masks": {"inside": mask}}
    found = searched(given, "image2stylegan++-crossover", folder / "found", **names)
    together = np.where(hard[..., None] > 0, given.pictures, given.others)
    rows = zip(given.pictures, given.others, together, found, strict=True)
    heads = ("picture: left", "other: right", "laid together", "crossover")
    write_sheet(folder, [list(row) for row in rows], heads, max(side, 128))
    inner = psnr(found[:, :, : side // 2], given.pictures[:, :, : side // 2])
    outer = psnr(found[:, :, side // 2 :], given.others[:, :, side // 2 :])
    seams = [seam(one) for one in (together, found)]
    words = {"PSNR inside": inner, "outside": outer, "step at the border": arrow(*seams)}
    return words, inner > 20 and outer > 20 and seams[1] < seams[0]


def local_style(some: Callable[[], Pictures], folder: Path) -> Found:
    """PSNR inside the face; distance of Gram matrices to the style picture outside."""
    given = some()
    mask = np.stack([soft(binary_dilation(one, iterations=2)) for one in given.faces])
    names: Any = {"named_images": {"style": given.others}, "named_masks": {"inside": mask}}
    found = searched(given, "local-style-transfer", folder / "found", **names)
    rows = [list(row) for row in zip(given.pictures, given.others, found, strict=True)]
    heads = ("picture: the face", "style: the rest", "local style transfer")
    write_sheet(folder, rows, heads, max(given.pictures.shape[1], 128))
    inside = mask > 0.5
    inner = psnr(found[inside], given.pictures[inside])
    before, after = (style_gap(one, given.others, 1 - mask) for one in (given.pictures, found))
    words = {"PSNR inside": inner, "style distance outside": arrow(before, after)}
    return words, inner > 20 and after < before


def hair_transfer(some: Callable[[], Pictures], folder: Path) -> Found:
    """Face, form and colour of the hair, with and without gradients made orthogonal."""
    given = some()
    given = given._replace(steps=HAIR_STEPS[given.generator])
    thin = 1 if given.pictures.shape[1] < 64 else 4
    face, shape = (
        np.stack([binary_erosion(one, iterations=thin) for one in masks])
        for masks in (given.faces, np.roll(given.hair, 1, axis=0))
    )
    strands = np.stack([binary_erosion(one, iterations=thin) for one in given.hair])
    strands, thirds = np.roll(strands, 2, axis=0), np.roll(given.pictures, 2, axis=0)
    face = face > shape
    names: Any = {
        "named_images": {"shape": given.others, "hair": thirds},
        "named_masks": {"face": face, "shape": shape, "strands": strands},
    }
    on = searched(given, LOHO, folder / "on", **names)
    off = searched(given, without_removal(LOHO), folder / "off", **names)
    rows = [list(row) for row in zip(given.pictures, given.others, thirds, on, off, strict=True)]
    heads = ("face", "form of the hair", "its colour", "loho", "without orthogonalization")
    write_sheet(folder, rows, heads, max(given.pictures.shape[1], 128))
    before = hair_colour_gap(given.pictures, shape, thirds, strands)
    figures: dict[str, float | str] = {"hair colour apart, in the picture": before}
    kept: dict[str, tuple[float, float, float]] = {}
    for name, found in (("on", on), ("off", off)):
        colour = hair_colour_gap(found, shape, thirds, strands)
        form = detail_gap(found, given.others, shape)
        kept[name] = colour, form, psnr(found[face], given.pictures[face])
        words = f"colour apart {colour:.3f}, form apart {form:.4f}"
        figures[name] = f"{words}, PSNR of the face {kept[name][2]:.1f}"
    better = [kept["on"][i] < (1 - MARGIN) * kept["off"][i] for i in range(2)]
    worse = [kept["on"][i] > (1 + MARGIN) * kept["off"][i] for i in range(2)]
    return figures, kept["on"][0] < before and any(better) and not any(worse)


def without_removal(preset: Preset) -> Preset:
    """The preset without the terms that only take something out of the gradients of others."""
    stages = tuple(
        replace(stage, terms=tuple(term for term in stage.terms if not term.removed_from))
        for stage in preset.stages
    )
    return replace(preset, stages=stages)


def soft(mask: np.ndarray) -> np.ndarray:
    """A mask [s, s] with a blurred border, as the guide says."""
    return gaussian_filter(mask.astype(np.float32), SOFT * len(mask), mode="nearest")


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Of pixels in [-1, 1]."""
    return float(10 * np.log10(4 / np.mean(np.square(a - b))))


def seam(pictures: np.ndarray) -> float:
    """Mean step between the two columns in the middle."""
    middle = pictures.shape[2] // 2
    return float(np.abs(pictures[:, :, middle] - pictures[:, :, middle - 1]).mean())


def arrow(before: float, after: float) -> str:
    """Both numbers in words."""
    return f"{before:.3g} -> {after:.3g}"


def hair_colour_gap(
    found: np.ndarray, where: np.ndarray, hair: np.ndarray, strands: np.ndarray
) -> float:
    """Mean distance of mean colours within masks."""
    pairs = zip(found, where, hair, strands, strict=True)
    return float(np.mean([np.linalg.norm(a[m].mean(0) - b[n].mean(0)) for a, m, b, n in pairs]))


def detail_gap(found: np.ndarray, shape: np.ndarray, where: np.ndarray) -> float:
    """Mean square of the differences of VGG-16's relu4_3, each scaled to length 1, within masks."""
    return mapped("relu4_3", found, shape, where, form_apart)


def style_gap(found: np.ndarray, style: np.ndarray, where: np.ndarray) -> float:
    """Mean square of the differences of Gram matrices of VGG-16's conv3_3 within masks."""
    return mapped("conv3_3", found, style, where, style_apart)


def form_apart(a: Any, b: Any, weights: Any) -> Any:
    a, b = (x / (jnp.linalg.norm(x, axis=-1, keepdims=True) + 1e-6) for x in (a, b))
    return jnp.sum(weights * jnp.square(a - b)) / jnp.maximum(weights.sum(), 1e-6)


def style_apart(a: Any, b: Any, weights: Any) -> Any:
    a, b = (gram(x * jnp.sqrt(weights)) for x in (a, b))
    return jnp.mean(jnp.square(a - b)) / jnp.mean(jnp.square(b))


def mapped(
    layer: str, first: np.ndarray, second: np.ndarray, where: np.ndarray, apart: Any
) -> float:
    """A distance of feature maps under masks, mean over pictures."""
    params = load_features(("vgg16",))["vgg16"]

    @jax.jit
    def one(params: Any, a: Any, b: Any, mask: Any) -> Any:
        maps = [NETS["vgg16"].taps(params, x)[layer] for x in (a, b)]
        weights = jax.image.resize(mask, maps[0].shape[:2], "linear")[..., None]
        return apart(*maps, weights)

    given = zip(first, second, where.astype(np.float32), strict=True)
    return float(np.mean([one(params, *map(jnp.asarray, each)) for each in given]))


def steps_of(name: str, kind: str) -> int:
    """Steps of a search, for what is said of it."""
    if name == "loho":
        return HAIR_STEPS["ffhq" if kind else "avatars"]
    return FEWEST if kind else FEW


SMALL = "4 held-out figures of 32 px, {} steps"
LARGE = faces.INPUTS + ", {} steps"
KINDS = {"": (figures, SMALL), "-faces": (portraits, LARGE)}
CLAIMS = {
    "image2stylegan++-crossover": (
        crossover,
        "two parts of pictures in one, without a border between them",
        "Image2StyleGAN++",
    ),
    "local-style-transfer": (
        local_style,
        "what lies inside stays, the rest takes the other's style",
        "Image2StyleGAN++, algorithm 1",
    ),
    "loho": (
        hair_transfer,
        "hair of another's form and a third's colour; orthogonal gradients keep the form",
        "LOHO",
    ),
}
LOOKED: dict[str, str] = {
    "image2stylegan++-crossover": (
        "halves keep their hair, glasses and walls, and walls turn into each other; two of four "
        "are smeared"
    ),
    "local-style-transfer": (
        "walls and hair take the other's colours; faces are smeared after a tenth of the "
        "published steps"
    ),
    "loho": (
        "hair has the other's form and not its colour; faces are lost, walls are smeared; with "
        "and without orthogonalization alike"
    ),
}
ROWS = {
    name + kind: Row(
        *(claim, partial(found, some), paper, inputs.format(steps_of(name, kind))),
        LOOKED.get(name + kind, ""),
    )
    for name, (found, claim, paper) in CLAIMS.items()
    for kind, (some, inputs) in KINDS.items()
}
