"""Options of the command line for generators that people bring, and their types."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


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
