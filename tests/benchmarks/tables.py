"""The scores of finished runs as one markdown table, a row per run."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

from jaxinv.reports.markdown import markdown

HEAD = (
    "preset", "evaluations", "ok", "PSNR mean / worst", "SSIM mean", "LPIPS-Alex mean / worst",
    "LPIPS-VGG mean", "seconds per image",
)  # fmt: skip


def table(outs: list[Path]) -> str:
    """Markdown of the runs in the folders `outs`; means are over images with status "ok"."""
    return markdown(HEAD, map(row, outs))


def row(out: Path) -> tuple[str, ...]:
    """One run: its preset, the evaluations of one image, how many are ok, and their scores."""
    text = (out / "results.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    good = [line for line in lines if line["status"] == "ok"]
    count = f"{len(good)} of {len(lines)}"
    if not good:
        return (str(out), "", count, *[""] * (len(HEAD) - 3))

    def column(name: str) -> list[float]:
        return [line[name] for line in good if line[name] is not None]

    psnr, alex = column("psnr"), column("lpips_alex")
    return (
        good[0]["preset"],
        f"{mean(column('evaluations')):.0f}",
        count,
        f"{mean(psnr):.2f} / {min(psnr):.2f}",
        f"{mean(column('ssim')):.3f}",
        f"{mean(alex):.3f} / {max(alex):.3f}",
        f"{mean(column('lpips_vgg')):.3f}",
        f"{mean(column('seconds')):.1f}",
    )
