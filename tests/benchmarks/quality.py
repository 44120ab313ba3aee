"""What quantization costs in quality: the bundled network's pictures, and the labels that SqueezeNet gives.

`style` compares the bundled network with its copies in linear and k-means quantization at each bit depth, plain and
with error feedback calibrated on noise, on photographs that neither its training nor the calibration has seen; and with
the mixed plan of tables that `recommend` finds on noise for the size of the uniform table, plain and with error
feedback.
`squeezenet` takes the 8-bit SqueezeNet of a corpus as the original and compares the labels of its copies over a folder
of photographs, at the size of each uniform k-means table: linear, table, table with error feedback, and the mixed plan
that `recommend` finds for that size on noise, plain and with error feedback.

Run: python -m tests.benchmarks.quality style PHOTOS [--bits 2 3] [--picture FILE]
     python -m tests.benchmarks.quality squeezenet MODEL PHOTOS [--bits 4 6]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image, ImageDraw

import mlexplorer as mle
from mlexplorer import samples
from mlexplorer.recommendation import recommend

MATRICES = mle.Selection()
"""Biases and the vectors of normalization stay as they are."""
EVERY_NTH = 13


def style(photos: Path, depths: Sequence[int], picture: Path | None, cache: str) -> None:
    model = samples.style()
    held_out = [*sorted(photos.glob("*.jpg"))[::EVERY_NTH], *samples.photos()]
    print(f"{len(held_out)} pictures, mean PSNR in dB / mean SSIM")
    print(
        f"| bits | linear | linear + feedback | table | table + feedback | mixed | mixed + feedback |\n|{' --- |' * 7}"
    )
    shown: dict[str, mle.Model] = {"32 bits": model}
    for bits in depths:
        cells = []
        for scheme in (mle.Linear(bits=bits), mle.LookupTable(bits=bits)):
            for calibration in (None, "noise"):
                small = mle.quantize(model, scheme, select=MATRICES, calibration=calibration, progress=False)
                found = mle.compare(model, small, held_out, progress=False)
                cells.append(f"{found.psnr:.1f} / {found.ssim:.3f}")
                if isinstance(scheme, mle.LookupTable) and bits == min(depths):
                    shown[f"{bits} bits" if calibration is None else f"{bits} bits, error feedback"] = small
        size = mle.quantize(model, mle.LookupTable(bits=bits), select=MATRICES).size
        mixed = recommend(model, "noise", nbytes=size, select=MATRICES, cache=cache, progress=False).mixed
        assert mixed is not None
        for calibration in (None, "noise"):
            small = mle.quantize(model, mixed.plan, calibration=calibration, progress=False)
            found = mle.compare(model, small, held_out, progress=False)
            cells.append(f"{found.psnr:.1f} / {found.ssim:.3f}")
        print(f"| {bits} | {' | '.join(cells)} |", flush=True)
    if picture is not None:
        side_by_side(shown, held_out[-1]).save(picture, quality=90)


def side_by_side(models: dict[str, mle.Model], photo: Any) -> Image.Image:
    """The same photograph through several models, beside each other, with their names."""
    painted = [mle.predict(model, photo)["stylized"] for model in models.values()]
    width, height = painted[0].size
    sheet = Image.new("RGB", (len(painted) * (width + 8) - 8, height + 22), "white")
    for index, (name, part) in enumerate(zip(models, painted, strict=True)):
        sheet.paste(part, (index * (width + 8), 22))
        ImageDraw.Draw(sheet).text((index * (width + 8) + 4, 4), name, fill="black", font_size=14)
    return sheet


def squeezenet(path: Path, photos: Path, depths: Sequence[int]) -> None:
    model = mle.dequantize(mle.load(path))
    pictures = sorted(path for path in photos.rglob("*.jpg"))

    def row(name: str, small: mle.Model) -> None:
        found = mle.compare(model, small, pictures, resize="stretch", progress=False)
        print(f"| {name} | {small.size / 1e6:.3f} | {found.top1_agreement} |", flush=True)

    print(f"{len(pictures)} pictures\n| model | MB | the same label (95 % interval) |\n| --- | --- | --- |")
    for bits in depths:
        row(f"linear {bits}", mle.quantize(model, mle.Linear(bits=bits)))
        table = mle.quantize(model, mle.LookupTable(bits=bits))
        row(f"table {bits}", table)
        scheme = mle.LookupTable(bits=bits)
        row(
            f"table {bits} + feedback",
            mle.quantize(model, scheme, select=MATRICES, calibration="noise", progress=False),
        )
        found = recommend(model, "noise", nbytes=table.size, select=MATRICES, progress=False)
        assert found.mixed is not None
        row(f"mixed, at the size of table {bits}", found.mixed.plan.apply(model))
        row("mixed + feedback", mle.quantize(model, found.mixed.plan, calibration="noise", progress=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    pictures = commands.add_parser("style")
    pictures.add_argument("photos", type=Path)
    pictures.add_argument("--bits", type=int, nargs="+", default=list(range(1, 9)))
    pictures.add_argument("--picture", type=Path)
    labels = commands.add_parser("squeezenet")
    labels.add_argument("model", type=Path)
    labels.add_argument("photos", type=Path)
    labels.add_argument("--bits", type=int, nargs="+", default=[4, 6, 8])
    given = parser.parse_args()
    if given.command == "style":
        with TemporaryDirectory() as cache:
            style(given.photos, given.bits, given.picture, cache)
    else:
        squeezenet(given.model, given.photos, given.bits)


if __name__ == "__main__":
    main()
