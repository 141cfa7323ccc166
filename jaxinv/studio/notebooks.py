"""The studio beside a notebook: on this machine, or through the proxy of Colab."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.inversion.presets import find_preset
from jaxinv.studio.desk import Desk
from jaxinv.studio.guard import site
from jaxinv.studio.serving import PORT, Server

if TYPE_CHECKING:
    from collections.abc import Sequence

COLAB = "google.colab"


def serve(
    generator: str = "ffhq",
    folder: str | Path = "studio",
    *,
    photos: Sequence[str | Path] = (),
    preset: str = "quick",
    port: int = PORT,
) -> Server:
    """Serve a studio in a thread beside the notebook; the last of its `addresses` shows the page.

    In Colab that is an address of Colab's proxy, which alone is let in beside this machine.

    Args:
        generator: a name, or a file of weights.
        folder: where photographs, latents and recipes are kept; made if need be.
        photos: files to begin with.
        preset: how they are found.
        port: on this machine.

    Raises:
        ValueError: a port that is taken, or generator, preset or photos that cannot be used.
    """
    find_preset(preset)
    sites = [] if (found := colab_site(port)) is None else [found]
    data = [(Path(one).name, Path(one).read_bytes()) for one in photos]
    Path(folder).mkdir(parents=True, exist_ok=True)
    desk = Desk(generator, Path(folder), preset=preset)
    server = Server(desk, port, sites)
    for name, photo in data:
        desk.open(name, photo)
    return server.start()


def colab_site(port: int) -> str | None:
    """The origin under which Colab's proxy shows a port of this machine; None outside of Colab."""
    if COLAB not in sys.modules:
        return None
    colab: Any = importlib.import_module(f"{COLAB}.output")
    return site(colab.eval_js(f"google.colab.kernel.proxyPort({int(port)})"))
