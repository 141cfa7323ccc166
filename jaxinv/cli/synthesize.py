"""`jaxinv synthesize`: pictures from masks, by one labelled picture or a few."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.cli.argument_types import positive, seed
from jaxinv.cli.console import DONE, SOME_FAILED, complain, say
from jaxinv.cli.foreign_files import read_codes
from jaxinv.cli.weights import ready_generator

if TYPE_CHECKING:
    import numpy as np

    from jaxinv.runs.kept_latents import Kept


def verb_synthesize(options: argparse.Namespace) -> int:
    """Search for pictures whose regions are those of masks."""
    import jax
    import numpy as np

    from jaxinv.applications.semantic_synthesis import learn_labels
    from jaxinv.edits.blending import rows_of
    from jaxinv.inversion.presets import find_preset
    from jaxinv.io.files import check_exists, find_images
    from jaxinv.io.output_folder import check_folder, check_target
    from jaxinv.io.region_pictures import read_regions
    from jaxinv.runs.inputs import check_pictures, unique_names
    from jaxinv.runs.kept_latents import Generators, list_latents

    find_preset(options.preset)
    for place in options.masks:
        check_exists(place)
    kept = [one for one in list_latents([options.labelled], read_codes) if not one.reason]
    generators = Generators(options.generator, ready_generator)
    name = generators.only_name(kept)
    regions, colours = read_regions([_labels_of(options.labels, kept, one) for one in kept])
    options.generator = name
    gen, params = generators.load(name)
    each = [generators.fit(one)[2] for one in kept]
    latents = jax.tree.map(lambda *leaves: np.stack([np.asarray(x) for x in leaves]), *each)
    style: dict[str, Any] = {}
    if options.style is not None:
        (found,) = list_latents([options.style], read_codes)[:1]
        style = {"style": generators.fit(found)[2]}
        style["style_rows"] = rows_of(options.rows, gen)
    labels = learn_labels(gen, params, latents, regions, references=options.references)
    files, out, failed = find_images(options.masks), Path(options.out), 0
    check_pictures(options.masks, files)
    check_folder(out)
    stems = unique_names(files)
    for stem in stems:
        check_target(out / "images" / f"{stem}.png", files)
    for file, stem in zip(files, stems, strict=True):
        try:
            asked, _ = read_regions([file], colours)
            _search(options, (gen, params, labels), (asked, style), out, stem)
        except ValueError as error:
            complain(f"{file}: {error}")
            failed += 1
    say(f"{len(files) - failed} made, {failed} failed; see {out}")
    return SOME_FAILED if failed else DONE


def _search(
    options: argparse.Namespace,
    drawn_by: tuple[Any, Any, Any],
    asked: tuple[np.ndarray, dict[str, Any]],
    out: Path,
    stem: str,
) -> None:
    """One picture of a mask, with its latents."""
    import numpy as np

    from jaxinv.applications.semantic_synthesis import from_masks, masks_of
    from jaxinv.io.image_ops import nearest
    from jaxinv.io.images import encode_png
    from jaxinv.io.latent_files import save_latents
    from jaxinv.models.arguments import samples_of
    from jaxinv.models.rendering import render_uint8
    from jaxinv.runs.results import write

    (gen, params, labels), (mask, style) = drawn_by, asked
    also = {"steps": options.steps, "restarts": options.restarts, "seed": options.seed}
    found = from_masks(*drawn_by, mask, preset=options.preset, **also, **style)
    (one,) = samples_of(found)
    told = masks_of(gen, params, labels, found)[0]
    share = float(np.mean(told == nearest(mask[0], labels.size)))
    write(out / "images" / f"{stem}.png", encode_png(render_uint8(gen, params, one)))
    (out / "latents").mkdir(parents=True, exist_ok=True)
    facts = {"generator": options.generator, "verb": "synthesize", "space": ",".join(sorted(one))}
    save_latents(out / "latents" / f"{stem}.safetensors", one, facts)
    say(f"{stem}: {share:.0%} of its pixels are of the region that was asked for")


def _labels_of(place: str, kept: list[Kept], one: Kept) -> Path:
    """The region picture of latents: the file, or that of their name in a folder."""
    held = Path(place)
    if held.is_dir():
        return held / f"{one.name}.png"
    if len(kept) > 1:
        raise ValueError(f"{place} for {len(kept)} latents; allowed: a folder with one for each")
    return held


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb."""
    verb = verbs.add_parser("synthesize", help="make pictures from masks, by a labelled one")
    verb.set_defaults(run=verb_synthesize)
    verb.add_argument("masks", nargs="+", metavar="MASK", help="pictures, each colour a region")
    verb.add_argument(
        "--labelled", required=True, metavar="RUN|LATENT", help="the pictures that have labels"
    )
    verb.add_argument(
        "--labels",
        required=True,
        metavar="PLACE",
        help="their regions by colour: a file, or a folder with one of the same name for each",
    )
    verb.add_argument("-o", "--out", required=True, metavar="OUT", help="folder for the results")
    verb.add_argument("-g", "--generator", metavar="NAME", help="default: what the latents say")
    verb.add_argument("-p", "--preset", default="semantic-synthesis", metavar="NAME")
    verb.add_argument("--steps", type=positive, metavar="N", help="evaluations of the search")
    verb.add_argument("--restarts", type=positive, metavar="R", help="starts, the best is kept")
    verb.add_argument("--seed", type=seed, default=0, metavar="S", help="gives another picture")
    verb.add_argument(
        "--references",
        type=positive,
        default=32,
        metavar="N",
        help="labelled pixels of each region that are compared with; 1: their mean (default: 32)",
    )
    verb.add_argument("--style", metavar="LATENT", help="the picture whose --rows it takes")
    verb.add_argument("--rows", default="style", metavar="R", help="as of mix (default: style)")
