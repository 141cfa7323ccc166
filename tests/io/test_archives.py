"""Zips, tars and lists of paths: read in place, and hostile ones cost one item each."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from jaxinv.io import archives, images
from jaxinv.io.archives import REST, clean_name, open_archive
from jaxinv.io.files import BadFile, find_images, is_there, read_bytes, sha256_file
from tests.offline import photo

PICTURES = {"0/b.png": photo(1), "0/a.png": photo(0), "c.jpg": photo(2)}
OTHERS = {"dataset.json": b"{}", "0/.hidden.png": b"x", "__MACOSX/0/a.png": b"x", "a.txt": b"x"}


def write_zip(place: Path, contents: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(place, "w") as archive:
        for name, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return place


def write_tar(place: Path, contents: dict[str, bytes]) -> Path:
    with tarfile.open(place, "w") as archive:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return place


WRITE = {"zip": write_zip, "tar": write_tar}


@pytest.mark.parametrize("kind", WRITE)
def test_pictures_of_an_archive_are_read_in_place(kind: str, tmp_path: Path) -> None:
    place = WRITE[kind](tmp_path / f"set.{kind}", {**PICTURES, **OTHERS})
    found = find_images([place])
    assert [one.relative_to(place).as_posix() for one in found] == sorted(PICTURES)
    for one in found:
        data = PICTURES[one.relative_to(place).as_posix()]
        assert read_bytes(one) == data
        assert is_there(one)
        (tmp_path / "loose.png").write_bytes(data)
        assert sha256_file(one) == sha256_file(tmp_path / "loose.png")
        ours, theirs = (images.read_photo(file) for file in (one, tmp_path / "loose.png"))
        assert (ours.pixels == theirs.pixels).all()
        assert ours.sha256 == theirs.sha256
    assert find_images([place], limit=2) == found[:2]
    with pytest.raises(BadFile, match="no such file in the archive"):
        read_bytes(place / "absent.png")
    assert not is_there(place / "absent.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loose.png", f"set.{kind}"]


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path: Path) -> None:
    inner = write_zip(tmp_path / "inner.zip", PICTURES).read_bytes()
    place = write_tar(tmp_path / "set.tar", {"a.png": photo(0), "npz/b": inner})
    assert sorted(open_archive(place).members) == ["a.png", "npz/b"]


def test_archives_in_folders_are_no_pictures(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", PICTURES)
    assert find_images([tmp_path]) == []


HOSTILE = {
    "../../evil.png": "leads out",
    "/etc/evil.png": "leads out",
    "a/../../evil.png": "leads out",
    "..\\evil.png": "leads out",
    "C:/evil.png": "leads out",
    "x" * 300 + ".png": "too long",
}


@pytest.mark.parametrize("kind", WRITE)
def test_a_hostile_name_costs_that_member(kind: str, tmp_path: Path) -> None:
    (tmp_path / "evil.png").write_bytes(b"outside")
    place = tmp_path / "in" / f"set.{kind}"
    place.parent.mkdir()
    WRITE[kind](place, {**dict.fromkeys(HOSTILE, photo(3)), **PICTURES})
    found = find_images([place])
    assert len(found) == len(HOSTILE) + len(PICTURES)
    bad = []
    for one in found:
        assert ".." not in one.parts
        assert one.is_relative_to(place)
        if one.relative_to(place).as_posix() in PICTURES:
            assert read_bytes(one).startswith(b"\x89PNG")
        else:
            with pytest.raises(BadFile, match=r"leads out of the archive|too long") as error:
                read_bytes(one)
            bad.append(str(error.value))
    assert len(bad) == len(HOSTILE)
    with pytest.raises(BadFile):
        read_bytes(place / ".." / ".." / "evil.png")


def test_clean_names_stay_below() -> None:
    for name in (*HOSTILE, "", ".", "..", "\0", "a\0b", "//", "c:", "a/./b", "../" * 50 + "x"):
        kept, reason = clean_name(name)
        assert kept
        assert not Path(kept).is_absolute()
        assert ".." not in Path(kept).parts
        assert bool(reason) == (name != "a/./b")


def test_members_of_a_zip_that_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "set.zip"
    link, locked = zipfile.ZipInfo("link.png"), zipfile.ZipInfo("locked.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good.png", photo(0))
        archive.writestr("bomb.png", bytes(archives.UNSUSPICIOUS + 1))
        archive.writestr("other.png", photo(1), zipfile.ZIP_BZIP2)
        archive.writestr("empty.png", b"")
        archive.writestr(link, "/etc/passwd")
        archive.writestr(locked, photo(1))
        archive.writestr("good2.png", photo(2))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("good2.png", photo(3))
        archive.getinfo("locked.png").flag_bits |= 1
    said = {}
    for one in find_images([place]):
        try:
            said[one.name] = read_bytes(one) and ""
        except BadFile as error:
            said[one.name] = str(error)
    assert said.pop("good.png") == ""
    assert {name: text.split()[0] for name, text in said.items()} == {
        "bomb.png": "unpacks", "other.png": "packed", "empty.png": "empty", "link.png": "a",
        "locked.png": "encrypted", "good2.png": "its",
    }  # fmt: skip


def test_members_of_a_tar_that_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "set.tar"
    kinds = {"sym": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "pipe": tarfile.FIFOTYPE}
    with tarfile.open(place, "w") as archive:
        for name, kind in kinds.items():
            member = tarfile.TarInfo(f"{name}.png")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        good = tarfile.TarInfo("good.png")
        good.size = len(photo(0))
        archive.addfile(good, io.BytesIO(photo(0)))
    found = {one.name: one for one in find_images([place])}
    assert read_bytes(found.pop("good.png")) == photo(0)
    assert len(found) == 3
    for one in found.values():
        with pytest.raises(BadFile, match=r"in the archive|in an archive"):
            read_bytes(one)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_what_is_left_of_a_torn_tar(share: float, tmp_path: Path) -> None:
    place = write_tar(tmp_path / "set.tar", {f"{i}.png": photo(i) for i in range(8)})
    data = place.read_bytes()
    place.write_bytes(data[: int(8 * (len(photo(0)) // 512 + 2) * 512 * share)])
    kept, lost = [], []
    for one in find_images([place]):
        try:
            kept.append(read_bytes(one) == photo(int(one.stem)))
        except BadFile as error:
            lost.append((one.name, str(error)))
    assert all(kept)
    assert 0 < len(kept) < 8
    assert all("cut short" in said or REST in name for name, said in lost)


@pytest.mark.parametrize(
    "make",
    [
        lambda place: place.with_suffix(".zip").write_bytes(b"PK\x03\x04 no archive"),
        lambda place: place.with_suffix(".tar").write_bytes(b"no archive" * 99),
        lambda place: place.with_suffix(".tar").write_bytes(b""),
        lambda place: place.with_suffix(".tar").write_bytes(gzip.compress(bytes(2048))),
    ],
)
def test_what_is_no_archive_is_one_bad_file(make, tmp_path: Path) -> None:
    make(tmp_path / "set")
    (place,) = tmp_path.iterdir()
    assert find_images([place]) == [place]
    with pytest.raises(BadFile):
        read_bytes(place)


def test_an_archive_is_read_again_once_it_changed(tmp_path: Path) -> None:
    place = write_zip(tmp_path / "set.zip", {"a.png": photo(0)})
    assert read_bytes(place / "a.png") == photo(0)
    write_zip(place, {"a.png": photo(1), "b.png": photo(2)})
    os.utime(place, ns=(1, 1))
    assert read_bytes(place / "a.png") == photo(1)
    assert len(find_images([place])) == 2
    assert open_archive(place).members["a.png"].size == len(photo(1))


def test_lists_name_files_folders_and_archives(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, data in (("a.png", photo(0)), ("b.png", photo(1))):
        (folder / name).write_bytes(data)
    write_tar(tmp_path / "set.tar", {"c.png": photo(2)})
    listing = tmp_path / "all.txt"
    other = tmp_path / "other"
    other.mkdir()
    lines = ["photos", "", str(folder / "a.png"), "set.tar", "gone.png", "x\0y.png", "z" * 40_000]
    listing.write_bytes("\r\n".join(lines).encode() + b"\ncaf\xe9.png")
    found = find_images([listing])
    assert [one.name for one in found[:5]] == ["a.png", "b.png", "c.png", "gone.png", "x\0y.png"]
    assert found[2] == tmp_path / "set.tar" / "c.png"
    assert found[-1].name == os.fsdecode(b"caf\xe9.png")
    for one in found[3:]:
        with pytest.raises(BadFile):
            read_bytes(one)
    listing.write_text("all.txt\n")  # a list in a list is a file
    assert find_images([listing]) == [tmp_path / "all.txt"]
