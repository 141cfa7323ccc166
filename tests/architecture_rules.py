"""The plan of the house as rules over syntax trees; nothing here imports the library.

A rule maps one `Source` (or all of them) to a list of complaints, so that `test_architecture.py`
can hold it against the library and against small files that break it.
"""

from __future__ import annotations

import ast
import re
import statistics
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
LIBRARY = ("jaxinv", "weights_convert")

# A room imports from the layers above its own in this list, and from what stands left of it.
LAYERS = (
    ("types",),
    ("specs",),
    ("presets", "io", "nn", "solvers"),
    ("models", "operators", "reports"),
    ("latents", "losses"),
    (
        *("metrics", "training", "encoders", "edits", "inversion", "applications"),
        "sessions",
    ),
    ("studies", "runs"),
    ("studio", "cli"),
)
ROOMS = [room for layer in LAYERS for room in layer]
FRONT = ("", "__main__")  # jaxinv itself: may import whatever is behind it
ONLY_IN = {
    "flax": {"nn", "models", "encoders"}, "PIL": {"io"}, "safetensors": {"io.checkpoints"},
    "dlib": {"io"}, "evosax": {"solvers"}, "blackjax": {"solvers"},
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
    if not one.place.startswith("jaxinv/") or one.room in FRONT:
        return []
    if one.room not in ROOMS:
        return [f"{one.place}: {one.room!r} has no layer; allowed: {', '.join(ROOMS)}"]
    below = ROOMS[: ROOMS.index(one.room) + 1]
    found = [
        f"{one.place}:{line}: {one.room} may not import {name}"
        for line, name in imports(one)
        if name.split(".")[0] == "jaxinv" and name != "jaxinv.__version__"
        if [*name.split("."), ""][1] not in below
    ]
    relative = [line for line, name in imports(one) if name.startswith(".")]
    return found + [f"{one.place}:{line}: relative import" for line in relative]


def third_parties(one: Source) -> list[str]:
    found = []
    for line, name in imports(one):
        package = name.split(".")[0]
        allowed = ONLY_IN.get(package, set() if package in NOWHERE else None)
        here = one.module.removeprefix("jaxinv.") + "."
        if allowed is not None and not any(here.startswith(f"{room}.") for room in allowed):
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


def strict_paths(pyproject: str) -> list[str]:
    """What pyright is told to check strictly and is not there."""
    listed = tomllib.loads(pyproject)["tool"]["pyright"]["strict"]
    return [place for place in listed if not (ROOT / place).exists()]


def rooms_without_fast_tests(tests: list[Source]) -> list[str]:
    """Folders of tests, and `tests` itself, in which every test is marked slow."""
    rooms = {one.place.rpartition("/")[0] for one in tests}
    kept = {one.place.rpartition("/")[0] for one in tests if has_fast_tests(one)}
    return [f"{room}: every test is slow" for room in sorted(rooms - kept)]


def has_fast_tests(one: Source) -> bool:
    """Whether a file of tests has one that neither it nor its file marks as slow.

    Single cases are marked by `tests.tiers.mostly_slow`, which keeps a fast one of each family.
    """
    marks = [n for n in one.tree.body if isinstance(n, ast.Assign) and _sets(n, "pytestmark")]
    found = [f for f in functions(one.tree) if f.name.startswith("test_")]
    fast = [f for f in found if not any(map(_says_slow, f.decorator_list))]
    return bool(fast) and not any(map(_says_slow, marks))


def _sets(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)


def _says_slow(node: ast.AST) -> bool:
    parts = (n for n in ast.walk(node) if isinstance(n, ast.Attribute))
    return any(ast.unparse(part) == "pytest.mark.slow" for part in parts)


RULES: list[Callable[[Source], list[str]]] = [
    layers, third_parties, converters_stay_outside, presets_are_data, no_asserts_or_prints, sizes,
    positional_arguments, docstrings, names, no_jax_work_at_import,
]  # fmt: skip
