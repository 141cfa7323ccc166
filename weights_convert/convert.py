"""`convert(file)`: a checkpoint of somebody else's code -> a jaxinv generator, net or encoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxinv.io import checkpoints
from jaxinv.io.output_folder import check_target
from jaxinv.specs.checks import check_above
from jaxinv.specs.serialization import parse_json
from weights_convert import sources
from weights_convert.errors import UnsafeFileError
from weights_convert.outputs import (
    Names,
    Origin,
    check_free,
    check_name,
    write_encoder,
    write_generator,
    write_net,
)
from weights_convert.sources import containers, encoder_families, nets, orbax

CONFIG_BYTES = 2**20


def convert(
    file: str | Path,
    *,
    out: str | Path | None = None,
    name: str | None = None,
    alignment: str = "none",
    discriminator: str | Path | None = None,
    like: str | None = None,
    generator: str | None = None,
    before: str | Path | None = None,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda note: None,
    **options: Any,
) -> Path:
    """Path of the converted generator, feature net or encoder.

    `name` (default: the file's stem) is what `-g` and `load_generator` know it by, of a feature
    net `load_net`, which takes no further options, of an encoder `-e` and `load_encoder`; `out`
    (default: that name in the cache folder) must end in .safetensors; `alignment` is how the
    training images were cut ("none" or "ffhq"); `discriminator` is the file of its discriminator
    where that is another one; `like` is the generator whose parameters an orbax checkpoint holds;
    `generator` is what `-g` shall know an encoder's decoder by (default: NAME-generator), which is
    written beside the encoder, or, where the file has no decoder, the generator that it was made
    for; `before` is the file of the encoder that HyperStyle starts from; with `overwrite` weights
    of that name that were made of another file are replaced; `report` is given a sentence about
    whatever was decided (where in the file the generator was found, drawn noise); `options`: see
    `sources.convert` and `encoder_families.convert`, None leaves one out. Nothing in the files is
    executed.

    Raises `UnsafeFileError` for a file that is malformed or of no known source, `ValueError` for a
    bad name, one that is taken, or an option that is not this file's, `OSError` if there is no
    file.
    """
    file = Path(file)
    name = check_name(file.stem if name is None else name)
    path = checkpoints.cache_dir() / f"{name}.safetensors" if out is None else Path(out)
    if path.suffix != ".safetensors":
        raise ValueError(f"output {str(path)!r}; allowed: a name that ends in .safetensors")
    check_target(path, filter(None, [file, discriminator, like, before]))
    check_free(path, file, overwrite=overwrite)
    for option in ("clamp", "epsilon", "depth", "focal"):
        if options.get(option) is not None:
            check_above(option, options[option], 0.0)
    contents = containers.read_checkpoint(file)
    origin = Origin(file, contents)
    given = {key: value for key, value in options.items() if value is not None}
    given |= {"discriminator": discriminator} if discriminator else {}
    given |= {"like": like} if like else {}
    linked = {"generator": generator} if generator else {}
    linked |= {"before": before} if before else {}
    if (net := nets.find(contents.tree)) is not None:
        cut = {"alignment": alignment} if alignment != "none" else {}
        _refuse(nets.NETS[net.architecture], [*cut, *given, *linked])
        return write_net(path, _converted_net(net, file, contents, name), origin)
    own = given | ({"before": containers.read_checkpoint(before).tree} if before else {})
    config = _config(file)
    if (looking := encoder_families.look(contents.tree, config=config, **own)) is not None:
        called = Names(name, generator, alignment)
        return write_encoder(path, looking, origin, called, report, overwrite=overwrite)
    _refuse("a generator", [*linked], "those of generators")
    if contents.container == "orbax":
        found = sources.Converted(*orbax.convert(contents.tree, like), "jaxinv")
    else:
        others = {key: given[key] for key in given if key not in ("discriminator", "like")}
        try:
            found = sources.convert(contents.tree, config=config, **others)
        except UnsafeFileError as error:
            raise UnsafeFileError(f"{file.name} ({contents.container}): {error}") from error
    if discriminator is not None:
        found = sources.attach(found, containers.read_checkpoint(discriminator).tree)
    return write_generator(path, found, origin, {"name": name, "alignment": alignment}, report)


def _refuse(what: str, options: list[str], allowed: str = "name, out") -> None:
    """Raise `ValueError` for options that are those of other files."""
    if options:
        raise ValueError(f"option {options[0]!r} with a file of {what}; allowed: {allowed}")


def _converted_net(
    net: nets.Found, file: Path, contents: containers.Contents, name: str
) -> sources.Converted:
    try:
        params = nets.convert(net)
    except UnsafeFileError as error:
        raise UnsafeFileError(f"{file.name} ({contents.container}): {error}") from error
    facts = {"name": name, "architecture": net.architecture}
    return sources.Converted(params, facts, nets.NETS[net.architecture])


def _config(file: Path) -> Any:
    """The contents of config.json or .config.json beside `file`, or None."""
    places = (file.with_name(name) for name in ("config.json", ".config.json"))
    path = next((place for place in places if place.is_file()), None)
    if path is None or path.stat().st_size > CONFIG_BYTES:
        return None
    try:
        return parse_json(path.read_bytes(), f"{path.name} beside the file")
    except ValueError as error:
        raise UnsafeFileError(str(error)) from error
