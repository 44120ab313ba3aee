"""Swift sources: what they say of a model, that they are whole, and that nothing of a file becomes code.

After a wanted change `python -m tests.test_swift` writes the golden files anew; read what changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import CustomLayerError, InputError
from mlexplorer.runtime import custom
from mlexplorer.spec.weight_params import write_floats
from mlexplorer.swift import swift_source
from mlexplorer.swift.test_vectors import MOST_NUMBERS
from tests.runtime.networks import add, array_features, constant, network
from tests.runtime.test_custom_stub import HOSTILE, keys_of, layer_node, whole_model

GOLDEN = Path(__file__).with_name("golden")
Array = np.ndarray[Any, Any]


class Mix:
    """gain * a + kernel * x + offsets, of kernels [2, 1, 3]."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.gain = parameters["gain"]

    def set_weights(self, weights: Sequence[Array]) -> None:
        self.kernel = weights[0].reshape(2, 1, 3)
        self.offset = float(weights[1].sum())

    def output_shapes(self, input_shapes: Sequence[tuple[int, ...]]) -> Sequence[tuple[int, ...]]:
        return [input_shapes[0]]

    def evaluate(self, inputs: Sequence[Array]) -> Sequence[Array]:
        inputs[0][:] = inputs[0] * self.gain + self.kernel * inputs[1] + self.offset
        return [inputs[0]]


