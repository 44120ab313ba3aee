"""Train the style-transfer network of the bundled model; the style, a stained-glass mosaic, is drawn by code.

    python -m mlexplorer.samples.train_style --features squeezenet1_1.npz --photos photos/ --output style.mlmodel

It needs PyTorch (on the CPU a step takes 0.37 seconds with two cores to itself, the 5,000 steps of the default half an
hour), a folder of some dozens of photographs and a feature file. After every `--save-every` steps it writes
the model and, beside it, a picture of the photographs of `--preview` (those of scikit-learn where it is
installed) before and after. `--resume` goes on from a model that it wrote. The bundled model is what the defaults gave;
README.md beside this file tells from what.

The recipe (Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", 2016):

- Features are the activations of SqueezeNet 1.1 after conv1 and after fire2 to fire7.
- The style loss compares the Gram matrices of conv1 and fire2 to fire6 with those of the mosaic, each relative to
  the mosaic's; the content loss is the relative square error of fire4; the total variation keeps faces of glass flat;
  a penalty keeps what the network paints within the range in which tanh is not flat, or dark corners stay black.
- A fresh network first learns to copy its input for 150 steps, which settles the colours; then the style's weight
  grows from a fifth to all of it over the first half of the steps.
- Adam, one random crop of a photograph a step, mirrored half of the time; the learning rate falls along a cosine.

The feature file is an .npz of SqueezeNet 1.1, of any float type, trained on BGR pixels of 0..255 less the mean
(104, 117, 123), as in Caffe: `conv1_w_0` (64, 3, 3, 3), `conv1_b_0` (64,), and for each N from 2 to 7
`fireN.squeeze1x1_w_0`, `fireN.expand1x1_w_0`, `fireN.expand3x3_w_0` (out, in, height, width) with their `_b_0`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor, nn

from mlexplorer import spec
from mlexplorer.errors import InputError
from mlexplorer.samples.style_network import DEFAULT_SIZE, EPSILON, export, weights_of

STYLE_FEATURES = ("conv1", "fire2", "fire3", "fire4", "fire5", "fire6")
CONTENT_FEATURE = "fire4"
COPYING_STEPS = 150
PHOTO_SIZE = 420
DESCRIPTION = "Paints a photograph as a stained-glass mosaic."
GLASS = ((214, 68, 44), (240, 178, 50), (28, 92, 140), (70, 150, 140), (245, 232, 200), (120, 40, 70), (30, 40, 70))
LEAD = (20, 18, 25)


class Convolution(nn.Conv2d):
    """A convolution padded by reflection, then instance normalization (`norm`) and ReLU where asked for."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, *, norm: bool = True, relu: bool = True):
        super().__init__(inputs, outputs, size, stride, padding=size // 2, padding_mode="reflect", bias=not norm)
        self.norm = nn.InstanceNorm2d(outputs, eps=EPSILON, affine=True) if norm else nn.Identity()
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride), rounded up."""
        x = self.norm(super().forward(x))
        return F.relu(x) if self.relu else x


class Residual(nn.Module):
    """Two convolutions whose result is added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, channels, 3)
        self.conv2 = Convolution(channels, channels, 3, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same shape."""
        change: Tensor = self.conv2(self.conv1(x))
        return x + change


class Upsampling(nn.Module):
    """Every pixel four times, then a convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Convolution(inputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, 2 H, 2 W)."""
        larger: Tensor = self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))
        return larger


class StyleNetwork(nn.Module):
    """Pictures (N, 3, H, W) of 0..1 to stylized pictures of the same shape and range; named as in style_network.py."""

    def __init__(self, channels: Sequence[int] = (32, 64, 128), blocks: int = 5) -> None:
        super().__init__()
        a, b, c = channels
        self.conv1 = Convolution(3, a, 9)
        self.conv2 = Convolution(a, b, 3, stride=2)
        self.conv3 = Convolution(b, c, 3, stride=2)
        self.blocks = [f"residual{i + 1}" for i in range(blocks)]
        for block in self.blocks:
            self.add_module(block, Residual(c))
        self.upsample1 = Upsampling(c, b)
        self.upsample2 = Upsampling(b, a)
        self.output = Convolution(a, 3, 9, norm=False, relu=False)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) to the same shape."""
        return torch.tanh(self.painted(image)) / 2 + 0.5

    def painted(self, image: Tensor) -> Tensor:
        """What tanh turns into the stylized pictures, (N, 3, H, W)."""
        x = self.conv3(self.conv2(self.conv1(image)))
        for block in self.blocks:
            x = self.get_submodule(block)(x)
        x = self.upsample2(self.upsample1(x))[..., : image.shape[-2], : image.shape[-1]]
        painted: Tensor = self.output(x)
        return painted

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The arrays that `export` takes."""
        return {name: tensor.detach().numpy() for name, tensor in self.state_dict().items()}


class SqueezeNetFeatures:
    """The activations of SqueezeNet 1.1 from a feature file as the module's docstring describes it."""

    LAYERS = ("conv1", "fire2", "fire3", "fire4", "fire5", "fire6", "fire7")

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        parts = ("squeeze1x1", "expand1x1", "expand3x3")
        names = ["conv1", *(f"{fire}.{part}" for fire in self.LAYERS[1:] for part in parts)]
        missing = [f"{name}_{kind}_0" for name in names for kind in "wb" if f"{name}_{kind}_0" not in arrays]
        if missing:
            raise InputError(
                f"The feature file lacks {', '.join(missing)}; it must hold SqueezeNet 1.1 by these names."
            )
        self.parameters = {
            name: tuple(torch.from_numpy(arrays[f"{name}_{kind}_0"].astype(np.float32)) for kind in "wb")
            for name in names
        }
        self.mean = torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Pictures (N, 3, H, W), RGB of 0..1, to the activations (N, channels, height, width) by layer."""
        x = self._convolution("conv1", images.flip(1) * 255 - self.mean, stride=2)
        activations = {"conv1": x}
        for fire in self.LAYERS[1:]:
            if fire in ("fire2", "fire4", "fire6"):
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            squeezed = self._convolution(f"{fire}.squeeze1x1", x)
            expanded = [self._convolution(f"{fire}.expand{size}", squeezed) for size in ("1x1", "3x3")]
            x = activations[fire] = torch.cat(expanded, 1)
        return activations

    def _convolution(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight, bias = self.parameters[name]
        padding = 1 if name.endswith("3x3") else 0
        return F.relu(F.conv2d(x, weight, bias, stride, padding))


def mosaic(size: int, rng: np.random.Generator, face: float = 24) -> NDArray[np.uint8]:
    """A stained-glass mosaic (size, size, 3): Voronoi cells about `face` pixels wide between strips of lead."""
    grid = np.mgrid[-1 : size / face + 1, -1 : size / face + 1].reshape(2, -1).T
    centres = (grid + rng.uniform(0, 1, grid.shape)) * face
    colours = np.array(GLASS, float)[rng.integers(0, len(GLASS), len(centres))] + rng.normal(0, 10, (len(centres), 3))
    picture = np.empty((size, size, 3))
    for y in range(size):
        points = np.stack([np.full(size, y), np.arange(size)], -1)
        distances = np.linalg.norm(points[:, None] - centres, axis=-1)
        nearest, second = np.partition(distances, 1, axis=-1)[:, :2].T[..., None]
        glass = colours[distances.argmin(-1)] * (1.05 - 0.25 * nearest / face)
        lead = 1 - np.clip((second - nearest) / 3 - 0.3, 0, 1)
        picture[y] = glass * (1 - lead) + np.array(LEAD) * lead
    return picture.clip(0, 255).round().astype(np.uint8)


def read_photos(folders: Iterable[Path], crop: int) -> list[NDArray[np.uint8]]:
    """The photographs of the folders, shrunk to at most 420 pixels a side, that are large enough for the crop."""
    photos = []
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        try:
            photo = Image.open(path).convert("RGB")
        except (UnidentifiedImageError, OSError):
            continue
        photo.thumbnail((max(PHOTO_SIZE, crop), max(PHOTO_SIZE, crop)), Image.Resampling.LANCZOS)
        if min(photo.size) >= crop:
            photos.append(np.asarray(photo))
    if not photos:
        raise InputError(f"No photograph of at least {crop} pixels a side in {', '.join(map(str, folders))}.")
    return photos


def random_crop(photos: Sequence[NDArray[np.uint8]], size: int, rng: np.random.Generator) -> Tensor:
    """A crop (1, 3, size, size) of one of the photographs, mirrored or not."""
    photo = photos[int(rng.integers(len(photos)))]
    y, x = (int(rng.integers(length - size + 1)) for length in photo.shape[:2])
    crop = photo[y : y + size, x : x + size]
    return tensor_of(crop[:, ::-1] if rng.random() < 0.5 else crop)


def tensor_of(picture: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) of 0..255 to (1, 3, H, W) of 0..1."""
    return torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]


