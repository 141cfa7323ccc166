"""`python -m tests.benchmarks engine` and `python -m tests.benchmarks table OUT...`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.benchmarks import engine, ladder, tables


def main() -> None:
    top = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    names = top.add_subparsers(dest="name", required=True)
    speed = names.add_parser("engine", help="the engine against hand-written loops")
    speed.add_argument("--repeats", type=int, default=5, help="timings of each side (default: 5)")
    table = names.add_parser("table", help="scores of finished runs as a markdown table")
    table.add_argument("outs", nargs="+", type=Path, metavar="OUT")
    faces = names.add_parser("ladder", help="quick, default and fine on a folder of framed faces")
    faces.add_argument("folder", type=Path)
    faces.add_argument("--limit", type=int, default=16)
    faces.add_argument("--size", type=int, default=256)
    options = top.parse_args()
    if options.name == "engine":
        engine.report(options.repeats)
    elif options.name == "ladder":
        ladder.report(options.folder, options.limit, options.size)
    else:
        print(tables.table(options.outs))


if __name__ == "__main__":
    main()
