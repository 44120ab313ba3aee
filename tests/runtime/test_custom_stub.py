"""Stubs of custom classes: valid and harmless whatever a model file says, and enough to fill in."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import CustomLayerError
from mlexplorer.runtime import custom
from mlexplorer.runtime.custom_stub import layer_stub, missing_layers_text, missing_model_text, model_stub
from mlexplorer.spec.weight_params import write_floats
from tests.runtime.networks import add, array_features, network

RNG = np.random.default_rng(61)

HOSTILE = {
    "plain": "Swish",
    "empty": "",
    "quotes": 'it\'s "quoted" \'\'\'three\'\'\' """more"""',
    "escape": "back\\slash\\' \\n {0} {x} %s",
    "newlines": "a\nimport os\nos.abort()\r\n\fx\x0b",
    "separators": "a\u2028import os\u2029os.abort()\x85\x1c\x1d\x1e",
    "null": "a\x00b",
    "decorator": "A')\nimport os\n@mle.custom_layer('B",
    "class": "A(object):\n    import os #",
    "keyword": "class",
    "underscored keyword": "__import__",
    "soft keyword": "match",
    "underscores": "___",
    "number": "5_1",
    "underscored number": "_1abc",
    "module": "mle",
    "used": "NotImplementedError",
    "method": "evaluate",
    "class attribute": "__class__",
    "dotted": "Module.Inner Class",
    "unicode": "Größe層🙂",
    "digits": "\u0661\u0662",
    "bidi": "a\u202e) ''' # \u2066 evil\u2069\u200f",
    "invisible": "a\u200b\ufeff\u00adb",
    "encoding": "-*- coding: utf-7 -*-",
    "comment": "# type: ignore",
    "long": "x" * 5000,
    "none": "None",
}


def layer_node(
    text: str, *, keys: Sequence[str] = (), inputs: int = 2, outputs: int = 2, weights: Sequence[int] = ()
) -> Any:
    """A custom layer that has this text wherever a file can have one."""
    model = spec.Model(specificationVersion=4)
    layer = model.neuralNetwork.layers.add(name=text)
    layer.input.extend([text, f"{text}2"][:inputs])
    layer.output.extend([text, f"{text}3"][:outputs])
    layer.custom.className = text
    layer.custom.description = text
    for key in keys:
        layer.custom.parameters[key].stringValue = text
    for count in weights:
        write_floats(layer.custom.weights.add(), np.zeros(count, np.float32))
    return mle.load(model).graph.nodes[0]


def whole_model(text: str, keys: Sequence[str] = ()) -> mle.Model:
    model = spec.Model(specificationVersion=4)
    model.customModel.className = text
    model.customModel.description = text
    for key in keys:
        model.customModel.parameters[key].stringValue = text
    for features in (model.description.input, model.description.output):
        features.add(name=text).type.doubleType.SetInParent()
        features.add(name=f"{text}2").type.stringType.SetInParent()
    model.description.input[1].type.isOptional = True
    return mle.load(model)


class Blank(ast.NodeTransformer):
    """Takes out what a file may say: literals, names of classes and of attributes."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("text") if isinstance(node.value, str) else node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,79}", node.name)
        assert node.name not in ("mle", "NotImplementedError")
        node.name = "Name"
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,79}", node.attr)
            assert node.attr not in ("evaluate", "output_shapes", "predict", "set_weights")
            node.attr = "field"
        return node


def shape(source: str) -> str:
    return ast.dump(Blank().visit(ast.parse(source)))


def keys_of(text: str) -> list[str]:
    return [text, f"{text}'", f"{text} ", "evaluate", "a", "a_2", "a'", "weight_0"]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_of_a_file_becomes_code(text: str) -> None:
    keys, harmless = keys_of(text), [f"key{index}" for index in range(8)]
    distinct = len(set(keys))
    source = layer_stub(layer_node(text, keys=keys, weights=[6, 7]))
    assert shape(source) == shape(layer_stub(layer_node("Fine", keys=harmless[:distinct], weights=[6, 7])))
    model, fine = whole_model(text, keys), whole_model("Fine", harmless[:distinct])
    source = model_stub(model.graph.nodes[0], model.inputs, model.outputs)
    assert shape(source) == shape(model_stub(fine.graph.nodes[0], fine.inputs, fine.outputs))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_character_of_a_file_hides_or_breaks_a_line(text: str) -> None:
    model = whole_model(text, keys_of(text))
    for message in (
        layer_stub(layer_node(text, keys=keys_of(text), weights=[3])),
        model_stub(model.graph.nodes[0], model.inputs, model.outputs),
    ):
        lines = message.split("\n")
        assert all(line.isprintable() for line in lines)
        assert len(lines) < 50
        # only keys and the class's name are needed in full
        assert max(map(len, lines)) < 500 + 2 * len(repr(text))
        assert ast.unparse(ast.parse(message)).splitlines()[1].startswith("class ")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_fields_have_different_names_and_hold_the_values_of_their_keys(text: str) -> None:
    keys = list(dict.fromkeys(keys_of(text)))
    node = layer_node(text, keys=keys, weights=[2, 3, 4])
    exec(f"import mlexplorer as mle\n{layer_stub(node)}", {})
    found = custom.registered_custom_layers()[text]
    layer: Any = found({key: key for key in keys})
    layer.set_weights(["first", "second", "third"])
    seen = list(vars(layer).values())
    assert seen == [*sorted(keys), "first", "second", "third"]
    assert layer.output_shapes([(1, 2), (3, 4)]) == [(1, 2), (1, 2)]
    with pytest.raises(NotImplementedError, match=r"compute and return \["):
        layer.evaluate([1, 2])


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom, "_REGISTERED", {})
    monkeypatch.setattr(custom, "_REGISTERED_MODELS", {})