def picture_of(image: Tensor) -> NDArray[np.uint8]:
    """(1, 3, H, W) of 0..1 to (H, W, 3) of 0..255."""
    return np.asarray((image[0].permute(1, 2, 0) * 255).round().to(torch.uint8))


def gram(activation: Tensor) -> Tensor:
    """(N, C, H, W) to (N, C, C): the mean over the positions of the products of the channels."""
    flat = activation.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[-1]


@dataclass(frozen=True)
class Losses:
    """How far a stylized picture is from the style and from the photograph's content, how restless and how saturated.

    Saturation counts what the network paints beyond -2..2, where tanh is flat and learning would stop.
    """

    style: Tensor
    content: Tensor
    variation: Tensor
    saturation: Tensor

    @classmethod
    def of(cls, features: SqueezeNetFeatures, grams: Mapping[str, Tensor], painted: Tensor, photo: Tensor) -> Losses:
        """The losses of what the network painted for a photograph, given the style's Gram matrices by layer.

        Both are (1, 3, H, W): `painted` as it is before tanh, the photograph of 0..1.
        """
        stylized = torch.tanh(painted) / 2 + 0.5
        activations = features(stylized)
        with torch.no_grad():
            content = features(photo)[CONTENT_FEATURE]
        style = [(gram(activations[name]) - grams[name]).square().sum() / grams[name].square().sum() for name in grams]
        return cls(
            style=torch.stack(style).mean(),
            content=(activations[CONTENT_FEATURE] - content).square().mean() / content.square().mean(),
            saturation=(painted.abs() - 2).relu().square().mean(),
            variation=stylized.diff(dim=-1).abs().mean() + stylized.diff(dim=-2).abs().mean(),
        )