class Columns:
    """The sums of columns; without weights and parameters."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        pass

    def set_weights(self, weights: Sequence[Array]) -> None:
        pass

    def output_shapes(self, input_shapes: Sequence[tuple[int, ...]]) -> Sequence[tuple[int, ...]]:
        return [(shape[-1],) for shape in input_shapes[:1]]

    def evaluate(self, inputs: Sequence[Array]) -> Sequence[Array]:
        return [inputs[0].reshape(-1, inputs[0].shape[-1]).sum(axis=0)]


class Steps:
    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.step = parameters["step"]

    def predict(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"x": np.arange(3, dtype=np.float32) * self.step + inputs["start"]}


def mixed() -> str:
    """One layer with each kind of parameter, two weights and two inputs, evaluated in place."""
    model, net = network({"x": (2, 4, 3)}, ["y"])
    add(net, "activation", "x", "a", linear={"alpha": 2.0, "beta": 0.0})
    params = add(net, "custom", "a x", "y", name="mix", className="Mix", description="gain * a + kernel * x + offsets")
    fill_parameters(params, gain=0.5, mode="sum \\(x) of \u201ca\u201d", size=3, long=3 << 40, on=True)
    for array in ([1.5, -2, 0.1, 3e-7, 4, 5], [0.25, 1e20]):
        write_floats(params.weights.add(), np.asarray(array, np.float32))
    x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 4, 3)
    return swift_source(mle.load(model), inputs=x, custom_layers={"Mix": Mix})


def anywhere() -> str:
    """Two layers of one class, in a loop and in the branch that is taken; one of another, which has no Python class."""
    model, net = network({"x": (2, 3)}, ["y"])
    constant(net, "yes", [1.0])
    branch = add(net, "branch", "yes", "", name="choice")
    inner = add(branch.ifBranch, "custom", "x", "b", name="first", className="Columns")
    fill_parameters(inner, factor=2, only="here")
    add(branch.elseBranch, "custom", "x", "b", name="other way", className="Columns")
    loop = add(net, "loop", "", "", name="turns", maxLoopIterations=2)
    again = add(loop.bodyNetwork, "custom", "b", "c", name="again", className="Columns")
    fill_parameters(again, factor=0.5)
    half = add(net, "custom", "c b", "y z", name="last", className="Half", description="16-bit weights")
    half.weights.add().float16Value = np.arange(5, dtype="<f2").tobytes()
    half.weights.add()
    return swift_source(mle.load(model), inputs=np.ones((2, 3), np.float32), custom_layers={"Columns": Columns})


def staged() -> mle.Model:
    """A custom model, and behind it a custom layer in a network of the legacy mapping, in a pipeline."""
    model = spec.Model(specificationVersion=4)
    first = model.pipeline.models.add(specificationVersion=4)
    first.customModel.className = "Steps"
    first.customModel.description = "Equal steps"
    first.customModel.parameters["step"].doubleValue = 0.125
    first.description.input.add(name="start").type.doubleType.SetInParent()
    first.description.input.add(name="note").type.stringType.SetInParent()
    first.description.input[1].type.isOptional = True
    array_features(first.description.output, {"x": (3,)})
    second, net = network({"x": (3,)}, ["y"], exact=False)
    add(net, "custom", "x", "y", name="sum", className="Shop.Sum")
    model.pipeline.models.append(second)
    model.description.input.extend(first.description.input)
    array_features(model.description.output, {"y": (1,)})
    return mle.load(model)


def piped() -> str:
    return swift_source(staged(), custom_layers={"Shop.Sum": Columns}, custom_models={"Steps": Steps})


SNAPSHOTS: dict[str, Callable[[], str]] = {"mixed": mixed, "anywhere": anywhere, "piped": piped}


def fill_parameters(params: Any, **values: Any) -> None:
    for key, value in values.items():
        kind = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}[type(value)]
        setattr(params.parameters[key], "longValue" if kind == "intValue" and value >> 31 else kind, value)


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_snapshots(name: str) -> None:
    assert SNAPSHOTS[name]() == (GOLDEN / f"{name}.swift").read_text(encoding="utf-8")


TOKEN = re.compile(
    r'(?P<comment>//[^\n]*)|"(?P<text>(?:[^"\\\n]|\\.)*)"|(?P<name>[A-Za-z_]\w*)|(?P<other>.)', re.DOTALL
)
OURS = {"\\(data.count) bytes", "\\(weights.count) weights"}


def tokens(source: str) -> list[str]:
    """The code alone: comments left out, literals blanked after a look into them."""
    found = []
    for match in TOKEN.finditer(source):
        if match["text"] is not None:
            text = match["text"]
            assert text.isascii()
            assert text.isprintable()
            assert text in OURS or not re.search(r"(?<!\\)(\\\\)*\\\(", text), "interpolation"
            found.append('""')
        elif match["comment"] is None and not match[0].isspace():
            found.append(match[0])
    return found


def check_whole(source: str) -> None:
    """Balanced brackets, nothing but ASCII outside of comments, no character that hides or breaks a line."""
    assert all(line.isprintable() for line in source.split("\n"))
    closing = {"(": ")", "[": "]", "{": "}"}
    expected = []
    for token in tokens(source):
        assert token.isascii()
        if token in closing:
            expected.append(closing[token])
        elif token in closing.values():
            assert token == expected.pop()
    assert expected == []


def check_grammar(source: str) -> None:
    """Swift's grammar as tree-sitter has it."""
    tree_sitter = pytest.importorskip("tree_sitter")
    swift = pytest.importorskip("tree_sitter_swift")
    tree = tree_sitter.Parser(tree_sitter.Language(swift.language())).parse(source.encode())
    assert not tree.root_node.has_error


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_sources_are_whole(name: str) -> None:
    check_whole(SNAPSHOTS[name]())


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_sources_follow_the_grammar(name: str) -> None:
    check_grammar(SNAPSHOTS[name]())


def layer_source(text: str, keys: Sequence[str]) -> str:
    node = layer_node(text, keys=keys, weights=[6, 7])
    model = spec.Model(specificationVersion=4)
    model.neuralNetwork.layers.add(name=text, input=node.inputs, output=node.outputs).custom.CopyFrom(node.params)
    array_features(model.description.input, dict.fromkeys(node.inputs, (2, 3)))
    array_features(model.description.output, dict.fromkeys(node.outputs, ()))
    model.description.metadata.shortDescription = text
    loaded = mle.load(model)
    loaded.path = Path(text.replace("/", "").replace("\0", "") or "x")
    return swift_source(loaded, custom_layers={text: Echo})


class Echo(Columns):
    """Two outputs, the inputs."""

    def output_shapes(self, input_shapes: Any) -> Any:
        return input_shapes

    def evaluate(self, inputs: Any) -> Any:
        return inputs


