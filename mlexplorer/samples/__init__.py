"""A model and photographs to try everything on.

    >>> from mlexplorer import samples
    >>> model = samples.style()
    >>> photos = samples.photos()

`style_mosaic.mlmodel` was trained by `train_style.py` and the pictures were drawn by `draw_photos.py`, both beside it;
README.md there tells how. All of it is under mlexplorer's own licence.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlexplorer.model import Model

__all__ = ["photos", "style"]

FOLDER = Path(__file__).parent


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


def _photos_of_scikit_learn() -> list[Path]:
    """Found without importing scikit-learn, which takes a second."""
    package = find_spec("sklearn")
    folders = [] if package is None else package.submodule_search_locations or []
    return sorted(path for folder in folders for path in Path(folder, "datasets", "images").glob("*.jpg"))
