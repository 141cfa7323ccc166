"""Results of `invert` by a tiny generator, for the tests of the verbs that edit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jaxinv.edits.directions import Direction, generator_hash, save_direction
from jaxinv.edits.kept import keep_direction, kept_direction
from jaxinv.io.images import encode_png, read_upright
from jaxinv.io.latent_files import save_latents
from jaxinv.models.rendering import render_uint8
from jaxinv.types import Latents
from tests.offline import go_offline, tiny_params
from tests.tiny import TINY, mobile

DRAWS = np.random.default_rng(4)
SIDE, D, ROWS = TINY.resolution, TINY.w_dim, TINY.rows
GEN, PARAMS = mobile()
QUAD = [[10.0, 20.0], [10.0, 60.0], [50.0, 60.0], [50.0, 20.0]]


def make_place(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run of two photographs, `age` and `smile` kept, and `other` of another."""
    cache = go_offline(base, monkeypatch)
    own = tmp_path / "cache"
    own.mkdir()
    for file in cache.glob("*.safetensors"):
        (own / file.name).symlink_to(file)
    monkeypatch.setenv("JAXINV_CACHE", str(own))
    monkeypatch.chdir(tmp_path)
    for name in ("age", "smile"):
        keep_direction(
            Direction(
                name,
                "w",
                DRAWS.standard_normal(D),
                generator_hash(tiny_params()),
                "tiny",
                usable=(-2, 2),
                effects={name: 4.0, "yaw": -0.5},
                unit="a year",
                source="by hand",
            )
        )
    save_direction("other.safetensors", Direction("tail", "w", np.ones(D), "0" * 64, "cats"))
    for name in ("a", "b"):
        save_result(name)
    return tmp_path


def save_result(name: str, *, weights: dict | None = None, run: str = "run") -> None:
    """A result as `invert` leaves it, cut out of photos/NAME.png of 96 x 80 px."""
    source = Path("photos", f"{name}.png")
    source.parent.mkdir(exist_ok=True)
    source.write_bytes(encode_png(DRAWS.integers(0, 255, (80, 96, 3)).astype(np.uint8)))
    _, digest = read_upright(source)
    latents: Latents = {"w+": DRAWS.standard_normal((ROWS, D)).astype(np.float32)}
    if weights:
        latents["weights"] = weights
    transform = {"kind": "align", "quad": QUAD, "source_size": [96, 80], "size": SIDE}
    facts = {
        "generator": "tiny",
        "source": str(source),
        "source_sha256": digest,
        "transform": json.dumps(transform),
        "preset": "default",
    }
    for folder in ("images", "latents"):
        Path(run, folder).mkdir(parents=True, exist_ok=True)
    save_latents(Path(run, "latents", f"{name}.safetensors"), latents, facts)
    picture = render_uint8(GEN, PARAMS, latents)
    Path(run, "images", f"{name}.png").write_bytes(encode_png(picture))


def lines(out: str = "OUT") -> list[dict]:
    return [json.loads(line) for line in Path(out, "edits.jsonl").read_text("utf-8").splitlines()]


def pixels(file: Path | str) -> np.ndarray:
    return read_upright(file)[0].astype(int)


def keep_of(name: str) -> np.ndarray:
    """The vector of the direction that is kept under that name."""
    found = kept_direction("tiny", name)
    assert isinstance(found, Direction)
    return found.vector
