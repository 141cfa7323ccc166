"""The README and `docs/` say what is there: links, commands, options, names and code."""

from __future__ import annotations

import argparse
import ast
import itertools
import re
import shlex
from typing import Any

import pytest

import jaxinv
from jaxinv.cli.main import parser
from jaxinv.edits.catalogue import CATALOGUE
from jaxinv.edits.discovery.methods import EDIT_NAMES, METHODS
from jaxinv.metrics.attributes import ATTRIBUTES
from jaxinv.models.zoo import ZOO
from jaxinv.presets import ENCODERS, HYBRIDS, PRESETS
from jaxinv.specs.vocabulary import SOLVERS
from tests.benchmarks.__main__ import arguments
from tests.pages import ROOT, anchors, blocks, broken_links, external, links, pages, prose, spans

DOCS = {place: text for place, text in pages().items() if place.startswith("docs/")}
READ = {"README.md": pages()["README.md"], **DOCS}
HOSTS = ("arxiv.org", "keepachangelog.com", "optax.readthedocs.io", "semver.org")


def verbs() -> dict[str, argparse.ArgumentParser]:
    """The parser of every command."""
    (action,) = [a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(action.choices)


def options(verb: argparse.ArgumentParser) -> set[str]:
    return {option for action in verb._actions for option in action.option_strings}


def test_the_readme_is_short_and_its_pictures_small() -> None:
    assert len(pages()["README.md"].splitlines()) <= 150
    found = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", pages()["README.md"])
    assert len(found) == 2
    assert all((ROOT / picture).stat().st_size <= 300_000 for picture in found)


def test_links_lead_somewhere() -> None:
    assert list(broken_links(pages())) == []


@pytest.mark.parametrize("target", ["b.md", "#no", "a.md#no", "../a.md", "img/x.png", "#b-c!"])
def test_a_link_that_leads_nowhere_is_found(target: str) -> None:
    text = f"# B c!\n\n[x]({target}) [y](#b-c) [z](other.md#b-c) [w](../LICENSE)\n"
    known = {"docs/a.md": text, "docs/other.md": "# B c!\n"}
    assert list(broken_links(known)) == [f"docs/a.md: {target}"]


def test_links_in_code_are_none() -> None:
    assert links("`[a](b)`\n\n```python\nx = y[0](z)\n```\n[c](d#e)\n") == ["d#e"]
    assert anchors("(name)=\n## The `x` of Y, twice\n") == {"name", "the-x-of-y-twice"}


def test_links_that_leave_go_where_they_are_known_to_go() -> None:
    """`python -m tests.pages` lists them; nothing is fetched here."""
    hosts = {re.sub(r"^https://([^/]+).*", r"\1", address) for address in external()}
    assert hosts <= set(HOSTS)


def test_every_page_can_be_found() -> None:
    """Each is in a list of contents, or linked to from such a page."""
    contents = "".join(re.findall(r"toctree\}.*?```", DOCS["docs/index.md"], re.S))
    listed = re.findall(r"^([\w/]+)$", contents, re.M)
    family = re.findall(r"^(\w+)$", DOCS["docs/methods/index.md"], re.M)
    found = {f"docs/{one}.md" for one in listed} | {f"docs/methods/{one}.md" for one in family}
    assert set(DOCS) - {"docs/index.md"} == found


COMMANDS = [
    (place, line.strip())
    for place, text in READ.items()
    for block in blocks(text, "bash")
    for part in block.splitlines()
    for line in part.split("&&")
    if line.strip().startswith("jaxinv ")
]


@pytest.mark.parametrize(("place", "line"), COMMANDS)
def test_commands_are_understood(place: str, line: str) -> None:
    words = shlex.split(line.partition(" > ")[0])[1:]
    options, unknown = parser().parse_known_args(words)
    assert unknown == []
    named = getattr(options, "preset", None)
    known = ENCODERS if options.verb == "train-encoder" else {**PRESETS, **HYBRIDS}
    assert named is None or named in known or named.endswith(".json")


def test_what_is_named_in_a_sentence_exists() -> None:
    """`jaxinv VERB --option` in running text: the verb is there, and takes the option."""
    known, wrong = verbs(), []
    for place, text in {**READ, "CONTRIBUTING.md": pages()["CONTRIBUTING.md"]}.items():
        for span in spans(text):
            verb, *rest = re.sub(r"^jaxinv ", "", span).split(" ")
            if not span.startswith("jaxinv "):
                continue
            given = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
            if verb not in known or given - options(known[verb]):
                wrong.append(f"{place}: {span}")
    assert wrong == []


def test_options_in_text_exist() -> None:
    every = set.union(*map(options, verbs().values()))
    ours = {place: text for place, text in READ.items() if "coming_from" not in place}
    named = {(p, s.split(" ")[0]) for p, text in ours.items() for s in spans(text) if s[:2] == "--"}
    assert {(place, option) for place, option in named if option not in every} == set()


EXPLAINED = {
    "invert": "photos",
    "study": "comparing",
    "edit": "editing",
    "paste": "editing",
    "discover": "discovering",
    "train-generator": "training",
    "evaluate": "results",
    "personalize": "applications",
    "video": "applications",
    "shape": "applications",
    "animate": "applications",
    "mattes": "applications",
    "canvas": "applications",
    "extend": "applications",
    "diffuse": "applications",
    "swap": "applications",
    "synthesize": "applications",
}


@pytest.mark.parametrize(("verb", "page"), EXPLAINED.items())
def test_options_of_commands_are_explained(verb: str, page: str) -> None:
    shared = DOCS["docs/guides/photos.md"]
    text = DOCS[f"docs/guides/{page}.md"] + shared
    long = {option for option in options(verbs()[verb]) if option.startswith("--")}
    short = {"--out": "-o", "--generator": "-g", "--preset": "-p", "--direction": "-d"}
    names = {short.get(option, option) for option in long - {"--help"}}
    assert {name for name in names if f"`{name}" not in text} == set()


def test_every_option_stands_in_some_page() -> None:
    text = " ".join(DOCS.values())
    every = {option for verb in verbs().values() for option in options(verb)}
    long = {option for option in every if option[:2] == "--" and option[:5] != "--no-"}
    short = {"--help", "--out", "--generator", "--preset", "--direction", "--count"}
    assert {option for option in long - short if option not in text} == set()


def test_all_commands_weights_optimizers_and_presets_are_listed() -> None:
    def missing(names: Any, page: str) -> list[str]:
        return [name for name in names if name not in " ".join(spans(DOCS[page])).split()]

    assert missing(verbs(), "docs/commands.md") == []
    assert missing(ZOO, "docs/weights.md") == []
    assert missing(SOLVERS, "docs/guides/optimizers.md") == []
    known = (*METHODS, *ATTRIBUTES, *itertools.chain(*EDIT_NAMES.values()))
    assert missing(known, "docs/guides/discovering.md") == []
    assert missing(CATALOGUE, "docs/guides/editing.md") == []
    rows = re.findall(r"^\| \[`([^`]+)`\]", DOCS["docs/methods/index.md"], re.M)
    assert sorted(rows) == sorted(PRESETS)
    heads = [head for text in DOCS.values() for head in re.findall(r"^## `([^`]+)`$", text, re.M)]
    assert sorted(heads) == sorted(PRESETS)


def test_the_reference_has_every_public_name() -> None:
    text = DOCS["docs/reference.md"]
    listed = re.findall(r"^\.\. (?:auto)?\w+:: jaxinv\.(\w+)$", text, re.M)
    assert sorted(listed) == sorted(jaxinv.__all__)


def test_the_benchmarks_that_made_the_figures_are_there() -> None:
    command = re.compile(r"tests\.benchmarks (\w+)")
    said = {word for text in pages().values() for word in command.findall(text)}
    (action,) = [a for a in arguments()._actions if isinstance(a, argparse._SubParsersAction)]
    assert {"ladder", "methods", "evaluations", "speed", "fullwidth"} <= said
    assert said <= set(action.choices)


HEAD = r"^\|.*\b(PSNR|seconds|ratio|batch 1|sample -n 1)\b.*\|\n\|[ -]+\|"
SCORES = re.compile(HEAD, re.M)  # the first lines of a table of figures


def test_every_table_of_figures_stands_beside_its_command() -> None:
    sections = [(p, one) for p, text in READ.items() for one in re.split(r"^## ", text, flags=re.M)]
    measured = [(p, one) for p, one in sections if SCORES.search(one) and "jaxinv study" not in one]
    assert {"README.md", "docs/measured.md", "docs/methods/everyday.md"} <= {p for p, _ in measured}
    bare = [place for place, one in measured if "python -m tests.benchmarks" not in one]
    assert bare == []


PYTHON = [(place, code) for place, text in READ.items() for code in blocks(text, "python")]


@pytest.mark.parametrize(("place", "code"), PYTHON, ids=[place for place, _ in PYTHON])
def test_python_in_the_pages_names_what_exists(place: str, code: str) -> None:
    nodes = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Attribute)]
    named = [n.attr for n in nodes if isinstance(n.value, ast.Name) and n.value.id == "jaxinv"]
    assert set(named) <= set(jaxinv.__all__)


def test_the_python_of_the_readme_is_that_of_the_guide() -> None:
    """`test_notebooks.py` runs it."""
    (ours,) = blocks(pages()["README.md"], "python")
    assert ours in blocks(DOCS["docs/guides/photos.md"], "python")


def test_the_python_of_the_optimizers_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(DOCS["docs/guides/optimizers.md"], "python")
    exec(compile(code, "optimizers.md", "exec"), {})
    said = capsys.readouterr().out.replace(".", "").split()
    assert said[-2:] == ["(2,", "80)"]


def test_words_are_explained() -> None:
    terms = re.findall(r"^(\S.*)$", DOCS["docs/glossary.md"].partition("{glossary}")[2], re.M)
    words = {"W+", "z", "latent", "preset", "LPIPS", "PSNR", "SSIM", "FFHQ", "lane", "pivot"}
    assert words - set(terms) == set()
    assert prose(DOCS["docs/index.md"]).count("](glossary.md)") == 1
