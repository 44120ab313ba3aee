"""Specifications of classic models that the tests write by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlexplorer as mle
from mlexplorer import spec
from tests.checks import fill

DATA_TYPES = {"array": 65600, "singles": 65568, "integers": 131104}


def declare(features: Any, declarations: Mapping[str, str]) -> None:
    """Add features: "double", "int64?", "string dictionary", "array 3 2", "singles 3", "integers 3", "open"."""
    for name, text in declarations.items():
        kind = features.add(name=name).type
        kind.isOptional = text.endswith("?")
        first, *rest = text.removesuffix("?").split()
        if rest == ["dictionary"]:
            getattr(kind.dictionaryType, f"{first}KeyType").SetInParent()
        elif first == "open":
            kind.multiArrayType.dataType = DATA_TYPES["array"]
            kind.multiArrayType.shape.append(1)
            kind.multiArrayType.shapeRange.sizeRanges.add(lowerBound=1, upperBound=-1)
        elif first in DATA_TYPES:
            kind.multiArrayType.dataType = DATA_TYPES[first]
            kind.multiArrayType.shape.extend(map(int, rest))
        else:
            getattr(kind, f"{first}Type").SetInParent()


def specification(
    kind: str, fields: Any, inputs: Mapping[str, str], outputs: Mapping[str, str], predicted: str = ""
) -> Any:
    """A specification of this model type; `fields` are its message's, or the message; see `declare` for features."""
    model = spec.Model(specificationVersion=4)
    getattr(model, kind).SetInParent()
    if isinstance(fields, Mapping):
        fill(getattr(model, kind), fields)
    else:
        getattr(model, kind).CopyFrom(fields)
    declare(model.description.input, inputs)
    declare(model.description.output, outputs)
    model.description.predictedFeatureName = predicted
    return model


def predict(kind: str, fields: Any, inputs: Mapping[str, tuple[str, Any]], output: str) -> Any:
    """The only output, "y", of a model of this type; `inputs` have the declaration and the value, None where absent."""
    model = mle.load(specification(kind, fields, {name: text for name, (text, _) in inputs.items()}, {"y": output}))
    return mle.predict(model, {name: value for name, (_, value) in inputs.items() if value is not None})["y"]


def classifier(kind: str, fields: Mapping[str, Any], labels: list[Any] | None, inputs: Mapping[str, str]) -> mle.Model:
    """A classifier with the outputs "label" and "chances"; without labels it counts its classes."""
    keys = "string" if labels and isinstance(labels[0], str) else "int64"
    stated = {f"{keys}ClassLabels": {"vector": labels}} if labels else {}
    outputs = {"label": keys, "chances": f"{keys} dictionary"}
    model = specification(kind, {**fields, **stated}, inputs, outputs, "label")
    model.description.predictedProbabilitiesName = "chances"
    return mle.load(model)
