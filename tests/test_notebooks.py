"""What a newcomer runs: every notebook, and the Python of the README, on small settings."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.weights import need

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LPIPS = ("lpips",)
NEEDS = {
    "00": ("ffhq", "lpips", "landmarks"),
    **dict.fromkeys(("03", "06", "07", "10"), LPIPS),
}
LONG = ("08", "09", "10")  # the others hold what the README promises
RUN = [pytest.param(path, marks=[pytest.mark.slow] * (path.name[:2] in LONG)) for path in NOTEBOOKS]
# Jupyter's own threads warn as they like; the cells may not.
STRICT = "import warnings\nwarnings.simplefilter('error')"


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the photographs, so that nothing is written into the repository."""
    monkeypatch.setenv("FAST", "1")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    shutil.copytree(ROOT / "notebooks" / "photos", tmp_path / "notebooks" / "photos")
    return tmp_path


def test_there_is_a_notebook() -> None:
    numbers = [path.name[:3] for path in NOTEBOOKS]
    assert numbers[0] == "00_"
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_valid_and_hold_no_outputs(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in cells] == [[]] * len(cells)
    assert {cell.execution_count for cell in cells} == {None}
    assert f"/notebooks/{path.name})" in notebook.cells[0].source  # the badge opens this very file


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_notebooks_run_from_top_to_bottom(path: Path, workplace: Path) -> None:
    need(*NEEDS.get(path.name[:2], ()))
    notebook = read(path)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(STRICT))
    folder = str(workplace / "notebooks")
    NotebookClient(notebook, timeout=None, resources={"metadata": {"path": folder}}).execute()
    outputs = [output for cell in notebook.cells[1:] for output in cell.get("outputs", ())]
    said = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "same pixels: True" in said
    assert "stderr" not in {output.get("name") for output in outputs}
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2


def test_the_python_of_the_readme_runs(workplace: Path) -> None:
    need("ffhq", "lpips", "landmarks")
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    small = re.sub(r"size=\d+", "size=64", code).replace(
        ', preset="quick"', ', preset="quick", steps=2'
    )
    assert small.count("steps=2") == 1
    command = [sys.executable, "-W", "error", "-c", small]
    done = subprocess.run(command, cwd=workplace, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (picture,) = workplace.glob("pictures/*.png")
    assert picture.stat().st_size > 10_000
