"""Faces are looked for by one thread at a time: dlib's detector would crash the process."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from jaxinv.io import face_detection


def test_threads_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most, go_on = [0], [0], threading.Event()

    def detector(image: np.ndarray, enlarge: int) -> list[Any]:
        del image, enlarge
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        go_on.wait(0.05)  # whoever else may come in does so now
        inside[0] -= 1
        return []

    monkeypatch.setattr(face_detection, "face_finder", lambda: (None, detector, None))
    monkeypatch.setattr(face_detection, "face_networks", lambda: (detector, None, None))
    image = np.zeros((8, 8, 3), np.uint8)
    looks = (face_detection.landmarks_from_dlib, face_detection.descriptor)
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda number: looks[number % 2](image), range(12)))
    assert found == [[], None] * 6
    assert most[0] == 1
