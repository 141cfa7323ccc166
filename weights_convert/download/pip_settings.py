"""The user's package index settings, read where pip reads them.

Locations and precedence follow pip's documentation ("Configuration"): global, user and environment
files, then the file named by `PIP_CONFIG_FILE`, then `PIP_*` variables; within a file `[global]`,
then `[download]`.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_TRUE = ("1", "true", "yes", "on", "y", "t")


class SettingsError(ValueError):
    """A pip setting that cannot be understood; the message names it."""


@dataclass(frozen=True)
class PipSettings:
    """Where to look for packages. No `index_url` means the default index; `timeout` in seconds."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    trusted_hosts: tuple[str, ...] = ()
    certificates: str | None = None
    proxy: str | None = None
    timeout: float = 15.0


def read_pip_settings(environ: Mapping[str, str] | None = None) -> PipSettings:
    """Settings from pip's files and from `environ` (the process's variables by default).

    Certificates: `cert`, else `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE` or `SSL_CERT_FILE`.
    Raises `SettingsError` for a timeout that is not a number of seconds.
    """
    environ = os.environ if environ is None else environ
    options = _options(environ)
    index = options.get("index-url", "").strip()
    bundles = (
        options.get("cert"),
        environ.get("REQUESTS_CA_BUNDLE"),
        environ.get("CURL_CA_BUNDLE"),
        environ.get("SSL_CERT_FILE"),
    )
    return PipSettings(
        index_url=index or None,
        extra_index_urls=tuple(options.get("extra-index-url", "").split()),
        find_links=tuple(options.get("find-links", "").split()),
        no_index=options.get("no-index", "").strip().lower() in _TRUE,
        trusted_hosts=tuple(options.get("trusted-host", "").split()),
        certificates=next((bundle for bundle in bundles if bundle), None),
        proxy=options.get("proxy") or None,
        timeout=_seconds(options.get("timeout", options.get("default-timeout", "15"))),
    )


def _options(environ: Mapping[str, str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for path in _files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeError) as error:
            raise SettingsError(f"pip configuration {path} cannot be read ({error})") from error
        for section in ("global", "download"):
            if parser.has_section(section):
                options.update(
                    {key.replace("_", "-"): value for key, value in parser.items(section)}
                )
    for key, value in environ.items():
        # An empty variable leaves the file's setting alone, as in pip.
        if key.startswith("PIP_") and value:
            options[key[4:].lower().replace("_", "-")] = value
    return options


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    own = environ.get("PIP_CONFIG_FILE")
    if own == os.devnull:
        return
    yield from _system_files(environ)
    if not own:
        yield from _user_files(environ)
    yield Path(sys.prefix) / ("pip.ini" if sys.platform == "win32" else "pip.conf")
    if own:
        yield Path(own)


def _system_files(environ: Mapping[str, str]) -> Iterator[Path]:
    if sys.platform == "win32":
        yield Path(environ.get("PROGRAMDATA", "C:\\ProgramData")) / "pip" / "pip.ini"
    elif sys.platform == "darwin":
        yield Path("/Library/Application Support/pip/pip.conf")
    else:
        for folder in reversed((environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")):
            yield Path(folder) / "pip" / "pip.conf"
        yield Path("/etc/pip.conf")


def _user_files(environ: Mapping[str, str]) -> Iterator[Path]:
    home = Path.home()
    if sys.platform == "win32":
        yield home / "pip" / "pip.ini"
        yield Path(environ.get("APPDATA", str(home))) / "pip" / "pip.ini"
        return
    yield home / ".pip" / "pip.conf"
    support = home / "Library" / "Application Support" / "pip"
    if sys.platform == "darwin" and support.is_dir():
        yield support / "pip.conf"
    else:
        yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SettingsError(f"pip timeout {text!r}; allowed: a number of seconds") from None
