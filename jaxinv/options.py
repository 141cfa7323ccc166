"""Options of the verbs that take many, and their types."""

from __future__ import annotations

import argparse
from typing import Any

from jaxinv.vocabulary import KERNELS, OPERATORS, PRECISIONS


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def batch_size(text: str) -> int | str:
    """A whole number of at least 1, or "auto"."""
    return text if text == "auto" else positive(text)


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between them."""
    return tuple(float(part) for part in text.split(","))


def add_invert(verbs: argparse._SubParsersAction) -> None:
    """The main verb."""
    verb = verbs.add_parser("invert", help="find the latents of photographs")
    add_run(verb)
    verb.add_argument(
        "--align",
        default="auto",
        metavar="auto|none|LANDMARKS.json",
        help="cut faces as the generator's training images were cut",
    )


def add_run(verb: argparse.ArgumentParser, usual: str = "default") -> None:
    """What all verbs take that go through folders of pictures; `usual` is their method."""
    verb.set_defaults(usual=usual)
    verb.add_argument("paths", nargs="+", metavar="PATH", help="image files or folders")
    verb.add_argument("-o", "--out", required=True, metavar="OUT", help="folder for the results")
    verb.add_argument(
        "-g",
        "--generator",
        default="ffhq",
        metavar="NAME",
        help="zoo name or weights file (default: ffhq)",
    )
    verb.add_argument(
        "-p",
        "--preset",
        metavar="NAME|FILE.json",
        help=f"method, see `jaxinv presets` (default: {usual}, or z where there is no W)",
    )
    verb.add_argument(
        "--steps", type=positive, metavar="N", help="evaluations per image, instead of the preset's"
    )
    verb.add_argument(
        "--restarts", type=positive, metavar="R", help="starts per image, the best is kept"
    )
    verb.add_argument(
        "--batch",
        type=batch_size,
        metavar="B|auto",
        help="images per batch; auto: as many as the device's memory holds",
    )
    verb.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="type of kernels and activations while searching; bfloat16 is for accelerators",
    )
    verb.add_argument("--seed", type=int, default=0, metavar="S")
    verb.add_argument("--label", type=int, metavar="L", help="class of the images, from 0")
    verb.add_argument(
        "--size",
        type=positive,
        metavar="PX",
        help="side at which images are compared (default: their own, at most the generator's)",
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


# What each verb of restoration does, and what it takes beside what all take.
RESTORATIONS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "inpaint": (
        "fill in what is missing in pictures",
        {
            "--mask": {
                "required": True,
                "metavar": "M",
                "help": (
                    "image as large as the pictures, WHITE WHERE PIXELS ARE MISSING, black "
                    "elsewhere; or a folder with one of the same name for each picture"
                ),
            }
        },
    ),
    "super-resolve": (
        "enlarge pictures by what the generator knows",
        {
            "--factor": {
                "required": True,
                "type": int,
                "metavar": "K",
                "help": "how many times the side; that must be a side that the generator draws",
            },
            "--kernel": {
                "choices": KERNELS,
                "default": "bicubic",
                "help": "what the small pictures were made with (default: bicubic)",
            },
        },
    ),
    "colorize": ("give grey pictures their colours", {}),
    "denoise": (
        "find pictures without their noise",
        {
            "--sigma": {
                "type": float,
                "metavar": "S",
                "help": (
                    "standard deviation of the noise, where black is -1 and white 1 (default: "
                    "estimated); the search ends once the picture differs by as much"
                ),
            }
        },
    ),
    "deblur": (
        "find pictures without their blur",
        {
            "--sigma": {"type": float, "metavar": "PX", "help": "of a Gaussian blur, in pixels"},
            "--motion": {"type": positive, "metavar": "PX", "help": "length of a motion instead"},
            "--angle": {
                "type": float,
                "default": 0.0,
                "metavar": "DEG",
                "help": "its direction, counter-clockwise from the right (default: 0)",
            },
        },
    ),
    "outpaint": (
        "continue pictures beyond their edges",
        {
            "--border": {
                "type": float,
                "default": 0.25,
                "metavar": "SHARE",
                "help": "added on each side, as a share of the result's side (default: 0.25)",
            }
        },
    ),
    "recover": (
        "find pictures from what an operator has left of them (compressive sensing)",
        {
            "--operator": {
                "required": True,
                "metavar": "SPEC",
                "help": (
                    "such as dense:count=500,seed=1 or fourier:share=0.2 or down:factor=4+gray; "
                    "operators: " + ", ".join(n for n in OPERATORS if n not in ("mask", "compose"))
                ),
            }
        },
    ),
}


def add_restorations(verbs: argparse._SubParsersAction) -> None:
    """The verbs that find a picture from what is left of it."""
    for name, (summary, own) in RESTORATIONS.items():
        verb = verbs.add_parser(
            name,
            help=summary,
            description=(
                f"{summary[0].upper()}{summary[1:]}. The files are taken as they are; with "
                "--simulate they are clean pictures that are degraded first, and the answers are "
                "scored against them."
            ),
        )
        for option, words in own.items():
            verb.add_argument(option, **words)
        add_run(verb, "restore")
        verb.add_argument(
            "--align",
            metavar="auto|none|LANDMARKS.json",
            help=(
                "cut faces as in invert (default: auto with --simulate, and of inpaint, colorize "
                "and denoise; otherwise none)"
            ),
        )
        verb.add_argument(
            "--simulate", action="store_true", help="the files are clean: degrade them first"
        )
        verb.add_argument(
            "--samples",
            type=positive,
            metavar="N",
            help="keep the N best of at least N starts, in OUT/samples",
        )


def add_presets(verbs: argparse._SubParsersAction) -> None:
    """The verb that shows methods."""
    verb = verbs.add_parser("presets", help="list the methods, or show one")
    verb.add_argument("name", nargs="?", metavar="NAME", help="one preset, or a JSON file of one")
    verb.add_argument(
        "--json", action="store_true", help="print it as data, to be changed and used as -p FILE"
    )


def add_foreign(verbs: argparse._SubParsersAction) -> None:
    """The verbs for generators that people bring."""
    convert = verbs.add_parser("convert", help="make a generator of somebody else's checkpoint")
    convert.add_argument("file", metavar="FILE", help="their file; with --to, a generator")
    convert.add_argument("-o", "--out", metavar="OUT", help=".safetensors; with --to, .pt or .pth")
    convert.add_argument(
        "--to",
        metavar="TARGET",
        help="the way back: rosinality or nvlabs-state-dict, a file that torch loads",
    )
    convert.add_argument("--name", metavar="NAME", help="what -g shall know it by")
    convert.add_argument(
        "--alignment",
        choices=("none", "ffhq"),
        help="how its training images were cut (default: none)",
    )
    convert.add_argument(
        "--discriminator", metavar="FILE", help="its discriminator, where that is another file"
    )
    convert.add_argument(
        "--like", metavar="GENERATOR", help="only for orbax: whose parameters these are"
    )
    convert.add_argument(
        "--fused",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="only for the first StyleGAN from genforce: its fused_scale, if that was not auto",
    )
    convert.add_argument(
        "--local",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="only for the code of YLG and TF-GAN: whether its attention is sparse (default: yes)",
    )
    convert.add_argument(
        "--clamp",
        type=float,
        metavar="C",
        help="only for a state dict of NVlabs' StyleGAN2: its conv_clamp (ADA: 256), if it has one",
    )
    convert.add_argument(
        "--depth", type=positive, metavar="N", help="only for BigGAN-deep from ajbrock: its G_depth"
    )
    convert.add_argument(
        "--epsilon", type=float, metavar="E", help="only for BigGAN from ajbrock: its BN_eps"
    )
    sample = verbs.add_parser("sample", help="draw random images of a generator")
    sample.add_argument("generator", metavar="GENERATOR")
    sample.add_argument("-n", "--count", type=positive, default=16, metavar="N")
    sample.add_argument("-o", "--out", required=True, metavar="GRID.png")
    sample.add_argument("--seed", type=int, default=0, metavar="S")
    sample.add_argument("--psi", type=float, default=1.0, metavar="P", help="truncation")
    sample.add_argument("--label", type=int, metavar="L", help="class, from 0")


def add_study(verbs: argparse._SubParsersAction) -> None:
    """The verb that compares methods."""
    verb = verbs.add_parser(
        "study",
        help="compare methods on the same images from the same seeds",
        description=(
            "Run every method on every image from every seed, and write tables (curves.jsonl, "
            "finals.jsonl, slices.jsonl), plots (PNG) and a summary (summary.md)."
        ),
    )
    verb.add_argument(
        "methods",
        nargs="+",
        metavar="SPEC.py|PRESET",
        help=(
            "presets by name, or a Python file that defines PRESETS, a tuple or dict of Preset; "
            "the file is YOUR code and is executed: run no one else's without reading it"
        ),
    )
    verb.add_argument(
        "-g", "--generator", required=True, metavar="NAME", help="zoo name or weights file"
    )
    verb.add_argument("--images", metavar="DIR", help="pictures to search for")
    verb.add_argument(
        "--self",
        dest="draws",
        type=positive,
        metavar="K",
        help="instead of --images: K draws of the generator itself, which it can reach exactly",
    )
    verb.add_argument(
        "--seeds", type=positive, default=4, metavar="N", help="starts per image (default: 4)"
    )
    verb.add_argument("-o", "--out", default="study", metavar="OUT", help="folder (default: study)")
    verb.add_argument(
        "--steps", type=positive, metavar="N", help="evaluations, instead of the presets'"
    )
    verb.add_argument(
        "--rates",
        type=numbers,
        default=(),
        metavar="R,R",
        help="try each preset at these rates (of lbfgs: those of its warm-up)",
    )
    verb.add_argument(
        "--target",
        metavar="DB|PRESET",
        help=(
            "the PSNR that counts as success, or the preset whose median final PSNR on an image "
            "is that image's (default: the first)"
        ),
    )
    verb.add_argument("--size", type=positive, metavar="PX", help="side of the images")
    verb.add_argument("--limit", type=positive, metavar="N", help="only the first N files")
    verb.add_argument(
        "--batch",
        type=batch_size,
        metavar="B|auto",
        help="images per batch; auto: as many as the device's memory holds",
    )
    verb.add_argument("--seed", type=int, default=0, metavar="S", help="number of the first seed")
    verb.add_argument("--label", type=int, metavar="L", help="class of the images, from 0")
    verb.add_argument(
        "--align", default="auto", metavar="auto|none|LANDMARKS.json", help="as in invert"
    )
