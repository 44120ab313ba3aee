"""Everything that mlexplorer raises on purpose.

    MlexplorerError
    ├── FileFormatError        the file is not a model: a Git LFS pointer, HTML, truncated, empty, a plain folder
    ├── ModelError             the specification contradicts itself: a weight of the wrong length, an unknown blob name
    ├── UnsupportedError       a model, layer or operation that cannot be run, quantized or converted; named
    ├── InputError             what was given does not fit: a name, shape, type, size, folder or picture
    ├── QuantizationError      a scheme or table that cannot be applied: bits, NaN weights, a table of the wrong length
    ├── CustomLayerError       no class for a custom layer, or the class broke its promise
    ├── MissingDependencyError a package or command that this call needs is not installed
    └── Cancelled              the user cancelled

Each message names the file, layer or field and says what to do.
"""

from __future__ import annotations


class MlexplorerError(Exception):
    """The root of all errors of mlexplorer."""


class FileFormatError(MlexplorerError, ValueError):
    """A file that is not a Core ML model, or not a whole one."""


class ModelError(MlexplorerError, ValueError):
    """A specification that contradicts itself."""


class UnsupportedError(MlexplorerError, NotImplementedError):
    """A model, layer or operation that this version refuses by name."""


class InputError(MlexplorerError, ValueError):
    """An argument that does not fit the model or the function."""


class QuantizationError(MlexplorerError, ValueError):
    """A scheme that cannot be applied to a weight."""


class CustomLayerError(MlexplorerError, RuntimeError):
    """A custom layer without a class, or a class that broke its promise."""


class MissingDependencyError(MlexplorerError, ImportError):
    """A package or a command that is needed and not installed."""


class Cancelled(MlexplorerError):
    """The user cancelled the computation."""
