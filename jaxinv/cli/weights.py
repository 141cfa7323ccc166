"""`jaxinv pull`, `zoo`, `convert` and `inspect`: weights by name or from a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jaxinv.cli.argument_types import positive
from jaxinv.cli.console import DONE, Unfinished, say

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec


def ready_generator(name: str) -> GeneratorSpec:
    """The spec of a generator whose weights are in place, pulled if need be.

    Raises `ValueError` for a name that is neither a file nor in the zoo.
    """
    from jaxinv.io.checkpoints import cache_dir, read_metadata, read_spec, weights_file
    from jaxinv.models.zoo import ZOO

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
    from jaxinv.models.zoo import ZOO, is_present

    for name in names:
        if name in ZOO and not is_present(name):
            pull(name)


def pull(name: str) -> None:
    """Fetch and convert one zoo entry, showing what it does and under which licence.

    Raises `ValueError` for an unknown name, `Unfinished` when the files cannot be had.
    """
    from jaxinv.models.zoo import ZOO, is_present
    from weights_convert import UnsafeFileError
    from weights_convert import pull as fetch
    from weights_convert.download.fetch import FetchError

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
    return DONE


def verb_zoo(options: argparse.Namespace) -> int:
    """List the weights that can be pulled."""
    del options
    from jaxinv.models.zoo import ZOO, is_present

    for name, entry in ZOO.items():
        say(f"{name:12} {'here' if is_present(name) else 'not pulled':11} {entry.title}")
    return DONE


def verb_inspect(options: argparse.Namespace) -> int:
    """Say what a file of weights or latents holds."""
    import numpy as np

    from jaxinv.io import checkpoints
    from jaxinv.models.generators.weight_deltas import leaves

    params, metadata = checkpoints.load(Path(options.file))
    arrays = [("/".join(path), array) for path, array in leaves(params)]
    if metadata.get("kind") == "generator":
        from jaxinv.models.model_card import card

        for line in card(params, metadata):
            say(line)
    else:
        for key, value in sorted(metadata.items()):
            say(f"{key}: {value}")
        say(f"parameters: {sum(np.size(a) for _, a in arrays):,}")
    for name, array in arrays if options.arrays else []:
        say(f"  {name} {array.dtype} {list(array.shape)}")
    return DONE


class Formats(argparse.Action):
    """An option that lists what can be converted, in place of a conversion."""

    def __call__(self, parser: argparse.ArgumentParser, *given: object) -> None:
        """Write the lines and leave, as --help does."""
        del given
        from weights_convert.sources import formats

        for line in formats():
            say(line)
        parser.exit()


def verb_convert(options: argparse.Namespace) -> int:
    """Turn a foreign checkpoint into a generator or net, or a generator into a foreign one."""
    from jaxinv.io.checkpoints import read_metadata
    from weights_convert import convert, export

    names = ("name", "alignment", "fused", "local", "clamp", "depth", "epsilon")
    names = (*names, "discriminator", "like")
    given = {name: getattr(options, name) for name in names}
    wanted = {name: value for name, value in given.items() if value is not None}
    if options.to is None:
        path = convert(options.file, out=options.out, report=say, **wanted)
        known, kind = options.out or path.stem, read_metadata(path)["kind"]
        say(
            f"{path}: use it with "
            + (f"-g {known}" if kind == "generator" else f"load_net({known!r})")
        )
        return DONE
    if wanted:
        raise ValueError(f"option --{next(iter(wanted))} with --to; allowed: --out")
    say(str(export(options.file, options.to, out=options.out)))
    return DONE


def add(verbs: argparse._SubParsersAction) -> None:
    """The verbs that fetch, list, show and convert weights."""
    fetch = verbs.add_parser("pull", help="fetch and convert pretrained weights")
    fetch.set_defaults(run=verb_pull)
    fetch.add_argument("names", nargs="+", metavar="NAME")
    verbs.add_parser("zoo", help="list the weights that can be pulled").set_defaults(run=verb_zoo)
    inspect = verbs.add_parser("inspect", help="say what a weights or latents file holds")
    inspect.set_defaults(run=verb_inspect)
    inspect.add_argument("file", metavar="FILE")
    inspect.add_argument("--arrays", action="store_true", help="list every array too")
    convert = verbs.add_parser(
        "convert", help="make a generator or a feature net of somebody else's checkpoint"
    )
    convert.set_defaults(run=verb_convert)
    convert.add_argument("file", metavar="FILE", help="their file; with --to, a generator")
    convert.add_argument(
        "--formats", action=Formats, nargs=0, help="list the files that can be converted, and leave"
    )
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
