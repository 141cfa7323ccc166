"""What is said while people wait: the time left is right although the first step compiles."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

from jaxinv.inversion.result import Progress
from jaxinv.io.progress import TimeLeft, track
from jaxinv.runs.progress import Display

COMPILE, STEP = 60.0, 2.0  # seconds


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def seconds(text: str) -> float | None:
    found = re.search(r"(\d+) s left", text)
    return float(found[1]) if found else None


def test_nothing_is_said_before_there_is_a_pace(clock: Clock) -> None:
    left = TimeLeft()
    assert left(1, 10) == ""
    clock.now += STEP
    assert left(1, 10) == ""
    assert left(2, 10) == "16 s left"
    assert left(10, 10) == ""


@pytest.mark.parametrize("each", [1, 4])
def test_what_is_measured_says_the_time_left(clock: Clock, each: int) -> None:
    said: list[tuple[float, str]] = []

    def items() -> Iterator[int]:
        clock.now += COMPILE
        for number in range(24 // each):
            clock.now += each * STEP
            yield number

    def tell(text: str) -> None:
        said.append((clock.now, text))

    for _ in track(items(), 24, "measuring", tell, each=each):
        pass
    assert said[-1] == (clock.now, "measuring: 24 of 24")
    told = [(at, seconds(text)) for at, text in said if seconds(text) is not None]
    assert len(told) >= 2
    for at, left in told:
        assert left == pytest.approx(clock.now - at + each * STEP, abs=1.5 * each * STEP)


@pytest.mark.parametrize("images", [1, 3])
def test_a_run_says_the_time_left(
    clock: Clock, images: int, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[tuple[float, float]] = []
    with Display(images, 100) as display:
        clock.now += COMPILE
        for image in range(images):
            for step in range(10, 101, 10):
                clock.now += 10 * STEP
                losses = np.full(1, 0.5)
                display.step(Progress(1, 1, step, 100, losses, finished=0, images=1))
                left = seconds(capsys.readouterr().err)
                if left is not None:
                    told.append((clock.now, left))
            display.done()
            assert display.finished == image + 1
    assert len(told) >= 8 * images
    for at, left in told:
        assert clock.now - at == pytest.approx(left, abs=STEP)
