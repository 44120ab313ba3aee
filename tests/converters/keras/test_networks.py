"""Whole Keras models: nested and shared layers, several inputs and outputs, pictures, custom layers, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.converters.keras.conversion import convert_keras
from mlexplorer.converters.keras.source_model import Call, KerasLayer, KerasModel, TensorRef
from mlexplorer.converters.options import Options
from tests.converters.keras.comparing import (
    TOLERANCE,
    check,
    error,
    keras,
    keras_outputs,
    layer_types,
    random_input,
    randomize,
    sequential,
)

L = keras.layers


def names(converted: Any) -> list[str]:
    return [layer.name for layer in converted.spec.neuralNetwork.layers]


def residual_network() -> Any:
    inputs = keras.Input((16, 12, 3), name="picture")
    x = L.Conv2D(6, 3, padding="same", use_bias=False)(inputs)
    for _ in range(2):
        y = L.ReLU()(L.BatchNormalization()(x))
        x = L.Add()([x, L.Conv2D(6, 3, padding="same")(y)])
    squeezed = L.Dense(6, activation="sigmoid")(L.Dense(2, activation="relu")(L.GlobalAveragePooling2D()(x)))
    x = L.Multiply()([x, L.Reshape((1, 1, 6))(squeezed)])
    return keras.Model(inputs, [L.Dense(4, activation="softmax", name="classes")(L.Flatten()(x)), L.Conv2D(1, 1)(x)])


def test_residual_network_with_two_outputs() -> None:
    check(residual_network())


def test_shared_layers_are_called_twice() -> None:
    first, second = keras.Input((5, 6)), keras.Input((7, 6))
    shared = L.Dense(4, activation="relu", name="shared")
    check(keras.Model([first, second], L.Concatenate(axis=1)([shared(first), shared(second)])))
    inputs = keras.Input((6,))
    again = L.Dense(6, name="again", activation="tanh")
    converted = check(keras.Model(inputs, again(L.Dropout(0.1)(again(inputs)))))
    assert {"again/blob", "again"} & set(names(converted))


def test_nested_models_keep_their_names() -> None:
    inner_input = keras.Input((8, 7, 3))
    inner = keras.Model(inner_input, L.Conv2D(5, 3, name="conv")(inner_input), name="features")
    middle = keras.Sequential([keras.Input((8, 7, 3)), inner, L.GlobalMaxPooling2D(name="pool")], name="middle")
    first, second = keras.Input((8, 7, 3)), keras.Input((8, 7, 3))
    converted = check(keras.Model([first, second], L.Subtract(name="difference")([middle(first), middle(second)])))
    assert {"middle/features/conv", "middle/pool"} <= set(names(converted))
    assert "difference" in names(converted)


def test_nested_model_with_several_tensors() -> None:
    left, right = keras.Input((5,), name="left"), keras.Input((6,), name="right")
    inner = keras.Model([left, right], [L.Concatenate()([left, right]), L.Dense(3)(right)], name="inner")
    a, b = keras.Input((5,)), keras.Input((6,))
    together, small = inner([a, b])
    check(keras.Model([a, b], [L.Dense(2)(together), small]))


def test_outputs_of_one_layer_and_inputs_handed_on() -> None:
    inputs = keras.Input((5, 6), name="words")
    check(keras.Model(inputs, L.LSTM(4, return_state=True)(inputs)))
    check(keras.Model(inputs, [L.Dense(3)(inputs), L.Activation("linear")(inputs)]))


def test_open_sizes_are_asked_for() -> None:
    model = sequential(L.Conv2D(3, 3), L.GlobalAveragePooling2D(), shape=(None, None, 2))
    with pytest.raises(mle.errors.InputError, match="input_name_shape_dict"):
        mle.convert(model)
    randomize(model)
    converted = mle.convert(model, input_name_shape_dict={"x": [1, 9, 8, 2]})
    check(model, [random_input((1, 9, 8, 2))], converted=converted)
    assert tuple(converted.inputs[0].shape) == (1, 9, 8, 2)


def test_shapes_that_the_file_does_not_tell_are_asked_for() -> None:
    inputs = KerasLayer("x", "InputLayer", {"batch_shape": None}, calls=[Call()])
    layer = KerasLayer("d", "Flatten", {}, calls=[Call((TensorRef("x"),))])
    model = KerasModel("m", [inputs, layer], [TensorRef("x")], [TensorRef("d")])
    with pytest.raises(mle.errors.InputError, match=r"'x'.*input_name_shape_dict"):
        convert_keras(model, Options())
    converted = convert_keras(model, Options(input_name_shape_dict={"x": [1, 3, 4]}))
    assert tuple(converted.outputs[0].shape) == (1, 12)


@pytest.mark.parametrize("is_bgr", [False, True])
def test_pictures_in_and_out(is_bgr: bool) -> None:
    model = randomize(sequential(L.Conv2D(3, 3, padding="same", activation="sigmoid"), shape=(9, 8, 3)))
    name, output = "x", model.layers[-1].name
    converted = mle.convert(
        model,
        image_input_names=name,
        image_scale=1 / 127.5,
        red_bias=-1.0,
        green_bias=-0.5,
        blue_bias=0.25,
        image_output_names=output,
        image_output_scale=255.0,
        is_bgr=is_bgr,
    )
    assert layer_types(converted)[0] == "convolution"
    picture = np.random.default_rng(3).integers(0, 256, (9, 8, 3)).astype(np.uint8)
    scaled = picture / 127.5 + np.array([-1.0, -0.5, 0.25])
    order = slice(None, None, -1) if is_bgr else slice(None)
    (expected,) = keras_outputs(model, [scaled[None, ..., order].astype(np.float32)])
    (result,) = mle.predict(converted, {name: picture}).values()
    assert np.abs(np.asarray(result, float) - 255 * expected[0][..., order]).max() <= 1.01


def test_class_labels() -> None:
    model = randomize(sequential(L.Dense(3, activation="softmax", name="classes"), shape=(5,)))
    converted = mle.convert(model, class_labels=["a", "b", "c"])
    x = random_input((1, 5))
    result = mle.predict(converted, {converted.inputs[0].name: x})
    (expected,) = keras_outputs(model, [x])
    assert result["classLabel"] == "abc"[int(expected.argmax())]
    assert list(result["classes"].values()) == pytest.approx(expected[0].tolist(), abs=1e-5)


def test_half_precision_policies_become_single_precision() -> None:
    policy = keras.DTypePolicy("mixed_float16")
    inputs = keras.Input((9, 8, 3))
    x = L.BatchNormalization(dtype=policy)(L.Conv2D(4, 3, dtype=policy)(inputs))
    model = randomize(keras.Model(inputs, L.Dense(3, dtype="float16")(L.Flatten()(x))))
    converted = mle.convert(model)
    assert all(weight.kind == "float32" for weight in converted.graph.weights)
    x = random_input((1, 9, 8, 3))
    (result,) = mle.predict(converted, {converted.inputs[0].name: x}).values()
    assert error(np.asarray(result), keras_outputs(model, [x])[0]) < 5e-3


def test_saved_files_are_read_by_coremltools(tmp_path: Path) -> None:
    coremltools = pytest.importorskip("coremltools")
    path = tmp_path / "residual.mlmodel"
    converted = mle.convert(randomize(residual_network()))
    mle.save(converted, path)
    spec = coremltools.utils.load_spec(str(path))
    assert [layer.name for layer in spec.neuralNetwork.layers] == names(converted)
    model = coremltools.models.MLModel(spec, skip_model_load=True)
    assert [output.name for output in model.get_spec().description.output] == [o.name for o in converted.outputs]


# Custom layers


@keras.saving.register_keras_serializable("tests")
class Swirl(L.Layer):
    """A layer that nobody knows: x * factor + offset, with the width and height exchanged."""

    def __init__(self, factor: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, shape: Any) -> None:
        self.offset = self.add_weight(name="offset", shape=(shape[-1],))

    def call(self, x: Any) -> Any:
        return keras.ops.transpose(x, (0, 2, 1, 3)) * self.factor + self.offset

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], shape[2], shape[1], shape[3])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


def swirled(layer: Any) -> mle.CustomLayerParams:
    batch, height, width, channels = layer.input_shapes[0]
    return mle.CustomLayerParams(
        class_name="Swirl",
        parameters={"factor": layer.configuration["factor"]},
        weights=list(layer.weights.values()),
        output_shapes=[(batch, width, height, channels)],
    )


class RunnableSwirl:
    def __init__(self, parameters: dict[str, Any]) -> None:
        self.factor = parameters["factor"]

    def set_weights(self, weights: Any) -> None:
        (self.offset,) = weights

    def output_shapes(self, shapes: Any) -> Any:
        return [(*shapes[0][:2], shapes[0][3], shapes[0][2])]

    def evaluate(self, inputs: Any) -> Any:
        return [inputs[0].swapaxes(2, 3) * self.factor + np.reshape(self.offset, (-1, 1, 1))]


def swirl_network() -> Any:
    inputs = keras.Input((9, 7, 3))
    inner = sequential(L.Conv2D(4, 3), Swirl(0.5, name="inside"), shape=(9, 7, 3))
    inner.name = "inner"
    x = Swirl(name="second")(inner(inputs))
    return keras.Model(inputs, L.Dense(5)(L.Flatten()(L.Conv2D(2, (2, 3))(x))))


@pytest.mark.parametrize("key", [("Swirl",), ("inside", "second"), ("inner/inside", "second")])
def test_custom_layers_see_images_channels_first(key: tuple[str, ...]) -> None:
    model = randomize(swirl_network())
    converted = mle.convert(model, custom_conversion_functions=dict.fromkeys(key, swirled))
    x = random_input((1, 9, 7, 3))
    result = mle.predict(converted, {converted.inputs[0].name: x}, custom_layers={"Swirl": RunnableSwirl})
    assert error(np.asarray(next(iter(result.values()))), keras_outputs(model, [x])[0]) < 1e-4
    assert [node.name for node in converted.graph.custom_layers] == ["inner/inside", "second"]


def test_all_unknown_layers_are_listed_at_once() -> None:
    inputs = keras.Input((9, 7, 3))
    x = L.Lambda(lambda x: 2 * x, name="twice", output_shape=(9, 7, 3))(swirl_network_part(inputs))
    with pytest.raises(mle.errors.UnsupportedError) as refusal:
        mle.convert(keras.Model(inputs, x))
    text = str(refusal.value)
    assert "2 layers have" in text
    assert "'part/inside' (Swirl)" in text
    assert "'twice' (Lambda)" in text
    assert "it is Python code, which is never run" in text


def test_unknown_layers_are_listed_with_the_shapes_that_known_layers_give_them() -> None:
    """Known layers before them, nested models, wrappers and several inputs; not behind what is unknown itself."""
    image, vector = keras.Input((9, 7, 3)), keras.Input((5,))
    x = L.Conv2D(4, 2, strides=2, name="conv")(image)
    first = Swirl(0.5, name="first")(x)
    behind = Swirl(0.5, name="behind")(L.ReLU()(first))
    nested = keras.Sequential([keras.Input((11,)), L.Reshape((11, 1, 1)), Swirl(0.5, name="deep")], name="nested")
    twice = L.Dense(11)(vector)
    steps = L.TimeDistributed(Swirl(0.5, name="each"))(L.Reshape((4, 3, 2, 2))(x))
    merge = L.Lambda(lambda pair: pair[0], name="merge", output_shape=(11,))([twice, L.Flatten()(first)])
    outputs = [behind, nested(twice), steps, merge]
    functions = {"Lambda": lambda layer: mle.CustomLayerParams("Merge", output_shapes=[(1, 11)])}
    for given, count in (({}, 5), (functions, 4)):
        with pytest.raises(mle.errors.UnsupportedError) as refusal:
            mle.convert(keras.Model([image, vector], outputs), custom_conversion_functions=given)
        text = str(refusal.value)
        assert f"{count} layers have" in text
        assert "'first' (Swirl); inputs [1, 4, 3, 4];" in text
        assert "'behind' (Swirl); inputs unknown;" in text
        assert "'nested/deep' (Swirl); inputs [1, 11, 1, 1];" in text
        assert "/each' (Swirl); inputs [4, 3, 2, 2];" in text
        assert ("'merge' (Lambda); inputs [1, 11], unknown;" in text) == (not given)


def test_lambdas_that_state_their_shapes_are_followed() -> None:
    x = keras.Input((9, 7, 3))
    y = L.Lambda(lambda x: x[:, :4, :, :2], name="part", output_shape=(4, 7, 2))(L.Conv2D(5, 1)(x))
    z = L.Lambda(lambda x: 2 * x, name="twice", output_shape=(4, 6, 8))(L.Conv2D(8, (1, 2))(y))
    model = keras.Model(x, L.Flatten()(z))
    with pytest.raises(mle.errors.UnsupportedError) as refusal:
        mle.convert(model)
    assert "'part' (Lambda); inputs [1, 9, 7, 5];" in str(refusal.value)
    assert "'twice' (Lambda); inputs [1, 4, 6, 8];" in str(refusal.value)
    converted = mle.convert(model, add_custom_layers=True)
    assert converted.outputs[0].shape == (1, 4 * 6 * 8)


def test_open_sizes_leave_the_shapes_of_unknown_layers_open() -> None:
    x = keras.Input((None, 7, 3), name="x")
    model = keras.Model(x, Swirl(0.5, name="s")(x))
    with pytest.raises(mle.errors.UnsupportedError, match=r"'s' \(Swirl\); inputs unknown"):
        mle.convert(model)
    with pytest.raises(mle.errors.UnsupportedError, match=r"'s' \(Swirl\); inputs \[1, 9, 7, 3\]"):
        mle.convert(model, input_name_shape_dict={"x": (1, 9, 7, 3)})


def swirl_network_part(inputs: Any) -> Any:
    part = sequential(Swirl(0.5, name="inside"), shape=(9, 7, 3))
    part.name = "part"
    return part(inputs)


def test_placeholders() -> None:
    converted = mle.convert(
        randomize(swirl_network()), custom_conversion_functions={"second": swirled, "inside": swirled}
    )
    with_placeholders = mle.convert(sequential(Swirl(0.5), L.Flatten(), shape=(9, 9, 3)), add_custom_layers=True)
    assert len(converted.graph.custom_layers) == 2
    (node,) = with_placeholders.graph.custom_layers
    assert node.type == "custom"


def test_known_layers_give_way_to_the_callers_functions() -> None:
    model = sequential(L.Dense(4, activation="relu", name="mine"), shape=(6,))
    converted = mle.convert(
        model,
        custom_conversion_functions={
            "Dense": lambda layer: mle.CustomLayerParams(
                "Mine", output_shapes=[(1, 4)], weights=list(layer.weights.values())
            )
        },
    )
    assert layer_types(converted) == ["custom"]


def test_unknown_activations_make_their_layers_unknown() -> None:
    inputs = KerasLayer("x", "InputLayer", {"batch_shape": [None, 4]}, calls=[Call()])
    config = {"units": 3, "activation": "my_function"}
    kernel = np.ones((4, 3), np.float32)
    dense = KerasLayer("d", "Dense", config, {"kernel": kernel, "bias": kernel[0]}, [Call((TensorRef("x"),))])
    model = KerasModel("m", [inputs, dense], [TensorRef("x")], [TensorRef("d")])
    with pytest.raises(mle.errors.UnsupportedError, match="my_function"):
        convert_keras(model, Options())


@pytest.mark.parametrize(
    ("class_name", "config", "weights", "reason"),
    [
        ("Dense", {"units": 3}, {}, "0 weights"),
        ("Dense", {}, {"kernel": np.ones((5, 3)), "bias": np.ones(3)}, "4 features, its kernel takes 5"),
        ("Reshape", {"target_shape": [3, 3]}, {}, "cannot become"),
        ("Permute", {}, {}, "'d' (Permute)"),
        ("Permute", {"dims": "ab"}, {}, "'d' (Permute)"),
        ("Conv2D", {}, {"kernel": np.ones((1, 1, 4, 3)), "bias": np.ones(3)}, "must have 4 axes"),
        ("BatchNormalization", {"axis": 7}, {}, "axis 7"),
        ("LSTM", {"units": 3}, {}, "'d' (LSTM)"),
        ("MaxPooling2D", {"pool_size": "x"}, {}, "'d' (MaxPooling2D)"),
    ],
)
def test_configurations_that_do_not_fit_are_named(
    class_name: str, config: dict[str, Any], weights: dict[str, Any], reason: str
) -> None:
    inputs = KerasLayer("x", "InputLayer", {"batch_shape": [None, 4]}, calls=[Call()])
    layer = KerasLayer("d", class_name, config, weights, [Call((TensorRef("x"),))])
    model = KerasModel("m", [inputs, layer], [TensorRef("x")], [TensorRef("d")])
    with pytest.raises(mle.errors.MlexplorerError) as refusal:
        convert_keras(model, Options())
    assert "'d'" in str(refusal.value)
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("class_name", "config", "shape"),
    [
        ("Resizing", {"height": 10**9, "width": 3}, [None, 4, 5, 2]),
        ("Resizing", {"height": 3, "width": 3}, [None, 10**6, 5, 2]),
        ("GroupNormalization", {"groups": 1, "center": False, "scale": False}, [None, 4, 2**31 - 1]),
        ("LayerNormalization", {"center": False, "scale": False}, [None, 2**31 - 1]),
        ("Attention", {"causal": True}, [None, 10**6, 2]),
    ],
)
def test_small_files_make_no_large_constants(class_name: str, config: dict[str, Any], shape: list[int]) -> None:
    inputs = KerasLayer("x", "InputLayer", {"batch_shape": shape}, calls=[Call()])
    argument = [TensorRef("x"), TensorRef("x")] if class_name == "Attention" else TensorRef("x")
    layer = KerasLayer("d", class_name, config, {}, [Call((argument,))])
    model = KerasModel("m", [inputs, layer], [TensorRef("x")], [TensorRef("d")])
    with pytest.raises(mle.errors.UnsupportedError, match="too large"):
        convert_keras(model, Options())


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_model_of_keras_2(suffix: str) -> None:
    """A model that Keras 2.13 wrote, with what it computed; keras2/write_wiring.py made both."""
    folder = Path(__file__).parent / "keras2"
    with np.load(folder / "wiring.npz") as recorded:
        feeds = {name: recorded[f"input:{name}"] for name in ("sequence", "extra")}
        expected = {name: recorded[f"output:{name}"] for name in ("z", "tail", "stack", "deep")}
    results = mle.predict(mle.convert(folder / f"wiring{suffix}"), feeds)
    for name, layer in {"z": "head", "tail": "tail", "stack": "stack", "deep": "depthwise"}.items():
        assert error(np.asarray(results[layer]), expected[name]) <= TOLERANCE, name


def test_operators_of_keras_2() -> None:
    """TFOpLambda and SlicingOpLambda as TensorFlow's Keras writes them, against NumPy."""
    inputs = KerasLayer("x", "InputLayer", {"batch_shape": [None, 4, 6]}, calls=[Call()])

    def step(name: str, function: str, source: str, /, *arguments: Any, **keywords: Any) -> KerasLayer:
        class_name = "SlicingOpLambda" if function.endswith("getitem") else "TFOpLambda"
        calls = [Call((TensorRef(source), *arguments), keywords)]
        return KerasLayer(name, class_name, {"name": name, "function": function}, calls=calls)

    layers = [
        step("scaled", "math.multiply", "x", y=2.0, name=None),
        step("shifted", "__operators__.add", "scaled", 0.5),
        step("relu6", "nn.relu6", "shifted"),
        step("mean", "math.reduce_mean", "relu6", axis=[2], keepdims=True),
        step("less", "math.subtract", "relu6", TensorRef("mean")),
        step("turned", "transpose", "less", perm=[0, 2, 1]),
        step(
            "part",
            "__operators__.getitem",
            "turned",
            slice_spec=({"start": None, "stop": None, "step": None}, {"start": 1, "stop": 5, "step": 2}),
        ),
        step("both", "concat", "part", axis=1),
    ]
    layers[-1] = KerasLayer(
        "both",
        "TFOpLambda",
        {"function": "concat"},
        calls=[Call(([TensorRef("part"), TensorRef("part")],), {"axis": 1})],
    )
    model = KerasModel("m", [inputs, *layers], [TensorRef("x")], [TensorRef("both")], keras_version="2.9.0")
    x = random_input((1, 4, 6))
    result = mle.predict(convert_keras(model, Options()), {"x": x})["both"]
    clipped = np.clip(2 * x + 0.5, 0, 6)
    expected = (clipped - clipped.mean(2, keepdims=True)).transpose(0, 2, 1)[:, 1:5:2]
    np.testing.assert_allclose(result, np.concatenate([expected, expected], 1), atol=1e-5)


def test_unknown_functions_of_keras_2_are_listed() -> None:
    inputs = KerasLayer("x", "InputLayer", {"batch_shape": [None, 4]}, calls=[Call()])
    layer = KerasLayer("f", "TFOpLambda", {"function": "math.bessel"}, calls=[Call((TensorRef("x"),))])
    model = KerasModel("m", [inputs, layer], [TensorRef("x")], [TensorRef("f")])
    with pytest.raises(mle.errors.UnsupportedError, match=r"math\.bessel"):
        convert_keras(model, Options())