def train(network: StyleNetwork, features: SqueezeNetFeatures, options: argparse.Namespace) -> None:
    """Train the network in place, saving as it goes; `options` are those of the command line."""
    rng = np.random.default_rng(options.seed)
    photos = read_photos(options.photos, options.crop)
    style = mosaic(options.style_size, rng, options.face)
    with torch.no_grad():
        activations = features(tensor_of(style))
        grams = {name: gram(activations[name]) for name in STYLE_FEATURES}
    optimizer = torch.optim.Adam(network.parameters(), lr=options.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.iterations, options.rate / 20)
    previews = preview_photos(options.preview)
    print(f"{len(photos)} photographs, {sum(p.numel() for p in network.parameters()):,} weights", flush=True)
    start = time.monotonic()
    for step in range(1, options.iterations + 1):
        photo = random_crop(photos, options.crop, rng)
        painted = network.painted(photo)
        losses = Losses.of(features, grams, painted, photo)
        if step <= COPYING_STEPS and not options.resume:
            loss = 20 * (torch.tanh(painted) / 2 + 0.5 - photo).square().mean() + losses.content
        else:
            weight = options.style_weight * style_share(step / options.iterations, options.resume is not None)
            loss = weight * losses.style + losses.content + options.variation_weight * losses.variation
            loss = loss + losses.saturation
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            figures = ", ".join(f"{name} {value.item():.3f}" for name, value in vars(losses).items())
            print(f"step {step} of {options.iterations}, {time.monotonic() - start:.0f} s: {figures}", flush=True)
        if step % options.save_every == 0 or step == options.iterations:
            save(network, options.output)
            save_preview(network, previews, options.output.with_suffix(".png"))


