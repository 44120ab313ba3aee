"""Draw the sample pictures: a lake between mountains, and a table with fruit. Takes a few seconds.

    python -m mlexplorer.samples.draw_photos FOLDER

Both are painted at twice their size with NumPy alone and shrunk: the lake from fractal noise, layer behind layer, the
fruit by tracing one ray per pixel to spheres over a table, with soft shadows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

WIDTH, HEIGHT = 480, 320
W, H = 2 * WIDTH, 2 * HEIGHT
SEED = 7
JPEG_QUALITY = 90


def fractal_noise(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int], octaves: int) -> Floats:
    """Noise of `shape` between 0 and 1: octaves of smooth random grids, from `cells` (rows, columns) on."""
    total = np.zeros(shape)
    for octave in range(octaves):
        rows, columns = (max(2, count << octave) for count in cells)
        grid = Image.fromarray(rng.uniform(-1, 1, (rows, columns)).astype(np.float32))
        total += np.asarray(grid.resize(shape[::-1], Image.Resampling.BICUBIC)) / 2**octave
    return np.asarray((total - total.min()) / np.ptp(total))


def blend(below: Floats, above: Floats, opacity: Floats | float) -> Floats:
    """One picture over another; the opacity is one number or (H, W, 1)."""
    return np.asarray(below + (above - below) * opacity)


def gradient(stops: list[tuple[float, tuple[int, int, int]]], at: Floats) -> Floats:
    """Colours (..., 3) of 0..1 from a list of (position, RGB)."""
    positions = [position for position, _ in stops]
    colours = np.array([colour for _, colour in stops]) / 255
    return np.stack([np.interp(at, positions, channel) for channel in colours.T], -1)


def lake(rng: np.random.Generator) -> Floats:
    """A lake in the evening with mountains, firs and a house, (H, W, 3) of 0..1."""
    y, x = np.mgrid[0:H, 0:W] / H
    shore = 0.62
    picture = gradient([(0, (52, 98, 168)), (0.3, (132, 176, 214)), (0.5, (250, 206, 150)), (0.6, (255, 228, 180))], y)
    clouds = fractal_noise(rng, (H, W), (6, 3), 6)
    lit = gradient([(0, (150, 120, 140)), (0.5, (255, 196, 150)), (1, (255, 246, 232))], clouds)
    picture = blend(picture, lit, (np.clip((clouds - 0.48) * 5, 0, 0.95) * np.clip(1.25 - 2 * y, 0, 1))[..., None])
    sun = np.hypot(x - 1.06, y - 0.4)
    picture += np.exp(-((sun / 0.16) ** 2))[..., None] * np.array([0.5, 0.36, 0.16])
    picture = blend(picture, np.array([1, 0.97, 0.84]), np.clip((0.045 - sun) * 200, 0, 1)[..., None])

    ranges = ((0.40, 0.20, (146, 150, 186), 3), (0.46, 0.34, (92, 104, 140), 4), (0.56, 0.16, (58, 84, 82), 6))
    for base, height, colour, peaks in ranges:
        ridge = fractal_noise(rng, (2, W), (1, peaks), 7)[0]
        top = base + height / 2 - height * ridge[None]
        rock = fractal_noise(rng, (H, W), (8, 12), 6)
        slope = np.gradient(rock, axis=1) * 60 + np.gradient(ridge) * 50
        surface = np.array(colour) / 255 * (0.85 + 0.5 * rock + 0.6 * np.clip(slope, -0.6, 0.6))[..., None]
        snow = np.clip((0.16 + 0.12 * rock - (y - top)) * 14, 0, 1) * (height > 0.3) * np.clip(0.7 + slope, 0.35, 1)
        surface = blend(surface, np.array([1, 0.95, 0.94]), snow[..., None])
        haze = np.clip((y - base) * 2.2, 0, 0.5)[..., None]
        surface = blend(surface, np.array([0.98, 0.83, 0.66]), haze * (height > 0.15))
        picture = blend(picture, surface, np.clip((y - top) * H / 2, 0, 1)[..., None])

    bank = shore - 0.03 - 0.02 * fractal_noise(rng, (2, W), (1, 5), 5)[0][None]
    grass = fractal_noise(rng, (H, W), (60, 40), 4)
    meadow = gradient([(0, (52, 74, 34)), (0.6, (132, 140, 52)), (1, (196, 180, 80))], grass)
    picture = blend(picture, meadow, np.clip((y - bank) * H / 2, 0, 1)[..., None])
    for _ in range(46):
        foot, tall = rng.uniform(0.6, 0.625), rng.uniform(0.06, 0.16)
        place = rng.choice([rng.normal(0.16, 0.12), rng.normal(1.36, 0.12), rng.uniform(0, 1.5)], p=[0.45, 0.45, 0.1])
        _draw_fir(picture, place, foot, tall, rng)
    _draw_house(picture, 0.62, 0.612)

    water = y[:, :1] > shore
    ripple = fractal_noise(rng, (H, W), (70, 7), 4) - 0.5
    depth = np.clip(y - shore, 0, None)
    row = np.clip(shore * H - depth * H * 1.05 + ripple * (8 + 130 * depth), 0, shore * H - 1).astype(int)
    column = np.clip(np.arange(W) + ripple * 26 * depth, 0, W - 1).astype(int)
    mirrored = picture[row, column] * np.array([0.72, 0.8, 0.86]) + 0.1 * np.clip(ripple, 0, 1)[..., None]
    mirrored = blend(mirrored, np.array([0.1, 0.2, 0.28]), np.clip(depth * 1.3, 0, 0.55)[..., None])
    picture = np.where(water[..., None], mirrored, picture)

    edge = 0.93 - 0.16 * np.clip(0.75 - x, 0, 1) ** 2 - 0.03 * fractal_noise(rng, (2, W), (1, 6), 6)[0][None]
    ground = meadow * (0.35 + 0.5 * fractal_noise(rng, (H, W), (30, 30), 5))[..., None]
    picture = blend(picture, ground, np.clip((y - edge) * H / 2, 0, 1)[..., None])
    for _ in range(150):
        _draw_flower(picture, rng.uniform(0, 1.5), rng.uniform(0.88, 1), edge, rng)
    _draw_fir(picture, 0.11, 0.97, 0.62, rng)
    _draw_fir(picture, 0.3, 0.985, 0.4, rng)
    return picture


def _draw_fir(picture: Floats, place: float, foot: float, tall: float, rng: np.random.Generator) -> None:
    """A fir with its foot at (place, foot) in units of the height, brighter on the side of the sun."""
    y, x = np.mgrid[0:H, 0:W] / H
    down = (y - (foot - tall)) / tall
    tiers = 5 + int(tall * 22)
    jagged = fractal_noise(rng, (H, W), (150, 150), 2)
    within = (down % (1 / tiers)) * tiers
    reach = tall * 0.27 * (0.12 + 0.88 * down) * (0.55 + 0.45 * within) * (0.75 + 0.5 * jagged)
    crown = (np.abs(x - place) < reach) & (down > 0) & (down < 0.94)
    trunk = (np.abs(x - place) < tall * 0.022) & (down >= 0.9) & (down < 1)
    side = np.clip(0.5 + (x - place) / (tall * 0.3), 0, 1)
    light = (0.35 + 0.65 * side) * (1.15 - 0.6 * within) * (0.6 + 0.8 * jagged)
    green = np.array([0.22, 0.36, 0.2]) * rng.uniform(0.7, 1.2, 3)
    picture[crown] = light[crown, None] * green + np.array([0.05, 0.03, 0]) * side[crown, None]
    picture[trunk] = (0.26, 0.17, 0.11)


def _draw_house(picture: Floats, place: float, foot: float) -> None:
    """A red house with lit windows, 0.15 wide, standing at (place, foot)."""
    y, x = np.mgrid[0:H, 0:W] / H
    u, v = (x - place) / 0.15, (foot - y) / 0.15
    boards = 0.88 + 0.12 * np.sign(np.sin(v * 75))
    wall = (u > 0) & (u < 1) & (v > 0) & (v < 0.42)
    gable = (u > 0) & (u < 0.36) & (v >= 0.42) & (v < 0.78 - 2 * np.abs(u - 0.18))
    for part, shade in ((wall & (u < 0.36), 0.62), (wall & (u >= 0.36), 1.0), (gable, 0.62)):
        picture[part] = np.array([0.72, 0.22, 0.15]) * (shade * boards)[part, None]
    slant = u - 0.18 - (0.8 - v) * 0.5
    roof = (v > 0.4) & (v < 0.82) & (slant > -0.02) & (u < 1.06)
    picture[roof] = (np.array([0.3, 0.26, 0.3]) * (0.85 + 0.25 * np.sin(v * 60) ** 2)[..., None])[roof]
    chimney = (u > 0.66) & (u < 0.75) & (v > 0.7) & (v < 0.95)
    picture[chimney] = (0.55, 0.36, 0.3)
    for left in (0.1, 0.46, 0.64, 0.82):
        frame = (np.abs(u - left - 0.06) < 0.075) & (np.abs(v - 0.23) < 0.115)
        pane = (np.abs(u - left - 0.06) < 0.055) & (np.abs(v - 0.23) < 0.09) & (np.abs(u - left - 0.06) > 0.008)
        picture[frame] = (0.95, 0.92, 0.86)
        picture[pane] = (1.0, 0.82, 0.42)


def _draw_flower(picture: Floats, place: float, height: float, edge: Floats, rng: np.random.Generator) -> None:
    """A flower of five petals in the grass, none where there is water."""
    if height < edge[0, min(W - 1, int(place * H))] + 0.02:
        return
    size = 0.006 + 0.012 * (height - 0.86) / 0.14
    colour = np.array([(0.95, 0.3, 0.25), (0.98, 0.8, 0.25), (0.96, 0.94, 0.98), (0.7, 0.4, 0.85)])[rng.integers(4)]
    top, left = max(0, int((height - 2 * size) * H)), max(0, int((place - 2 * size) * H))
    region = picture[top : top + int(4 * size * H), left : left + int(4 * size * H)]
    v, u = np.mgrid[top : top + region.shape[0], left : left + region.shape[1]] / H
    angle, radius = np.arctan2(v - height, u - place), np.hypot(v - height, u - place) / size
    petals = radius < 0.55 + 0.45 * np.abs(np.cos(2.5 * angle))
    region[petals] = colour * (0.7 + 0.3 * radius[petals, None])
    region[radius < 0.3] = (0.95, 0.7, 0.15)


SPHERES = (  # centre (right, up, away), radius, RGB, skin
    ((-1.55, 0.62, 0.55), 0.62, (0.80, 0.13, 0.10), "apple"),
    ((-0.28, 0.70, 1.05), 0.70, (0.95, 0.52, 0.08), "orange"),
    ((-0.72, 0.46, -0.45), 0.46, (0.96, 0.80, 0.20), "lemon"),
    ((0.62, 0.55, -0.10), 0.55, (0.52, 0.68, 0.16), "apple"),
    ((2.05, 0.72, 1.15), 0.72, (0.86, 0.28, 0.16), "apple"),
    ((-2.45, 0.45, -0.15), 0.45, (0.95, 0.60, 0.30), "orange"),
)
GRAPES = tuple(
    ((1.45 + 0.27 * column + 0.13 * (row % 2) + 0.1 * layer, 0.17 + 0.25 * layer, -0.75 + 0.25 * row + 0.08 * layer),
     0.17, (0.34, 0.14, 0.40), "grape")
    for layer in range(3)
    for row in range(4 - layer)
    for column in range(4 - layer)
)  # fmt: skip
FIELD, TILT = 0.68, 0.2  # height of the view and how far it looks down, at distance 1
LIGHT = np.array([-0.58, 0.68, -0.45]) / np.linalg.norm([-0.58, 0.68, -0.45])


def fruit(rng: np.random.Generator) -> Floats:
    """Fruit on a wooden table, before a wall, (H, W, 3) of 0..1."""
    eye = np.array([0.0, 1.75, -6.2])
    v, u = np.mgrid[0:H, 0:W]
    rays = np.stack([(u - W / 2) / H * FIELD, (H / 2 - v) / H * FIELD - TILT, np.ones((H, W))], -1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    picture, nearest = _table_and_wall(eye, rays, rng)
    for centre, radius, colour, skin in SPHERES + GRAPES:
        distance = _distance(eye, rays, np.array(centre), radius)
        hit = distance < nearest
        nearest = np.where(hit, distance, nearest)
        point = eye + distance[hit][:, None] * rays[hit]
        normal = (point - np.array(centre)) / radius
        picture[hit] = _skin(point, normal, rays[hit], np.array(colour), skin, radius, rng)
    for (x, y, z), radius, _, skin in SPHERES:
        if skin == "apple":
            _draw_stem(picture, eye, np.array([x, y + radius * 0.88, z - radius * 0.12]))
    return picture


def _distance(eye: Floats, rays: Floats, centre: Floats, radius: float) -> Floats:
    """How far along each ray (..., 3) the sphere begins; infinite where it is missed or behind."""
    offset = eye - centre
    along = (offset * rays).sum(-1)
    inside = along**2 - (offset**2).sum(-1) + radius**2
    distance = -along - np.sqrt(np.clip(inside, 0, None))
    return np.where((inside > 0) & (distance > 1e-3), distance, np.inf)


def _shade_of_others(point: Floats, sharpness: float) -> Floats:
    """How much light reaches each point (N, 3) past the fruit, 0..1, soft at the edges of shadows."""
    light = np.ones(len(point))
    for centre, radius, _, _ in SPHERES + GRAPES:
        offset = np.array(centre) - point
        along = offset @ LIGHT
        miss = np.sqrt(np.clip((offset**2).sum(-1) - along**2, 0, None))
        soft = np.clip((miss - radius) / (0.06 + 0.12 * np.clip(along, 0, None)) * sharpness + 0.5, 0, 1)
        light *= np.where(along > radius * 0.5, soft, 1)
    return light


def _table_and_wall(eye: Floats, rays: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    to_table = np.where(rays[..., 1] < -1e-6, -eye[1] / np.minimum(rays[..., 1], -1e-6), np.inf)
    to_wall = (3.4 - eye[2]) / rays[..., 2]
    table = to_table < to_wall
    nearest = np.where(table, to_table, to_wall)
    point = eye + nearest[..., None] * rays

    plaster = fractal_noise(rng, (H, W), (4, 6), 7)
    glow = np.exp(-(((point[..., 0] + 1.8) / 3.2) ** 2 + ((point[..., 1] - 2.6) / 2.2) ** 2))
    picture = gradient([(0, (26, 44, 52)), (0.5, (62, 96, 100)), (1, (150, 168, 150))], 0.3 * plaster + 0.75 * glow)

    x, z = point[table][:, 0], point[table][:, 2]
    board = np.floor(x / 1.1)
    fibre = fractal_noise(rng, (256, 1024), (2, 60), 4)
    shift = board * 37
    column = ((x * 110 + shift) % 1024).astype(int)
    row = ((z * 14 + shift * 3 + 12 * np.sin(x * 2 + board)) % 256).astype(int)
    rings = 0.5 + 0.5 * np.sin((x * 9 + np.sin(z * 0.9 + board * 2) * 1.6 + fibre[row, column] * 3) * 3)
    wood = gradient([(0, (92, 50, 26)), (0.5, (158, 96, 52)), (1, (206, 146, 86))],
                    0.45 * rings + 0.5 * fibre[row, column] + 0.08 * np.sin(board * 5))  # fmt: skip
    gap = np.clip(np.abs(x / 1.1 - np.round(x / 1.1)) * 60, 0.25, 1)
    lit = 0.24 + 0.9 * _shade_of_others(point[table], 1)
    ambient = np.ones(len(x))
    for centre, radius, _, _ in SPHERES + GRAPES:
        reach = np.hypot(x - centre[0], z - centre[2]) / radius
        ambient *= 1 - 0.6 * np.exp(-((reach / 0.8) ** 2))
    picture[table] = wood * (gap * lit * ambient * np.exp(-((np.hypot(x + 0.5, z) / 5.5) ** 2)))[:, None]
    return picture, nearest


def _skin(
    point: Floats, normal: Floats, rays: Floats, colour: Floats, skin: str, radius: float, rng: np.random.Generator
) -> Floats:
    """The colours (N, 3) of the points of one fruit."""
    around, up = np.arctan2(normal[:, 2], normal[:, 0]), normal[:, 1]
    spots = fractal_noise(rng, (256, 512), (20, 40), 4)
    sample = spots[((up + 1) * 127).astype(int), ((around / np.pi + 1) * 255).astype(int)]
    if skin == "apple":
        streaks = fractal_noise(rng, (8, 512), (2, 50), 4)[3][((around / np.pi + 1) * 255).astype(int)]
        blush = np.clip(0.9 * (streaks - 0.45) + 0.9 * (up - 0.35), 0, 0.85)
        surface = blend(colour, np.array([0.93, 0.78, 0.30]), blush[:, None]) * (0.85 + 0.3 * sample)[:, None]
    elif skin == "grape":
        surface = (
            colour * (0.8 + 0.5 * sample)[:, None] + np.array([0.10, 0.12, 0.2]) * np.clip(sample - 0.5, 0, 1)[:, None]
        )
    else:
        dimples = fractal_noise(rng, (256, 512), (64, 128), 2)
        normal = (
            normal
            + 0.5 * (dimples[((up + 1) * 127).astype(int), ((around / np.pi + 1) * 255).astype(int)] - 0.5)[:, None]
        )
        surface = colour * (0.9 + 0.2 * sample)[:, None]
    facing = np.clip(normal @ LIGHT, 0, 1) * _shade_of_others(point + 0.02 * normal, 1.5)
    bounce = np.clip(-normal[:, 1], 0, 1)[:, None] * np.array([0.30, 0.17, 0.08])
    sky = (0.20 + 0.10 * normal[:, 1])[:, None] * np.array([0.85, 1.0, 1.1])
    half = LIGHT - rays
    half /= np.linalg.norm(half, axis=-1, keepdims=True)
    shine = np.clip((half * normal).sum(-1), 0, 1) ** (90 if skin in ("apple", "grape") else 24)
    strength = {"apple": 0.75, "grape": 0.6}.get(skin, 0.28)
    rim = (1 - np.clip(-(rays * normal).sum(-1), 0, 1)) ** 3
    contact = np.clip(point[:, 1] / (0.5 * radius), 0.25, 1)
    shaded = surface * (sky + bounce + 0.95 * facing[:, None]) * contact[:, None]
    return np.asarray(shaded + (strength * shine * (facing > 0))[:, None] + 0.10 * rim[:, None])


def _draw_stem(picture: Floats, eye: Floats, foot: Floats) -> None:
    """A short curved stem on an apple."""
    for step in np.linspace(0, 1, 60):
        x, y, z = foot + np.array([0.12 * step**2, 0.28 * step, 0]) - eye
        column, row = x / z / FIELD * H + W / 2, H / 2 - (y / z + TILT) / FIELD * H
        r, c = np.ogrid[0:H, 0:W]
        within = (r - row) ** 2 + (c - column) ** 2 < (5 + 2 * step) ** 2
        picture[within] = np.array([0.30, 0.19, 0.10]) * (0.7 + 0.6 * step)


def finish(picture: Floats, rng: np.random.Generator) -> Image.Image:
    """A picture (H, W, 3) at its final size, with a little of the grain of a photograph."""
    full = Image.fromarray((picture.clip(0, 1) * 255).round().astype(np.uint8))
    small = np.asarray(full.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS), np.float64)
    grain = rng.normal(0, 2.5, small.shape[:2])[..., None]
    return Image.fromarray((small + grain).clip(0, 255).round().astype(np.uint8))


def main() -> None:
    """Draw both pictures into a folder."""
    parser = argparse.ArgumentParser(prog="draw_photos", description="Draw the sample pictures.")
    parser.add_argument("folder", type=Path, help="where to write lake.jpg and fruit.jpg")
    folder = parser.parse_args().folder
    for draw in (lake, fruit):
        rng = np.random.default_rng(SEED)
        finish(draw(rng), rng).save(folder / f"{draw.__name__}.jpg", quality=JPEG_QUALITY)


if __name__ == "__main__":
    main()
