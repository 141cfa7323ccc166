"""The faces that rows are measured on, commands that make runs of them, and what runs hold."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from jaxinv.cli.main import main
from jaxinv.io.face_detection import landmarks_from_dlib
from jaxinv.io.files import find_images
from jaxinv.io.images import read_images, resize
from jaxinv.metrics.table import NETS
from jaxinv.models.loading import load_features
from jaxinv.runs.results import score
from tests.weights import SHARED

FACES, COUNT, SIZE = SHARED / "data" / "faces", 4, 256
INPUTS = "4 faces of 256 px"


def command(*words: object) -> None:
    """What `jaxinv WORDS` does; a run that has ended is not done again."""
    code = main([str(word) for word in words])
    if code:
        raise RuntimeError(f"jaxinv {' '.join(map(str, words))} ended with {code}")


@lru_cache
def files(count: int = COUNT) -> tuple[Path, ...]:
    """The first faces of the folder."""
    return tuple(find_images([str(FACES)], limit=count))


def photos(count: int = COUNT, side: int = SIZE) -> np.ndarray:
    """The first faces [count, side, side, 3] in [-1, 1]: they are in the frame of FFHQ."""
    return read_images(files(count), size=side, align="none")


def results(run: Path) -> list[dict[str, Any]]:
    """The lines of a finished run, in the order of its names."""
    text = (run / "results.jsonl").read_text("utf-8")
    lines = {line["name"]: line for line in map(json.loads, text.splitlines())}
    return [lines[name] for name in sorted(lines)]


def drawn(run: Path, names: list[str], folder: str = "images") -> list[np.ndarray]:
    """Pictures of a run by name, uint8 at their own size."""
    read = [read_images([run / folder / f"{name}.png"], align="none")[0] for name in names]
    return [np.rint((one + 1) * 127.5).astype(np.uint8) for one in read]


def at(pictures: Any, side: int = SIZE) -> np.ndarray:
    """Pictures in [-1, 1] of any side at `side` px."""
    return np.stack([np.clip(resize(np.asarray(one), side), -1, 1) for one in pictures])


def scores(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Mean PSNR, LPIPS and identity of pictures in [-1, 1] against others of one side."""
    nets = load_features(tuple(NETS))
    rows = [score(nets, eight(one), against) for one, against in zip(found, true, strict=True)]
    named = {"PSNR": "psnr", "LPIPS": "lpips_alex", "identity": "identity"}
    return {name: float(np.nanmean([row[key] for row in rows])) for name, key in named.items()}


def eight(picture: np.ndarray) -> np.ndarray:
    """A picture in [-1, 1] as uint8."""
    return np.rint((np.clip(picture, -1, 1) + 1) * 127.5).astype(np.uint8)


def landmarks(picture: np.ndarray) -> np.ndarray:
    """The 68 landmarks [68, 2] of the face of a picture in [-1, 1]; `ValueError` without one."""
    found = landmarks_from_dlib(eight(picture))
    if not found:
        raise ValueError("no face in the picture; allowed: pictures of one")
    return found[0]


@lru_cache
def codes(pictures: Path) -> Path:
    """The run of `default` on the faces, in the folder beside those of the rows."""
    run = pictures / "faces-default"
    if not (run / "results.jsonl").is_file() or len(results(run)) < COUNT:
        given = ("-o", run, "-p", "default", "--size", SIZE, "--align", "none")
        command("invert", *files(), *given)
    return run
