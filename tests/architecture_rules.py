"""The plan of the house as rules over syntax trees; nothing here imports the library.

A rule maps one `Source` (or all of them) to a list of complaints, so that `test_architecture.py`
can hold it against the library and against small files that break it.
"""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
LIBRARY = ("jaxinv", "weights_convert")

# A module imports only from lower numbers; the digit after the point orders neighbours of a layer.
LAYERS = {
    "types": 0.0, "checks": 0.0, "vocabulary": 0.0, "specs": 0.1, "figures": 0.2,
    "pixels": 1.0, "folders": 1.0, "checkpoints": 1.0, "nn": 1.0, "solvers": 1.0, "presets": 1.0,
    "align": 1.1, "images": 1.2,
    "generators": 2.0, "features": 2.0, "encoders": 2.1,
    "zoo": 3.0, "comparison": 3.0, "latents": 3.0, "spaces": 3.0, "operators": 3.0,
    "distances": 3.0, "regularisers": 3.0, "additions": 3.05, "hooks": 3.05,
    "penalties": 3.06, "losses": 3.1, "squares": 3.15, "inits": 3.1,
    "rendering": 3.1, "sampling": 3.1,
    "loading": 3.2, "metrics": 3.2, "layered": 3.2, "requirements": 3.25,
    "recipes": 3.25, "objective": 3.9, "groups": 3.95,
    "stages": 4.0, "axes": 4.05, "curvature": 4.05, "starts": 4.05, "preparation": 4.06,
    "batches": 4.07, "memory": 4.08,
    "inversion": 4.1, "encoding": 4.2, "edits": 4.2, "study": 4.2,
    "report": 5.0, "progress": 5.0, "records": 5.0, "plots": 5.0,
    "offers": 5.05, "tailoring": 5.05, "inputs": 5.1, "card": 5.1, "doctor": 5.1, "outcome": 5.1,
    "apps": 5.15, "restored": 5.15,
    "options": 5.2, "runs": 5.2, "experiments": 5.25, "cli": 5.3, "": 6.0, "__main__": 6.0,
}  # fmt: skip
NETWORKS = {"nn", "generators", "features", "encoders"}
ONLY_IN = {
    "flax": NETWORKS, "PIL": {"images"}, "safetensors": {"checkpoints"}, "dlib": {"align"},
    "evosax": {"solvers"}, "blackjax": {"solvers"},
}  # fmt: skip
NOWHERE = {"torch", "tensorflow", "pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
BANNED_NAMES = {"utils", "util", "helpers", "_src", "contrib"}

FILE_MAX, FILE_MEDIAN, FUNCTION_MAX, FUNCTION_MEDIAN, POSITIONAL_MAX = 400, 180, 80, 10, 5

Function = ast.FunctionDef | ast.AsyncFunctionDef
DATA_NODES = (
    ast.Module, ast.ImportFrom, ast.alias, ast.Expr, ast.Assign, ast.AnnAssign, ast.Name, ast.Load,
    ast.Store, ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Starred, ast.Call, ast.keyword,
    ast.UnaryOp, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow,
)  # fmt: skip
RUNS_JAX = re.compile(
    r"jax\.(numpy|random|lax|nn(?!\.initializers)|scipy|image|ops)\."
    r"|jax\.(local_)?device|jax\.default_backend"
)


class Source(NamedTuple):
    """One file: its place ("jaxinv/nn/conv.py"), its text and its syntax tree."""

    place: str
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        return self.place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def room(self) -> str:
        """First name below jaxinv: "nn" for jaxinv.nn.conv, "" for jaxinv itself."""
        return [*self.module.split("."), ""][1]


def source(place: str, text: str) -> Source:
    return Source(place, text, ast.parse(text))


def library() -> list[Source]:
    files = [path for package in LIBRARY for path in sorted((ROOT / package).rglob("*.py"))]
    return [source(p.relative_to(ROOT).as_posix(), p.read_text("utf-8")) for p in files]


SOURCES = library()
MODULES = {one.module for one in SOURCES}


def imported(node: ast.AST, modules: Iterable[str] = MODULES) -> list[str]:
    """Full names that one statement imports; `from jaxinv import nn` means jaxinv.nn."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = "." * node.level + (node.module or "")
    known = {part for name in modules for part in _prefixes(name)}
    whole = [f"{base}.{alias.name}" for alias in node.names]
    return [name if name in known or base == "jaxinv" else base for name in whole]


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[: i + 1]) for i in range(len(parts)))


def imports(one: Source) -> list[tuple[int, str]]:
    nodes = [n for n in ast.walk(one.tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    return [(n.lineno, name) for n in nodes for name in imported(n)]


def functions(tree: ast.AST) -> list[Function]:
    return [n for n in ast.walk(tree) if isinstance(n, Function)]


def body_lines(function: Function) -> int:
    """Lines of the body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return 0 if not body else (body[-1].end_lineno or 0) - body[0].lineno + 1


# Rules for one file


def layers(one: Source) -> list[str]:
    if not one.place.startswith("jaxinv/"):
        return []
    if one.room not in LAYERS:
        return [f"{one.place}: {one.room!r} has no layer; allowed: {sorted(LAYERS)}"]
    found = []
    for line, name in imports(one):
        package, _, rest = name.partition(".")
        target = rest.split(".")[0]
        target = target if target in LAYERS else ""
        inside = one.room != "" and target == one.room
        if name == "jaxinv.__version__":
            continue
        if package == "jaxinv" and not inside and LAYERS[target] >= LAYERS[one.room]:
            found.append(f"{one.place}:{line}: {one.room} may not import {name}")
    relative = [line for line, name in imports(one) if name.startswith(".")]
    return found + [f"{one.place}:{line}: relative import" for line in relative]


def third_parties(one: Source) -> list[str]:
    found = []
    for line, name in imports(one):
        package = name.split(".")[0]
        allowed = ONLY_IN.get(package, set() if package in NOWHERE else None)
        if allowed is not None and (one.place[:7] != "jaxinv/" or one.room not in allowed):
            found.append(f"{one.place}:{line}: {package} only in {sorted(allowed) or 'no file'}")
    return found


def converters_stay_outside(one: Source) -> list[str]:
    """jaxinv never needs weights_convert, but the CLI verbs may call it when they run."""
    lazy = {id(n) for f in functions(one.tree) for n in ast.walk(f)} if one.room == "cli" else set()
    nodes = [n for n in ast.walk(one.tree) if id(n) not in lazy and one.place.startswith("jaxinv/")]
    bad = [n for n in nodes if any(m.split(".")[0] == "weights_convert" for m in imported(n))]
    return [f"{one.place}: weights_convert imported outside a function of cli" for _ in bad]


def presets_are_data(one: Source) -> list[str]:
    if one.room != "presets":
        return []
    ours = [n for n in ast.walk(one.tree) if isinstance(n, ast.ImportFrom)]
    sources = ("jaxinv.specs", "jaxinv.presets", "__future__")
    strangers = [n for n in ours if not (n.module or "").startswith(sources)]
    specs = {a.asname or a.name for n in ours if n.module == "jaxinv.specs" for a in n.names}
    calls = [n.func for n in ast.walk(one.tree) if isinstance(n, ast.Call)]
    foreign = [f for f in calls if not (isinstance(f, ast.Name) and f.id in specs)]
    prose = [n for n in one.tree.body if isinstance(n, ast.Expr) and not _is_text(n.value)]
    annotations = [n.annotation for n in ast.walk(one.tree) if isinstance(n, ast.AnnAssign)]
    skipped = {id(part) for annotation in annotations for part in ast.walk(annotation)}
    code = [n for n in ast.walk(one.tree) if not isinstance(n, DATA_NODES) and id(n) not in skipped]
    bad = [*strangers, *foreign, *prose, *code]
    return [f"{one.place}:{getattr(n, 'lineno', 0)}: {type(n).__name__} is not data" for n in bad]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def no_asserts_or_prints(one: Source) -> list[str]:
    called = [n.func for n in ast.walk(one.tree) if isinstance(n, ast.Call)]
    prints = [f for f in called if isinstance(f, ast.Name) and f.id == "print"]
    asserts = [n for n in ast.walk(one.tree) if isinstance(n, ast.Assert)]
    return [f"{one.place}:{n.lineno}: assert or print" for n in (*prints, *asserts)]


def sizes(one: Source) -> list[str]:
    lines = len(one.text.splitlines())
    found = [f"{one.place}: {lines} lines, at most {FILE_MAX}"] if lines > FILE_MAX else []
    long = [f for f in functions(one.tree) if body_lines(f) > FUNCTION_MAX]
    return found + [f"{one.place}:{f.lineno}: {f.name} has {body_lines(f)} lines" for f in long]


def positional_arguments(one: Source) -> list[str]:
    found = []
    for function in functions(one.tree):
        named = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
        count = len(named) - (named[:1] in (["self"], ["cls"]))
        if count > POSITIONAL_MAX:
            found.append(
                f"{one.place}:{function.lineno}: {function.name} takes {count} by position"
            )
    return found


def docstrings(one: Source) -> list[str]:
    public = [c for c in one.tree.body if isinstance(c, ast.ClassDef) and c.name[0] != "_"]
    nodes = [*one.tree.body, *(n for c in public for n in c.body)]
    named = [n for n in nodes if isinstance(n, Function) and n.name[0] != "_" and n.name != "setup"]
    bare = [n for n in named if not ast.get_docstring(n)]
    return [f"{one.place}:{n.lineno}: {n.name} has no docstring" for n in bare]


def names(one: Source) -> list[str]:
    parts = BANNED_NAMES.intersection(one.place.removesuffix(".py").split("/"))
    return [f"{one.place}: {part!r} says nothing about what is inside" for part in sorted(parts)]


def no_jax_work_at_import(one: Source) -> list[str]:
    """Calls into jax outside functions would start a device before the user could choose one."""
    aliases = _aliases(one.tree)
    found = []
    for node in _at_import(one.tree):
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        head, dot, rest = name.partition(".")
        if RUNS_JAX.match(aliases.get(head, head) + dot + rest):
            found.append(f"{one.place}:{node.lineno}: {name} runs at import")
    return found


def _aliases(tree: ast.AST) -> dict[str, str]:
    """Short names of a file and what they stand for: {"jnp": "jax.numpy"}."""
    pairs = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            pairs += [(a.asname or a.name, f"{node.module}.{a.name}") for a in node.names]
        elif isinstance(node, ast.Import):
            pairs += [(a.asname, a.name) for a in node.names if a.asname]
    return dict(pairs)


def _at_import(node: ast.AST) -> Iterator[ast.expr]:
    """Expressions that are evaluated when the module is: not the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        if isinstance(child, Function):
            defaults = [*child.args.defaults, *filter(None, child.args.kw_defaults)]
            for part in (*child.decorator_list, *defaults):
                yield part
                yield from _at_import(part)
        elif not isinstance(child, ast.Lambda):
            yield from _at_import(child)


# Rules for all files together


def cycles(sources: list[Source]) -> list[str]:
    known = {one.module for one in sources}
    nodes = {one.module: list(ast.walk(one.tree)) for one in sources}
    edges = {m: {i for n in nodes[m] for i in imported(n, known)} & known - {m} for m in known}
    while free := {m for m, targets in edges.items() if not targets & edges.keys()}:
        edges = {m: targets for m, targets in edges.items() if m not in free}
    return [f"{sorted(edges)} import each other"] if edges else []


def medians(sources: list[Source]) -> list[str]:
    files = statistics.median(len(one.text.splitlines()) for one in sources)
    counts = [body_lines(f) for one in sources for f in functions(one.tree)]
    bodies = statistics.median(counts or [0])
    found = [f"median file has {files} lines, at most {FILE_MEDIAN}"] if files > FILE_MEDIAN else []
    return found + ([f"median function has {bodies} lines"] if bodies > FUNCTION_MEDIAN else [])


def marked_commands(readme: str) -> list[str]:
    """Names of the marked commands; CI runs the bash block that directly follows each marker."""
    return re.findall(r"^<!-- command: (\S+) -->\n```bash\n(?!```)(?:[^\n]*\n)+?```$", readme, re.M)


RULES: list[Callable[[Source], list[str]]] = [
    layers, third_parties, converters_stay_outside, presets_are_data, no_asserts_or_prints, sizes,
    positional_arguments, docstrings, names, no_jax_work_at_import,
]  # fmt: skip
