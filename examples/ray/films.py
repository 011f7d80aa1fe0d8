"""Films as a network takes them: what `src/image` and `src/preprocess` do, restated with Pillow and NumPy.

`prepare` gives what `Preprocess::apply` gives, within the rounding of JPEG decoders: luminance, antialiased resize,
contrast, `(v - mean) / std`, the grey repeated over the channels.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Floats = NDArray[np.float32]

MINIMUM_SIDE = 32
"""Fewest pixels a side: `preprocess::MINIMUM_SIDE`."""


@dataclass(frozen=True)
class Settings:
    """The `preprocess` entry of a model's metadata."""

    height: int
    width: int
    channels: int
    contrast: str
    mean: float
    std: float

    @staticmethod
    def from_json(text: str) -> "Settings":
        """Reads the entry; one that asks for more than is done here is refused, as the scores would be wrong."""
        entries = json.loads(text)
        unknown = set(entries) - set(Settings.__dataclass_fields__)
        if unknown or entries["contrast"] not in CONTRASTS:
            raise ValueError(f"the model asks for preprocessing that this example does not have: {text}")
        return Settings(**entries)


def luminance(path: Path) -> Floats:
    """The film `[height, width]` upright, in `[0, 1]`: BT.601 luminance, 16 bits kept, transparency on black."""
    with Image.open(path) as stored:
        film = ImageOps.exif_transpose(stored)
    if film.mode.startswith("I;16"):
        return np.asarray(film, np.float32) / 65535
    if film.mode == "L":
        return np.asarray(film, np.float32) / 255
    red, green, blue, alpha = np.moveaxis(np.asarray(film.convert("RGBA"), np.float32) / 255, -1, 0)
    return (green + 0.299 * (red - green) + 0.114 * (blue - green)) * alpha


def taps(before: int, after: int) -> Iterator[tuple[int, Floats]]:
    """For each pixel of one axis: the first one it takes from, and the weights of that and those that follow."""
    scale = before / after
    support = max(scale, 1)
    for pixel in range(after):
        centre = (pixel + 0.5) * scale
        first, end = int(max(centre - support + 0.5, 0)), min(int(centre + support + 0.5), before)
        weights = [max(1 - abs((i + 0.5 - centre) / support), 0) for i in range(first, end)]
        yield first, np.array([weight / sum(weights) for weight in weights], np.float32)


def resize_rows(film: Floats, height: int) -> Floats:
    """The film with another number of rows: a triangle filter whose support grows with the reduction.

    Pillow's BILINEAR is the same filter. Its roundings are others, though, in the seventh digit, and which of 256 levels a
    pixel then falls into can hang on them: so the additions are made one by one, in the order in which `resize.rs` makes them.
    """
    if len(film) == height:
        return film
    out = np.zeros((height, film.shape[1]), np.float32)
    for row, (first, weights) in zip(out, taps(len(film), height), strict=True):
        for weight, values in zip(weights, film[first:]):
            row += weight * values
    return out


def equalise(grey: Floats) -> Floats:
    """Histogram equalisation on 256 levels with mid-rank values, `(cdf[v] - hist[v] / 2) / n`."""
    # Halves go up, as in Rust; NumPy's own rounding takes them to the even neighbour. In float64 the sum is exact.
    levels = np.floor((grey * 255).astype(np.float64) + 0.5).astype(np.uint8)
    histogram = np.bincount(levels.ravel(), minlength=256)
    ranks = (np.cumsum(histogram) - histogram / 2) / grey.size
    return ranks.astype(np.float32)[levels]


CONTRASTS = {"none": lambda grey: grey, "equalise": equalise}


def prepare(path: Path, settings: Settings) -> Floats:
    """One film as `[channels, height, width]`."""
    film = luminance(path)
    height, width = film.shape
    if min(height, width) < MINIMUM_SIDE:
        raise ValueError(f"image is {width}×{height} px; at least {MINIMUM_SIDE} px a side are needed")
    resized = resize_rows(resize_rows(film, settings.height).T, settings.width).T
    grey = CONTRASTS[settings.contrast](resized.clip(0, 1))
    return np.repeat((grey[np.newaxis] - settings.mean) / settings.std, settings.channels, axis=0).astype(np.float32)
