"""All claims by name; a family is a module with a tuple CLAIMS."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from jaxinv.reports.markdown import head, line
from jaxinv.specs.checks import check_choice
from tests.benchmarks.methods import attention, codes, exact, faces, presets, sampling, weights
from tests.benchmarks.methods.claims import HEAD, Claim, row

FAMILIES = (exact, codes, weights, attention, sampling, faces)
CLAIMS: dict[str, Claim] = {claim.name: claim for one in FAMILIES for claim in one.CLAIMS}


def report(options: argparse.Namespace, write: Callable[[str], object] = print) -> None:
    """What the command line asks for: a list, the table of claims, or that of presets."""
    if options.presets is not None:
        few = presets.Options(options.images, options.side, options.most)
        given = {"generators": options.generators, "options": few, "out": options.out}
        presets.report(options.presets, **given, write=write)
        return
    for name in options.claims:
        check_choice("claim", name, tuple(CLAIMS))
    chosen = [CLAIMS[name] for name in options.claims or CLAIMS]
    if options.list:
        for claim in chosen:
            write(line(claim.name, ", ".join(claim.methods), claim.words, claim.goal))
        return
    write(head(HEAD))
    for claim in chosen:
        write(row(claim))
