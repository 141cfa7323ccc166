"""What stands in the pages for readers: links, commands and code of the README and of `docs/`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```(\{?[\w-]*\}?)[^\n]*\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^()\s]+)\)")
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
WRITTEN = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")


@cache
def pages() -> dict[str, str]:
    """Every page by its place: those in the repository, and those that the build writes."""
    sys.path.append(str(ROOT / "docs"))
    try:
        import preset_pages  # pyright: ignore[reportMissingImports]
    finally:
        sys.path.remove(str(ROOT / "docs"))
    made = {f"docs/{place}": text for place, text in preset_pages.pages().items()}
    docs = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
    kept = [place for place in docs if place not in made and "/_build/" not in place]
    return made | {place: (ROOT / place).read_text("utf-8") for place in (*WRITTEN, *sorted(kept))}


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", text)


def blocks(text: str, language: str) -> list[str]:
    """The blocks of one language."""
    return [body for kind, body in FENCE.findall(text) if kind == language]


def spans(text: str) -> list[str]:
    """Code between single backticks."""
    return SPAN.findall(prose(text))


def links(text: str) -> list[str]:
    """Targets of links and pictures."""
    return LINK.findall(SPAN.sub("", prose(text)))


def external() -> dict[str, set[str]]:
    """Links that leave the repository, and the pages that they stand on."""
    found: dict[str, set[str]] = {}
    for place, text in pages().items():
        for target in links(text):
            if "://" in target:
                found.setdefault(target, set()).add(place)
    return found


def anchors(text: str) -> set[str]:
    """Names within a page that links may point at: those of its headings, and explicit ones."""
    heads = re.findall(r"^#{1,3} (.+)$", prose(text), re.M)
    plain = [re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads]
    return {*plain, *re.findall(r"^\((\S+)\)=$", text, re.M)}


def broken_links(known: dict[str, str]) -> Iterator[str]:
    """Links of pages that lead nowhere, as PAGE: TARGET."""
    explicit = re.compile(r"^\((\S+)\)=$", re.M)
    everywhere = {name for text in known.values() for name in explicit.findall(text)}
    for place, text in known.items():
        for target in links(text):
            path, _, name = target.partition("#")
            if "://" in target or (not path and name in everywhere):
                continue
            page = _resolved(place, path) if path else place
            lost = page not in known and not (ROOT / page).exists()
            if lost or (name and name not in anchors(known.get(page, ""))):
                yield f"{place}: {target}"


def _resolved(place: str, path: str) -> str:
    """The file that a relative link of a page means; `docs/notebooks` are copies."""
    parts: list[str] = []
    for part in (*PurePosixPath(place).parent.parts, *PurePosixPath(path).parts):
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts).replace("docs/notebooks/", "notebooks/")


if __name__ == "__main__":  # python -m tests.pages: what to look at by hand
    for address, places in sorted(external().items()):
        print(address, *sorted(places))
