"""Why classes of Keras' own are not among those that are converted."""

from __future__ import annotations

from collections.abc import Mapping

_TEXTS = "it looks up texts or numbers in a vocabulary, and Core ML's networks have floats only: do it in the app"

REASONS: Mapping[str, str] = {
    "ConvLSTM3D": "its input has six axes; Core ML has at most five",
    "Hashing": _TEXTS,
    "HashedCrossing": _TEXTS,
    "IntegerLookup": _TEXTS,
    "Lambda": "it is Python code, which is never run; give it a function by the layer's name",
    "StringLookup": _TEXTS,
    "TextVectorization": _TEXTS,
}
