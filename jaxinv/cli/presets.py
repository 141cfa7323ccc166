"""`jaxinv presets`."""

from __future__ import annotations

import argparse

from jaxinv.cli.console import DONE, say


def verb_presets(options: argparse.Namespace) -> int:
    """List the presets, show one, or print it as JSON, which `-p FILE.json` reads."""
    from jaxinv.presets import ENCODERS, HYBRIDS, PRESETS
    from jaxinv.reports.preset_scores import describe, read

    if options.name is None and options.json:
        raise ValueError(f"--json needs a name; allowed: {', '.join(PRESETS)}")
    if options.name is None:
        figures = read()
        for preset in PRESETS.values():
            say(describe(preset, figures))
        for one in HYBRIDS.values():
            parts = f"presets in turn: {', '.join(one.parts)}"
            say(f"{one.name}\n  {one.summary}\n  {one.reference}\n  {parts}")
        for one in ENCODERS.values():
            told = f"encoder, for `jaxinv train-encoder`: {one.summary}"
            say(f"{one.name}\n  {told}\n  {one.reference}")
        return DONE
    from jaxinv.inversion.presets import find_preset
    from jaxinv.specs.serialization import to_json

    if options.name in HYBRIDS and options.json:
        say(to_json(HYBRIDS[options.name]))
        return DONE
    if options.name in ENCODERS:
        one = ENCODERS[options.name]
        text = f"{one.name}\n  {one.summary}\n  {one.reference}\n  {one.notes}".rstrip()
        say(to_json(one) if options.json else text)
        return DONE
    preset = find_preset(options.name)
    if options.json:
        say(to_json(preset))
    else:
        own = preset == PRESETS.get(preset.name)  # not a changed one that kept its name
        say(describe(preset, read() if own else ()))
        if preset.notes:
            say(f"  {preset.notes}")
    return DONE


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb that shows methods."""
    verb = verbs.add_parser("presets", help="list the methods, or show one")
    verb.set_defaults(run=verb_presets)
    verb.add_argument("name", nargs="?", metavar="NAME", help="one preset, or a JSON file of one")
    verb.add_argument(
        "--json", action="store_true", help="print it as data, to be changed and used as -p FILE"
    )
