"""All works of one studio, the generator that draws them, and the pages that look on."""

from __future__ import annotations

import secrets
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.edits.blending import ROW_NAMES, rows_of
from jaxinv.edits.catalogue import CATALOGUE, learn_catalogue
from jaxinv.edits.kept import keep_direction, kept_direction, kept_names
from jaxinv.io.files import atomic_write
from jaxinv.io.latent_files import save_latents
from jaxinv.io.text import shortened
from jaxinv.models.loading import generator_hash, load_features, load_generator
from jaxinv.sessions.painting import net_names
from jaxinv.sessions.recipes import to_json
from jaxinv.studio.mailbox import Mailbox, frame
from jaxinv.studio.warming import WarmUp
from jaxinv.studio.work import Work

if TYPE_CHECKING:
    from jaxinv.edits.ways import Way
    from jaxinv.models.generators.base import Generator

MOST_WORKS = 64
LARGEST_PHOTO = 2**26  # bytes of a file that is sent up
MOST_PAGES = 32
USUAL_RANGE = (-3.0, 3.0)  # of directions whose usable range was not measured


class Desk:
    """What a studio holds: works by name, pages by name, and a folder for all that is kept.

    Nothing is written outside of `folder`. `side` is the size in px at which photos are compared.
    """

    def __init__(
        self, generator: str, folder: Path, *, preset: str = "quick", side: int = 512
    ) -> None:
        self.generator, self.folder, self.preset, self.side = generator, folder, preset, side
        self.gen, self.params = load_generator(generator)
        self.nets = load_features(net_names(self.gen))
        self.aligned = self.gen.spec.alignment == "ffhq"
        self.works: dict[str, Work] = {}
        self.pages: dict[str, Mailbox] = {}
        self.lock, self.searching, self.learning = (threading.Lock() for _ in range(3))
        self.warm_up = WarmUp()
        self.ways = self._kept_ways()

    def _kept_ways(self) -> dict[str, Way]:
        """The kept directions of this generator."""
        own, found = generator_hash(self.params), dict[str, "Way"]()
        for name in kept_names(self.generator):
            way = kept_direction(self.generator, name)
            if way.generator in ("", own):
                found[name] = way
        return found

    def way(self, name: str) -> Way:
        """The direction of that name; `ValueError` where there is none."""
        if name not in self.ways:
            allowed = ", ".join(self.ways) or "none are known yet"
            raise ValueError(f"no direction {name!r}; allowed: {allowed}")
        return self.ways[name]

    def work(self, name: str) -> Work:
        """The work of that name; `ValueError` where there is none."""
        if name not in self.works:
            raise ValueError(f"there is no picture {name!r}")
        return self.works[name]

    def open(self, title: str, data: bytes) -> Work:
        """Put a photo on the desk, of a file's bytes; raises `ValueError` where it is full."""
        with self.lock:
            if len(self.works) >= MOST_WORKS:
                raise ValueError(f"{MOST_WORKS} pictures are open, and no more: start anew")
            name = secrets.token_hex(4)
            place = self.folder / name
            place.mkdir(parents=True)
            file = place / "photo"
            atomic_write(file, lambda out: out.write(data))
            shown = shortened(title.encode(errors="replace").decode(), 80) or "photo"
            self.works[name] = work = Work(self, name, shown, file)
        work.tell()
        return work

    def save(self, work: Work) -> None:
        """Keep a work's latents and recipe in its folder, so that nothing is lost."""
        session, place = work.session, self.folder / work.name
        if session is None:
            return
        facts = {"generator": self.generator, "verb": "studio", "source": work.title}
        if work.kept is not session.start:  # edits that were made meanwhile began there, too
            save_latents(place / "start.safetensors", session.start, facts)
            work.kept = session.start
        text = to_json(session, self.generator).encode()
        atomic_write(place / "recipe.json", lambda out: out.write(text))
        save_latents(place / "latents.safetensors", session.latents, facts)

    # Pages

    def page(self, name: str, box: Mailbox) -> None:
        """A page has come (back): it is told everything."""
        with self.lock:
            self.pages.pop(name, None)
            while len(self.pages) >= MOST_PAGES:
                del self.pages[next(iter(self.pages))]
            self.pages[name] = box
        box.put("studio", frame(self.state()))
        for work in list(self.works.values()):
            box.put(f"state {work.name}", frame(work.state()))

    def gone(self, name: str, box: Mailbox) -> None:
        """A page has left; works go on."""
        with self.lock:
            if self.pages.get(name) is box:
                del self.pages[name]

    def publish(self, kind: str, header: dict[str, Any], body: bytes = b"") -> None:
        """Tell all pages; what is newer of a kind takes the place of what is older."""
        message = frame(header, body)
        with self.lock:
            boxes = list(self.pages.values())
        for box in boxes:
            box.put(kind, message)

    def note(self, work: str, text: str) -> None:
        """Tell all pages one line that is to be read."""
        self.publish(f"note {secrets.token_hex(4)}", {"kind": "note", "work": work, "text": text})

    def state(self) -> dict[str, Any]:
        """What a page needs to know of the studio."""
        sliders = [
            {"name": name, "unit": way.unit, "range": list(way.usable or USUAL_RANGE)}
            for name, way in self.ways.items()
        ]
        learnable = (
            self.aligned and bool(self.gen.spec.w_dim) and not set(CATALOGUE) <= set(self.ways)
        )
        return {
            "kind": "studio",
            "generator": self.generator,
            "side": self.gen.spec.resolution,
            "largest": LARGEST_PHOTO,
            "mixes": _row_names(self.gen),
            "sliders": sliders,
            "learnable": learnable and not self.learning.locked(),
        }

    def learn(self) -> None:
        """Learn the everyday directions, which takes minutes, while everything else goes on."""
        if self.learning.acquire(blocking=False):
            threading.Thread(target=self._learn, daemon=True, name="directions").start()

    def _learn(self) -> None:
        def report(line: str) -> None:
            self.publish("learning", {"kind": "learning", "text": shortened(line)})

        try:
            found = learn_catalogue(self.gen, self.params, self.generator, report=report)
            for direction in found.values():
                keep_direction(direction)
            self.ways = self._kept_ways()
        except (ValueError, OSError, RuntimeError) as error:
            self.note("", shortened(error))
        finally:
            self.learning.release()
            self.publish("learning", {"kind": "learning", "text": ""})
            self.publish("studio", self.state())

    def close(self) -> None:
        """End all works."""
        for work in list(self.works.values()):
            work.close()


def _row_names(gen: Generator) -> list[str]:
    """The names of rows of w+ that this generator has."""
    found: list[str] = []
    for name in ROW_NAMES:
        with suppress(ValueError):
            rows_of(name, gen)
            found.append(name)
    return found
