"""Training data by number: folders, zips and tars, labels, files that are broken."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.io.files import BadFile
from jaxinv.io.images import encode_png
from jaxinv.io.picture_sets import open_set, read_labels
from jaxinv.training.data import Pictures, Synthetic, batches, flip, random_crop, split

NAMES = [f"{i // 4}/{i}.png" for i in range(9)]
SIZE = (18, 30)


def files() -> dict[str, bytes]:
    """Pictures of one colour each, by name, broken ones, labels, and what is no picture."""
    found = {n: encode_png(np.full((*SIZE, 3), 20 * i, np.uint8)) for i, n in enumerate(NAMES)}
    labels = [[name, i % 3] for i, name in enumerate(NAMES)]
    rows = [{"file": name, "hair": "ab"[i % 2], "age": i} for i, name in enumerate(NAMES)]
    return {
        **found,
        "dataset.json": json.dumps({"labels": labels}).encode(),
        "attributes.jsonl": "\n".join(map(json.dumps, rows)).encode(),
        "notes.txt": b"no picture",
    }


def write(kind: str, folder: Path, contents: dict[str, bytes]) -> Path:
    place = folder / f"set.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(place, "w") as archive:
            for name, data in contents.items():
                archive.writestr(name, data)
    elif kind == "tar":
        with tarfile.open(place, "w") as archive:
            for name, data in contents.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    else:
        for name, data in contents.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
    return place


KINDS = ("zip", "tar", "folder")


def levels(batch: dict[str, Any]) -> list[int]:
    return [int(image.mean()) // 20 for image in batch["image"]]


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_and_labels_of_every_kind_of_set(kind: str, tmp_path: Path) -> None:
    found = open_set(write(kind, tmp_path, files()))
    assert found.names == tuple(NAMES)
    source = Pictures(found, 8, labels=read_labels(found))
    assert len(source) == 9
    for number in (8, 0, 3):
        item = source[number]
        assert item["image"].shape == (8, 8, 3)
        assert item["image"].dtype == np.uint8
        np.testing.assert_array_equal(item["image"], 20 * number)
        np.testing.assert_array_equal(item["label"], np.eye(3)[number % 3])
    assert read_labels(found, "hair").argmax(1).tolist() == [0, 1] * 4 + [0]
    with pytest.raises(ValueError, match="unknown attribute 'eyes'; allowed: age, hair"):
        read_labels(found, "eyes")


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_cannot_be_read_are_left_out_and_listed(kind: str, tmp_path: Path) -> None:
    contents = files()
    contents |= {NAMES[2]: contents[NAMES[2]][:40], NAMES[3]: b"", NAMES[8]: b"no picture"}
    source = Pictures(open_set(write(kind, tmp_path, contents)), 8)
    seen = [int(source[i]["image"].mean()) // 20 for i in range(9)]
    assert seen == [0, 1, 4, 4, 4, 5, 6, 7, 0]
    assert set(source.problems) == {NAMES[2], NAMES[3], NAMES[8]}
    assert all(source.problems.values())


def test_a_damaged_member_of_a_zip_is_one_bad_file(tmp_path: Path) -> None:
    place = write("zip", tmp_path, files())
    data = bytearray(place.read_bytes())
    start = data.find(b"IDAT")
    data[start + 8] ^= 255
    place.write_bytes(bytes(data))
    source = Pictures(open_set(place), 8)
    assert [int(source[i]["image"].mean()) // 20 for i in range(9)] == [1, *range(1, 9)]
    assert list(source.problems) == [NAMES[0]]


def test_sets_without_a_usable_picture_say_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no pictures"):
        open_set(write("zip", tmp_path, {"a.txt": b"x"}))
    with pytest.raises(ValueError, match=r"no picture of .* can be used"):
        Pictures(open_set(write("folder", tmp_path, {"a.png": b"x", "b.png": b""})), 8)[0]
    with pytest.raises(ValueError, match="no such file or folder"):
        open_set(tmp_path / "absent")
    squeezed = tmp_path / "set.tar.gz"
    with tarfile.open(squeezed, "w:gz"):
        pass
    with pytest.raises(ValueError, match="allowed: a folder, a zip or a plain tar"):
        open_set(squeezed)


@pytest.mark.parametrize(
    ("labels", "wrong"),
    [
        (b"{", "no labels in dataset.json"),
        (b'{"labels": null}', "no labels in dataset.json"),
        (b'{"labels": [["0/0.png", 1]]}', "8 pictures have no label"),
    ],
)
def test_labels_that_are_wrong(labels: bytes, wrong: str, tmp_path: Path) -> None:
    found = open_set(write("zip", tmp_path, {**files(), "dataset.json": labels}))
    with pytest.raises(ValueError, match=wrong):
        read_labels(found)


def test_labels_that_are_vectors(tmp_path: Path) -> None:
    labels = {"labels": [[name, [i, 0.5]] for i, name in enumerate(NAMES)]}
    contents = {**files(), "dataset.json": json.dumps(labels).encode()}
    found = read_labels(open_set(write("zip", tmp_path, contents)))
    np.testing.assert_array_equal(found, [[i, 0.5] for i in range(9)])


def test_a_batch_is_a_function_of_seed_and_number(tmp_path: Path) -> None:
    place = write("zip", tmp_path, files())
    sources = [Pictures(open_set(place), 12, crop="random") for _ in (0, 1)]
    a, b = (batches(one, 4, seed=7, changes=(random_crop, flip)) for one in sources)
    later = [b[i] for i in (9, 4, 0)]
    for batch, number in zip(later, (9, 4, 0), strict=True):
        np.testing.assert_array_equal(a[number]["image"], batch["image"])
        assert batch["image"].shape == (4, 12, 12, 3)
    epochs = [level for i in range(9) for level in levels(a[i])]
    orders = [epochs[i : i + 9] for i in range(0, 36, 9)]
    assert all(sorted(order) == list(range(9)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    other = batches(sources[0], 4, seed=8, changes=(random_crop,))
    assert any(levels(other[i]) != levels(a[i]) for i in range(3))


def test_flips_and_crops() -> None:
    image = np.arange(6 * 10 * 3, dtype=np.uint8).reshape(6, 10, 3)
    draws = np.random.default_rng(0)
    flips = [flip({"image": image}, draws)["image"] for _ in range(40)]
    mirrored = sum(bool((one == image[:, ::-1]).all()) for one in flips)
    assert 10 < mirrored < 30
    cuts = {random_crop({"image": image}, draws)["image"][0, 0, 0] // 3 for _ in range(99)}
    assert cuts == {0, 1, 2, 3, 4}


def test_a_random_crop_keeps_the_shape_of_a_picture(tmp_path: Path) -> None:
    found = open_set(write("folder", tmp_path, files()))
    assert Pictures(found, 6, crop="random")[0]["image"].shape == (6, 10, 3)
    with pytest.raises(ValueError, match="unknown crop 'left'"):
        Pictures(found, 6, crop="left")


def test_synthetic_keys() -> None:
    source = Synthetic(3)
    keys = {tuple(source[i]["key"]) for i in range(50)}
    assert len(keys) == 50
    np.testing.assert_array_equal(source[5]["key"], Synthetic(3)[5]["key"])
    assert tuple(Synthetic(4)[5]["key"]) not in keys


@pytest.mark.parametrize("count", [1, 2, 25, 1000])
def test_a_part_is_held_out(count: int) -> None:
    seen, held = split(count)
    assert sorted(seen + held) == list(range(count))
    assert len(held) == (0 if count == 1 else max(round(0.04 * count), 1))


def test_what_lies_outside_an_archive_is_bad(tmp_path: Path) -> None:
    for kind in KINDS:
        with pytest.raises(BadFile):
            open_set(write(kind, tmp_path, files())).beside("absent.json")