class EchoModel(Steps):
    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.parameters = parameters

    def predict(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: value if value is not None else "" for name, value in inputs.items()}


def model_source(text: str, keys: Sequence[str]) -> str:
    model = whole_model(text, keys)
    values = {feature.name: 1.5 if feature.type == "double" else text for feature in model.inputs}
    return swift_source(model, inputs=values, custom_models={text: EchoModel})


def skeleton(source: str) -> list[str]:
    """The code without the names of classes and members, and without @objc, which not every class name can stand in."""
    code = tokens(source)
    names = {
        *(code[index + 1] for index, token in enumerate(code) if token in ("class", "extension")),
        *(
            code[index + 2]
            for index, token in enumerate(code)
            if token == "private" and code[index + 1] in ("let", "var")
        ),
    }
    for name in names:
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,79}", name)
    code = [
        "name" if token in names and before not in ("func", ".") else token
        for before, token in zip(["", *code], code, strict=False)
    ]
    while "@" in code:
        start = code.index("@")
        del code[start : code.index(")", start) + 1]
    return code


@pytest.mark.parametrize("make", [layer_source, model_source])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_of_a_file_becomes_code(text: str, make: Callable[[str, Sequence[str]], str]) -> None:
    keys = sorted(set(keys_of(text)))
    source = make(text, keys)
    check_whole(source)
    fine = make("Fine", [f"key{index}" for index in range(len(keys))])
    assert skeleton(source) == skeleton(fine)