def style_share(progress: float, resumed: bool) -> float:
    """The share of the style's weight at a point of the training: from a fifth to all of it over the first half.

    Lead that covers too much of the picture early on saturates the tanh, and stays; a resumed training is past that.
    """
    return 1.0 if resumed else min(1.0, 0.2 + 1.6 * progress)


def preview_photos(paths: Sequence[Path]) -> list[NDArray[np.uint8]]:
    """The pictures at these paths, or those of scikit-learn where there are none, at 480 x 320."""
    if paths:
        pictures = [Image.open(path).convert("RGB") for path in paths]
    else:
        try:
            from sklearn.datasets import load_sample_images
        except ImportError:
            return []
        pictures = [Image.fromarray(picture) for picture in load_sample_images().images]
    return [np.asarray(picture.resize(DEFAULT_SIZE, Image.Resampling.LANCZOS)) for picture in pictures]


def save(network: StyleNetwork, path: Path) -> None:
    """Write the network as an `.mlmodel`, whole or not at all."""
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_bytes(export(network.weights(), DESCRIPTION).SerializeToString())
    os.replace(unfinished, path)


@torch.no_grad()
def save_preview(network: StyleNetwork, photos: Sequence[NDArray[np.uint8]], path: Path) -> None:
    """Write a picture with a row for each photograph: before and after."""
    if photos:
        rows = [np.hstack([photo, picture_of(network(tensor_of(photo)))]) for photo in photos]
        Image.fromarray(np.vstack(rows)).save(path)


def load_weights(network: StyleNetwork, path: Path) -> None:
    """Go on from the weights of an `.mlmodel` that this script wrote."""
    weights = weights_of(spec.Model.FromString(path.read_bytes()))
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="train_style", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--features", type=Path, required=True, help=".npz with the weights of SqueezeNet 1.1")
    parser.add_argument("--photos", type=Path, required=True, nargs="+", help="folders of photographs")
    parser.add_argument("--output", type=Path, required=True, help="the .mlmodel to write")
    parser.add_argument("--resume", type=Path, help="go on from the weights of this .mlmodel")
    parser.add_argument("--preview", type=Path, nargs="*", default=[], help="photographs to show before and after")
    parser.add_argument("--iterations", type=int, default=5000, help="training steps (%(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the mosaic, the crops and the first weights (%(default)s)"
    )
    parser.add_argument("--crop", type=int, default=256, help="side of the crops in pixels (%(default)s)")
    parser.add_argument(
        "--rate", type=float, default=1e-3, help="first learning rate; the last is a twentieth (%(default)s)"
    )
    parser.add_argument("--style-weight", type=float, default=5, help="style against content (%(default)s)")
    parser.add_argument("--variation-weight", type=float, default=0.1, help="of the total variation (%(default)s)")
    parser.add_argument("--style-size", type=int, default=384, help="side of the mosaic in pixels (%(default)s)")
    parser.add_argument("--face", type=float, default=24, help="width of a face of glass in pixels (%(default)s)")
    parser.add_argument("--save-every", type=int, default=200, help="steps between two saved states (%(default)s)")
    parser.add_argument("--threads", type=int, help="threads of PyTorch (as many as it likes)")
    return parser


def main() -> None:
    """Train from the command line."""
    options = arguments().parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    network = StyleNetwork()
    if options.resume:
        load_weights(network, options.resume)
    with np.load(options.features) as arrays:
        features = SqueezeNetFeatures(arrays)
    train(network, features, options)


if __name__ == "__main__":
    main()
