"""The command line: `jaxinv VERB ...`. Verbs import what they need, so that help is instant."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jaxinv import __version__
from jaxinv.cli import (
    animate,
    blend,
    canvas,
    complete,
    compose,
    demo,
    discover,
    doctor,
    drag,
    draw,
    edit,
    encode,
    evaluate,
    invert,
    mattes,
    personalize,
    presets,
    restore,
    results,
    shape,
    status,
    studio,
    study,
    synthesize,
    train,
    video,
    weights,
)
from jaxinv.cli.console import STOPPED, UNFINISHED, USAGE, Parser, Unfinished, complain
from jaxinv.io.files import nearest
from jaxinv.io.stopping import Stopped

if TYPE_CHECKING:
    from collections.abc import Sequence

FAMILIES = (
    demo,
    invert,
    encode,
    restore,
    shape,
    complete,
    compose,
    personalize,
    edit,
    video,
    animate,
    mattes,
    canvas,
    synthesize,
    drag,
    studio,
    discover,
    blend,
    draw,
    evaluate,
    train,
    weights,
    presets,
    study,
    status,
    results,
    doctor,
)  # each adds its verbs


def parser() -> Parser:
    """All verbs and their options."""
    top = Parser(prog="jaxinv", description="GAN inversion: find the latent code of a photograph.")
    top.add_argument("--version", action="version", version=f"jaxinv {__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, title="verbs")
    for family in FAMILIES:
        family.add(verbs)
    for verb in verbs.choices.values():
        verb.set_defaults(own=verb)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; 0 all fine, 1 did not finish, 2 wrong usage, 3 finished with failed items.

    4: it was asked to stop, and has kept what it had; the same command goes on.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        options, unknown = parser().parse_known_args(arguments)
        if unknown:
            options.own.error(f"unknown option {' '.join(unknown)}")
        done = options.run(options)
        sys.stdout.flush()
        return done
    except ValueError as error:
        complain(str(error))
        return USAGE
    except (FileNotFoundError, IsADirectoryError) as error:
        if error.filename is None:
            complain(f"did not finish: {error}")
            return UNFINISHED
        place = Path(os.fsdecode(error.filename))
        folder = isinstance(error, IsADirectoryError)
        wrong = "a folder; allowed: a file" if folder else f"no such file{nearest(place)}"
        complain(f"{place}: {wrong}")
        return USAGE
    except BrokenPipeError:  # whoever reads the output has enough of it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        complain("interrupted; finished images are kept")
    except Stopped as error:
        complain(str(error))
        return STOPPED
    except (Unfinished, OSError, MemoryError, RuntimeError) as error:
        complain(f"did not finish: {error}")
    return UNFINISHED
