"""Models and pictures to try everything on.

    >>> from mlexplorer import samples
    >>> model = samples.style()
    >>> photos = samples.photos()
    >>> path = samples.spatial_transformer()
    >>> pictures, labels = samples.digits()

`style_mosaic.mlmodel` was trained by `train_style.py`, `spatial_transformer.h5` by `train_spatial_transformer.py`; the
photographs were drawn by `draw_photos.py`. All of them lie beside this file, and README.md there tells how. All of it
is under mlexplorer's own licence but for the digits, whose source README.md names.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from mlexplorer.model import Model

__all__ = ["digits", "photos", "spatial_transformer", "style"]

FOLDER = Path(__file__).parent
_DIGIT_SIDE = 28


def style() -> Model:
    """The bundled model: it paints a photograph as a stained-glass mosaic.

    A style-transfer network of 1,677,635 32-bit floats (6.7 MB), from an RGB image `image` of 64 to 1920 pixels a
    side, 480 x 320 by default, to an image `stylized` of the same size.
    """
    from mlexplorer.formats import load

    return load(FOLDER / "style_mosaic.mlmodel")


def photos() -> list[Path]:
    """Pictures to try a model on: scikit-learn's two photographs where it is installed, then two drawn by code.

    The drawn ones, a lake between mountains and a table with fruit, are 480 x 320; scikit-learn's are 640 x 427.
    """
    return [*_photos_of_scikit_learn(), *sorted(FOLDER.glob("*.jpg"))]


def spatial_transformer() -> Path:
    """The path of a Keras file, to be converted: a digit classifier with a layer that neither Keras nor Core ML knows.

    From `image` [batch, 28, 28, 1] in 0..1 to the probabilities of ten digits; 45,360 32-bit floats. The layer
    "sampler" is a GridSampler, which `samples.grid_sampler` converts and runs.
    """
    return FOLDER / "spatial_transformer.h5"


def digits() -> tuple[list[Image], list[int]]:
    """200 gray pictures of 28 x 28 pixels and their digits, 20 of each, which the spatial transformer was not shown.

    They are digits of scikit-learn's, from the UCI repository (README.md beside this file), under random affine maps.
    """
    import PIL.Image

    with PIL.Image.open(FOLDER / "digits.png") as sheet:
        columns, rows = sheet.width // _DIGIT_SIDE, sheet.height // _DIGIT_SIDE
        places = [(column * _DIGIT_SIDE, row * _DIGIT_SIDE) for row in range(rows) for column in range(columns)]
        pictures = [sheet.crop((x, y, x + _DIGIT_SIDE, y + _DIGIT_SIDE)) for x, y in places]
    return pictures, [y // _DIGIT_SIDE for _, y in places]


def _photos_of_scikit_learn() -> list[Path]:
    """Found without importing scikit-learn, which takes a second."""
    package = find_spec("sklearn")
    folders = [] if package is None else package.submodule_search_locations or []
    return sorted(path for folder in folders for path in Path(folder, "datasets", "images").glob("*.jpg"))