def source_of(error: CustomLayerError) -> str:
    """What a newcomer pastes: all behind the first empty line."""
    return str(error).partition("\n\n")[2]


@pytest.mark.parametrize("exact", [True, False])
def test_a_layer_with_parameters_and_weights_runs_once_its_stub_is_filled_in(exact: bool) -> None:
    model, net = network({"x": (3, 4, 5)}, ["y"], exact=exact)
    add(net, "activation", "x", "a", linear={"alpha": 2.0, "beta": 0.0})
    params = add(net, "custom", "a x", "b", name="mix", className="Mix.Layer", description="a * gain + w * x")
    params.parameters["gain"].doubleValue = 0.5
    params.parameters["class"].stringValue = "sum"
    kernel, offset = RNG.normal(size=(3, 1, 5)).astype(np.float32), RNG.normal(size=2).astype(np.float32)
    for array in (kernel, offset):
        write_floats(params.weights.add(), array.reshape(-1))
    add(net, "activation", "b", "y", linear={"alpha": 1.0, "beta": 1.0})
    with pytest.raises(CustomLayerError) as error:
        mle.Predictor(mle.load(model))
    source = source_of(error.value)
    for line in (
        "# a * gain + w * x",
        "# for the layer 'mix'",
        "self.parameter_class = parameters['class']  # 'sum'",
        "self.gain = parameters['gain']  # 0.5",
        "self.weight_0 = weights[0]  # 15 values",
        "self.weight_1 = weights[1]  # 2 values",
        "x1 = inputs[1]  # x",
        f"# arrays are float32, {'as the network' if exact else '[Seq, Batch, C, H, W]'}",
    ):
        assert line in source
    answer = "return [x0 * self.gain + self.weight_0.reshape(3, 1, 5) * x1 + self.weight_1.sum()]"
    exec(re.sub(r"raise NotImplementedError\(.*\)", answer, source), {})
    x = RNG.normal(size=(3, 4, 5)).astype(np.float32)
    expected = x + kernel * x + offset.sum() + 1
    np.testing.assert_allclose(mle.predict(mle.load(model), x)["y"].reshape(3, 4, 5), expected, rtol=1e-5, atol=1e-6)


def test_several_classes_and_layers_of_one_class() -> None:
    model, net = network({"x": (2, 3)}, ["y"])
    names = ["One", "Two", "One", "Three", "Four", "Five"]
    blobs = ["x", "a", "b", "c", "d", "e", "y"]
    for index, name in enumerate(names):
        params = add(net, "custom", blobs[index], blobs[index + 1], name=f"layer {index}", className=name)
        params.parameters["scale"].doubleValue = index + 2
    with pytest.raises(CustomLayerError) as error:
        mle.Predictor(mle.load(model))
    text = str(error.value)
    assert "'layer 0' (class 'One'), 'layer 1' (class 'Two'), 'layer 2' (class 'One')" in text
    source = source_of(error.value)
    assert re.findall(r"^class (\w+):", source, re.MULTILINE) == ["One", "Two", "Three"]
    assert "# for the layers 'layer 0', 'layer 2'" in source
    assert "# x in the first of them" in source
    assert source.endswith("# 2 more classes are needed")
    exec(re.sub(r"raise NotImplementedError\(.*\)", "return [x0 * self.scale]", source), {})
    with pytest.raises(CustomLayerError, match=r"'layer 4' \(class 'Four'\)") as error:
        mle.Predictor(mle.load(model))
    exec(re.sub(r"raise NotImplementedError\(.*\)", "return [x0 * self.scale]", source_of(error.value)), {})
    x = RNG.normal(size=(2, 3)).astype(np.float32)
    np.testing.assert_allclose(mle.predict(mle.load(model), x)["y"], x * 2 * 3 * 4 * 5 * 6 * 7, rtol=1e-5)


