"""`jaxinv personalize`: a generator of one person, from several photographs."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.cli.console import complain, say
from jaxinv.cli.invert import add_align, add_run, carry_out
from jaxinv.cli.weights import ready_generator

SIDE = 256  # px at which photos are compared that share weights, unless the user says so
if TYPE_CHECKING:
    from jaxinv.specs import Preset
    from jaxinv.types import Latents


def verb_personalize(options: argparse.Namespace) -> int:
    """Tune a generator to photographs of one person, and keep it under a name."""
    from jaxinv.io.checkpoints import cache_dir
    from jaxinv.io.output_folder import check_target
    from weights_convert.outputs import check_name

    check_name(options.name)
    check_photos(options.paths, options.limit)
    check_shares(options.preset or options.usual)
    target = cache_dir() / f"{options.name}.safetensors"
    if options.name == options.generator:
        raise ValueError(f"--name {options.name} is the generator that is tuned; allowed: another")
    check_target(target, options.paths)
    if target.exists() and not options.overwrite:
        raise ValueError(f"{target} is there; allowed: another --name, or --overwrite")
    spec = ready_generator(options.generator)
    if not spec.w_dim:
        raise ValueError(f"generator {spec.name!r} has no W; allowed: generators with one")
    side = min(SIDE, spec.resolution)
    done = carry_out(options, lambda request: replace(request, size=request.size or side))
    say(str(write_personal(Path(options.out), options.generator, options.name, target)))
    say(f"use it with -g {options.name}, and with -p mystyle to stay between the photos")
    return done


def check_photos(paths: list[str], limit: int | None) -> None:
    """Raise `ValueError` unless there are two photographs at least."""
    from jaxinv.io.files import check_exists, find_images

    for path in paths:
        check_exists(path)
    count = len(find_images(paths, limit=limit, leaving=True))
    if count < 2:
        raise ValueError(f"photographs in {', '.join(paths)}: {count}; allowed: at least 2")


def check_shares(name: str) -> None:
    """Raise `ValueError` unless the preset tunes weights that all photographs share."""
    from jaxinv.inversion.presets import find_preset
    from jaxinv.presets import PRESETS

    def shares(preset: Preset) -> bool:
        return any("weights" in stage.shared for stage in preset.stages)

    if not shares(find_preset(name)):
        known = ", ".join(one.name for one in PRESETS.values() if shares(one))
        raise ValueError(f"preset {name!r} shares no weights among photographs; allowed: {known}")


def write_personal(run: Path, generator: str, name: str, target: Path) -> Path:
    """The generator of what a run has found for photographs, written to a file."""
    from jaxinv.applications.personalization import personal_generator
    from jaxinv.io.checkpoints import content_sha256, read_metadata, save, weights_file
    from jaxinv.models.loading import load_generator

    gen, params = load_generator(generator)
    own, tuned = personal_generator(gen, params, found_latents(run), name)
    facts = read_metadata(weights_file(generator))
    metadata = facts | {
        "spec": json.dumps(asdict(own.spec)),
        "source": f"jaxinv personalize of {generator}",
        "tuned_from": facts.get("content_sha256", ""),
        "content_sha256": content_sha256(tuned),
    }
    return save(target, tuned, metadata)


def found_latents(run: Path) -> Latents:
    """Latents [K, ...] of the photographs of a run that were found; others are told."""
    import jax
    import numpy as np

    from jaxinv.runs.kept_latents import list_latents

    found: list[Any] = []
    for kept in list_latents([run]):
        if kept.reason:
            complain(f"warning: {kept.file}: {kept.reason}")
        else:
            found.append({n: v for n, v in kept.latents.items() if n in ("w", "w+", "weights")})
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(x) for x in leaves]), *found)


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb."""
    verb = verbs.add_parser("personalize", help="tune a generator to photographs of one person")
    verb.set_defaults(run=verb_personalize)
    add_run(verb, usual="personal")
    add_align(verb)
    verb.add_argument("--name", required=True, metavar="NAME", help="of the new generator")
    verb.add_argument("--overwrite", action="store_true", help="replace a generator of that name")
