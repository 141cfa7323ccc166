"""One HTML file that collects ratings of pictures, without a server: they are saved as CSV.

The page holds its pictures and its few lines of script; a content policy inside it forbids
everything else. Which method drew a picture is not shown, and the order differs for every rater.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jaxinv.io.files import atomic_write
from jaxinv.reports.page import data_uri, escape, page

if TYPE_CHECKING:
    from collections.abc import Sequence

SCALE = ("bad", "poor", "fair", "good", "excellent")  # 1 to 5, ITU-T P.800


class Rated(NamedTuple):
    """One picture to be rated: whose it is, how it is called, and its PNG or JPEG file."""

    method: str
    picture: str
    data: bytes


def write_rating_page(path: str | Path, question: str, pictures: Sequence[Rated]) -> None:
    """Write the page that asks `question` of every picture; it appears whole or not at all.

    Raises:
        ValueError: no pictures, two of one method and name, or one that is neither PNG nor JPEG.
        OSError: the file cannot be written.
    """
    text = rating_page(question, pictures)
    atomic_write(Path(path), lambda file: file.write(text.encode("utf-8")))


def rating_page(question: str, pictures: Sequence[Rated]) -> str:
    """The page of `write_rating_page` as text."""
    if not pictures:
        raise ValueError("no pictures to rate; allowed: at least 1")
    names = [(one.method, one.picture) for one in pictures]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"two pictures are {twice[0]}; allowed: one of each method and name")
    items = [
        {
            "method": one.method,
            "picture": one.picture,
            "source": data_uri(one.data, one.picture),
        }
        for one in pictures
    ]
    # Inside a script, "</" would end it and "<!--" hide what follows.
    data = json.dumps(items).replace("<", "\\u003c")
    buttons = "".join(
        f'<button type="button" value="{i}">{i} {word}</button>' for i, word in enumerate(SCALE, 1)
    )
    body = (
        f"<h1>{escape(question)}</h1><p class=count id=count></p><section class=card id=start>"
        "<label>Your name or number <input id=rater autocomplete=off></label> "
        "<button type=button id=begin>begin</button></section>"
        f"<section class=card id=task hidden><img id=shown alt=picture><p>{buttons}</p>"
        "<p>The keys 1 to 5 do the same.</p></section>"
        "<section class=card id=end hidden><p>Thank you. <a id=save>save the ratings</a></p>"
        "</section>"
    )
    return page(question, body, style=_OWN, script=f"const items = {data};{_SCRIPT}")


_OWN = """
#shown { width: auto; max-width: 100%; max-height: 75vh; margin: auto }
button, input { font: inherit; padding: .4rem .8rem; margin: .2rem }
"""
_SCRIPT = """
const at = id => document.getElementById(id), rows = [];
let place = 0;
for (let i = items.length - 1; i > 0; i--) {
  const j = Math.floor(Math.random() * (i + 1));
  [items[i], items[j]] = [items[j], items[i]];
}
const quote = text => '"' + String(text).replaceAll('"', '""') + '"';
function show() {
  at("count").textContent = place + " of " + items.length + " rated";
  at("task").hidden = place >= items.length;
  if (place < items.length) { at("shown").src = items[place].source; return; }
  const lines = [["rater", "picture", "method", "rating"], ...rows];
  const text = lines.map(line => line.map(quote).join(",")).join("\\n") + "\\n";
  at("save").href = "data:text/csv;charset=utf-8," + encodeURIComponent(text);
  at("save").download = "ratings-" + at("rater").value + ".csv";
  at("end").hidden = false;
}
function begin() {
  if (!at("rater").value.trim()) { at("rater").focus(); return; }
  at("start").hidden = true;
  show();
}
function rate(value) {
  const { method, picture } = items[place++];
  rows.push([at("rater").value.trim(), picture, method, value]);
  show();
}
at("begin").onclick = begin;
at("rater").onkeydown = event => { if (event.key === "Enter") begin(); };
document.onkeydown = event => {
  const own = event.ctrlKey || event.altKey || event.metaKey || event.repeat;
  if (!own && !at("task").hidden && /^[1-5]$/.test(event.key)) rate(event.key);
};
for (const button of document.querySelectorAll("#task button"))
  button.onclick = () => rate(button.value);
"""
