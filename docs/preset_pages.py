"""The pages of the methods, written from the presets and from what they reached.

`pages()` gives the text of each. `conf.py` writes them at every build: none is in the repository.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from jaxinv import presets
from jaxinv.presets import PRESETS
from jaxinv.reports.markdown import markdown
from jaxinv.reports.preset_scores import LEGEND, Figure, read, table
from jaxinv.specs.vocabulary import TEXT

if TYPE_CHECKING:
    from types import ModuleType

    from jaxinv.specs import Preset, Stage, Term, Variable

COMMAND = "python -m tests.benchmarks methods --presets -o jaxinv/presets/scores.jsonl"
INTRODUCTION = """# Methods

A method is a *preset*: plain data that names what is moved, what is compared, the optimizer and its
steps. `jaxinv presets NAME` prints one, and `-p NAME` runs it. The words are explained in the
[glossary](../glossary.md); how to change a method, in
[Your own photos](../guides/photos.md#choosing-and-changing-a-method). These pages are written from
the presets themselves at every build."""
W_SPACE, SAID = "a W space", "a text (`--text`) and a converted CLIP"
STAGES = ("evaluations", "moves", "compares and penalises", "solver, rate, schedule")


class Family(NamedTuple):
    """One file of `jaxinv/presets/`: its name, its docstring, and its presets."""

    name: str
    words: str
    presets: tuple[Preset, ...]

    @property
    def title(self) -> str:
        """What stands before the colon of the docstring."""
        return self.words.partition(":")[0].rstrip(".")


def families() -> list[Family]:
    """All families, in the order in which `PRESETS` first names one of theirs."""
    names = [info.name for info in pkgutil.iter_modules(presets.__path__)]
    found = [_family(name, import_module(f"jaxinv.presets.{name}")) for name in names]
    order = list(PRESETS.values())
    few = (one for one in found if one.presets)  # those of encoders are trained, not run
    return sorted(few, key=lambda one: min(map(order.index, one.presets)))


def _family(name: str, module: ModuleType) -> Family:
    own = tuple(vars(module).values())
    members = tuple(p for p in PRESETS.values() if any(p is value for value in own))
    return Family(name, inspect.getdoc(module) or "", members)


def pages() -> dict[str, str]:
    """The text of every page by its place under `docs/`."""
    figures, found = read(), families()
    made = {f"methods/{one.name}.md": _page(one, figures) for one in found}
    return {"methods/index.md": _index(found), **made}


def _index(found: list[Family]) -> str:
    rows = [
        (f"[`{p.name}`](#{anchor(p.name)})", _moves(p), _cost(p), _linked(p.reference))
        for family in found
        for p in family.presets
    ]
    columns = ("preset", "moves, stage by stage", "evaluations per image", "follows")
    listed = "\n".join(one.name for one in found)
    return (
        f"{INTRODUCTION}\n\n"
        f"{markdown(columns, rows)}\n\n"
        f"```{{toctree}}\n:hidden:\n\n{listed}\n```\n"
    )


def _page(family: Family, figures: list[Figure]) -> str:
    sections = "\n".join(_section(preset) for preset in family.presets)
    own = [one for one in figures if one.preset in {p.name for p in family.presets}]
    measured = f"{table(own)}\n\nBy `{COMMAND}`. {LEGEND}\n" if own else "Not measured yet.\n"
    return f"# {family.title}\n\n{family.words}\n\n{sections}\n## Measured\n\n{measured}"


def _section(preset: Preset) -> str:
    needs = _needs(preset)
    facts = {
        "Follows": f"{_linked(preset.reference)}.",
        "Needs": needs and f"{', '.join(needs)}.",
        "Starts per image": preset.restarts > 1 and f"{preset.restarts}.",
        "Where it differs": _linked(preset.notes),
        "Checked": preset.checked and f"{preset.checked}.",
    }
    listed = "\n\n".join(f"**{name}**: {text}" for name, text in facts.items() if text)
    stages = markdown(STAGES, map(_stage, preset.stages))
    return (
        f"({anchor(preset.name)})=\n## `{preset.name}`\n\n{_sentence(preset.summary)}\n\n"
        f"```{_command(preset, needs)}\n```\n\n{stages}\n\n{listed}\n"
    )


def _command(preset: Preset, needs: list[str]) -> str:
    """How it is run, with the language of the block."""
    if preset.requires_starts:
        call = f'jaxinv.invert(gen, params, images, preset="{preset.name}", starts=latents)'
        return f"python\nfound = {call}"
    other = " -g GENERATOR" if set(needs) - {W_SPACE, SAID} or not needs else ""
    other += ' --text "a smiling face"' if SAID in needs else ""
    return f"bash\njaxinv invert PHOTOS -p {preset.name}{other} -o out"


def _stage(stage: Stage) -> tuple[str, ...]:
    terms = ", ".join(map(_term, stage.terms))
    solver = f"{stage.solver.name}, {stage.solver.learning_rate:g}"
    changing = stage.solver.schedule.kind != "constant"
    solver += f", {stage.solver.schedule.kind}" if changing else ""
    return f"{stage.steps}", ", ".join(map(_variable, stage.variables)), terms, solver


def _variable(variable: Variable) -> str:
    codec = "" if variable.codec == "identity" else f" ({variable.codec})"
    return f"{variable.space}{codec} from {variable.init.kind}"


def _term(term: Term) -> str:
    return f"{term.weight:g} x {term.label}"


def _moves(preset: Preset) -> str:
    """Spaces of the stages in turn, each change once."""
    turns = [" and ".join(stage.spaces) for stage in preset.stages]
    return ", then ".join(dict.fromkeys(turns))


def _cost(preset: Preset) -> str:
    return f"{preset.restarts} x {preset.steps}" if preset.restarts > 1 else f"{preset.steps}"


def _needs(preset: Preset) -> list[str]:
    """What only some generators or calls have, and this preset asks for."""
    variables = [v for stage in preset.stages for v in stage.variables]
    spaces = {v.space for v in variables}
    terms = [term for stage in preset.stages for term in stage.terms]
    needs = {
        W_SPACE: bool(spaces & {"w", "w+", "z+", "s"}),
        "noise maps": "noise" in spaces,
        "classes (`--label`)": bool(spaces & {"label", "embedding"}),
        "a discriminator": any(term.needs_discriminator for term in terms),
        "a network of dense layers alone": any(v.init.kind == "layerwise" for v in variables),
        SAID: TEXT in preset.targets,
        "latents to start from (`starts` in Python)": preset.requires_starts,
    }
    return [words for words, needed in needs.items() if needed]


def anchor(name: str) -> str:
    """The name of a preset as the target of a link."""
    return "preset-" + name.replace("+", "plus")


def _linked(text: str) -> str:
    return re.sub(r"arXiv:(\d{4}\.\d{5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


def _sentence(text: str) -> str:
    """A summary as a sentence; z stays small, since Z is something else."""
    word = text.partition(" ")[0]
    return f"{text if len(word) == 1 else text[:1].upper() + text[1:]}."
