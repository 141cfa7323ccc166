"""The command line: `jaxinv VERB ...`. Verbs import what they need, so that help is instant."""

from __future__ import annotations

import argparse
import math
import os
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from jaxinv import __version__
from jaxinv.options import (
    RESTORATIONS,
    add_foreign,
    add_invert,
    add_presets,
    add_restorations,
    add_study,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxinv.inputs import Request
    from jaxinv.specs import GeneratorSpec

DONE, UNFINISHED, USAGE, SOME_FAILED = 0, 1, 2, 3


class Unfinished(Exception):
    """The work could not be done, through no fault of the command; the message is one line."""


class Parser(argparse.ArgumentParser):
    """Wrong usage is a `ValueError` of one line that ends in the allowed options."""

    def error(self, message: str) -> NoReturn:
        """Raise `ValueError` instead of printing and leaving."""
        raise ValueError(f"{message}; {' '.join(self.format_usage().split())}")


def say(text: str) -> None:
    """Write one line to standard output, whatever it can encode."""
    coding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(coding, "backslashreplace").decode(coding) + "\n")


def verb_invert(options: argparse.Namespace) -> int:
    """Find latents for photographs."""
    return carry_out(options, lambda request: request)


def verb_restore(options: argparse.Namespace) -> int:
    """Find pictures from what is left of them."""
    from jaxinv import apps

    own: dict[str, Callable[[Request], Request]] = {
        "inpaint": lambda request: apps.inpaint(request, options.mask),
        "super-resolve": lambda r: apps.super_resolve(r, options.factor, options.kernel),
        "colorize": apps.colorize,
        "denoise": lambda request: apps.denoise(request, options.sigma),
        "deblur": lambda r: apps.deblur(r, options.sigma, options.motion, options.angle),
        "outpaint": lambda request: apps.outpaint(request, options.border),
        "recover": lambda request: apps.recover(request, options.operator),
    }
    if options.align is None:
        options.align = apps.usual_align(options.verb, simulate=options.simulate)
    return carry_out(options, own[options.verb])


def carry_out(options: argparse.Namespace, of: Callable[[Request], Request]) -> int:
    """Run a verb over folders of pictures; `of` adds what is its own to the request."""
    from jaxinv.align import check_mode
    from jaxinv.inputs import Request
    from jaxinv.inversion import find_preset, with_steps
    from jaxinv.runs import run

    # Whatever can be wrong with the command comes before any download.
    preset = find_preset(options.preset or options.usual)
    with_steps(preset, options.steps)
    check_mode(options.align)
    fields: dict[str, Any] = vars(options) | {
        "paths": tuple(options.paths),
        "export": tuple(options.export),
    }
    fields["preset"] = preset.name
    request = of(Request(**{k: fields[k] for k in Request.__dataclass_fields__ if k in fields}))
    spec = ready_generator(options.generator)
    if options.preset is None and not spec.w_dim:
        preset = find_preset("z")
    request = replace(request, preset=preset.name)
    aligned = options.align == "auto" and spec.alignment != "none" and find_spec("dlib")
    ensure("lpips", *(["landmarks"] if aligned else []))
    done, failed = run(request, preset)
    noun = "image" if done == 1 else "images"
    found = "inverted" if request.verb == "invert" else "restored"
    say(f"{done} {noun} {found}, {failed} failed; see {Path(options.out) / 'report.html'}")
    return SOME_FAILED if failed else DONE


def ready_generator(name: str) -> GeneratorSpec:
    """The spec of a generator whose weights are in place, pulled if need be.

    Raises `ValueError` for a name that is neither a file nor in the zoo.
    """
    from jaxinv.checkpoints import cache_dir, read_metadata, read_spec, weights_file
    from jaxinv.zoo import ZOO

    known = [n for n, entry in ZOO.items() if entry.outputs[0].kind == "generator"]
    own = cache_dir() / f"{name}.safetensors"
    if name not in known and not Path(name).is_file() and not own.is_file():
        raise ValueError(
            f"unknown generator {name!r}; allowed: {', '.join(known)}, or a .safetensors file"
        )
    ensure(name)
    return read_spec(read_metadata(weights_file(name)))


def ensure(*names: str) -> None:
    """Pull whatever of `names` is in the zoo and not in the cache yet."""
    from jaxinv.zoo import ZOO, is_present

    for name in names:
        if name in ZOO and not is_present(name):
            pull(name)