@pytest.mark.parametrize("make", [layer_source, model_source])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_sources_follow_the_grammar(text: str, make: Callable[[str, Sequence[str]], str]) -> None:
    check_grammar(make(text, keys_of(text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Swish", "@objc(Swish) final class Swish"),
        ("_Swish2", "@objc(_Swish2) final class Swish2"),
        ("MLMultiArray", "@objc(MLMultiArray) final class MLMultiArray_2"),
        ("class", "final class Custom_class"),
        ("Shop.Sum", "final class Shop_Sum"),
        ("Größe", "final class Gr_e"),
        ("A)\nimport Darwin\n@objc(B", "final class A_import_Darwin_objc_B"),
        ("x" * 256, f"final class {'x' * 60}"),
    ],
)
def test_objective_c_names_are_identifiers_in_full(text: str, expected: str) -> None:
    source = layer_source(text, [])
    assert re.search(r"^(?:@objc\(.*\)\n)?final class \w+", source, re.M)[0].replace("\n", " ") == expected  # type: ignore[index]
    assert ("a name that cannot stand in @objc" in source) == ("@objc" not in expected)


def test_a_layer_and_a_model_of_one_name_have_two_classes() -> None:
    model = staged()
    model.spec.pipeline.models[1].neuralNetwork.layers[0].custom.className = "Steps"
    source = swift_source(mle.load(model.spec))
    assert re.findall(r"(?:@objc\((\w+)\)\n)?final class (\w+)", source) == [("Steps", "Steps"), ("", "Steps_2")]
    assert "Core ML looks for 'Steps', a name that another class here has." in source


VALUES = {"boolValue": True, "intValue": 3, "longValue": 1 << 40, "doubleValue": 0.5, "stringValue": "s"}


@pytest.mark.parametrize(
    ("kinds", "declaration"),
    [
        (["boolValue"], "Bool  // true"),
        (["intValue"], "Int  // 3"),
        (["longValue"], "Int64  // 1099511627776"),
        (["doubleValue"], "Double  // 0.5"),
        (["stringValue"], 'String  // "s"'),
        (["boolValue", "intValue"], "Int  // true, 3"),
        (["intValue", "longValue"], "Int64  // 3, 1099511627776"),
        (["doubleValue", "intValue"], "Double  // 0.5, 3"),
        (["intValue", "intValue"], "Int  // 3"),
        (["intValue", "stringValue"], 'Any  // 3, "s"'),
        (["intValue", None], "Int?  // 3 in some of the layers"),
        (["intValue", "unset"], "Int?  // 3 in some of the layers"),
        (["intValue", "stringValue", None], 'Any?  // 3, "s" in some of the layers'),
    ],
)
def test_parameters_have_the_type_that_all_layers_of_a_class_fit(kinds: Sequence[str | None], declaration: str) -> None:
    model, net = network({"x": (2, 3)}, ["y"])
    for index, kind in enumerate(kinds):
        params = add(net, "custom", "x", f"y{index}", className="One")
        if kind == "unset":
            params.parameters["p"].SetInParent()
        elif kind:
            setattr(params.parameters["p"], kind, VALUES[kind])
    source = swift_source(mle.load(model))
    assert f"    private let p: {declaration}\n" in source
    expected = {
        "Any?": 'p = parameters["p"]\n',
        "Int?": 'p = parameters["p"] as? Int\n',
    }.get(declaration.split("  ")[0], 'p = try parameter("p", of: parameters)\n')
    assert f"        {expected}" in source


def weighted(*encodings: str, layers: int = 1, count: int = 6) -> str:
    model, net = network({"x": (2, 3)}, ["y"])
    for layer in range(layers):
        params = add(net, "custom", "x", f"y{layer}", className="One")
        for encoding in encodings:
            weight = params.weights.add()
            if encoding == "float16":
                weight.float16Value = b"\0\0" * count
            elif encoding == "float32":
                write_floats(weight, np.zeros(count + layer, np.float32))
            elif encoding == "codes":
                weight.rawValue = b"\0" * count
                weight.quantization.numberOfBits = 8
                weight.quantization.linearQuantization.scale.append(1)
                weight.quantization.linearQuantization.bias.append(0)
        encodings = (*encodings[:1], "float16") if layers > 1 else encodings
    return swift_source(mle.load(model))


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        (
            weighted("float32", "float16"),
            [
                "private var weight0: [Float] = []  // 6 numbers in 24 bytes of Float",
                "private var weight1: [Float] = []  // 6 numbers in 12 bytes of Float16",
                "guard weights.count == 2 else",
                "weight0 = try floats(weights[0], count: 6)",
                "weight1 = try halfFloats(weights[1], count: 6)",
            ],
        ),
        (
            weighted("codes", "empty"),
            [
                "private var weight0: Data = Data()  // 6 numbers in 14 bytes of linear codes of 8 bits",
                "private var weight1: Data = Data()  // empty",
                "weight0 = weights[0]\n",
            ],
        ),
        (
            weighted("float32", layers=2),
            [
                "// 6 numbers in 24 bytes of Float or 7 numbers in 28 bytes of Float\n",
                "guard weights.count <= 2 else",
                "weight0 = try floats(weights[0])\n",
                "if weights.count > 1 { weight1 = try halfFloats(weights[1], count: 6) }\n",
            ],
        ),
        (weighted("float32", "float32", layers=2), ["private var weight1: Data = Data()  // 6 numbers in 24 bytes of"]),
        (weighted(), ["// there are no weights"]),
    ],
    ids=["floats", "codes and nothing", "different sizes and numbers", "different encodings", "none"],
)
def test_weights_are_read_as_the_file_has_them(source: str, lines: Sequence[str]) -> None:
    check_whole(source)
    for line in lines:
        assert line in source


def recorded(source: str, class_name: str, name: str) -> list[Array]:
    """The arrays of a test vector, as the source has them."""
    start = source.index(f"static let {name}", source.index(f"extension {class_name} {{"))
    block = source[start : source.index("\n        ]\n", start)]
    arrays = re.findall(r"shape: (\[.*?\]), values: \[(.*?)\]", re.sub(r"//.*", "", block), re.DOTALL)
    special = {"Float.nan": "nan", "Float.infinity": "inf", "-Float.infinity": "-inf"}
    return [
        np.array(
            [np.float32(special.get(text, text)) for text in re.split(r",\s*", values.strip()) if text], np.float32
        ).reshape([int(size) for size in re.findall(r"\d+", shape)])
        for shape, values in arrays
    ]


