"""`convert(file)`: a checkpoint of somebody else's code -> a jaxinv generator or net on disk."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxinv.io import checkpoints
from jaxinv.io.checkpoints import read_spec
from jaxinv.io.files import sha256_file
from jaxinv.io.output_folder import check_target
from jaxinv.specs.checks import check_above
from weights_convert import sources
from weights_convert.download.pull import SCHEMA
from weights_convert.errors import UnsafeFileError
from weights_convert.sources import containers, nets, orbax

CONFIG_BYTES = 2**20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def convert(
    file: str | Path,
    *,
    out: str | Path | None = None,
    name: str | None = None,
    alignment: str = "none",
    discriminator: str | Path | None = None,
    like: str | None = None,
    report: Callable[[str], None] = lambda note: None,
    **options: Any,
) -> Path:
    """Path of the converted generator, or of the converted feature net.

    `name` (default: the file's stem) is what `-g` and `load_generator` know it by, or, of a feature
    net, `load_net`, which takes no further options; `out` (default:
    that name in the cache folder) must end in .safetensors; `alignment` is how the training images
    were cut ("none" or "ffhq"); `discriminator` is the file of its discriminator where that is
    another one; `like` is the generator whose parameters an orbax checkpoint holds; `report` is
    given a sentence about whatever was decided (where in the file the generator was found, drawn
    noise); `options`: see `sources.convert`, None leaves one out. Nothing in the files is executed.

    Raises `UnsafeFileError` for a file that is malformed or of no known source, `ValueError` for a
    bad name or an option that is not this file's, `OSError` if there is no file.
    """
    file = Path(file)
    name = file.stem if name is None else name
    if not NAME.fullmatch(name):
        raise ValueError(
            f"name {name!r}; allowed: up to 64 letters, digits, '.', '_', '-'; give one with --name"
        )
    path = checkpoints.cache_dir() / f"{name}.safetensors" if out is None else Path(out)
    if path.suffix != ".safetensors":
        raise ValueError(f"output {str(path)!r}; allowed: a name that ends in .safetensors")
    check_target(path, filter(None, [file, discriminator, like]))
    for option in ("clamp", "epsilon", "depth"):
        if options.get(option) is not None:
            check_above(option, options[option], 0.0)
    contents = containers.read_checkpoint(file)
    given = {key: value for key, value in options.items() if value is not None}
    if (net := nets.find(contents.tree)) is not None:
        others = {"alignment": alignment != "none", "discriminator": discriminator, "like": like}
        _refuse(net, [*(key for key, value in others.items() if value), *given])
        found = _converted_net(net, file, contents, name)
        metadata = _metadata("features", found, file, contents)
        return checkpoints.save(path, found.params, metadata)
    if contents.container == "orbax":
        found = sources.Converted(*orbax.convert(contents.tree, like), "jaxinv")
    else:
        try:
            found = sources.convert(contents.tree, config=_config(file), **given)
        except UnsafeFileError as error:
            raise UnsafeFileError(f"{file.name} ({contents.container}): {error}") from error
    if discriminator is not None:
        found = sources.attach(found, containers.read_checkpoint(discriminator).tree)
    for note in found.notes:
        report(note)
    facts = {"name": name, "alignment": alignment, **found.facts}
    found = found._replace(facts=facts)
    metadata = _metadata("generator", found, file, contents)
    if found.notes:
        metadata["notes"] = "; ".join(found.notes)
    try:
        read_spec(metadata)
    except ValueError as error:
        raise UnsafeFileError(f"{file.name}: a network of impossible sizes ({error})") from error
    return checkpoints.save(path, found.params, metadata)


def _refuse(net: nets.Found, options: list[str]) -> None:
    """Raise `ValueError` for options that are those of generators."""
    if options:
        raise ValueError(
            f"option {options[0]!r} with a file of {nets.NETS[net.architecture]}; "
            "allowed: name, out"
        )


def _converted_net(
    net: nets.Found, file: Path, contents: containers.Contents, name: str
) -> sources.Converted:
    try:
        params = nets.convert(net)
    except UnsafeFileError as error:
        raise UnsafeFileError(f"{file.name} ({contents.container}): {error}") from error
    facts = {"name": name, "architecture": net.architecture}
    return sources.Converted(params, facts, nets.NETS[net.architecture])


def _metadata(
    kind: str, found: sources.Converted, file: Path, contents: containers.Contents
) -> dict[str, str]:
    return {
        "format": "jaxinv",
        "schema": SCHEMA,
        "kind": kind,
        "architecture": found.facts["architecture"],
        "spec": json.dumps(found.facts),
        "source": f"{found.source} ({contents.container}), {file.name}",
        "source_sha256": _sha256(file),
        "licence": "that of the source file",
        "content_sha256": checkpoints.content_sha256(found.params),
    }


def _sha256(path: Path) -> str:
    """Digest of a file, or of the names and digests of a folder's files."""
    if path.is_file():
        return sha256_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = (f"{sha256_file(f)} {f.relative_to(path).as_posix()}\n" for f in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _config(file: Path) -> Any:
    """The contents of config.json beside `file`, or None."""
    path = file.with_name("config.json")
    if not path.is_file() or path.stat().st_size > CONFIG_BYTES:
        return None
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UnsafeFileError(f"{path.name} beside the file is not JSON ({error})") from error