def pull(name: str) -> None:
    """Fetch and convert one zoo entry, showing what it does and under which licence.

    Raises `ValueError` for an unknown name, `Unfinished` when the files cannot be had.
    """
    from jaxinv.zoo import ZOO, is_present
    from weights_convert import UnsafeFileError
    from weights_convert import pull as fetch
    from weights_convert.fetch import FetchError

    if name in ZOO and not is_present(name):
        archive = ZOO[name].archive
        say(f"{name}: fetching {archive.filename}, {archive.size / 1e6:.0f} MB")
    try:
        for path in fetch(name, report=say):
            say(f"{name}: {path}")
    except (FetchError, UnsafeFileError) as error:
        raise Unfinished(str(error)) from error


def verb_pull(options: argparse.Namespace) -> int:
    """Fetch pretrained weights by name."""
    for name in options.names:
        pull(name)
    for name in options.names:
        measure(name)
    return DONE


def measure(name: str) -> None:
    """Measure what the default preset needs of a pulled generator, once its nets are here."""
    from jaxinv.zoo import ZOO, is_present

    if not is_present("lpips") or not any(out.spec.get("w_dim") for out in ZOO[name].outputs):
        return
    from jaxinv.inversion import find_preset
    from jaxinv.loading import load_features, load_generator
    from jaxinv.preparation import equipped

    preset = find_preset("default")
    equipped(*load_generator(name), preset, load_features(preset.nets), report=say)


def verb_zoo(options: argparse.Namespace) -> int:
    """List the weights that can be pulled."""
    del options
    from jaxinv.zoo import ZOO, is_present

    for name, entry in ZOO.items():
        say(f"{name:12} {'here' if is_present(name) else 'not pulled':11} {entry.title}")
    return DONE


def verb_presets(options: argparse.Namespace) -> int:
    """List the presets, show one, or print it as JSON, which `-p FILE.json` reads."""
    from jaxinv.figures import describe, read
    from jaxinv.presets import PRESETS

    if options.name is None and options.json:
        raise ValueError(f"--json needs a name; allowed: {', '.join(PRESETS)}")
    if options.name is None:
        figures = read()
        for preset in PRESETS.values():
            say(describe(preset, figures))
        return DONE
    from jaxinv.inversion import find_preset
    from jaxinv.recipes import to_json

    preset = find_preset(options.name)
    if options.json:
        say(to_json(preset))
    else:
        own = preset == PRESETS.get(preset.name)  # not a changed one that kept its name
        say(describe(preset, read() if own else ()))
        if preset.notes:
            say(f"  {preset.notes}")
    return DONE


def verb_render(options: argparse.Namespace) -> int:
    """Draw saved latents."""
    from jaxinv import images
    from jaxinv.checkpoints import atomic_write
    from jaxinv.inputs import unique_names
    from jaxinv.latents import fit_latents, load_latents
    from jaxinv.loading import load_generator
    from jaxinv.outcome import picture
    from jaxinv.sampling import of_class

    loaded = {}
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    files = [Path(file) for file in options.latents]
    for file, stem in zip(files, unique_names(files), strict=True):
        latents, metadata = load_latents(file)
        name = options.generator or metadata.get("generator", "ffhq")
        if name not in loaded:
            ready_generator(name)
            loaded[name] = load_generator(name)
        gen, params = loaded[name]
        latents = fit_latents(gen.spec, latents)
        if options.label is not None:
            latents = of_class(gen, latents, options.label)
        data = images.encode_png(picture(gen, params, latents))
        atomic_write(out / f"{stem}.png", lambda target, data=data: target.write(data))
        say(str(out / f"{stem}.png"))
    return DONE


def verb_inspect(options: argparse.Namespace) -> int:
    """Say what a file of weights or latents holds."""
    import numpy as np

    from jaxinv import checkpoints
    from jaxinv.generators.deltas import leaves

    params, metadata = checkpoints.load(Path(options.file))
    arrays = [("/".join(path), array) for path, array in leaves(params)]
    if metadata.get("kind") == "generator":
        from jaxinv.card import card

        for line in card(params, metadata):
            say(line)
    else:
        for key, value in sorted(metadata.items()):
            say(f"{key}: {value}")
        say(f"parameters: {sum(np.size(a) for _, a in arrays):,}")
    for name, array in arrays if options.arrays else []:
        say(f"  {name} {array.dtype} {list(array.shape)}")
    return DONE


def verb_convert(options: argparse.Namespace) -> int:
    """Turn a foreign checkpoint into a generator, or a generator into a foreign checkpoint."""
    from weights_convert import convert, export

    names = ("name", "alignment", "fused", "local", "clamp", "depth", "epsilon")
    names = (*names, "discriminator", "like")
    given = {name: getattr(options, name) for name in names}
    wanted = {name: value for name, value in given.items() if value is not None}
    if options.to is None:
        path = convert(options.file, out=options.out, **wanted)
        say(f"{path}: use it with -g {options.out or path.stem}")
        return DONE
    if wanted:
        raise ValueError(f"option --{next(iter(wanted))} with --to; allowed: --out")
    say(str(export(options.file, options.to, out=options.out)))
    return DONE


