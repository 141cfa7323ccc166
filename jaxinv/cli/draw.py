"""`jaxinv render` and `sample`: latents to pictures."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from jaxinv.cli.argument_types import number, positive, seed
from jaxinv.cli.console import DONE, say
from jaxinv.cli.foreign_files import read_codes
from jaxinv.cli.weights import held_generator, ready_generator


def verb_render(options: argparse.Namespace) -> int:
    """Draw saved latents."""
    from jaxinv.io import images
    from jaxinv.io.latent_files import fit_latents
    from jaxinv.io.output_folder import check_target
    from jaxinv.latents.sampling import of_class
    from jaxinv.models.loading import load_generator
    from jaxinv.models.rendering import render_uint8
    from jaxinv.runs.inputs import unique_names
    from jaxinv.runs.kept_latents import latent_places

    loaded = {}
    out = Path(options.out)
    files = list(latent_places(options.latents))
    read = [*files, *filter(None, [options.generator])]
    for stem in unique_names(files):
        check_target(out / f"{stem}.png", read)
    out.mkdir(parents=True, exist_ok=True)
    named = zip(files, unique_names(files), strict=True)
    codes = ((stem + end, *rest) for file, stem in named for end, *rest in read_codes(file))
    for stem, code, metadata in codes:
        name = options.generator or metadata.get("generator", "ffhq")
        if name not in loaded:
            ready_generator(name) if options.generator else held_generator(name)
            loaded[name] = load_generator(name)
        gen, params = loaded[name]
        fitted = fit_latents(gen.spec, code)
        latents = fitted if options.label is None else of_class(gen, fitted, options.label)
        picture, file = render_uint8(gen, params, latents)[None], f"{stem}.png"
        check_target(out / file, read)
        (path,) = images.write_images(out, picture, names=[file], overwrite=options.overwrite)
        say(str(path))
    return DONE


def verb_sample(options: argparse.Namespace) -> int:
    """Draw random images in a grid."""
    import numpy as np

    from jaxinv.io.files import atomic_write
    from jaxinv.io.image_ops import grid
    from jaxinv.io.images import encode_png
    from jaxinv.io.output_folder import check_target
    from jaxinv.latents.sampling import at_truncation, check_label, sample_latents
    from jaxinv.models.arguments import samples_of
    from jaxinv.models.loading import load_generator
    from jaxinv.models.rendering import render_uint8

    check_target(options.out, [options.generator])
    spec = ready_generator(options.generator)
    if spec.labels or options.label is not None:
        check_label(spec, options.label)
    gen, params = load_generator(options.generator)
    latents = sample_latents(
        gen, params, options.count, seed=options.seed, psi=options.psi, label=options.label
    )
    params = at_truncation(params, options.psi) if gen.spec.embedding else params
    pictures = np.stack([render_uint8(gen, params, one) for one in samples_of(latents)])
    columns = math.isqrt(options.count - 1) + 1
    data = encode_png(grid(pictures, columns))
    say(str(atomic_write(options.out, lambda target: target.write(data))))
    return DONE


def add(verbs: argparse._SubParsersAction) -> None:
    """The verbs that draw."""
    render = verbs.add_parser("render", help="draw saved latents as images")
    render.set_defaults(run=verb_render)
    render.add_argument("latents", nargs="+", metavar="LATENT")
    render.add_argument("-o", "--out", required=True, metavar="DIR")
    render.add_argument("-g", "--generator", default=None, metavar="NAME")
    render.add_argument("--label", type=int, metavar="L", help="draw them as another class")
    render.add_argument("--overwrite", action="store_true", help="replace pictures that are there")
    sample = verbs.add_parser("sample", help="draw random images of a generator")
    sample.set_defaults(run=verb_sample)
    sample.add_argument("generator", metavar="GENERATOR")
    sample.add_argument("-n", "--count", type=positive, default=16, metavar="N")
    sample.add_argument("-o", "--out", required=True, metavar="GRID.png")
    sample.add_argument("--seed", type=seed, default=0, metavar="S")
    sample.add_argument("--psi", type=number, default=1.0, metavar="P", help="truncation")
    sample.add_argument("--label", type=int, metavar="L", help="class, from 0")
