"""A desk and a page of the studio, for all its tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from jaxinv.studio.desk import Desk
from tests.studio.desks import HEADERS, ORIGIN, app, make_desk


@pytest.fixture
def desk(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    found = make_desk(tmp_path, tmp_path_factory.getbasetemp(), monkeypatch)
    yield found
    found.close()


@pytest.fixture
def page(desk: Desk) -> Iterator[TestClient]:
    with TestClient(app(desk), base_url=ORIGIN, headers=HEADERS) as found:
        yield found