@pytest.mark.parametrize(("inputs", "outputs"), [(0, 1), (1, 0), (0, 0), (1, 2)])
def test_layers_without_inputs_or_outputs_have_stubs_too(inputs: int, outputs: int) -> None:
    source = layer_stub(layer_node("Constant", inputs=inputs, outputs=outputs))
    exec(f"import mlexplorer as mle\n{source}", {})
    layer: Any = custom.registered_custom_layers()["Constant"]({})
    layer.set_weights([])
    assert layer.output_shapes([(4, 5)][:inputs]) == [(4, 5) if inputs else (1,)] * outputs
    with pytest.raises(NotImplementedError, match="nothing" if not outputs else "Constant"):
        layer.evaluate([None] * inputs)


def test_huge_models_have_short_messages() -> None:
    model, net = network({"x": (2, 3)}, ["y"])
    for index in range(300):
        add(net, "custom", "x", f"y{index}", className="Same" if index % 2 else f"Class{index}", description="d" * 9999)
    layer = net.layers.add(name="wide")
    layer.input.extend(f"i{index}" for index in range(500))
    layer.output.extend(f"o{index}" for index in range(500))
    for index in range(500):
        layer.custom.parameters[f"p{index}"].stringValue = "v" * 9999
        write_floats(layer.custom.weights.add(), np.zeros(1, np.float32))
    nodes = mle.load(model).graph.nodes
    text = missing_layers_text(nodes)
    assert "and 281 more" in text
    assert len(text) < 10_000
    wide = layer_stub(nodes[-1])
    assert wide.count("# and 450 more") == 3
    assert len(wide) < 20_000
    compile(wide, "stub", "exec")
    whole = whole_model("Wide")
    assert len(missing_model_text(whole.graph.nodes[0], whole.inputs * 300, whole.outputs * 300)) < 20_000


def test_an_input_may_be_absent_and_texts_are_told_from_numbers() -> None:
    model = spec.Model(specificationVersion=4)
    model.customModel.className = "M"
    array_features(model.description.input, {"a": (2, 3)})
    model.description.input.add(name="d").type.dictionaryType.int64KeyType.SetInParent()
    model.description.output.add(name="s").type.sequenceType.int64Type.SetInParent()
    loaded = mle.load(model)
    source = model_stub(loaded.graph.nodes[0], loaded.inputs, loaded.outputs)
    assert "x0 = inputs['a']  # a NumPy array of FLOAT32, 2 x 3" in source
    assert "x1 = inputs['d']  # a dict from int to float" in source
    assert "# 's': a list of int" in source
    whole = whole_model("M")
    assert "x1 = inputs.get('M2')  # a str, or None" in model_stub(whole.graph.nodes[0], whole.inputs, whole.outputs)


BREAKING: list[tuple[str, Any, str]] = [
    ("set_weights", None, "set_weights of class 'Bad' failed: AttributeError"),
    ("output_shapes", lambda self, shapes: None, "output_shapes of class 'Bad' failed: TypeError"),
    ("output_shapes", lambda self, shapes: ["ab"], "output_shapes of class 'Bad' failed: ValueError"),
    ("evaluate", lambda self, inputs: None, "evaluate of class 'Bad' failed: TypeError"),
    ("evaluate", lambda self, inputs: ["ab"], "evaluate of class 'Bad' failed: ValueError"),
    ("evaluate", lambda self, inputs: [], r"returned shapes \[\], its output_shapes promised \[\(2, 3\)\]"),
]


@pytest.mark.parametrize(("method", "function", "message"), BREAKING, ids=[row[2][:50] for row in BREAKING])
def test_layers_that_break_their_promises_are_errors_of_ours(method: str, function: Any, message: str) -> None:
    class Bad:
        def __init__(self, parameters: dict[str, Any]) -> None:
            pass

        def set_weights(self, weights: Any) -> None:
            pass

        def output_shapes(self, shapes: Any) -> Any:
            return shapes

        def evaluate(self, inputs: Any) -> Any:
            return inputs

    if function is None:
        delattr(Bad, method)
    else:
        setattr(Bad, method, function)
    model, net = network({"x": (2, 3)}, ["y"])
    add(net, "custom", "x", "y", name="odd", className="Bad")
    with pytest.raises(CustomLayerError, match=f"^custom layer 'odd': .*{message}"):
        mle.predict(mle.load(model), np.zeros((2, 3)), custom_layers={"Bad": Bad})
