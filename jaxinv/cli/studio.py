"""`jaxinv studio`: a local page on which one's own photographs are edited."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from jaxinv.cli.console import DONE, complain, say
from jaxinv.cli.weights import ensure, ready_generator
from jaxinv.studio.guard import site

MOST_PORT = 65_535


def verb_studio(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    import importlib.util
    import webbrowser

    missing = [name for name in ("starlette", "uvicorn") if not importlib.util.find_spec(name)]
    if missing:
        raise ValueError(f"the studio needs {missing[0]}: pip install 'jaxinv[studio]'")
    from jaxinv.inversion.presets import find_preset

    preset = find_preset(options.preset)
    photos = [(Path(one).name, Path(one).read_bytes()) for one in options.photos]
    spec = ready_generator(options.generator)
    ensure("alexnet", *preset.nets)
    if spec.alignment == "ffhq" and importlib.util.find_spec("dlib"):
        ensure("landmarks")
    from jaxinv.studio.desk import Desk
    from jaxinv.studio.serving import Server, open_when_ready

    with tempfile.TemporaryDirectory(
        prefix="jaxinv-studio-", ignore_cleanup_errors=True
    ) as temporary:
        folder = Path(options.out or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        desk = Desk(options.generator, folder, preset=options.preset)
        server = Server(desk, options.port, options.origins)
        for name, data in photos:
            desk.open(name, data)
        say(f"studio: {server.url}")
        for address in server.addresses[1:]:
            say(f"or, where that site leads to this port: {address}")
        say("only this machine can open it, and nothing leaves this machine; Ctrl-C ends it")
        if options.out is None:
            say("results are kept until then: download them in the page, or begin with -o FOLDER")
        if not options.no_browser:
            open_when_ready(server, webbrowser.open)
        try:
            server.run()
        except KeyboardInterrupt:
            complain("ended")
    return DONE


def port(text: str) -> int:
    """A port of TCP."""
    value = int(text)
    if not 0 <= value <= MOST_PORT:
        raise argparse.ArgumentTypeError(f"must lie in 0..{MOST_PORT}, got {text[:40]}")
    return value


def origin(text: str) -> str:
    """The address of a site: scheme and host."""
    try:
        return site(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb that opens the page."""
    studio = verbs.add_parser("studio", help="edit photographs on a local web page")
    studio.set_defaults(run=verb_studio)
    studio.add_argument("photos", nargs="*", metavar="PHOTO", help="photographs to begin with")
    studio.add_argument("-g", "--generator", default="ffhq", metavar="NAME")
    studio.add_argument(
        "-p", "--preset", default="quick", metavar="NAME|FILE.json",
        help="how photographs are found (default: quick)",
    )  # fmt: skip
    studio.add_argument("-o", "--out", metavar="OUT", help="folder in which everything is kept")
    studio.add_argument("--port", type=port, metavar="N", help="default: the first free from 8600")
    studio.add_argument("--no-browser", action="store_true", help="only say the address")
    studio.add_argument(
        "--origin", dest="origins", type=origin, action="append", default=[], metavar="URL",
        help="a site whose pages may show the studio, such as the proxy of a notebook service",
    )  # fmt: skip
