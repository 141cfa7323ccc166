"""`jaxinv` in processes of its own, offline, on one core each; what runs leave, compared."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.offline import read_results

CHILD = """
import pathlib, sys, pytest
from jaxinv.cli.main import main
from tests.offline import go_offline
if __name__ == "__main__":
    go_offline(pathlib.Path(sys.argv[1]), pytest.MonkeyPatch())
    sys.exit(main(sys.argv[2:]))
"""
KEPT = ("name", "status", "reason", "loss", "evaluations", "sizes")  # of a line, however it ran


def start(base: Path, words: list[object], **variables: str) -> subprocess.Popen[str]:
    """A command that goes on, with these environment variables."""
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(base), *map(str, words)],
        env=os.environ | variables,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(child: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a command: its exit code, and what it said."""
    with child:
        said = child.communicate(timeout=600)[1]
    return child.returncode, said


def together(base: Path, words: list[object], count: int = 2) -> list[tuple[int, str]]:
    """The exit codes, and what was said, of the processes of one `jax.distributed`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [
        start(
            base,
            words,
            JAX_COORDINATOR_ADDRESS=f"127.0.0.1:{port}",
            JAXINV_WORKER_INDEX=str(index),
            JAXINV_NUM_WORKERS=str(count),
        )
        for index in range(count)
    ]
    return [end(child) for child in children]


def pictures(out: Path) -> dict[str, bytes]:
    """All latents and pictures by name."""
    found = (*(out / "latents").iterdir(), *(out / "images").iterdir())
    return {path.name: path.read_bytes() for path in found if not path.name.startswith(".")}


def same(out: Path, whole: Path) -> None:
    """The same files, byte for byte, a line each, one report, and nothing else."""
    assert pictures(out) == pictures(whole)
    ours, theirs = ({line["file"]: line for line in read_results(one)} for one in (out, whole))
    assert ours.keys() == theirs.keys()
    assert len(read_results(out)) == len(theirs)
    for file, line in ours.items():
        for key in KEPT:
            assert line[key] == theirs[file][key], (file, key)
    pages = [(one / "report.html").read_text("utf-8").count("<article") for one in (out, whole)]
    assert pages[0] == pages[1] == sum(line["status"] == "ok" for line in theirs.values())
    assert not (out / ".searches").exists()
    assert not (out / "workers").exists()
