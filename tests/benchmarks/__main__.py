"""`python -m tests.benchmarks NAME`: speed, engine, evaluations, methods, table and others."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.benchmarks import speed


def arguments() -> argparse.ArgumentParser:
    """All measurements and their options."""
    top = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    names = top.add_subparsers(dest="name", required=True)
    own = names.add_parser("engine", help="the engine against hand-written loops")
    own.add_argument("--repeats", type=int, default=5, help="timings of each side (default: 5)")
    speed_options(names.add_parser("speed", help="against PyTorch, and what may cost nothing"))
    tuned = names.add_parser("evaluations", help="ours against the best-tuned Adam")
    tuned.add_argument("cases", nargs="*", metavar="CASE", help="names in `evaluations.CASES`")
    methods_options(names.add_parser("methods", help="what papers claim, and all presets"))
    table = names.add_parser("table", help="scores of finished runs as a markdown table")
    table.add_argument("outs", nargs="+", type=Path, metavar="OUT")
    faces = names.add_parser("ladder", help="quick, default and fine on a folder of framed faces")
    faces.add_argument("folder", type=Path)
    faces.add_argument("--limit", type=int, default=16)
    faces.add_argument("--size", type=int, default=256)
    looks = names.add_parser("naturalness", help="full-size texture of presets beside samples")
    looks.add_argument("folder", type=Path)
    looks.add_argument("--presets", nargs="+", default=["default"], metavar="NAME")
    looks.add_argument("--limit", type=int, default=16)
    looks.add_argument("-o", "--out", type=Path, help="folder for the pictures")
    moved = names.add_parser("edits", help="what everyday directions do to a run of `faithful`")
    moved.add_argument("folder", type=Path, metavar="RUN")
    moved.add_argument("--limit", type=int, default=16)
    moved.add_argument("-o", "--out", type=Path, help="folder for the strips")
    found = names.add_parser("navigation", help="what methods that find directions claim")
    found.add_argument("rows", nargs="*", metavar="ROW", help="names of rows (default: all)")
    used = names.add_parser("applications", help="what applications of inversion claim")
    used.add_argument("rows", nargs="*", metavar="ROW", help="names of rows (default: all)")
    used.add_argument("-o", "--out", type=Path, metavar="PAGE", help="also write this .md file")
    used.add_argument("--pictures", type=Path, metavar="DIR", help="a folder for each row")
    used.add_argument("--again", action="store_true", help="measure what was measured before")
    drawn = names.add_parser("avatars", help="the packaged generator against held-out pictures")
    drawn.add_argument("data", type=Path, help="the pictures that it was trained on, a zip")
    told = names.add_parser("labels", help="train the net of labels of the packaged generator")
    told.add_argument("data", type=Path, help="the pictures that it was trained on, a zip")
    told.add_argument("-o", "--out", type=Path, required=True, metavar="FILE")
    told.add_argument("--steps", type=int, default=6000)
    learned = names.add_parser("encoders", help="an encoder, and searches from its codes")
    learned.add_argument("run", metavar="RUN", help="of `train-encoder`, for a small generator")
    learned.add_argument("--count", type=int, default=32, help="pictures (default: 32)")
    learned.add_argument("--cycle", type=float, default=2.0, help="IDInvert's weight (default: 2)")
    taught = names.add_parser("learning", help="what 200 steps leave of each encoder's loss")
    taught.add_argument("presets", nargs="*", metavar="PRESET", help="names (default: all)")
    taught.add_argument("--steps", type=int, default=200)
    photos = names.add_parser("turned", help="cuts of turned photos against the upright ones'")
    photos.add_argument("files", nargs="+", type=Path, metavar="PHOTO")
    pulled = names.add_parser("drag", help="DragBench's two numbers on the faces of a run")
    pulled.add_argument("folder", type=Path, metavar="RUN")
    pulled.add_argument("--limit", type=int, default=8)
    pulled.add_argument("-o", "--out", type=Path, help="folder for the pictures")
    page = names.add_parser("studio", help="how long a page of the studio waits for its pictures")
    page.add_argument("photo", type=Path)
    names.add_parser("cold", help="the first picture, with nothing measured or compiled")
    killed = names.add_parser("kills", help="a run that is killed again and again")
    killed.add_argument("--count", type=int, default=200, help="kills (default: 200)")
    killed.add_argument("--images", type=int, default=64)
    killed.add_argument("--steps", type=int, default=400, help="evaluations of each")
    killed.add_argument("--every", type=float, default=1.0, help="seconds between checkpoints")
    killed.add_argument("--minutes", type=float, default=float("inf"), help="then no more")
    many = names.add_parser("many", help="memory and rate of a long run of small pictures")
    many.add_argument("--count", type=int, default=20000)
    many.add_argument("--steps", type=int, default=50, help="evaluations of each")
    many.add_argument("--scores", action="store_true", help="score them too")
    large = names.add_parser("plan", help="machine time, lost work and storage of very many images")
    large.add_argument("--images", type=float, nargs="+", default=[1e6, 1e9])
    large.add_argument("--rate", type=float, default=1000.0, help="images of a device in an hour")
    large.add_argument("--start", type=float, default=60.0, help="seconds until a process searches")
    large.add_argument("--write", type=float, default=0.1, help="seconds that a checkpoint takes")
    large.add_argument("--run", type=Path, metavar="OUT", help="a finished run, for storage")
    names.add_parser("fullwidth", help="memory and time of networks of published widths")
    return top


def speed_options(parser: argparse.ArgumentParser) -> None:
    def words(text: str) -> tuple[str, ...]:
        return tuple(word for word in text.split(",") if word)

    add = parser.add_argument
    add("--rows", type=words, default=(), help=f"of {', '.join(speed.ROWS)} (default: all)")
    add("--cells", type=words, default=speed.USUAL, help="SIDExBATCH,... or all")
    add("--compiled", type=words, default=speed.COMPILED, help="cells with torch.compile, or all")
    add("--repeats", type=int, default=5, help="timings of each side (default: 5)")
    add("--threads", type=int, default=2, help="of each side (default: 2)")
    add("--clock", choices=("wall", "cpu"), default="wall", help="cpu: on a busy machine")


def methods_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("claims", nargs="*", metavar="CLAIM", help="names of claims (default: all)")
    add("--list", action="store_true", help="names of claims, and what they say")
    add("--presets", nargs="*", metavar="NAME", help="the table of presets instead (default: all)")
    add("--generators", nargs="+", default=[], help="for --presets: celeba32, mnist28, dense, ffhq")
    add("--images", type=int, default=8, help="for --presets (default: 8)")
    add("--side", type=int, default=256, help="for --presets with ffhq (default: 256)")
    add("--most", type=int, help="for --presets: evaluations per image at most")
    add("-o", "--out", type=Path, help="for --presets: also keep the rows in this .jsonl file")


def run(options: argparse.Namespace) -> None:
    # Imported here: whatever this process holds counts as memory of those that it starts.
    if options.name == "fullwidth":
        from tests.benchmarks import fullwidth

        fullwidth.report()
    elif options.name == "kills":
        from tests.benchmarks import kills

        given = (options.count, options.images, "celeba32", options.steps, options.every)
        kills.report(kills.Options(*given, options.minutes))
    elif options.name == "plan":
        from tests.benchmarks import plan

        given = (tuple(options.images), options.rate, options.start, options.write, options.run)
        plan.report(plan.Options(*given))
    elif options.name == "many":
        from tests.benchmarks import many

        many.report(many.Options(options.count, options.steps, options.scores))
    elif options.name == "edits":
        from tests.benchmarks import edits

        edits.report(options.folder, options.limit, options.out)
    elif options.name == "drag":
        from tests.benchmarks import drags

        drags.report(options.folder, options.limit, options.out)
    elif options.name == "cold":
        from tests.benchmarks import cold

        cold.report()
    elif options.name == "engine":
        from tests.benchmarks import engine

        engine.report(options.repeats)
    elif options.name == "speed":
        given = {name: getattr(options, name) for name in speed.Options._fields}
        for name in ("cells", "compiled"):
            given[name] = speed.EVERY if given[name] == ("all",) else given[name]
        speed.report(speed.Options(**given))
    elif options.name == "evaluations":
        from tests.benchmarks import evaluations

        evaluations.report(options.cases)
    elif options.name == "methods":
        from tests.benchmarks.methods import registry

        registry.report(options)
    elif options.name == "ladder":
        from tests.benchmarks import ladder

        ladder.report(options.folder, options.limit, options.size)
    elif options.name == "naturalness":
        from tests.benchmarks import naturalness

        naturalness.report(options.folder, tuple(options.presets), options.limit, options.out)
    elif options.name == "navigation":
        from tests.benchmarks import navigation

        navigation.report(options.rows)
    elif options.name == "applications":
        from tests.benchmarks.applications import registry

        registry.report(options.rows, options.out, options.pictures, options.again)
    elif options.name == "avatars":
        from tests.benchmarks import avatars

        avatars.report(options.data)
    elif options.name == "labels":
        from tests.benchmarks import labels

        labels.train(options.data, options.out, options.steps)
    elif options.name == "encoders":
        from tests.benchmarks import encoders

        encoders.report(options.run, options.count, options.cycle)
    elif options.name == "learning":
        from tests.benchmarks import learning

        learning.report(options.presets, options.steps)
    elif options.name == "turned":
        from tests.benchmarks import turned_photos

        turned_photos.report(options.files)
    elif options.name == "studio":
        from tests.benchmarks import studio

        studio.report(options.photo)
    else:
        from tests.benchmarks import tables

        print(tables.table(options.outs))


if __name__ == "__main__":
    run(arguments().parse_args())
