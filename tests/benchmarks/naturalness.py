"""How natural what presets draw looks at full size, beside the generator's own samples.

Grids are in dB over the texture around them. Fine patches are compared with those of samples; 1 is
the median distance of a sample from the others.
"""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np

from jaxinv.inversion.invert import invert
from jaxinv.io import images
from jaxinv.metrics.sample_texture import samples, texture_of
from jaxinv.metrics.table import NETS, look
from jaxinv.models.loading import load_features, load_generator
from jaxinv.models.rendering import render_uint8
from jaxinv.presets import PRESETS
from jaxinv.reports.markdown import markdown
from jaxinv.runs.results import score

SIZE = 256


def report(folder: Path, names: tuple[str, ...], limit: int, out: Path | None) -> None:
    """Print a table: the samples, then every preset's means over the pictures of a folder."""
    gen, params = load_generator("ffhq")
    nets = load_features(tuple({*NETS, *(net for name in names for net in PRESETS[name].nets)}))
    drawn = list(samples(gen, params))
    texture = texture_of(drawn)
    looks = [look(picture[None]) for picture in drawn]
    medians = (f"{np.median([one[key] for one in looks]):.1f}" for key in looks[0])
    rows = [("samples", *medians, "1.00", "", "")]
    for name in names:
        found: list[dict[str, float]] = []
        for file in images.find_images([folder], limit=limit):
            photo = images.read_photo(file, size=SIZE, align="auto")
            given = photo.pixels[None]
            latents = invert(gen, params, given, preset=name, nets=nets).latents
            full = np.asarray(render_uint8(gen, params, jax.tree.map(lambda a: a[0], latents)))
            row = score(nets, full, photo.pixels) | {"patches": texture.distance(full)}
            found.append(row)
            print(file.name, name, {k: round(v, 4) for k, v in row.items()}, flush=True)
            if out is not None:
                out.mkdir(parents=True, exist_ok=True)
                (out / f"{file.stem}-{name}.png").write_bytes(images.encode_png(full))
        mean = {key: float(np.mean([row[key] for row in found])) for key in found[0]}
        grids = (f"{mean[key]:.1f}" for key in looks[0])
        scores = (f"{mean['psnr']:.2f}", f"{mean['lpips_alex']:.4f}")
        rows.append((name, *grids, f"{mean['patches']:.2f}", *scores))
    print(markdown(("preset", *looks[0], "fine patches", "PSNR", "LPIPS-Alex"), rows))
