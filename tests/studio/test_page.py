"""The page in a real browser: drop, slide, drag, paint, undo, save, by pointer and by keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.io.images import encode_png
from jaxinv.studio.desk import Desk
from jaxinv.studio.serving import Server
from jaxinv.studio.work import MOST_STEPS, Work
from tests.browser import IN_BROWSER, opened
from tests.studio import desks
from tests.studio.desks import idle, photo, wait_for, wait_ready

pytestmark = IN_BROWSER


@pytest.fixture
def served(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    desk = desks.make_desk(tmp_path, tmp_path_factory.getbasetemp(), monkeypatch)
    server = Server(desk, 0).start()
    yield server
    server.close()
    wait_for(lambda: server.socket.fileno() == -1, "the server does not end")


@pytest.fixture
def page(served: Server) -> Iterator[Any]:
    with opened(served.url) as found:
        yield found


def open_photo(page: Any, desk: Desk, name: str = "me.png", seed: int = 0) -> Work:
    """Drop a photo on the page, as a person would, and wait until it has been found."""
    before = set(desk.works)
    data = page.evaluate_handle(
        """([bytes, name]) => {
          const files = new DataTransfer();
          files.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
          return files;
        }""",
        [list(photo(seed)), name],
    )
    page.dispatch_event("#frame", "drop", {"dataTransfer": data})
    wait_for(lambda: set(desk.works) - before, "the photo does not arrive")
    work = desk.works[(set(desk.works) - before).pop()]
    wait_ready(work)
    page.wait_for_selector(f"#works button[data-work='{work.name}'][aria-current=true]")
    page.wait_for_selector("#help[data-phase=ready]")
    return work


def pull(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Press at a share of the picture and pull to another."""
    box = page.locator("#overlay").bounding_box()
    page.mouse.move(box["x"] + start[0] * box["width"], box["y"] + start[1] * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"], steps=6)
    page.mouse.up()


def history(page: Any) -> list[str]:
    return page.locator("#history li").all_inner_texts()


def wait_history(page: Any, count: int) -> list[str]:
    wait_for(lambda: len(history(page)) == count, f"{count} operations")
    return history(page)


def test_a_photo_is_dropped_edited_and_saved(
    page: Any, served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MOST_STEPS, "paint", 10**6)  # it goes on until Enough is pressed
    work = open_photo(page, served.desk)
    assert page.locator("#works button").inner_text().splitlines() == ["me.png", "ready"]
    slider = page.get_by_label("age")
    slider.focus()
    page.keyboard.press("ArrowRight")  # 0.05 further
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    wait_for(lambda: work.state()["amounts"] == {"age": 0.1}, f"{work.state()}")
    page.get_by_label("Drag").check()
    pull(page, (0.3, 0.3), (0.5, 0.4))
    page.get_by_role("button", name="Drag", exact=True).click()
    wait_for(lambda: any(line.startswith("drag") for line in work.state()["operations"]), "drag")
    session = work.session
    assert session is not None
    operation: Any = session.operations[-1]
    np.testing.assert_allclose(operation.points, [[9.1, 9.1]], atol=0.5)
    np.testing.assert_allclose(operation.targets, [[15.5, 12.3]], atol=0.5)
    assert operation.mask is None
    page.get_by_label("Mask").check()
    pull(page, (0.2, 0.2), (0.6, 0.2))
    page.get_by_label("Paint").check()
    pull(page, (0.7, 0.7), (0.8, 0.7))
    page.get_by_role("button", name="Find").click()
    page.wait_for_selector("#stop:visible")
    wait_for(lambda: work.note.startswith("step"), "it never began")
    page.get_by_role("button", name="Enough").click()
    wait_for(lambda: work.state()["operations"][-1].startswith("paint"), "paint")
    count = len(work.state()["operations"])
    wait_history(page, count)
    painted: Any = session.operations[-1]
    assert 0.001 < painted.mask.mean() < 0.1
    inside = painted.colours[painted.mask > 0]
    assert np.abs(inside.astype(int) - (0xB0, 0x30, 0x30)).max() < 16
    page.keyboard.press("Control+z")
    wait_history(page, count - 1)
    page.get_by_role("button", name="Redo").click()
    wait_history(page, count)
    with page.expect_download() as found:
        page.get_by_role("link", name="picture, full size").click()
    assert Path(found.value.path()).read_bytes() == encode_png(session.picture())
    with page.expect_download() as found:
        page.get_by_role("link", name="recipe").click()
    assert found.value.suggested_filename == "me-recipe.json"
    recipe = json.loads(Path(found.value.path()).read_text("utf-8"))
    assert [one["do"] for one in recipe["operations"]][-2:] == ["drag", "paint"]


def test_keys_alone_are_enough(page: Any, served: Server) -> None:
    work = open_photo(page, served.desk)
    page.get_by_label("Drag").focus()
    page.keyboard.press("Space")
    page.locator("#overlay").focus()
    for key in ("ArrowLeft", "Enter", "ArrowUp", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Drag", exact=True).focus()
    page.keyboard.press("Enter")
    wait_for(lambda: work.note.startswith("step") or work.state()["operations"], "drag")
    page.evaluate("document.getElementById('stop').click()")
    idle(work)
    operation: Any = work.session.operations[-1]  # type: ignore[union-attr]
    np.testing.assert_allclose(operation.points, [[0, 16]], atol=0.5)
    np.testing.assert_allclose(operation.targets, [[0, 0]], atol=0.5)


def test_before_and_after_are_wiped(page: Any, served: Server) -> None:
    work = open_photo(page, served.desk)
    idle(work)
    page.wait_for_selector("#picture[data-size='32']")
    pixels = """() => {
      const pen = document.getElementById("picture").getContext("2d");
      return [...pen.getImageData(200, 500, 1, 1).data.slice(0, 3)];
    }"""
    after = page.evaluate(pixels)
    page.get_by_label("Before and after").fill("90")
    before = page.evaluate(pixels)
    assert work.photo is not None
    assert work.session is not None
    x, y = 200 * 32 // 1024, 500 * 32 // 1024
    wanted = ((work.photo.pixels[y, x] + 1) * 127.5, work.session.picture()[y, x])
    assert np.abs(np.subtract(before, wanted[0])).max() < 60  # JPEG, and smooth enlargement
    assert np.abs(np.subtract(after, wanted[1])).max() < 60
    assert before != after


def test_a_page_that_is_loaded_again_and_a_second_one_see_everything(
    page: Any, served: Server
) -> None:
    work = open_photo(page, served.desk)
    page.get_by_label("age").fill("1")
    page.get_by_label("age").dispatch_event("change")
    wait_history(page, 1)
    page.reload()
    assert wait_history(page, 1) == ["age +1"]
    second = page.context.new_page()
    second.goto(served.url)
    assert wait_history(second, 1) == ["age +1"]
    second.get_by_role("button", name="Undo").click()
    wait_history(page, 0)
    assert work.state()["redo"] == 1


def test_two_photos_are_mixed_and_wrong_files_are_told(page: Any, served: Server) -> None:
    open_photo(page, served.desk, "first.png")
    open_photo(page, served.desk, "second.png", 1)
    page.get_by_role("button", name="Mix").click()
    assert wait_history(page, 1) == ["mix with first.png"]
    page.locator("#file").set_input_files(
        [{"name": "text.png", "mimeType": "image/png", "buffer": b"no picture"}]
    )
    page.get_by_text("not an image in a known format").wait_for()
