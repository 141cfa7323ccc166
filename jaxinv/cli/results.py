"""`jaxinv index`, `export` and `import`: results found again, given to other tools and taken."""

from __future__ import annotations

import argparse
from functools import partial

from jaxinv.cli.console import DONE, SOME_FAILED, complain, say
from jaxinv.cli.foreign_files import read_codes
from jaxinv.cli.weights import ready_generator
from jaxinv.specs.vocabulary import EXPORTS


def verb_index(options: argparse.Namespace) -> int:
    """Make the lines of results and the report of runs again."""
    from jaxinv.runs.indexing import index_run

    for place in options.runs:
        found = index_run(place)
        told = f"{len(found.lines)} lines, {found.made} of them made anew"
        say(f"{place}: {told}; {found.gone} left out whose results are gone")
    return DONE


def verb_export(options: argparse.Namespace) -> int:
    """Write latents as other tools read them."""
    from jaxinv.runs.exchange import export_latents
    from weights_convert.writers import torch_files

    done, failed = export_latents(
        options.latents,
        options.out,
        options.format,
        read=read_codes,
        torch=torch_files.write,
        generator=options.generator,
        say=complain,
    )
    return _told(done, failed, options.out)


def verb_import(options: argparse.Namespace) -> int:
    """Read latents that other tools wrote."""
    from jaxinv.runs.exchange import import_latents

    ready_generator(options.generator)
    done, failed = import_latents(
        options.files,
        options.out,
        options.generator,
        read=partial(read_codes, space=options.space),
        names=options.names,
        say=complain,
    )
    return _told(done, failed, options.out)


def _told(done: int, failed: int, out: str) -> int:
    say(f"{done} {'code' if done == 1 else 'codes'} written, {failed} failed; see {out}")
    return SOME_FAILED if failed else DONE


def add(verbs: argparse._SubParsersAction) -> None:
    """The verbs that exchange results."""
    index = verbs.add_parser("index", help="make results.jsonl and the report of runs again")
    index.set_defaults(run=verb_index)
    index.add_argument("runs", nargs="+", metavar="RUN")
    export = verbs.add_parser("export", help="write latents as other tools read them")
    export.set_defaults(run=verb_export)
    export.add_argument("latents", nargs="+", metavar="RUN|LATENT")
    export.add_argument("-o", "--out", required=True, metavar="OUT", help="a new folder")
    export.add_argument(
        "--format",
        required=True,
        choices=tuple(EXPORTS),
        help="; ".join(f"{name}: {words}" for name, words in EXPORTS.items()),
    )
    export.add_argument("-g", "--generator", metavar="NAME", help="default: what the latents say")
    taken = verbs.add_parser("import", help="read latents that other tools wrote")
    taken.set_defaults(run=verb_import)
    taken.add_argument("files", nargs="+", metavar="FILE", help=".npz, .npy, .pt, .pth or .pkl")
    taken.add_argument("-g", "--generator", required=True, metavar="NAME", help="what draws them")
    taken.add_argument("-o", "--out", required=True, metavar="OUT", help="a new folder")
    taken.add_argument(
        "--names",
        metavar="PLACE",
        help="folder or list of the pictures, in the order of the codes, which e4e does not name",
    )
    taken.add_argument(
        "--space", choices=("z", "w"), help="each row of an array [n, d] is a code of its own"
    )
