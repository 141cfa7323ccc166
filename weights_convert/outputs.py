"""What a conversion writes: a generator, or an encoder linked to its generator."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxinv.io import checkpoints
from jaxinv.io.checkpoints import load, read_spec, weights_file
from jaxinv.io.files import sha256_file
from jaxinv.io.output_folder import check_target
from jaxinv.models.zoo import ZOO
from jaxinv.specs import GeneratorSpec
from weights_convert import sources
from weights_convert.download.pull import SCHEMA
from weights_convert.errors import UnsafeFileError
from weights_convert.sources import containers, encoder_families, encoders

AVERAGED = 100_000  # mapped draws, as in the published code
Report = Callable[[str], None]


class Origin(NamedTuple):
    """The file that is converted, and what it holds."""

    file: Path
    contents: containers.Contents

    def metadata(self, kind: str, found: sources.Converted) -> dict[str, str]:
        """What a converted file says about itself and where it comes from."""
        facts = {
            "kind": kind,
            "architecture": found.facts["architecture"],
            "spec": json.dumps(found.facts),
            "content_sha256": checkpoints.content_sha256(found.params),
        }
        return {"format": "jaxinv", "schema": SCHEMA, **facts, **self.source(found.source)}

    def source(self, kind: str) -> dict[str, str]:
        """Where a converted file comes from, of a layout of some `kind`."""
        return {
            "source": f"{kind} ({self.contents.container}), {self.file.name}",
            "source_sha256": _sha256(self.file),
            "licence": "that of the source file",
        }


class Names(NamedTuple):
    """What an encoder shall be called, and its generator (None: as usual); its alignment."""

    encoder: str
    generator: str | None
    alignment: str


def check_name(name: str) -> str:
    """The name; `ValueError` unless it can be a file's."""
    if checkpoints.NAME.fullmatch(name):
        return name
    raise ValueError(
        f"name {name!r}; allowed: up to 64 letters, digits, '.', '_', '-'; give one with --name"
    )


def check_free(path: Path, file: Path, *, overwrite: bool) -> None:
    """Raise `ValueError` where `path` is the place of weights that can be pulled, or of others.

    What was made of the same contents may be made again.
    """
    pulled = {output.file for entry in ZOO.values() for output in entry.outputs}
    if path.parent == checkpoints.cache_dir() and path.name in pulled:
        raise ValueError(
            f"name {path.stem!r} is that of weights that can be pulled; allowed: another"
        )
    if overwrite or not path.is_file():
        return
    try:
        source = checkpoints.read_metadata(path).get("source_sha256")
    except checkpoints.CheckpointError:
        source = None
    if not file.exists() or source != _sha256(file):
        raise ValueError(
            f"{path} is there, and was not made of {file}; allowed: another name, or to ask for it "
            "to be replaced (overwrite)"
        )


def write_net(path: Path, found: sources.Converted, origin: Origin) -> Path:
    """Write a feature net; returns `path`."""
    return checkpoints.save(path, found.params, origin.metadata("features", found))


def write_generator(
    path: Path, found: sources.Converted, origin: Origin, names: Mapping[str, str], report: Report
) -> Path:
    """Write a generator, with its name and alignment; returns `path`.

    Raises `UnsafeFileError` for sizes that no generator has.
    """
    for note in found.notes:
        report(note)
    found = found._replace(facts={**names, **found.facts})
    metadata = origin.metadata("generator", found)
    if found.notes:
        metadata["notes"] = "; ".join(found.notes)
    try:
        read_spec(metadata)
    except ValueError as error:
        raise UnsafeFileError(
            f"{origin.file.name}: a network of impossible sizes ({error})"
        ) from error
    return checkpoints.save(path, found.params, metadata)


def write_encoder(
    path: Path,
    looking: encoder_families.Looking,
    origin: Origin,
    names: Names,
    report: Report,
    *,
    overwrite: bool = False,
) -> Path:
    """Write an encoder and, where the file has one, its decoder as a generator beside it.

    Returns the encoder's `path`; nothing is written unless both are complete.
    """
    from jaxinv.encoders.loading import save_encoder  # with jax, which other files do not need
    from jaxinv.encoders.networks import build

    told = f"{origin.file.name} ({origin.contents.container})"
    called = names.generator or (f"{names.encoder}-generator" if looking.decoder else "")
    try:
        converted = looking.convert(names.encoder)
        tree = origin.contents.tree
        decoder = sources.convert(tree, **looking.shared) if looking.decoder else None
    except UnsafeFileError as error:
        raise UnsafeFileError(f"{told}: {error}") from error
    if decoder is not None:
        place = path.with_name(f"{check_name(called)}.safetensors")
        check_target(place, [origin.file, path])
        check_free(place, origin.file, overwrite=overwrite)
        own = {"name": called, "alignment": names.alignment}
        params, facts = decoder.params, {**own, **decoder.facts}
        spec = read_spec({"kind": "generator", "spec": json.dumps(facts)})
        _check_fit(converted, spec, told)
        write_generator(place, decoder, origin, own, report)
        report(f"its decoder is the generator {called!r}: {place}")
        digest = checkpoints.content_sha256(params)
    elif called:
        params, metadata = load(weights_file(called))
        spec, digest = read_spec(metadata), metadata.get("content_sha256", "")
        _check_fit(converted, spec, told)
    else:
        params, spec, digest = {}, None, ""
        report("the file has no decoder: say with -g which generator draws its codes")
    if converted.lacks_average:
        converted = encoders.with_average(converted, _mean_w(converted, spec, params, report))
    return save_encoder(
        path,
        build(encoders.of_generator(converted.spec, digest)),
        converted.params,
        generator=called,
        metadata=origin.source(looking.format),
    )


def _mean_w(
    converted: encoders.Converted, spec: GeneratorSpec | None, params: Any, report: Report
) -> np.ndarray:
    """The mean of W [width] of the generator, or zeros where there is none."""
    from jaxinv.models.loading import build
    from jaxinv.models.statistics import SEED, sample_w_batches

    if spec is None:
        report("the file has no average code, and no generator to measure it: zeros are added")
        return np.zeros(converted.spec.width, np.float32)
    report(f"the file has no average code: the mean of {AVERAGED} mapped z, seed {SEED}, is added")
    batches = sample_w_batches(build(spec), params, AVERAGED)
    return np.mean([batch.mean(0) for batch in batches], axis=0).astype(np.float32)


def _check_fit(converted: encoders.Converted, spec: GeneratorSpec, told: str) -> None:
    own = converted.spec
    shapes = {"z": (own.rows, spec.z_dim), "s": (spec.rows, own.width)}
    drawn = shapes.get(own.output, (spec.rows, spec.w_dim))
    if (own.rows or drawn[0], own.width) != drawn:
        raise UnsafeFileError(
            f"{told}: the encoder gives codes of {list(own.shape)}, generator {spec.name!r} draws "
            f"{list(drawn)}"
        )


def _sha256(path: Path) -> str:
    """Digest of a file, or of the names and digests of a folder's files."""
    if path.is_file():
        return sha256_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = (f"{sha256_file(f)} {f.relative_to(path).as_posix()}\n" for f in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
