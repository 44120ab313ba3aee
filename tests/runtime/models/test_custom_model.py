"""Custom models: Python classes by name, their parameters, what they may return, and how they may fail."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import CustomLayerError, InputError
from mlexplorer.runtime import custom


def with_types(description: Any, types: dict[str, str]) -> None:
    for name, kind in types.items():
        message = description.add(name=name).type
        if kind == "image":
            message.imageType.width, message.imageType.height, message.imageType.colorSpace = 4, 3, 20
        elif kind == "array":
            message.multiArrayType.dataType = 65568
            message.multiArrayType.shape.extend([2, 3])
        elif kind == "words":
            message.dictionaryType.stringKeyType.SetInParent()
        elif kind == "numbers":
            message.dictionaryType.int64KeyType.SetInParent()
        elif kind == "texts":
            message.sequenceType.stringType.SetInParent()
        else:
            getattr(message, f"{kind}Type").SetInParent()


def custom_model(outputs: dict[str, str], inputs: dict[str, str] | None = None, name: str = "Thing") -> Any:
    model = spec.Model(specificationVersion=4)
    model.customModel.className = name
    with_types(model.description.input, {"x": "double"} if inputs is None else inputs)
    with_types(model.description.output, outputs)
    return model


def answering(answer: Any) -> type:
    class Thing:
        def __init__(self, parameters: dict[str, Any]) -> None:
            self.parameters = parameters

        def predict(self, inputs: dict[str, Any]) -> Any:
            return answer

    return Thing


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom, "_REGISTERED_MODELS", {})


def test_parameters_of_every_type_reach_the_class() -> None:
    model = custom_model({"y": "double"})
    given = {
        "share": ("doubleValue", 0.25),
        "title": ("stringValue", "naïve\n"),
        "count": ("intValue", -3),
        "long": ("longValue", 2**40),
        "on": ("boolValue", True),
        "off": ("boolValue", False),
        "table": ("bytesValue", bytes(range(256)) * 50),
    }
    for name, (field, value) in given.items():
        setattr(model.customModel.parameters[name], field, value)
    for index in range(20):  # more than a representation lists
        model.customModel.parameters[f"p{index}"].intValue = index
    model.customModel.parameters["unset"].SetInParent()
    seen: dict[str, Any] = {}

    class Thing:
        def __init__(self, parameters: dict[str, Any]) -> None:
            seen.update(parameters)

        def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
            return {"y": 2 * inputs["x"]}

    assert mle.predict(mle.load(model), 1.5, custom_models={"Thing": Thing}) == {"y": 3.0}
    expected = {name: value for name, (_, value) in given.items()} | {f"p{index}": index for index in range(20)}
    assert seen == {**expected, "unset": None}
    assert [type(seen[name]) for name in given] == [type(value) for _, value in given.values()]


@pytest.mark.usefixtures("registry")
def test_a_registered_class_is_found_and_an_argument_goes_first() -> None:
    @mle.custom_model("Thing")
    class Registered:
        def __init__(self, parameters: dict[str, Any]) -> None:
            pass

        def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
            return {"y": 1}

    model = mle.load(custom_model({"y": "double"}))
    assert mle.predict(model, 0.0) == {"y": 1.0}
    assert mle.predict(model, 0.0, custom_models={"Thing": answering({"y": 2})}) == {"y": 2.0}
    assert mle.predict(model, 0.0, outputs=["y", "x"]) == {"y": 1, "x": 0.0}
    with pytest.raises(InputError, match="the model has no value 'z'"):
        mle.predict(model, 0.0, outputs=["z"])


@pytest.mark.usefixtures("registry")
def test_the_class_is_made_once_and_its_state_lives_on() -> None:
    class Counter:
        made = 0

        def __init__(self, parameters: dict[str, Any]) -> None:
            Counter.made += 1
            self.calls = 0

        def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
            self.calls += 1
            inputs.clear()  # the class may do with them what it likes
            return {"y": self.calls}

    model = mle.load(custom_model({"y": "int64"}))
    predictor = mle.Predictor(model, custom_models={"Thing": Counter})
    feeds = {"x": 1.0}
    assert [result["y"] for result in predictor.predict([feeds, feeds])] == [1, 2]
    assert predictor.rebind(model.copy()).predict(feeds) == {"y": 3}
    assert predictor.predict(feeds, outputs=["x", "y"]) == {"x": 1.0, "y": 4}
    assert (Counter.made, feeds) == (1, {"x": 1.0})


VALUES: dict[str, tuple[Any, Any]] = {
    "double": (np.float32(0.5), 0.5),
    "int64": (np.int16(7), 7),
    "string": ("a", "a"),
    "array": (np.ones((2, 3)), np.ones((2, 3), np.float32)),
    "words": ({"a": np.float64(1)}, {"a": 1.0}),
    "numbers": ({np.int64(3): 1}, {3: 1.0}),
    "texts": (["a", "b"], ["a", "b"]),
    "image": (Image.new("RGB", (4, 3)), Image.new("RGB", (4, 3))),
}


@pytest.mark.parametrize("kind", VALUES)
def test_values_of_every_type_are_returned(kind: str) -> None:
    answer, expected = VALUES[kind]
    given = mle.predict(
        mle.load(custom_model({"y": kind})), 0.0, custom_models={"Thing": answering({"y": answer, "more": 1})}
    )
    assert list(given) == ["y"]
    assert type(given["y"]) is type(expected)
    np.testing.assert_array_equal(given["y"], expected)


@pytest.mark.parametrize(
    ("kind", "answer", "message"),
    [
        ("double", None, "returned a NoneType; it must return a dictionary"),
        ("double", [1.0], "returned a list; it must return a dictionary"),
        ("double", {}, "returned nothing, but not the output 'y'"),
        ("double", {"Y": 1.0, "z": 2}, "returned 'Y', 'z', but not the output 'y'"),
        ("double", {"y": "one"}, "'y' is declared as y: double"),
        ("double", {"y": np.zeros(2)}, "'y' is declared as y: double"),
        ("int64", {"y": float("nan")}, "'y' is declared as y: int64"),
        ("string", {"y": 3}, "returned a int for the output 'y', which is declared as y: string"),
        ("array", {"y": "ones"}, "returned a str for the output 'y', which is declared as y: multiArray 2 x 3"),
        ("array", {"y": [[1], [2, 3]]}, "'y', which is declared as y: multiArray 2 x 3"),
        ("array", {"y": None}, "returned a NoneType for the output 'y', which is declared as y: multiArray 2 x 3"),
        ("words", {"y": [("a", 1)]}, "returned a list for the output 'y', which is declared as y: dictionary string"),
        ("words", {"y": {1: 1.0}}, "returned a dict for the output 'y', which is declared as y: dictionary string"),
        ("words", {"y": {"a": "b"}}, "'y' is declared as y: dictionary string"),
        ("numbers", {"y": {"a": 1.0}}, "returned a dict for the output 'y', which is declared as y: dictionary int64"),
        ("texts", {"y": "abc"}, "returned a str for the output 'y', which is declared as y: sequence string"),
        ("texts", {"y": [1]}, "returned a list for the output 'y', which is declared as y: sequence string"),
        ("image", {"y": np.zeros((3, 4, 3))}, "returned a ndarray for the output 'y', which is declared as y: image"),
    ],
)
def test_answers_that_do_not_fit_are_the_fault_of_the_class(kind: str, answer: Any, message: str) -> None:
    model = mle.load(custom_model({"y": kind}))
    with pytest.raises(CustomLayerError, match=rf"^custom model: .*class 'Thing'.*{message}"):
        mle.predict(model, 0.0, custom_models={"Thing": answering(answer)})


def test_a_class_that_fails_is_an_error_of_ours() -> None:
    class Greedy:
        def __init__(self) -> None:
            pass

    class Silent:
        def __init__(self, parameters: dict[str, Any]) -> None:
            pass

    class Unlucky(Silent):
        def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
            raise KeyError("luck")

    model = mle.load(custom_model({"y": "double"}))
    for failing in (Greedy, Silent):
        with pytest.raises(CustomLayerError, match=r"__init__ of class 'Thing' failed: (Type|Attribute)Error"):
            mle.Predictor(model, custom_models={"Thing": failing})
    predictor = mle.Predictor(model, custom_models={"Thing": Unlucky})
    with pytest.raises(CustomLayerError, match="predict of class 'Thing' failed: KeyError: 'luck'") as error:
        predictor.predict({"x": 1.0})
    assert isinstance(error.value.__cause__, KeyError)


@pytest.mark.usefixtures("registry")
def test_without_a_class_the_error_ends_with_one_to_fill_in() -> None:
    inputs = {"photo": "image", "x": "array", "level": "double", "note": "string"}
    model = custom_model({"chances": "words", "steps": "texts", "count": "int64"}, inputs)
    model.description.input[3].type.isOptional = True
    model.customModel.description = "Finds things."
    model.customModel.parameters["limit"].intValue = 3
    model.customModel.parameters["table"].bytesValue = b"\x00" * 9
    with pytest.raises(CustomLayerError) as error:
        mle.Predictor(mle.load(model))
    head, _, source = str(error.value).partition("\n\n")
    assert "custom model has no Python class 'Thing'" in head
    assert "@mlexplorer.custom_model('Thing')" in head
    for line in (
        "# Finds things.",
        "self.limit = parameters['limit']  # 3",
        "x0 = inputs['photo']  # a PIL image of 4 x 3 pixels",
        "x1 = inputs['x']  # a NumPy array of FLOAT32, 2 x 3",
        "x2 = inputs['level']  # a float",
        "x3 = inputs.get('note')  # a str, or None",
        "# 'chances': a dict from str to float",
        "# 'steps': a list of str",
        "# 'count': an int",
    ):
        assert re.search(rf"^ +{re.escape(line)}$", source, re.MULTILINE), line
    lines = source.splitlines()
    position = next(index for index, line in enumerate(lines) if "NotImplementedError" in line)
    lines[position] = "        return {'chances': {x3 or 'none': x2}, 'steps': [str(x1.shape)], 'count': self.limit}"
    exec("\n".join(lines), {})
    feeds = {"photo": Image.new("RGB", (4, 3)), "x": np.zeros((2, 3)), "level": 0.5}
    assert mle.predict(mle.load(model), feeds) == {"chances": {"none": 0.5}, "steps": ["(2, 3)"], "count": 3}
