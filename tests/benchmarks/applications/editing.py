"""Edits of inverted faces: everyday directions, pictures put back, and handles that are dragged."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import jaxinv
from jaxinv.edits.catalogue import catalogue_direction
from jaxinv.edits.pasting import paste
from jaxinv.io.face_detection import landmarks_from_dlib
from jaxinv.io.image_ops import box_quad
from jaxinv.io.latent_files import load_latents
from jaxinv.metrics.attributes import attributes
from jaxinv.metrics.dragging import lpips_outside
from jaxinv.metrics.identity import identity
from jaxinv.models.loading import load_features
from jaxinv.sessions.session import Session
from tests.benchmarks import drags
from tests.benchmarks.applications import faces
from tests.benchmarks.applications.rows import Found, Row, write_sheet
from tests.benchmarks.edits import drawn

MOVED = ("age", "smile", "yaw")
AMOUNTS = (-1.0, 0.0, 1.0)
RING = 5  # px at 256: the outermost pixels of a picture that is put back


def directions(folder: Path) -> Found:
    """How far each score goes along its direction, whether steadily, and identity at the ends."""
    gen, params = jaxinv.load_generator("ffhq")
    rows: list[list[np.ndarray]] = [[] for _ in range(faces.COUNT)]
    figures: dict[str, float | str] = {}
    steady, apart = 0, []
    for name in MOVED:
        way = catalogue_direction(gen, params, "ffhq", name)
        spans = []
        for number, code in enumerate(face_codes(folder)):
            strip = drawn(gen, params, code, way, AMOUNTS)
            found = attributes(strip, MOVED)[name]
            spans.append(found[-1] - found[0])
            steady += bool(found[0] < found[1] < found[2])
            apart += list(identity(strip[[0, 2]], strip[[1, 1]]))
            rows[number] += list(strip if not rows[number] else strip[[0, 2]])
        figures[f"{name} from -1 to 1"] = float(np.mean(spans))
    figures["steady"] = f"{steady} of {len(MOVED) * faces.COUNT}"
    figures["identity from the middle"] = f"{np.nanmedian(apart):.2f}, worst {np.nanmax(apart):.2f}"
    heads = ("age -1", "as found", "age +1", "smile -1", "smile +1", "yaw -1", "yaw +1")
    write_sheet(folder, rows, heads)
    return figures, steady == len(MOVED) * faces.COUNT and bool(np.nanmax(apart) < 0.6)


def face_codes(folder: Path) -> list[dict[str, np.ndarray]]:
    """The w+ that `default` found for each face."""
    run = faces.codes(folder.parent)
    names = [line["name"] for line in faces.results(run)][: faces.COUNT]
    read = [load_latents(run / "latents" / f"{name}.safetensors")[0] for name in names]
    return [{"w+": np.asarray(one["w+"])} for one in read]


def put_back(folder: Path) -> Found:
    """Differences from the photograph at its border, of the edit and of what is pasted."""
    gen, params = jaxinv.load_generator("ffhq")
    way = catalogue_direction(gen, params, "ffhq", "smile")
    rows, before, after, middle = [], [], [], []
    inner = slice(faces.SIZE // 4, -faces.SIZE // 4)
    for photo, code in zip(faces.photos(), face_codes(folder), strict=True):
        edit = drawn(gen, params, code, way, (1.5,))[0]
        given = faces.eight(photo)
        quad = box_quad(0, 0, faces.SIZE, faces.SIZE)
        pasted = paste(given, edit, quad)
        before.append(ring(edit, given))
        after.append(ring(pasted, given))
        middle.append(np.abs(pasted[inner, inner].astype(float) - edit[inner, inner]).mean())
        rows.append([given, edit, pasted])
    write_sheet(folder, rows, ("photograph", "edited: smile 1.5", "put back"))
    figures: dict[str, float | str] = {
        "levels apart at the border": f"{np.mean(before):.3g} -> {np.mean(after):.3g}",
        "in the middle, from the edit": float(np.mean(middle)),
    }
    return figures, bool(np.mean(after) < 2)


def ring(picture: np.ndarray, photo: np.ndarray) -> float:
    """Mean difference in levels within `RING` px of an edge."""
    gap = np.abs(picture.astype(float) - photo).mean(-1)
    inside = np.zeros(gap.shape, bool)
    inside[RING:-RING, RING:-RING] = True
    return float(gap[~inside].mean())


def dragged(folder: Path) -> Found:
    """DragBench's two numbers on the faces: where handles end, and what changes elsewhere."""
    gen, params = jaxinv.load_generator("ffhq")
    nets = load_features(("alexnet",))
    rows, ends, outside, seen = [], [], [], []
    for code, (name, way) in zip(face_codes(folder), drags.WAYS.items(), strict=True):
        session = Session(gen, params, code)
        before = session.picture()
        scale = len(before) / drags.SIDE
        first = landmarks_from_dlib(before)[0]
        points = first[list(way.points)]
        targets = points + np.asarray(way.by) * scale
        mask = drags.hull_mask(first[list(way.hull)] / scale)
        found = session.drag(points, targets, mask)
        after = session.picture()
        again = landmarks_from_dlib(after)
        if again:
            gaps = np.linalg.norm(again[0][list(way.points)] - targets, axis=1)
            seen.append(float(gaps.mean()) / scale)
        ends.append(float(found.distance))
        outside.append(float(lpips_outside(nets["alexnet"], before, after, mask)))
        rows.append([marked(before, points, targets), after])
        print(name, ends[-1], outside[-1], flush=True)
    write_sheet(folder, rows, ("handles and where they go", "dragged"))
    near = sum(end <= drags.NEAR for end in ends)
    figures: dict[str, float | str] = {
        f"within {drags.NEAR:g} px": f"{near} of {len(ends)}",
        "handles, px at 256": ", ".join(f"{end:.1f}" for end in ends),
        "landmarks found again": float(np.mean(seen)),
        "LPIPS outside": float(np.mean(outside)),
    }
    return figures, near == len(ends)


def marked(picture: np.ndarray, points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The picture with handles in red and targets in blue."""
    shown, size = picture.copy(), len(picture) // 128
    for some, colour in ((points, (255, 0, 0)), (targets, (0, 0, 255))):
        for x, y in np.rint(some).astype(int):
            shown[y - size : y + size + 1, x - size : x + size + 1] = colour
    return shown


LOOKED: dict[str, str] = {
    "edit": "natural; each goes as it is named; smiles change little, earrings come with age",
    "paste": "no border to be seen; hair and clothes at the edges are the photograph's again",
    "drag": (
        "a wider smile, a turn, a shorter chin, raised brows, natural; the turned face's cheek "
        "grows wider, the neckwear under the chin changes"
    ),
}
ROWS = {
    "edit": Row(
        "a direction moves what it is named for, and the person stays",
        directions,
        "InterFaceGAN, section 4",
        f"{faces.INPUTS}, codes of `default`",
        LOOKED.get("edit", ""),
    ),
    "paste": Row(
        "an edited face is put back without a border",
        put_back,
        "STIT, section 3",
        f"{faces.INPUTS}, smile by 1.5",
        LOOKED.get("paste", ""),
    ),
    "drag": Row(
        "handles arrive, the rest stays",
        dragged,
        "DragGAN, section 4",
        f"{faces.INPUTS}, a way each: smile, turn, chin, brows",
        LOOKED.get("drag", ""),
    ),
}
