"""Files of parts of clouds -> whole clouds, their latents and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxinv.applications.completion import complete, complete_variously
from jaxinv.inversion.presets import find_preset
from jaxinv.io.files import BadFile, json_lines, write_json
from jaxinv.io.images import encode_png
from jaxinv.io.latent_files import save_latents
from jaxinv.io.output_folder import CLOUDS, output_folder
from jaxinv.io.point_clouds import encode_ply, picture_of, read_cloud
from jaxinv.models.loading import load_generator
from jaxinv.runs.inputs import unique_names
from jaxinv.runs.results import write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Params


@dataclass(frozen=True)
class CompletionRequest:
    """What is asked for.

    Attributes:
        files: of parts of clouds.
        out: the folder for the results.
        generator: name of one of clouds.
        preset: the search.
        count: how many different whole clouds of each part.
        steps: evaluations of a search, instead of the preset's.
        seed: of random draws.
    """

    files: tuple[str, ...]
    out: str
    generator: str
    preset: str = "shapeinversion"
    count: int = 1
    steps: int | None = None
    seed: int = 0


def run_completions(request: CompletionRequest, say: Callable[[str], object]) -> tuple[int, int]:
    """Complete every file; returns (done, failed). `say` gets what could not be used.

    The folder gets clouds.json, a line for every file in clouds.jsonl, whole clouds in clouds/,
    pictures of part and whole, and latents.
    """
    find_preset(request.preset)
    gen, params = load_generator(request.generator)
    files, failed = [Path(one) for one in request.files], 0
    with output_folder(request.out, CLOUDS, inputs=files) as out:
        write_json(out / "clouds.json", {"schema": 1} | vars(request))
        with json_lines(out / "clouds.jsonl") as put:
            for file, name in zip(files, unique_names(files), strict=True):
                line = {"file": str(file), "name": name, "status": "ok", "reason": ""}
                try:
                    line |= _one(out, request, (gen, params), (file, name))
                except (ValueError, OSError) as error:
                    failed += 1
                    line |= {"status": "failed", "reason": " ".join(str(error).split())}
                    say(f"warning: {file}: {line['reason']}")
                put(line)
    return len(files) - failed, failed


def read_clouds(files: Sequence[str], count: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Clouds [K, count, 3] of files, points drawn at random, and why others cannot be used.

    A cloud with fewer points has some of them twice. Raises `ValueError` where none can be used.
    """
    draws, found, bad = np.random.default_rng(seed), [], []
    for file in files:
        try:
            cloud = read_cloud(file)
            if np.abs(cloud).max() > 1:
                raise BadFile(f"points up to {np.abs(cloud).max():.3g} away; allowed: -1 to 1")
        except (ValueError, OSError) as error:
            bad.append(f"{file}: {' '.join(str(error).split())}")
            continue
        found.append(cloud[draws.choice(len(cloud), count, replace=len(cloud) < count)])
    if not found:
        raise ValueError(bad[0] if bad else "no clouds; allowed: at least one file")
    return np.stack(found).astype(np.float32), bad


def _one(
    out: Path,
    request: CompletionRequest,
    drawn_by: tuple[Generator, Params],
    of: tuple[Path, str],
) -> dict[str, Any]:
    file, name = of
    part = read_cloud(file)
    options: dict[str, Any] = {
        "preset": request.preset, "steps": request.steps, "seed": request.seed,
    }  # fmt: skip
    if request.count == 1:
        found = complete(*drawn_by, [part], **options)
    else:
        found = complete_variously(*drawn_by, part, request.count, **options)
    stems = [name] if request.count == 1 else [f"{name}-{n:02d}" for n in range(request.count)]
    facts = {"generator": request.generator, "verb": "complete", "source": str(file)}
    (out / "latents").mkdir(parents=True, exist_ok=True)
    for number, stem in enumerate(stems):
        write(out / "clouds" / f"{stem}.ply", encode_ply(found.clouds[number]))
        pair = [picture_of(one) for one in (part, found.clouds[number])]
        write(out / "pictures" / f"{stem}.png", encode_png(np.concatenate(pair, axis=1)))
        latents = jax.tree.map(lambda leaf, n=number: np.asarray(leaf)[n], found.latents)
        save_latents(out / "latents" / f"{stem}.safetensors", latents, facts)
    return {"points": len(part), "distances": found.distances.tolist(), "names": stems}
