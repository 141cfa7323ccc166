"""What every HTML page is made of: its own style, embedded pictures, nothing from outside.

Every text that comes from outside (file names above all) is escaped, and a content policy inside
the page forbids everything but its own style, its embedded pictures and, if it has one, its script.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence

from jaxinv.io.text import printable
from jaxinv.reports.style import _STYLE

_MAGIC = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}


def page(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole page; `body`, `style` and `script` are trusted."""
    scripts = "; script-src 'unsafe-inline'" if script else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        f"img-src data:; style-src 'unsafe-inline'{scripts}\">"
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head><body>"
        f"{body}{f'<script>{script}</script>' if script else ''}</body></html>\n"
    )


def escape(value: object) -> str:
    """Escape for HTML; invisible characters and bytes that are not UTF-8 become visible codes."""
    return html.escape(printable(value))


def definitions(facts: Mapping[str, object]) -> str:
    """Names and what they stand for; a mapping as a value becomes one line."""
    rows = "".join(
        f"<dt>{escape(key)}</dt><dd>{_definition(key, facts[key])}</dd>" for key in facts
    )
    return f"<dl>{rows}</dl>" if rows else ""


def _definition(key: str, value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{escape(k)}&nbsp;{escape(v)}" for k, v in value.items())
    return f"<code>{escape(value)}</code>" if key == "command" else escape(value)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts."""
    lines = [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f"<table><tr>{top}</tr>{''.join(lines)}</table>"


def data_uri(data: bytes, caption: str) -> str:
    """An embedded picture; `ValueError` naming `caption` unless it is a PNG or JPEG file."""
    kind = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None)
    if kind is None:
        raise ValueError(f"{caption} picture starts with {data[:8]!r}; allowed: PNG, JPEG")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def figure(data: bytes, caption: str) -> str:
    """A picture with its caption; `ValueError` unless it is a PNG or JPEG file."""
    return (
        f'<figure><img src="{data_uri(data, caption)}" alt="{escape(caption)}" loading="lazy">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
