"""Holds `architecture_rules.py` against the library, and against small files that break it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests import architecture_rules as rules
from tests.architecture_rules import FILE_MAX, LIBRARY, ROOT, RULES, SOURCES, Source, source
from tests.tiers import mostly_slow

TESTS = [
    source(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
    for path in sorted((ROOT / "tests").rglob("test_*.py"))
]
# Parity, hostile files, lanes, exact repetition and rendering, notebooks and the README's Python.
PROMISES = (
    "weights_convert/test_parity", "weights_convert/test_reader_tricks", "cli/test_cli",
    "inversion/test_independence", "runs/test_runs", "test_notebooks",
)  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_library_keeps(rule: Callable[[Source], list[str]]) -> None:
    assert [complaint for one in SOURCES for complaint in rule(one)] == []


def test_no_cycles() -> None:
    assert rules.cycles(SOURCES) == []


@pytest.mark.parametrize("package", LIBRARY)
def test_medians(package: str) -> None:
    assert rules.medians([one for one in SOURCES if one.place.startswith(package)]) == []


def test_test_files_are_small_too() -> None:
    files = (ROOT / "tests").rglob("*.py")
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in files}
    assert {name: lines for name, lines in lengths.items() if lines > FILE_MAX} == {}


@pytest.mark.parametrize("package", ["jaxinv", "jaxinv.cli.main"])
def test_import_starts_nothing(package: str) -> None:
    code = f"import sys, {package}; print({{'jax', 'flax', 'dlib'}} & set(sys.modules))"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")


def test_readme_has_the_two_commands_of_ci() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert rules.marked_commands(readme) == ["first-light", "tests"]
    assert readme.count("<!-- command:") == 2


def test_what_is_checked_strictly_exists() -> None:
    assert rules.strict_paths((ROOT / "pyproject.toml").read_text("utf-8")) == []


def test_every_room_keeps_fast_tests() -> None:
    assert rules.rooms_without_fast_tests(TESTS) == []


@pytest.mark.parametrize("place", PROMISES)
def test_what_the_readme_promises_has_fast_tests(place: str) -> None:
    (one,) = [one for one in TESTS if one.place == f"tests/{place}.py"]
    assert rules.has_fast_tests(one)


# What each rule catches, and its nearest neighbour that is allowed.

LONG = "def f():\n" + "    x = 1\n" * 81
SPEC = "from jaxinv.specs import Term\n"
JNP = "import jax.numpy as jnp\n"
BROKEN = [
    (rules.layers, "jaxinv/losses/terms.py", "from jaxinv.inversion.invert import invert"),
    (rules.layers, "jaxinv/losses/terms.py", "from jaxinv import inversion"),
    (rules.layers, "jaxinv/losses/terms.py", "import jaxinv.cli.main"),
    (rules.layers, "jaxinv/models/zoo.py", "def f():\n    from jaxinv.latents import spaces"),
    (rules.layers, "jaxinv/runs/runner.py", "from jaxinv import invert"),
    (rules.layers, "jaxinv/nn/conv.py", "from jaxinv.solvers.base import Solver"),
    (rules.layers, "jaxinv/nn/conv.py", "from .linear import Linear"),
    (rules.layers, "jaxinv/misc.py", ""),
    (rules.layers, "jaxinv/metrics/a.py", "from jaxinv.inversion import objective"),
    (rules.layers, "jaxinv/specs/stages.py", "from jaxinv.presets import PRESETS"),
    (rules.third_parties, "jaxinv/losses/terms.py", "import flax.linen as nn"),
    (rules.third_parties, "jaxinv/metrics/identity.py", "from PIL import Image"),
    (rules.third_parties, "jaxinv/io/images.py", "def f():\n    import safetensors.numpy"),
    (rules.third_parties, "weights_convert/download/pull.py", "import safetensors"),
    (rules.third_parties, "jaxinv/metrics/identity.py", "import dlib"),
    (rules.third_parties, "weights_convert/readers/pickles.py", "import pickle"),
    (rules.third_parties, "jaxinv/nn/conv.py", "import torch"),
    (rules.converters_stay_outside, "jaxinv/cli/weights.py", "import weights_convert"),
    (
        rules.converters_stay_outside,
        "jaxinv/runs/job.py",
        "def f():\n    import weights_convert.pull",
    ),
    (rules.presets_are_data, "jaxinv/presets/a.py", "from jaxinv.models.zoo import ZOO"),
    (rules.presets_are_data, "jaxinv/presets/a.py", "import math"),
    (rules.presets_are_data, "jaxinv/presets/a.py", "def f():\n    pass"),
    (rules.presets_are_data, "jaxinv/presets/a.py", "for x in (1, 2):\n    pass"),
    (rules.presets_are_data, "jaxinv/presets/a.py", "while 1:\n    pass"),
    (rules.presets_are_data, "jaxinv/presets/a.py", "if 1:\n    pass"),
    (rules.presets_are_data, "jaxinv/presets/a.py", "F = lambda: 1"),
    (rules.presets_are_data, "jaxinv/presets/a.py", "X = tuple(1 for _ in ())"),
    (rules.presets_are_data, "jaxinv/presets/a.py", "X = [i for i in ()]"),
    (rules.presets_are_data, "jaxinv/presets/a.py", "X = 1 if 2 else 3"),
    (rules.presets_are_data, "jaxinv/presets/a.py", "X = open('f')"),
    (rules.presets_are_data, "jaxinv/presets/a.py", SPEC + "Term('mse')"),
    (rules.no_asserts_or_prints, "jaxinv/runs/a.py", "def f(x):\n    assert x"),
    (rules.no_asserts_or_prints, "jaxinv/runs/a.py", "print('hello')"),
    (rules.sizes, "jaxinv/runs/a.py", "x = 1\n" * 401),
    (rules.sizes, "jaxinv/runs/a.py", LONG),
    (rules.positional_arguments, "jaxinv/runs/a.py", "def f(a, b, c, d, e, g): ..."),
    (rules.positional_arguments, "jaxinv/runs/a.py", "def f(a, b, c, /, d, e, g=1): ..."),
    (rules.docstrings, "jaxinv/runs/a.py", "def f(): ..."),
    (rules.docstrings, "jaxinv/runs/a.py", "class A:\n    def f(self): ..."),
    (rules.names, "jaxinv/io/utils.py", ""),
    (rules.names, "jaxinv/_src/apps.py", ""),
    (rules.names, "jaxinv/contrib/__init__.py", ""),
    (rules.no_jax_work_at_import, "jaxinv/models/a.py", JNP + "X = jnp.zeros(3)"),
    (rules.no_jax_work_at_import, "jaxinv/models/a.py", JNP + "class A:\n    x = 1 + jnp.zeros(3)"),
    (rules.no_jax_work_at_import, "jaxinv/models/a.py", JNP + "def f(x=jnp.zeros(3)): ..."),
    (rules.no_jax_work_at_import, "jaxinv/models/a.py", "import jax\nK = jax.random.key(0)"),
    (
        rules.no_jax_work_at_import,
        "jaxinv/models/a.py",
        "from jax.numpy import ones as o\nX = o(1)",
    ),
    (rules.no_jax_work_at_import, "jaxinv/models/a.py", "import jax\nD = jax.devices()[0]"),
]
ALLOWED = [
    (
        rules.layers,
        "jaxinv/inversion/invert.py",
        "from jaxinv.latents import spaces\nimport jaxinv.types",
    ),
    (rules.layers, "jaxinv/nn/conv.py", "from jaxinv.nn.linear import Linear\nimport math"),
    (rules.layers, "jaxinv/__init__.py", "from jaxinv.cli.main import main"),
    (rules.layers, "jaxinv/runs/job.py", "from jaxinv import __version__"),
    (rules.layers, "weights_convert/download/pull.py", "from jaxinv.models import zoo"),
    (rules.third_parties, "jaxinv/nn/conv.py", "import flax.linen as nn\nimport jax"),
    (rules.third_parties, "weights_convert/readers/pickles.py", "import pickletools"),
    (
        rules.converters_stay_outside,
        "jaxinv/cli/weights.py",
        "def f():\n    import weights_convert",
    ),
    (rules.converters_stay_outside, "weights_convert/a.py", "import weights_convert.errors"),
    (
        rules.presets_are_data,
        "jaxinv/presets/a.py",
        SPEC + "X: dict[str, Term] = {'a': Term('l1')}",
    ),
    (
        rules.presets_are_data,
        "jaxinv/presets/a.py",
        SPEC + "'Text.'\nX = (*Y, Term('l1', -2 / 255))",
    ),
    (rules.presets_are_data, "jaxinv/presets/__init__.py", "from jaxinv.presets.a import X"),
    (rules.no_asserts_or_prints, "jaxinv/runs/a.py", "def f(x):\n    x.print()"),
    (
        rules.sizes,
        "jaxinv/runs/a.py",
        'def f():\n    """' + "T.\n" * 90 + '"""\n' + "    x = 1\n" * 80,
    ),
    (rules.sizes, "jaxinv/runs/a.py", "x = 1\n" * 400),
    (rules.positional_arguments, "jaxinv/runs/a.py", "def f(self, a, b, c, d, e, *, g): ..."),
    (rules.positional_arguments, "jaxinv/runs/a.py", "class A(NamedTuple):\n" + "    a: int\n" * 9),
    (rules.docstrings, "jaxinv/runs/a.py", "def _f(): ...\nclass _A:\n    def f(self): ..."),
    (rules.names, "jaxinv/nn/conv.py", ""),
    (rules.no_jax_work_at_import, "jaxinv/models/a.py", JNP + "def f():\n    return jnp.zeros(3)"),
    (
        rules.no_jax_work_at_import,
        "jaxinv/models/a.py",
        JNP + "T = jnp.float32\nF = lambda: jnp.ones(1)",
    ),
    (rules.no_jax_work_at_import, "jaxinv/models/a.py", "import jax\n@jax.jit\ndef f(): ..."),
]


@pytest.mark.parametrize(("rule", "place", "text"), BROKEN)
def test_rules_catch(rule: Callable[[Source], list[str]], place: str, text: str) -> None:
    assert len(rule(source(place, text))) >= 1


@pytest.mark.parametrize(("rule", "place", "text"), ALLOWED)
def test_rules_allow(rule: Callable[[Source], list[str]], place: str, text: str) -> None:
    assert rule(source(place, text)) == []


def test_every_rule_is_shown_to_catch_something() -> None:
    assert {rule for rule, _, _ in BROKEN} == set(RULES) == {rule for rule, _, _ in ALLOWED}


def test_cycles_are_caught() -> None:
    a = source("jaxinv/nn/a.py", "from jaxinv.nn import b")
    b = source("jaxinv/nn/b.py", "def f():\n    import jaxinv.nn.c")
    c = source("jaxinv/nn/c.py", "from jaxinv.nn.a import x")
    assert rules.cycles([a, b]) == []
    assert rules.cycles([a, b, c]) == [
        "['jaxinv.nn.a', 'jaxinv.nn.b', 'jaxinv.nn.c'] import each other"
    ]


def test_medians_are_caught() -> None:
    short = source("jaxinv/a.py", "def f():\n" + "    x = 1\n" * 10)
    long = source("jaxinv/b.py", "x = 1\n" * 200 + "def f():\n" + "    x = 1\n" * 20)
    assert rules.medians([short, short, long]) == []
    assert len(rules.medians([short, long, long])) == 2


@pytest.mark.parametrize(
    ("readme", "found"),
    [
        ("<!-- command: a -->\n```bash\nx && \\\ny\n```\n", ["a"]),
        ("<!-- command: a -->\n\n```bash\nx\n```\n", []),
        ("<!-- command: a -->\n```\nx\n```\n", []),
        ("<!-- command: a -->\n```bash\n```\n", []),
        ("text <!-- command: a -->\n```bash\nx\n```\n", []),
    ],
)
def test_marked_commands(readme: str, found: list[str]) -> None:
    assert rules.marked_commands(readme) == found


def test_converters_start_without_jax() -> None:
    """Reading a file needs no more than numpy and safetensors, until a format needs it."""
    code = "import sys, weights_convert; print({m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = {name for name in ast.literal_eval(done.stdout) if not name.startswith("_")}
    foreign = loaded - set(sys.stdlib_module_names) - {"cython_runtime"}
    assert foreign == {"jaxinv", "numpy", "safetensors", "weights_convert"}


SLOW, FAST = "@pytest.mark.slow\ndef test_a(): ...\n", "def test_b(): ...\n"


@pytest.mark.parametrize(
    "slow", [SLOW, "pytestmark = [pytest.mark.slow]\n" + FAST, "def help(): ..."]
)
def test_rooms_of_slow_tests_are_caught(slow: str) -> None:
    own, other = source("tests/nn/test_a.py", slow), source("tests/io/test_a.py", FAST)
    assert rules.rooms_without_fast_tests([own, other]) == ["tests/nn: every test is slow"]
    assert not rules.rooms_without_fast_tests([own, source("tests/nn/test_b.py", FAST), other])
    assert not rules.rooms_without_fast_tests([source("tests/nn/test_a.py", SLOW + FAST)])


def test_families_keep_fast_cases() -> None:
    marks = [getattr(one, "marks", ()) for one in mostly_slow("abc", "b")]
    assert [bool(some) for some in marks] == [True, False, True]
    for fast in ("", "d"):
        with pytest.raises(ValueError, match="allowed: one or more of"):
            mostly_slow("abc", fast)


def test_strict_paths_that_are_gone_are_caught() -> None:
    listed = '[tool.pyright]\nstrict = ["jaxinv/types.py", "jaxinv/gone.py", "jaxinv/solvers"]'
    assert rules.strict_paths(listed) == ["jaxinv/gone.py"]
