"""`jaxinv canvas` and `extend`: pictures wider than a generator draws."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from jaxinv.cli.argument_types import number, positive, replacing, seed
from jaxinv.cli.console import DONE, SOME_FAILED, complain, say
from jaxinv.cli.foreign_files import read_codes
from jaxinv.cli.invert import add_align
from jaxinv.cli.weights import ready_generator


def verb_canvas(options: argparse.Namespace) -> int:
    """Draw codes side by side in one picture."""
    import jax
    import numpy as np

    from jaxinv.applications.canvas import canvas, draw_canvas, random_codes, seams
    from jaxinv.io.files import atomic_write
    from jaxinv.io.image_ops import to_uint8
    from jaxinv.io.images import encode_png
    from jaxinv.io.output_folder import check_free, check_target
    from jaxinv.runs.kept_latents import Generators, list_latents
    from jaxinv.specs.vocabulary import LATENT_SPACES

    kept = list_latents(options.latents, read_codes) if options.latents else []
    if Path(options.out).suffix.lower() != ".png":
        raise ValueError(f"-o {options.out}; allowed: a name that ends in .png")
    check_target(options.out, [one.file for one in kept])
    check_free(options.out, overwrite=options.overwrite)
    bad = [one for one in kept if one.reason]
    if bad:
        raise ValueError(f"{bad[0].file}: {bad[0].reason}")
    generators = Generators(options.generator, ready_generator)
    gen, params = generators.load(generators.only_name(kept))
    canvas(gen)  # says so where it cannot draw one
    if kept:
        each = [generators.fit(one)[2] for one in kept]
        codes = [{k: v for k, v in one.items() if k in LATENT_SPACES} for one in each]
        spaces = {tuple(sorted(one)) for one in codes}
        if len(spaces) > 1:
            raise ValueError(f"codes in {sorted(spaces)}; allowed: all in one space")
        latents = jax.tree.map(lambda *leaves: np.stack(leaves), *codes)
    else:
        latents = random_codes(gen, params, options.count, psi=options.psi, seed=options.seed)
    drawn = draw_canvas(gen, params, latents)
    data = encode_png(to_uint8(drawn))
    say(str(atomic_write(options.out, lambda target: target.write(data))))
    worst = seams(drawn).max(initial=0.0)
    say(f"steps at borders of tiles: at most {worst:.2f} times those elsewhere")
    return DONE


def verb_extend(options: argparse.Namespace) -> int:
    """Continue photographs to the left and to the right."""
    from jaxinv.applications.canvas import canvas, check_extend
    from jaxinv.io.face_alignment import check_mode
    from jaxinv.io.files import find_images
    from jaxinv.io.output_folder import check_folder, check_target
    from jaxinv.runs.inputs import check_pictures, unique_names
    from jaxinv.runs.kept_latents import Generators

    check_mode(options.align)
    generators = Generators(options.generator, ready_generator)
    gen, params = generators.load(options.generator)
    canvas(gen)  # says so where it cannot draw one
    preset = options.preset or ("in-and-out" if gen.spec.w_dim else "z")
    check_extend(options.tiles, preset)
    files = find_images(options.paths)
    out, failed = Path(options.out), 0
    check_pictures(options.paths, files)
    check_folder(out)
    names = unique_names(files)
    for name in names:
        check_target(out / f"{name}.png", files)
    for file, name in zip(files, names, strict=True):
        try:
            _extend_one(options, (gen, params, preset), file, out / f"{name}.png")
        except ValueError as error:
            complain(f"{file}: {error}")
            failed += 1
    say(f"{len(files) - failed} continued, {failed} failed; see {out}")
    return SOME_FAILED if failed else DONE


def _extend_one(
    options: argparse.Namespace, drawn_by: tuple[Any, Any, str], file: Path, target: Path
) -> None:
    import numpy as np

    from jaxinv.applications.canvas import extend
    from jaxinv.io.image_ops import to_uint8
    from jaxinv.io.images import encode_png, read_photo
    from jaxinv.runs.results import write

    gen, params, preset = drawn_by
    cut = options.align if gen.spec.alignment != "none" or options.align != "auto" else "none"
    photo = read_photo(file, size=gen.spec.resolution, align=cut, fit=options.fit).pixels
    found = extend(
        gen,
        params,
        np.asarray(photo)[None],
        options.tiles,
        preset=preset,
        psi=options.psi,
        keep=not options.redrawn,
        seed=options.seed,
        steps=options.steps,
    )
    write(target, encode_png(to_uint8(found.images[0])))
    say(f"{target}: steps at borders at most {found.seams.max():.2f} times those elsewhere")


def add(verbs: argparse._SubParsersAction) -> None:
    """The verbs of wide pictures."""
    canvas = verbs.add_parser("canvas", help="draw codes side by side in one wide picture")
    canvas.set_defaults(run=verb_canvas)
    canvas.add_argument("latents", nargs="*", metavar="RUN|LATENT", help="default: random codes")
    canvas.add_argument("-n", "--count", type=positive, default=5, metavar="N", help="random codes")
    canvas.add_argument("-o", "--out", required=True, metavar="OUT.png")
    canvas.add_argument(
        "-g", "--generator", metavar="NAME", help="default: what the latents say, without them ffhq"
    )
    replacing(canvas, "replace the picture that is there")
    extend = verbs.add_parser("extend", help="continue photographs to the left and to the right")
    extend.set_defaults(run=verb_extend)
    extend.add_argument("paths", nargs="+", metavar="PATH", help="image files and folders")
    extend.add_argument("-o", "--out", required=True, metavar="OUT", help="folder for the results")
    extend.add_argument("-g", "--generator", default="ffhq", metavar="NAME")
    extend.add_argument(
        "--tiles", type=positive, default=3, metavar="N", help="its width in sides, odd"
    )
    extend.add_argument("-p", "--preset", metavar="NAME", help="default: in-and-out")
    extend.add_argument("--steps", type=positive, metavar="N", help="evaluations of the search")
    extend.add_argument(
        "--fit", choices=("crop", "pad", "stretch", "refuse"), default="crop", help="as of invert"
    )
    extend.add_argument(
        "--redrawn",
        action="store_true",
        help="show what the generator makes of the photograph, not itself",
    )
    add_align(extend)
    for verb in (canvas, extend):
        verb.add_argument("--psi", type=number, default=0.7, metavar="P", help="truncation")
        verb.add_argument("--seed", type=seed, default=0, metavar="S", help="of random codes")