def test_the_test_vector_is_what_the_python_class_was_given_and_gave() -> None:
    model, net = network({"x": (2, 5, 3)}, ["y"])
    params = add(net, "custom", "x x", "y", name="mix", className="Mix")
    fill_parameters(params, gain=1 / 3)
    for count in (6, 2):
        write_floats(params.weights.add(), np.linspace(-1, 2, count))
    x = np.random.default_rng(3).normal(size=(2, 5, 3)).astype(np.float32) * 1e-3
    loaded = mle.load(model)
    before = loaded.spec.SerializeToString(deterministic=True)
    source = swift_source(loaded, inputs=x, custom_layers={"Mix": Mix})
    assert loaded.spec.SerializeToString(deterministic=True) == before
    given = recorded(source, "Mix", "inputs")
    np.testing.assert_array_equal(given, [x, x])  # although the class writes into its first input
    expected = mle.predict(loaded, x, custom_layers={"Mix": Mix})["y"]
    (output,) = recorded(source, "Mix", "outputs")
    np.testing.assert_array_equal(output, expected)
    assert '"gain": NSNumber(value: 0.3333333333333333),' in source
    assert "let layer = try Mix(parameters: parameters)" in source


def test_numbers_that_are_none() -> None:
    model, net = network({"x": (3,)}, ["y"])
    fill_parameters(add(net, "custom", "x", "y", className="Columns"), limit=-np.inf)
    x = np.array([np.nan, np.inf, -np.inf], np.float32)
    source = swift_source(mle.load(model), inputs=x, custom_layers={"Columns": Columns})
    np.testing.assert_array_equal(recorded(source, "Columns", "inputs")[0], x)
    assert "NSNumber(value: -Float.infinity)" in source


@pytest.mark.parametrize(
    ("shape", "corner"),
    [((2, 16, 32), None), ((2, 16, 33), (2, 4, 4)), ((3, 5, 7, 11), (1, 4, 4, 4)), ((2, 3, 5, 19, 2), (1, 2, 4, 4, 2))],
)
def test_larger_arrays_are_cut_to_a_corner(shape: tuple[int, ...], corner: tuple[int, ...] | None) -> None:
    model, net = network({"x": shape}, ["y"])
    add(net, "custom", "x", "y", className="Columns")
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    source = swift_source(mle.load(model), inputs=x, custom_layers={"Columns": Columns})
    check_whole(source)
    assert (x.size <= MOST_NUMBERS) == (corner is None)
    part = x if corner is None else x[tuple(slice(size) for size in corner)]
    np.testing.assert_array_equal(recorded(source, "Columns", "inputs")[0], part)
    np.testing.assert_array_equal(recorded(source, "Columns", "outputs")[0], x.reshape(-1, shape[-1]).sum(axis=0))
    assert (f"// a corner of {list(shape)}" in source) == (corner is not None)
    assert ("largestDifference() throws" in source) == (corner is None)


def shapes_class(answer: Callable[[Any], Any]) -> type:
    class Answering(Columns):
        def output_shapes(self, input_shapes: Any) -> Any:
            return answer(input_shapes)

        def evaluate(self, inputs: Any) -> Any:
            return [np.zeros(shape) for shape in answer([array.shape for array in inputs])]

    return Answering


@pytest.mark.parametrize(
    ("answer", "expression"),
    [
        (lambda shapes: [shapes[1], shapes[0]], "[inputShapes[1], inputShapes[0]]  // as in"),
        (lambda shapes: [shapes[0], (7, 8)], "[inputShapes[0], [7, 8]]  // as in"),
        (lambda shapes: [shapes[0], shapes[0][::-1]], "[inputShapes[0], inputShapes[0]]  // a guess"),
    ],
)
def test_output_shapes_follow_the_python_class(answer: Callable[[Any], Any], expression: str) -> None:
    model, net = network({"a": (2, 3), "b": (4, 5), "c": (6, 7)}, ["y"])
    add(net, "custom", "a b", "y z", name="one", className="One")
    add(net, "custom", "c b", "v w", name="two", className="One")
    source = swift_source(mle.load(model), custom_layers={"One": shapes_class(answer)})
    assert f"        return {expression}" in source
    second = " ".join(str(list(shape)) for shape in answer([(6, 7), (4, 5)]))
    assert f"        // 'two': [6, 7] [4, 5] -> {second}\n" in source


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom, "_REGISTERED", {})