def verb_sample(options: argparse.Namespace) -> int:
    """Draw random images in a grid."""
    from jaxinv.checkpoints import atomic_write
    from jaxinv.images import encode_png
    from jaxinv.loading import load_generator
    from jaxinv.pixels import grid, to_uint8
    from jaxinv.rendering import render
    from jaxinv.sampling import at_truncation, sample_latents

    ready_generator(options.generator)
    gen, params = load_generator(options.generator)
    latents = sample_latents(
        gen, params, options.count, seed=options.seed, psi=options.psi, label=options.label
    )
    params = at_truncation(params, options.psi) if gen.spec.embedding else params
    pictures = to_uint8(render(gen, params, latents))
    columns = math.isqrt(options.count - 1) + 1
    data = encode_png(grid(pictures, columns))
    say(str(atomic_write(options.out, lambda target: target.write(data))))
    return DONE


def verb_study(options: argparse.Namespace) -> int:
    """Compare methods on the same images from the same seeds."""
    from jaxinv.experiments import Plan, prepare, run
    from jaxinv.progress import announce

    fields: dict[str, Any] = vars(options) | {"methods": tuple(options.methods)}
    plan = Plan(**{name: fields[name] for name in Plan.__dataclass_fields__})
    presets = prepare(plan)
    spec = ready_generator(plan.generator)
    aligned = plan.images and plan.align == "auto" and spec.alignment != "none"
    ensure(*(["lpips"] if any(preset.nets for preset in presets) else []))
    ensure(*(["landmarks"] if aligned and find_spec("dlib") else []))
    table, skipped = run(plan, presets, announce)
    say(f"{table}\ntables and plots: {Path(plan.out)}")
    return SOME_FAILED if skipped else DONE


def verb_doctor(options: argparse.Namespace) -> int:
    """Check the installation with a tiny inversion."""
    del options
    from jaxinv.doctor import examine

    lines, healthy = examine()
    for line in lines:
        say(line)
    return DONE if healthy else UNFINISHED


def parser() -> Parser:
    """All verbs and their options."""
    top = Parser(prog="jaxinv", description="GAN inversion: find the latent code of a photograph.")
    top.add_argument("--version", action="version", version=f"jaxinv {__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, title="verbs")
    add_invert(verbs)
    add_restorations(verbs)
    render = verbs.add_parser("render", help="draw saved latents as images")
    render.add_argument("latents", nargs="+", metavar="LATENT")
    render.add_argument("-o", "--out", required=True, metavar="DIR")
    render.add_argument("-g", "--generator", default=None, metavar="NAME")
    render.add_argument("--label", type=int, metavar="L", help="draw them as another class")
    fetch = verbs.add_parser("pull", help="fetch and convert pretrained weights")
    fetch.add_argument("names", nargs="+", metavar="NAME")
    verbs.add_parser("zoo", help="list the weights that can be pulled")
    add_presets(verbs)
    inspect = verbs.add_parser("inspect", help="say what a weights or latents file holds")
    inspect.add_argument("file", metavar="FILE")
    inspect.add_argument("--arrays", action="store_true", help="list every array too")
    verbs.add_parser("doctor", help="check the installation")
    add_foreign(verbs)
    add_study(verbs)
    for verb in verbs.choices.values():
        verb.set_defaults(own=verb)
    return top


VERBS = {
    "invert": verb_invert,
    **dict.fromkeys(RESTORATIONS, verb_restore),
    "render": verb_render,
    "pull": verb_pull,
    "zoo": verb_zoo,
    "presets": verb_presets,
    "inspect": verb_inspect,
    "convert": verb_convert,
    "sample": verb_sample,
    "study": verb_study,
    "doctor": verb_doctor,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; 0 all fine, 3 finished with failed items, 2 wrong usage, 1 did not finish."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        options, unknown = parser().parse_known_args(arguments)
        if unknown:
            options.own.error(f"unknown option {' '.join(unknown)}")
        done = VERBS[options.verb](options)
        sys.stdout.flush()
        return done
    except ValueError as error:
        complain(str(error))
        return USAGE
    except BrokenPipeError:  # whoever reads the output has enough of it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        complain("interrupted; finished images are kept")
    except (Unfinished, OSError, MemoryError, RuntimeError) as error:
        complain(f"did not finish: {error}")
    return UNFINISHED


def complain(text: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f"jaxinv: {' '.join(text.split())}\n")
