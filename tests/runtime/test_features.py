"""What every type of input takes, what it refuses and how it says so; batches, bare values, torch tensors."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import InputError, ModelError
from mlexplorer.runtime.features import write_outputs
from tests.runtime.networks import FLOAT32, add, network

RNG = np.random.default_rng(17)


class Echo:
    """A custom model that hands its inputs on, or what its parameters say."""

    answers: dict[str, Any] | None = None

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = parameters

    def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {f"{name}_out": value for name, value in inputs.items()} if self.answers is None else self.answers


def feature_types() -> dict[str, Callable[[Any], None]]:
    def picture(kind: Any) -> None:
        kind.imageType.width, kind.imageType.height, kind.imageType.colorSpace = 7, 5, 20

    def array(kind: Any) -> None:
        kind.multiArrayType.dataType = 65600
        kind.multiArrayType.shape.extend((2, 3))

    return {
        "picture": picture,
        "array": array,
        "double": lambda kind: kind.doubleType.SetInParent(),
        "whole": lambda kind: kind.int64Type.SetInParent(),
        "text": lambda kind: kind.stringType.SetInParent(),
        "words": lambda kind: kind.dictionaryType.stringKeyType.SetInParent(),
        "numbers": lambda kind: kind.dictionaryType.int64KeyType.SetInParent(),
        "texts": lambda kind: kind.sequenceType.stringType.SetInParent(),
        "ids": lambda kind: kind.sequenceType.int64Type.SetInParent(),
    }


def echo(*names: str, optional: bool = False) -> mle.Model:
    """A custom model with one input and one output of each of the types with these names."""
    model = spec.Model(specificationVersion=4)
    model.customModel.className = "Echo"
    for name in names:
        for features, feature in ((model.description.input, name), (model.description.output, f"{name}_out")):
            message = features.add(name=feature)
            feature_types()[name](message.type)
        model.description.input[-1].type.isOptional = optional
    return mle.load(model)


def through(name: str, value: Any) -> Any:
    return mle.predict(echo(name), {name: value}, custom_models={"Echo": Echo})[f"{name}_out"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("double", 3, 3.0),
        ("double", np.float32(0.5), 0.5),
        ("double", np.array([[2.5]]), 2.5),
        ("double", True, 1.0),
        ("whole", 3.0, 3),
        ("whole", np.int16(-4), -4),
        ("text", "naïve\n", "naïve\n"),
        ("text", np.str_("numpy's"), "numpy's"),
        ("words", {"a": 1, "": np.float16(0.5)}, {"a": 1.0, "": 0.5}),
        ("words", {}, {}),
        ("numbers", {np.int64(7): 2, -1: 0.25}, {7: 2.0, -1: 0.25}),
        ("texts", ("x", "y"), ["x", "y"]),
        ("ids", np.array([3, 1]), [3, 1]),
        ("ids", [], []),
    ],
)
def test_values_of_each_type_take_one_form(name: str, value: Any, expected: Any) -> None:
    given = through(name, value)
    assert given == expected
    assert type(given) is type(expected)
    if isinstance(given, dict):
        assert [(type(k), type(v)) for k, v in given.items()] == [(type(k), type(v)) for k, v in expected.items()]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("double", "3", r"input 'double' takes a number, not the str '3'"),
        ("double", [1.0, 2.0], r"takes a number, not the list \[1.0, 2.0\]"),
        ("double", {"a": 1}, r"takes a number, not the dict"),
        ("double", 1j, r"takes a number, not the complex"),
        ("whole", 2.5, r"input 'whole' takes a whole number, not 2.5"),
        ("whole", np.zeros(2), r"takes a whole number, not an array of shape \[2\] of float64"),
        ("whole", float("nan"), r"takes a whole number, not nan"),
        ("text", 3, r"input 'text' takes a text, not the int 3"),
        ("words", [1], r"takes a dictionary from texts to numbers, not the list"),
        ("words", {1.5: 1.0}, r"takes a dictionary from texts to numbers, not a key 1.5"),
        ("words", {"a": "b"}, r"the value of 'a' is the str 'b', not a number"),
        ("numbers", {"a": 1.0}, r"takes a dictionary from whole numbers to numbers, not a key 'a'"),
        ("numbers", {True: 1.0}, r"not a key True"),
        ("numbers", {1.5: 1.0}, r"not a key 1.5"),
        ("texts", "abc", r"takes a list of texts, not the str 'abc'"),
        ("texts", ["a", 1], r"takes a list of texts, not one with the int 1"),
        ("ids", ["a"], r"takes a list of whole numbers, not one with the str 'a'"),
        ("array", np.zeros((3, 2)), r"input 'array' takes an array of shape 2 x 3, not \[3, 2\]"),
        ("array", "seven", r"takes an array of numbers, shape \[2, 3\], not the str 'seven'"),
        ("array", [[1], [2, 3]], r"takes an array of numbers"),
        ("array", np.array([["a"] * 3] * 2), r"takes an array of numbers"),
        ("array", {"a": 1}, r"takes an array of numbers"),
        ("array", Image.new("RGB", (3, 2)), r"takes an array of numbers, shape \[2, 3\], not a picture of 3x2"),
        (
            "picture",
            3,
            r"input 'picture' is a picture: give a PIL image, a path or an \[H, W, 3\] array, not the int 3",
        ),
        ("picture", np.zeros((5, 7, 2)), r"input 'picture': an array of shape \[5, 7, 2\] is not a picture"),
        ("picture", Image.new("RGB", (8, 5)), r"input 'picture' takes pictures of 7 x 5 pixels, not 8x5"),
        ("picture", "no such file.png", r"input 'picture': no such file.png: there is no such picture"),
        (
            "picture",
            np.full((5, 7, 3), 0.5),
            r"input 'picture': the picture has values between 0 and 1.*multiply by 255",
        ),
        ("picture", np.full((5, 7, 3), np.nan), r"input 'picture': the picture has values that are not finite"),
    ],
)
def test_values_that_do_not_fit_are_refused_in_words(name: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        through(name, value)


def test_pictures_are_taken_in_every_usual_form(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pixels = RNG.integers(2, 256, (5, 7, 3)).astype(np.uint8)
    planes = pixels.transpose(2, 0, 1)
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)
    forms = [pixels, pixels.astype(np.float64), planes, planes[None], path, str(path), Image.fromarray(pixels)]
    forms += [torch.from_numpy(np.ascontiguousarray(planes)), torch.from_numpy(pixels).float()]
    for form in forms:
        np.testing.assert_array_equal(np.asarray(through("picture", form)), pixels)
    black = np.zeros((5, 7, 3))
    np.testing.assert_array_equal(np.asarray(through("picture", black)), black)


def test_arrays_keep_their_precision_and_axes_of_one_may_differ() -> None:
    torch = pytest.importorskip("torch")
    precise = RNG.normal(size=(2, 3)) + 1e-12
    for form in (precise, precise[None], precise[:, None], precise.tolist(), torch.from_numpy(precise)):
        given = through("array", form)
        assert given.dtype == np.float64
        np.testing.assert_array_equal(given, precise)
    half = torch.from_numpy(precise).to(torch.bfloat16).requires_grad_()
    np.testing.assert_allclose(through("array", half), precise, rtol=1e-2)


def test_a_list_is_a_batch_and_its_errors_say_which() -> None:
    model = echo("double", "text")
    batch: list[Any] = [{"double": i, "text": str(i)} for i in range(3)]
    results = mle.predict(model, batch, custom_models={"Echo": Echo})
    assert results == [{"double_out": float(i), "text_out": str(i)} for i in range(3)]
    assert mle.predict(model, [], custom_models={"Echo": Echo}) == []
    batch[2] = {"double": 1}
    with pytest.raises(
        InputError, match=r"inputs\[2\]: the input 'text' is missing; the model's inputs are 'double', 'text'"
    ):
        mle.predict(model, batch, custom_models={"Echo": Echo})


def test_a_model_of_one_input_takes_the_value_itself() -> None:
    model = echo("double")
    assert mle.predict(model, 3, custom_models={"Echo": Echo}) == {"double_out": 3.0}
    assert mle.predict(model, [3, {"double": 4}], custom_models={"Echo": Echo}) == [
        {"double_out": 3.0},
        {"double_out": 4.0},
    ]
    with pytest.raises(
        InputError, match="give a dictionary from input name to value: the model's inputs are 'double', 'text'"
    ):
        mle.predict(echo("double", "text"), 3, custom_models={"Echo": Echo})


def test_optional_inputs_may_be_absent() -> None:
    seen = []

    class Listener(Echo):
        def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
            seen.append(dict(inputs))
            return {"double_out": 1, "text_out": "t"}

    model = echo("double", "text", optional=True)
    for inputs in ({}, {"double": None}, {"text": "a"}):
        mle.predict(model, inputs, custom_models={"Echo": Listener})
    assert seen == [{}, {}, {"text": "a"}]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("double", [1, 2]),
        ("double", "x"),
        ("whole", float("inf")),
        ("words", 3),
        ("words", {"a": "b"}),
        ("array", "abc"),
    ],
)
def test_outputs_that_are_not_what_they_are_declared_as_are_an_error(name: str, answer: Any) -> None:
    with pytest.raises(ModelError, match=f"the output '{name}_out' is declared as {name}_out"):
        write_outputs(echo(name), {f"{name}_out": answer})


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0**31, -1e300])
def test_numbers_beyond_a_whole_type_are_an_error_and_beyond_a_float_infinite(value: float) -> None:
    model = echo("array")
    for dtype, fits in ((131104, False), (131080, False), (65552, True), (65568, True)):
        model.spec.description.output[0].type.multiArrayType.dataType = dtype
        if fits:
            expected = value if not np.isfinite(value) or (dtype == 65568 and value > 0) else np.sign(value) * np.inf
            result = write_outputs(model, {"array_out": np.full((2, 3), value)})["array_out"]
            np.testing.assert_array_equal(result, np.full((2, 3), expected))
        else:
            with pytest.raises(ModelError, match=r"the output 'array_out' is declared as .*: values outside -"):
                write_outputs(model, {"array_out": np.full((2, 3), value)})


def test_outputs_that_nothing_writes_are_an_error() -> None:
    with pytest.raises(ModelError, match="nothing in the model writes its output 'double_out'"):
        write_outputs(echo("double"), {})


@pytest.mark.parametrize(
    ("flexible", "accepted", "refused", "words"),
    [
        ([(2, 3), (4, 5)], [(2, 3), (4, 5)], [(2, 5), (5, 4), (6, 7)], "2 x 3 or 4 x 5"),
        ([(2, 4), (3, -1)], [(2, 3), (4, 300)], [(5, 3), (2, 2), (1, 4)], r"2..4 x 3.."),
    ],
)
def test_flexible_shapes(flexible: Any, accepted: Any, refused: Any, words: str) -> None:
    model, net = network({"x": (2, 3)}, ["y"])
    array = model.description.input[0].type.multiArrayType
    if -1 in flexible[1]:
        for lower, upper in flexible:
            array.shapeRange.sizeRanges.add(lowerBound=lower, upperBound=upper)
    else:
        for shape in flexible:
            array.enumeratedShapes.shapes.add(shape=shape)
    add(net, "activation", "x", "y", ReLU={})
    predictor = mle.Predictor(mle.load(model))
    for shape in accepted:
        x = RNG.normal(size=shape)
        np.testing.assert_allclose(predictor.predict({"x": x})["y"], np.maximum(x, 0), rtol=1e-6)
    for shape in refused:
        with pytest.raises(InputError, match=re.escape(f"takes an array of shape {words}, not {list(shape)}")):
            predictor.predict({"x": np.zeros(shape)})


def test_intermediate_values_and_a_classifiers_own_outputs_by_name() -> None:
    model = spec.Model(specificationVersion=1)
    model.description.input.add(name="x").type.multiArrayType.shape.append(3)
    model.description.input[0].type.multiArrayType.dataType = FLOAT32
    model.description.predictedFeatureName, model.description.predictedProbabilitiesName = "label", "chances"
    model.description.output.add(name="label").type.stringType.SetInParent()
    model.description.output.add(name="chances").type.dictionaryType.stringKeyType.SetInParent()
    classifier = model.neuralNetworkClassifier
    classifier.stringClassLabels.vector.extend(["cat", "dog", "emu"])
    add(classifier, "activation", "x", "doubled", linear={"alpha": 2.0})
    add(classifier, "softmax", "doubled", "p")
    x = np.array([0.5, 2.0, -1.0])
    result = mle.predict(mle.load(model), {"x": x}, outputs=["label", "doubled", "chances"])
    assert list(result) == ["label", "doubled", "chances"]
    assert result["label"] == "dog"
    np.testing.assert_allclose(result["doubled"], 2 * x.reshape(1, 1, 3, 1, 1), rtol=1e-6)
    np.testing.assert_allclose(list(result["chances"].values()), np.exp(2 * x) / np.exp(2 * x).sum(), rtol=1e-5)
    with pytest.raises(ModelError, match="'nonsense'"):
        mle.predict(mle.load(model), {"x": x}, outputs=["nonsense"])


def test_sequences_are_taken_where_one_step_is_described() -> None:
    model, net = network({"x": (4,)}, ["y"], exact=False)
    add(net, "activation", "x", "y", ReLU={})
    x = RNG.normal(size=(3, 2, 4)).astype(np.float32)
    for form in (x, x[..., None, None]):
        result = mle.predict(mle.load(model), {"x": form}, outputs=["y"])["y"]
        np.testing.assert_array_equal(result, np.maximum(x, 0)[..., None, None])
