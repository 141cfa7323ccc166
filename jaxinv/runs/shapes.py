"""Shapes of kept latents: depth maps, meshes, and pictures turned and relit."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.applications.shape import USUAL, Plan, Shape, find_shape
from jaxinv.io import images
from jaxinv.io.animations import encode_animation, there_and_back
from jaxinv.io.files import atomic_write, json_lines, write_json
from jaxinv.io.meshes import encode_mtl, encode_obj
from jaxinv.io.output_folder import SHAPES, output_folder
from jaxinv.nn.depth_maps import FAR, NEAR, Scene, draw, points
from jaxinv.runs.kept_latents import Generators, Kept, Reader, list_latents, one_file
from jaxinv.runs.results import write

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array

TURNS = np.linspace(-0.5, 0.5, 9)  # radians to either side
SIDEWAYS = np.linspace(-1.2, 1.2, 9)  # where the light comes from
SHOWN = 8  # projected samples that are shown


@dataclass(frozen=True)
class ShapeRequest:
    """What is asked for.

    Attributes:
        places: folders of results, and files of latents.
        out: the folder for the results.
        generator: name of the one that draws; None: what the latents say.
        plan: how shapes are searched for.
        seconds: how long the animation of turns lasts.
    """

    places: tuple[str, ...]
    out: str
    generator: str | None = None
    plan: Plan = field(default=USUAL)
    seconds: float = 3.0


def run_shapes(
    request: ShapeRequest,
    *,
    read: Reader = one_file,
    ready: Callable[[str], object] | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> tuple[int, int]:
    """Find and write the shape of every sample; returns (done, failed).

    `read` reads files of latents, `ready` is called with the name of every generator before it is
    loaded, and `say` gets the warnings. One sample's fault costs that sample. The folder has
    shapes.json, what was asked, and a line for every sample in shapes.jsonl.
    """
    found = list_latents(request.places, read)
    generators, failed = Generators(request.generator, ready), 0
    with output_folder(request.out, SHAPES, inputs=[one.file for one in found]) as out:
        asked = {**vars(request), "plan": request.plan._asdict()}
        write_json(out / "shapes.json", {"schema": 1} | asked)
        with json_lines(out / "shapes.jsonl") as put:
            for kept in found:
                line = _one(out, request, generators, kept)
                if line["status"] != "ok":
                    failed += 1
                    say(f"warning: {kept.file}: {line['reason']}")
                put(line)
    return len(found) - failed, failed


def _one(out: Path, request: ShapeRequest, generators: Generators, kept: Kept) -> dict[str, Any]:
    line = {"file": str(kept.file), "name": kept.name, "status": "skipped", "reason": kept.reason}
    if kept.reason:
        return line
    try:
        gen, params, latents = generators.fit(kept)
        plan = request.plan._replace(size=min(request.plan.size, gen.spec.resolution))
        sample = jax.tree.map(lambda leaf: np.asarray(leaf)[None], latents)
        shape = find_shape(gen, params, sample, plan=plan)
        files = write_shape(out, kept.name, shape, seconds=request.seconds)
    except (ValueError, OSError) as error:
        return {**line, "status": "failed", "reason": " ".join(str(error).split())}
    facts = {"generator": generators.name_for(kept), "error": shape.error, "files": files}
    numbers = {n: np.asarray(getattr(shape.scene, n)).tolist() for n in ("view", "light")}
    return {**line, "status": "ok", "reason": "", **facts, **numbers}


def write_shape(out: Path, name: str, shape: Shape, *, seconds: float = 3.0) -> list[str]:
    """Write all that is shown of a shape into folders by kind; returns the files' names.

    depths/: float32 z as .npy, and a PNG of 16 bits, 0 at z = 0.9 and 65535 at 1.1. meshes/: OBJ
    with its material, painted with the albedo. turned/ and relit/: strips, and an animation of
    turns. samples/: pseudo samples above, and below what the generator draws of them.
    """
    scene, files = shape.scene, []
    depth = np.asarray(scene.depth, np.float32)
    far = np.clip((depth - NEAR) / (FAR - NEAR), 0, 1)
    albedo = images.encode_png(images.to_uint8(np.clip(scene.albedo, -1, 1)))
    turned, relit = turned_pictures(scene), relit_pictures(scene)
    pairs = np.stack([part[:SHOWN] for part in (shape.pseudo, shape.projected)])
    parts = {
        f"depths/{name}.png": images.encode_png16(np.round(far * 65535).astype(np.uint16)),
        f"normals/{name}.png": images.encode_png(images.to_uint8(shape.normals * [1, -1, -1])),
        f"albedos/{name}.png": albedo,
        f"meshes/{name}.obj": encode_obj(np.asarray(points(jnp.asarray(depth))), name),
        f"meshes/{name}.mtl": encode_mtl(name, f"{name}.png"),
        f"meshes/{name}.png": albedo,
        f"turned/{name}.png": images.encode_png(_strip(turned[None])),
        f"turned/{name}.gif": encode_animation(
            there_and_back(list(images.to_uint8(np.clip(turned, -1, 1)))), "gif", seconds=seconds
        ),
        f"relit/{name}.png": images.encode_png(_strip(relit[None])),
        f"samples/{name}.png": images.encode_png(_strip(pairs)),
    }
    for file, data in parts.items():
        write(out / file, data)
        files.append(file)
    place = out / "depths" / f"{name}.npy"
    atomic_write(place, lambda target: np.save(target, depth))
    return [*files, f"depths/{name}.npy"]


def turned_pictures(scene: Scene) -> np.ndarray:
    """The scene from the left to the right, [9, n, n, 3] in about [-1, 1]."""
    views = np.tile(np.asarray(scene.view), (len(TURNS), 1))
    views[:, 1] += TURNS.astype(views.dtype)
    return _drawn(scene, views, np.tile(np.asarray(scene.light), (len(TURNS), 1)))


def relit_pictures(scene: Scene) -> np.ndarray:
    """The scene under strong light from the left to the right, [9, n, n, 3] in about [-1, 1]."""
    lights = np.stack([np.array([0.4, 0.7, x, -0.2], np.float32) for x in SIDEWAYS])
    return _drawn(scene, np.tile(np.asarray(scene.view), (len(SIDEWAYS), 1)), lights)


def _drawn(scene: Scene, views: np.ndarray, lights: np.ndarray) -> np.ndarray:
    scenes = [scene._replace(view=a, light=b) for a, b in zip(views, lights, strict=True)]
    return np.stack([np.asarray(_picture(one)) for one in scenes])


@jax.jit
def _picture(scene: Scene) -> Array:
    """What a scene shows, black beyond the map."""
    picture, inside = draw(scene, len(scene.depth))
    return jnp.where(inside[..., None], picture, -1.0)


def _strip(rows: np.ndarray) -> np.ndarray:
    """Rows of pictures [r, n, h, w, 3] in about [-1, 1], one below the other, uint8."""
    whole = images.to_uint8(np.clip(rows, -1, 1))
    return np.concatenate([np.concatenate(list(row), axis=1) for row in whole])
