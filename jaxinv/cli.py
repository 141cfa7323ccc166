"""The command line: `jaxinv VERB ...`. Verbs import what they need when they run, so that help is instant."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE, UNFINISHED, USAGE, SOME_FAILED = 0, 1, 2, 3


def say(text: str) -> None:
    """Write one line to standard output."""
    sys.stdout.write(text + "\n")


def verb_invert(options: argparse.Namespace) -> int:
    """Find latents for photographs."""
    from jaxinv.inversion import find_preset
    from jaxinv.runs import Request, run

    preset = find_preset(options.preset)
    fields = vars(options) | {"paths": tuple(options.paths), "export": tuple(options.export)}
    request = Request(**{name: fields[name] for name in Request.__dataclass_fields__})
    ensure(options.generator, "lpips", *(["landmarks"] if options.align == "auto" else []))
    done, failed = run(request, preset)
    say(f"{done} images inverted, {failed} failed; see {Path(options.out) / 'report.html'}")
    return SOME_FAILED if failed else DONE


def ensure(*names: str) -> None:
    """Pull whatever of `names` is in the zoo and not in the cache yet."""
    from jaxinv.zoo import ZOO, is_present

    for name in dict.fromkeys(names):
        if name in ZOO and not is_present(name):
            pull(name)


def pull(name: str) -> None:
    """Fetch and convert one zoo entry, showing what it does and under which licence."""
    from weights_convert import pull as fetch

    for path in fetch(name, report=say):
        say(f"{name}: {path}")


def verb_pull(options: argparse.Namespace) -> int:
    """Fetch pretrained weights by name."""
    for name in options.names:
        pull(name)
    return DONE


def verb_zoo(options: argparse.Namespace) -> int:
    """List the weights that can be pulled."""
    del options
    from jaxinv.zoo import ZOO, is_present

    for name, entry in ZOO.items():
        say(f"{name:12} {'here' if is_present(name) else 'not pulled':11} {entry.title}")
    return DONE


def verb_presets(options: argparse.Namespace) -> int:
    """List the presets."""
    del options
    from jaxinv.presets import PRESETS

    for name, preset in PRESETS.items():
        spaces = "+".join(v.space for stage in preset.stages for v in stage.variables)
        say(
            f"{name}\n  {preset.summary}\n  {preset.steps} evaluations, {spaces}; {preset.reference}"
        )
        if preset.checked:
            say(f"  {preset.checked}")
    return DONE


def verb_render(options: argparse.Namespace) -> int:
    """Draw saved latents."""
    from jaxinv import images
    from jaxinv.checkpoints import atomic_write
    from jaxinv.latents import load_latents
    from jaxinv.loading import load_generator
    from jaxinv.outcome import picture

    loaded = {}
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    for file in map(Path, options.latents):
        latents, metadata = load_latents(file)
        name = options.generator or metadata.get("generator", "ffhq")
        if name not in loaded:
            ensure(name)
            loaded[name] = load_generator(name)
        data = images.encode_png(picture(*loaded[name], latents))
        atomic_write(out / f"{file.stem}.png", lambda target, data=data: target.write(data))
        say(str(out / f"{file.stem}.png"))
    return DONE


def verb_inspect(options: argparse.Namespace) -> int:
    """Say what a file of weights or latents holds."""
    import numpy as np

    from jaxinv import checkpoints

    params, metadata = checkpoints.load(Path(options.file))
    for key, value in sorted(metadata.items()):
        say(f"{key}: {value}")
    say(f"parameters: {sum(np.size(a) for _, a in walk(params)):,}")
    for name, array in walk(params):
        say(f"  {name} {array.dtype} {list(array.shape)}")
    return DONE


def walk(tree: dict, prefix: str = "") -> list:
    """(name, array) of every leaf, names joined by "/"."""
    pairs = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        pairs += walk(value, name + "/") if isinstance(value, dict) else [(name, value)]
    return pairs


def verb_doctor(options: argparse.Namespace) -> int:
    """Check the installation with a tiny inversion."""
    del options
    from jaxinv.doctor import examine

    lines, healthy = examine()
    for line in lines:
        say(line)
    return DONE if healthy else UNFINISHED


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    top = argparse.ArgumentParser(
        prog="jaxinv", description="GAN inversion: find the latent code of a photograph."
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    add_invert(verbs)
    render = verbs.add_parser("render", help="draw saved latents as images")
    render.add_argument("latents", nargs="+", metavar="LATENT")
    render.add_argument("-o", "--out", required=True, metavar="DIR")
    render.add_argument("-g", "--generator", default=None, metavar="NAME")
    fetch = verbs.add_parser("pull", help="fetch and convert pretrained weights")
    fetch.add_argument("names", nargs="+", metavar="NAME")
    verbs.add_parser("zoo", help="list the weights that can be pulled")
    verbs.add_parser("presets", help="list the methods")
    inspect = verbs.add_parser("inspect", help="say what a weights or latents file holds")
    inspect.add_argument("file", metavar="FILE")
    verbs.add_parser("doctor", help="check the installation")
    return top


def add_invert(verbs: argparse._SubParsersAction) -> None:
    """The main verb."""
    verb = verbs.add_parser("invert", help="find the latents of photographs")
    verb.add_argument("paths", nargs="+", metavar="PATH", help="image files or folders")
    verb.add_argument("-o", "--out", required=True, metavar="OUT", help="folder for the results")
    verb.add_argument(
        "-g",
        "--generator",
        default="ffhq",
        metavar="NAME",
        help="zoo name or weights file (default ffhq)",
    )
    verb.add_argument(
        "-p",
        "--preset",
        default="default",
        metavar="NAME",
        help="method, see `jaxinv presets` (default default)",
    )
    verb.add_argument(
        "--steps", type=positive, metavar="N", help="evaluations per image, instead of the preset's"
    )
    verb.add_argument(
        "--restarts", type=positive, metavar="R", help="starts per image, the best is kept"
    )
    verb.add_argument("--batch", type=positive, metavar="B", help="images per batch")
    verb.add_argument("--seed", type=int, default=0, metavar="S")
    verb.add_argument(
        "--size",
        type=positive,
        metavar="PX",
        help="resolution at which images are compared (default: their own, at most the generator's)",
    )
    verb.add_argument(
        "--align",
        default="auto",
        metavar="auto|none|LANDMARKS.json",
        help="cut faces as the generator's training images were cut",
    )
    verb.add_argument(
        "--fit",
        choices=("crop", "pad", "stretch", "refuse"),
        default="crop",
        help="what to do with images that are not square",
    )
    verb.add_argument("--limit", type=positive, metavar="N", help="only the first N files")
    verb.add_argument(
        "--export",
        action="append",
        default=[],
        choices=("npz",),
        help="also write latents in this layout",
    )


VERBS = {
    "invert": verb_invert,
    "render": verb_render,
    "pull": verb_pull,
    "zoo": verb_zoo,
    "presets": verb_presets,
    "inspect": verb_inspect,
    "doctor": verb_doctor,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; 0 all fine, 3 finished with failed items, 2 wrong usage, 1 did not finish."""
    options = parser().parse_args(arguments)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        return VERBS[options.verb](options)
    except ValueError as error:
        sys.stderr.write(f"jaxinv: {error}\n")
        return USAGE
    except KeyboardInterrupt:
        sys.stderr.write("jaxinv: interrupted; finished images are kept\n")
        return UNFINISHED
    except OSError as error:
        sys.stderr.write(f"jaxinv: did not finish: {error}\n")
        return UNFINISHED