@pytest.mark.usefixtures("registry")
def test_registered_classes_run_on_noise() -> None:
    model, net = network({"x": (4, 3)}, ["y"])
    add(net, "custom", "x", "y", className="Columns")
    loaded = mle.load(model)
    assert "Not all shapes are known: the run ended where 'Columns' has no Python class" in swift_source(loaded)
    mle.custom_layer("Columns")(Columns)
    source = swift_source(loaded)
    assert "Not all shapes are known" not in source
    (given,) = recorded(source, "Columns", "inputs")
    assert given.shape == (4, 3)
    assert given.std() > 0.3
    np.testing.assert_array_equal(recorded(source, "Columns", "outputs")[0], given.sum(axis=0))


class Failing(Columns):
    def evaluate(self, inputs: Any) -> Any:
        raise ZeroDivisionError("by\nnothing")


def test_a_class_that_fails_on_noise_is_a_note_and_on_given_inputs_an_error() -> None:
    model, net = network({"x": (4, 3)}, ["y"])
    add(net, "custom", "x", "y", name="odd", className="Failing")
    source = swift_source(mle.load(model), custom_layers={"Failing": Failing})
    check_whole(source)
    assert "// Not all shapes are known: the run on noise failed: custom layer 'odd': evaluate of class" in source
    assert "// 'odd': [4, 3] -> [3]\n" in source
    assert "TestVector" not in source
    with pytest.raises(CustomLayerError, match="ZeroDivisionError"):
        swift_source(mle.load(model), inputs=np.ones((4, 3)), custom_layers={"Failing": Failing})
    with pytest.raises(InputError, match="'x'"):
        swift_source(mle.load(model), inputs=np.ones((4, 2)), custom_layers={"Failing": Failing})


def test_models_that_noise_says_nothing_about_have_skeletons_too() -> None:
    source = swift_source(whole_model("M"), custom_models={"M": EchoModel})
    assert "// Not all shapes are known: the run on noise failed: input 'M2' (M2: string optional)" not in source
    model = whole_model("M")
    model.spec.description.input[1].type.isOptional = False
    source = swift_source(model, custom_models={"M": EchoModel})
    assert "// Not all shapes are known: the run on noise failed: input 'M2'" in source
    assert 'let x1 = try feature("M2", of: input).stringValue  // String' in source


def test_models_without_custom_layers_are_refused() -> None:
    model, net = network({"x": (2, 3)}, ["y"])
    add(net, "activation", "x", "y", ReLU={})
    with pytest.raises(InputError, match="has no custom layers and is no custom model"):
        swift_source(mle.load(model))


def test_every_class_stands_in_the_source_once() -> None:
    for make, names in ((mixed, ["Mix"]), (anywhere, ["Columns", "Half"]), (piped, ["Steps", "Shop_Sum"])):
        assert re.findall(r"^final class (\w+): NSObject, MLCustom(?:Layer|Model) \{$", make(), re.M) == names


def test_huge_models_have_bounded_sources() -> None:
    model, net = network({"x": (2, 3)}, ["y"])
    for index in range(400):
        add(net, "custom", "x", f"y{index}", name="n" * 5000, className="Same", description=f"{index}" * 5000)
    wide = add(net, "custom", "x", "y", className="Wide")
    net.layers[-1].input.extend(f"i{index}" for index in range(500))
    write_floats(wide.weights.add(), np.zeros(10**6, np.float32))
    source = swift_source(mle.load(model))
    assert len(source) < 50_000
    assert "// and 351 more" in source or "// and 350 more" in source


if __name__ == "__main__":
    for snapshot, write in SNAPSHOTS.items():
        (GOLDEN / f"{snapshot}.swift").write_text(write(), encoding="utf-8")
