"""Plans on whole models: coremltools' bytes, exact sizes, and what coremltools leaves undone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import QuantizationError, UnsupportedError
from mlexplorer.model import Model
from mlexplorer.quantization import (
    Float16,
    Linear,
    LookupTable,
    Plan,
    Scheme,
    analysis,
    dequantize,
    quantize,
    quantize_each,
)

SAME_BYTES = [
    *((Linear(bits), "linear") for bits in range(1, 9)),
    *((LookupTable(bits, "linear"), "linear_lut") for bits in range(1, 9)),
    (Linear(8, symmetric=True), "linear_symmetric"),
    (Float16(), "linear"),
]
EVERYTHING = mle.Selection(biases=True, normalization=True)
"""What coremltools quantizes."""
EVERY_DEPTH = [scheme(bits) for scheme in (Linear, LookupTable) for bits in range(1, 9)]


def by_coremltools(specification: Any, bits: int, mode: str) -> Any:
    from coremltools.models import MLModel
    from coremltools.models.neural_network.quantization_utils import quantize_weights
    from coremltools.proto.Model_pb2 import Model as Specification

    own = Specification.FromString(specification.SerializeToString())
    return quantize_weights(MLModel(own, skip_model_load=True), bits, quantization_mode=mode).get_spec()


def by_key(model: Model) -> dict[str, Any]:
    return {weight.key: weight for weight in model.graph.weights}


def one_layer(weights: Any, *, bias: Any = None, version: int = 1) -> Model:
    """An innerProduct [rows, columns] as a model."""
    array = np.asarray(weights, np.float32)
    specification = spec.Model(specificationVersion=version)
    layer = specification.neuralNetwork.layers.add(name="dense", input=["x"], output=["y"])
    layer.innerProduct.outputChannels, layer.innerProduct.inputChannels = array.shape
    layer.innerProduct.weights.floatValue.extend(array.reshape(-1).tolist())
    if bias is not None:
        layer.innerProduct.hasBias = True
        layer.innerProduct.bias.floatValue.extend(bias)
    return Model(specification)


@pytest.mark.parametrize(("scheme", "mode"), SAME_BYTES, ids=lambda value: getattr(value, "label", ""))
def test_every_layer_type_has_the_bytes_of_coremltools(network: Any, scheme: Scheme, mode: str) -> None:
    from coremltools.proto.NeuralNetwork_pb2 import WeightParams

    if np.array(WeightParams(floatValue=[1]).floatValue).dtype != np.float32:
        pytest.skip("before protobuf 7.34 coremltools quantizes in float64")
    model = mle.load(network)
    ours = quantize(model, scheme, select=EVERYTHING)
    theirs = mle.load(by_coremltools(network, scheme.bits, mode))
    expected = {key: weight.params.SerializeToString() for key, weight in by_key(theirs).items()}
    assert len(expected) == 405
    assert {key: weight.params.SerializeToString() for key, weight in by_key(ours).items()} == expected
    assert ours.spec.SerializeToString(deterministic=True) == theirs.spec.SerializeToString(deterministic=True)


def test_every_stage_of_a_pipeline_has_the_bytes_of_coremltools(pipeline: Any) -> None:
    ours = quantize(mle.load(pipeline), Linear(4), select=EVERYTHING)
    theirs = mle.load(by_coremltools(pipeline, 4, "linear"))
    assert ours.spec.SerializeToString(deterministic=True) == theirs.spec.SerializeToString(deterministic=True)


DECODED = [
    *(Linear(bits, fit=fit) for bits in (1, 3, 8) for fit in ("range", "least_squares")),
    *(Linear(bits, symmetric=True, fit=fit) for bits in (4, 8) for fit in ("range", "least_squares")),
    *(Linear(bits, granularity="per_tensor", fit=fit) for bits in (2, 8) for fit in ("range", "least_squares")),
    *(LookupTable(bits) for bits in (1, 5, 8)),
    LookupTable(4, "linear"),
]


@pytest.mark.parametrize("scheme", DECODED, ids=lambda s: s.label)
def test_coremltools_reads_the_values_that_are_meant_to_the_last_bit(network: Any, scheme: Scheme) -> None:
    ours = quantize(mle.load(network), scheme, select=EVERYTHING)
    repeated = ours.copy()
    for weight in repeated.graph.weights:  # the format allows one scale for all channels, coremltools stops at it
        linear = weight.params.quantization.linearQuantization
        if len(linear.scale) == 1 and weight.channel_axis is not None:
            channels = weight.shape[weight.channel_axis]
            linear.scale.extend([linear.scale[0]] * (channels - 1))
            linear.bias.extend([linear.bias[0]] * (channels - 1))
    theirs = by_key(mle.load(by_coremltools(repeated.spec, 8, "dequantization")))
    for key, weight in by_key(ours).items():
        assert theirs[key].kind == "float32"
        np.testing.assert_array_equal(weight.array(), theirs[key].array(), err_msg=key)


def test_the_model_itself_stays_as_it_is(network: Any) -> None:
    model = mle.load(network)
    before = model.spec.SerializeToString(deterministic=True)
    quantize(model, LookupTable(2))
    Plan.uniform(model, Linear(3)).predicted_size(model)
    assert model.spec.SerializeToString(deterministic=True) == before


def test_many_schemes_at_once_are_what_each_gives_alone(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = mle.load(network)
    plans = [LookupTable(2), Linear(3), LookupTable(7), Plan({"conv:weights": LookupTable(4)}), Plan({}), Float16()]
    alone = [quantize(model, plan).spec.SerializeToString(deterministic=True) for plan in plans]
    kept = analysis.Kept(1 << 30)
    monkeypatch.setattr(analysis, "KEPT", kept)
    together = quantize_each(model, plans)
    assert [one.spec.SerializeToString(deterministic=True) for one in together] == alone
    assert not kept._held
    chosen = quantize_each(model, [Linear(2), Linear(5)], select=lambda weight: weight.name == "bias")
    assert [{weight.bits for weight in one.graph.weights} for one in chosen] == [{32, 2}, {32, 5}]


def test_the_predicted_size_is_the_size_of_the_saved_file(network: Any, tmp_path: Path) -> None:
    model = mle.load(network)
    path = tmp_path / "quantized.mlmodel"
    for scheme in (*EVERY_DEPTH, Float16(), Linear(8, True), Linear(4, granularity="per_tensor")):
        plan = Plan.uniform(model, scheme, EVERYTHING)
        mle.save(plan.apply(model), path)
        assert plan.predicted_size(model) == path.stat().st_size, scheme


@pytest.mark.parametrize("scheme", [Linear(3), LookupTable(2), Float16()], ids=lambda scheme: scheme.label)
def test_the_predicted_size_of_a_package_is_that_of_all_its_files(
    pipeline: Any, tmp_path: Path, scheme: Scheme
) -> None:
    mle.save(mle.load(pipeline), tmp_path / "original.mlpackage")
    model = mle.load(tmp_path / "original.mlpackage")
    plan = Plan.uniform(model, scheme, EVERYTHING)
    mle.save(plan.apply(model), tmp_path / "quantized.mlpackage")
    files = (tmp_path / "quantized.mlpackage").rglob("*")
    assert plan.predicted_size(model) == sum(file.stat().st_size for file in files if file.is_file())


def test_a_grouped_deconvolution_has_a_scale_for_each_output_as_the_device_wants_it() -> None:
    model = one_layer([[0]])
    layer = model.spec.neuralNetwork.layers.add(name="up", input=["x"], output=["z"])
    params = layer.convolution
    params.isDeconvolution, params.nGroups, params.outputChannels, params.kernelChannels = True, 2, 6, 4
    params.kernelSize.extend([2, 5])
    values = np.random.default_rng(0).normal(size=(4, 3, 2, 5)).astype(np.float32)
    params.weights.floatValue.extend(values.reshape(-1).tolist())
    plan = Plan({"up:weights": Linear(4)})
    small = plan.apply(model)
    weight = by_key(small)["up:weights"]
    assert len(weight.params.quantization.linearQuantization.scale) == 6
    np.testing.assert_allclose(weight.array(), values, atol=np.ptp(values) / 15)
    assert plan.predicted_size(model) == small.size


@pytest.mark.parametrize("first", [Linear(8), LookupTable(6), Float16()], ids=lambda scheme: scheme.label)
def test_quantized_weights_are_decoded_and_quantized_anew(network: Any, first: Scheme) -> None:
    # coremltools leaves them as they are
    once = quantize(mle.load(network), first, select=EVERYTHING)
    twice = quantize(once, LookupTable(3), select=EVERYTHING)
    for key, weight in by_key(once).items():
        again = by_key(twice)[key]
        if weight.kind == "float32":
            assert again.kind == "float32"
            continue
        expected = LookupTable(3).encode(weight.array())
        assert (again.kind, again.bits) == ("lookup_table", 3)
        np.testing.assert_array_equal(again.encoded().codes, expected.codes)
        np.testing.assert_array_equal(again.encoded().table, expected.table)


def test_a_plan_of_a_model_tells_what_it_already_is(network: Any) -> None:
    model = mle.load(network)
    assert Plan.of(model) == Plan({})
    schemes = (
        *EVERY_DEPTH,
        Linear(4, symmetric=True),
        Linear(3, granularity="per_tensor"),
        LookupTable(3, "linear"),
        Float16(),
    )
    matrices = [
        weight.key for weight in model.graph.weights if len(weight.shape) > 1 and weight.channel_axis is not None
    ]
    keys = [key for key in matrices if key in Plan.uniform(model, Linear(4), EVERYTHING).schemes][: len(schemes)]
    plan = Plan(dict(zip(keys, schemes, strict=True)))
    halves = {
        node.id for node in model.graph.nodes for weight in node.weights if plan.schemes.get(weight.key) == Float16()
    }
    plan = Plan({**plan.schemes, **{w.key: Float16() for n in model.graph.nodes if n.id in halves for w in n.weights}})
    small = plan.apply(model)
    assert dict(Plan.of(small).schemes) == dict(plan.schemes)
    again = Plan.of(small).apply(dequantize(small))
    for key, weight in by_key(small).items():  # a range of decoded levels is off by a rounding
        np.testing.assert_allclose(by_key(again)[key].array(), weight.array(), rtol=1e-6, atol=1e-6, err_msg=key)


@pytest.mark.parametrize(
    "scheme", [Linear(5), Linear(2, fit="least_squares"), LookupTable(3), Float16()], ids=lambda scheme: scheme.label
)
def test_dequantized_weights_are_what_they_stood_for(network: Any, scheme: Scheme) -> None:
    small = quantize(mle.load(network), scheme, select=EVERYTHING)
    floats = dequantize(small)
    assert {weight.kind for weight in floats.graph.weights} == {"float32"}
    for key, weight in by_key(small).items():
        np.testing.assert_array_equal(by_key(floats)[key].array(), weight.array(), err_msg=key)
    assert Plan.of(floats) == Plan({})
    if not isinstance(scheme, Float16):  # coremltools leaves 16-bit floats as they are
        theirs = by_key(mle.load(by_coremltools(small.spec, 8, "dequantization")))
        for key, weight in by_key(floats).items():
            np.testing.assert_array_equal(weight.array(), theirs[key].array(), err_msg=key)


def test_layers_of_other_types_are_dequantized_and_8_bit_layers_stay() -> None:
    model = one_layer([[1, 2], [3, 4]])
    layers = model.spec.neuralNetwork.layers
    alpha = layers.add(name="prelu", input=["y"], output=["z"]).activation.PReLU.alpha
    alpha.float16Value = np.float16([0.5, 0.25]).tobytes()
    dynamic = layers.add(name="dynamic", input=["z"], output=["out"]).batchedMatmul
    dynamic.weightMatrixFirstDimension, dynamic.weightMatrixSecondDimension = 2, 3
    dynamic.int8DynamicQuantize = True
    dynamic.weights.int8RawValue = bytes(range(6))
    dynamic.weights.quantization.numberOfBits = 8
    dynamic.weights.quantization.linearQuantization.scale.append(1)
    floats = dequantize(Model(model.spec))
    assert {weight.key: weight.kind for weight in floats.graph.weights} == {
        "dense:weights": "float32",
        "prelu:PReLU.alpha": "float32",
        "dynamic:weights": "int8",
    }
    assert by_key(floats)["prelu:PReLU.alpha"].array().tolist() == [0.5, 0.25]


def test_fields_of_newer_versions_and_other_models_stay(pipeline: Any) -> None:
    """Copies are made without the old weights; whatever else there is must be in them."""
    pipeline.description.metadata.userDefined["made by"] = "me"
    pipeline.pipeline.names.extend(["first", "second"])
    stage = pipeline.pipeline.models.add()
    stage.neuralNetwork.layers.add(name="empty").innerProduct.weights.SetInParent()
    stage.neuralNetwork.layers.add(name="flag").innerProduct.weights.isUpdatable = True
    custom = stage.neuralNetwork.layers.add(name="custom").custom
    custom.parameters["zero"].intValue = 0
    custom.weights.add().floatValue.extend([1, 2])
    trees = pipeline.pipeline.models.add().treeEnsembleRegressor.treeEnsemble
    trees.nodes.add(treeId=3, branchFeatureValue=0.5)
    unknown = bytes([0xFA, 0xFF, 0x01, 0x02, 0x08, 0x01])  # field 4095: two bytes
    for message in (pipeline, pipeline.pipeline.models[0].neuralNetwork.layers[0].convolution):
        message.MergeFromString(unknown)
    model = mle.load(pipeline)
    small = quantize(model, Linear(3), select=EVERYTHING)
    back = small.copy()
    for weight in back.graph.weights:  # put the floats back: everything must then be as it was
        original = by_key(model)[weight.key]
        if weight.kind == "linear":
            weight.params.CopyFrom(original.params)
    assert back.spec.SerializeToString(deterministic=True) == model.spec.SerializeToString(deterministic=True)
    assert small.spec.pipeline.models[0].neuralNetwork.layers[0].convolution.weights.rawValue


def test_what_is_never_quantized(network: Any) -> None:
    nn = network.neuralNetwork
    custom = nn.layers.add(name="custom", input=["data"], output=["custom"])
    custom.custom.className = "Mine"
    custom.custom.weights.add().floatValue.extend([1, 2])
    layers = {layer.name: layer for layer in nn.layers}
    layers["dense"].isUpdatable = True
    layers["conv"].convolution.weights.isUpdatable = True
    layers["grouped"].convolution.hasBias = False
    layers["gru"].gru.hasBiasVectors = False
    layers["rnn"].simpleRecurrent.hasBiasVector = False
    layers["lstm"].uniDirectionalLSTM.params.hasPeepholeVectors = False
    dynamic = layers["matmul"].batchedMatmul
    dynamic.int8DynamicQuantize = True
    dynamic.weights.Clear()
    dynamic.weights.int8RawValue = bytes(15)
    dynamic.weights.quantization.numberOfBits = 8
    dynamic.weights.quantization.linearQuantization.scale.append(1)
    model = mle.load(network)
    kept = {weight.key for weight in model.graph.weights if "/" not in weight.key} - Plan.uniform(
        model, Linear(4), EVERYTHING
    ).schemes.keys()
    assert kept == {
        "custom:weights[0]", "dense:weights", "dense:bias", "conv:weights", "grouped:bias", "matmul:weights",
        "prelu:activation.PReLU.alpha", "layer_norm:gamma", "layer_norm:beta", "conv3d:weights", "conv3d:bias",
        "rnn:biasVector", *(f"gru:{gate}GateBiasVector" for gate in ("update", "reset", "output")),
        *(f"lstm:weightParams.{gate}GatePeepholeVector" for gate in ("input", "forget", "output")),
    } or sorted(kept)  # fmt: skip
    for key in kept:
        with pytest.raises(QuantizationError, match="never quantized"):
            Plan({key: Linear(4)}).apply(model)


def test_select_chooses_by_name_size_and_kind() -> None:
    model = one_layer(np.arange(12).reshape(3, 4), bias=[1, 2, 3])
    plan = Plan.uniform(model, Linear(4), lambda weight: weight.count > 3)
    assert plan == Plan({"dense:weights": Linear(4)})
    small = quantize(model, Linear(4), select=lambda weight: weight.name == "bias")
    assert {key: weight.kind for key, weight in by_key(small).items()} == {
        "dense:weights": "float32",
        "dense:bias": "linear",
    }


def test_16_bit_floats_never_stand_beside_32_bit_floats_in_a_layer() -> None:
    model = one_layer(np.ones((3, 4)), bias=[1, 2, 3])
    plan = Plan.uniform(model, Float16(), lambda weight: weight.name == "weights")
    assert plan.schemes == {"dense:weights": Float16(), "dense:bias": Float16()}
    with pytest.raises(QuantizationError, match="dense:bias would stay in 32-bit floats"):
        Plan({"dense:weights": Float16()}).apply(model)
    mixed = Plan({"dense:weights": Float16(), "dense:bias": Linear(8)}).apply(model)
    assert [weight.kind for weight in mixed.graph.weights] == ["float16", "linear"]


@pytest.mark.parametrize(
    ("scheme", "before", "after"), [(Linear(4), 1, 3), (Float16(), 1, 2), (Float16(), 4, 4), (LookupTable(1), 5, 5)]
)
def test_the_version_rises_to_what_reads_the_weights(scheme: Scheme, before: int, after: int) -> None:
    inner = one_layer([[1, 2]], version=before)
    assert quantize(inner, scheme).spec.specificationVersion == after
    outer = Model(spec.Model(specificationVersion=before))
    outer.spec.pipelineClassifier.pipeline.models.add().CopyFrom(one_layer([[5, 6]]).spec)
    outer.spec.pipelineClassifier.pipeline.models.add().pipeline.models.add().CopyFrom(inner.spec)
    first = "pipeline[0]/dense:weights"
    other = next(weight.key for weight in outer.graph.weights if weight.key != first)
    small = Plan({other: scheme}).apply(outer)
    stages = small.spec.pipelineClassifier.pipeline.models
    assert small.spec.specificationVersion == after
    assert stages[0].specificationVersion == 1
    assert stages[1].specificationVersion == max(scheme.version, stages[1].specificationVersion)
    assert stages[1].pipeline.models[0].specificationVersion == after


def test_errors_name_the_weight() -> None:
    model = one_layer([[1, np.nan], [2, 3]])
    with pytest.raises(QuantizationError, match="dense:weights: 1 of 4 values are NaN or infinite"):
        quantize(model, Linear(8), select=EVERYTHING)
    with pytest.raises(QuantizationError, match="the model has no weight 'dens:weights'"):
        Plan({"dens:weights": Linear(8)}).predicted_size(model)
    with pytest.raises(QuantizationError, match=r"takes a scheme, .* not 4"):
        quantize(model, 4)  # type: ignore[arg-type]
    with pytest.raises(QuantizationError, match=r"give select to Plan\.uniform"):
        quantize(model, Plan({}), select=lambda weight: True)
    with pytest.raises(QuantizationError, match="maps keys of weights to schemes"):
        Plan({"dense:weights": 4})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("kind", "message"),
    [("mlProgram", "ML Programs cannot be quantized"), ("treeEnsembleClassifier", "has no neural network")],
)
def test_models_without_a_neural_network_are_refused_by_name(kind: str, message: str) -> None:
    specification = spec.Model(specificationVersion=7)
    getattr(specification, kind).SetInParent()
    for model in (Model(specification, path=Path("some.mlmodel")), Model(spec.Model(), path=Path("some.mlmodel"))):
        if model.kind == "unknown":
            model.spec.pipeline.models.add().CopyFrom(specification)
        with pytest.raises(UnsupportedError, match=f"some.mlmodel: .*{message}"):
            quantize(model, Linear(8), select=EVERYTHING)


def test_a_plan_is_a_value_with_a_table_and_a_file(tmp_path: Path) -> None:
    keys = [f"conv_{i}:weights" for i in range(5)]
    plan = Plan({**dict.fromkeys(keys, Linear(4)), "dense:weights": LookupTable(2), "dense:bias": Float16()})
    assert repr(plan).splitlines() == [
        "Plan of 7 weights",
        "  linear 4 bit        conv_0:weights, conv_1:weights, conv_2:weights and 2 more",
        "  lookup table 2 bit  dense:weights",
        "  16-bit float        dense:bias",
    ]
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    assert Plan({"dense:weights": Linear(4)}) != Plan({"dense:weights": Linear(5)})
    with pytest.raises(TypeError):
        plan.schemes["other"] = Linear(4)  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "plan.json is not a plan"),
        ("[]", "a plan is stored as"),
        ('{"schemes": {"a": 4}}', "a plan is stored as"),
        ('{"schemes": {"a": {"scheme": "cubic"}}}', "no scheme is called 'cubic'"),
    ],
)
def test_files_that_are_no_plans(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "plan.json").write_text(text, encoding="utf-8")
    with pytest.raises(QuantizationError, match=message):
        Plan.load(tmp_path / "plan.json")


def test_the_users_function_reaches_every_weight_in_its_layers_shape() -> None:
    shapes = []

    def extremes(bits: int, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shapes.append(weights.shape)
        return np.array([weights.min(), weights.max()]), weights > weights.mean()

    scheme = LookupTable(1, "function", _whole(extremes))
    small = quantize(one_layer([[1, 2, 8], [0, 7, 9]], bias=[3, 5]), scheme, select=EVERYTHING)
    assert shapes == [(2, 3), (2,)]
    assert by_key(small)["dense:weights"].array().tolist() == [[0, 0, 9], [0, 9, 9]]
    assert by_key(small)["dense:bias"].array().tolist() == [3, 5]


def _whole(function: Callable[..., Any]) -> Callable[..., Any]:
    def table(bits: int, weights: np.ndarray) -> tuple[Any, Any]:
        entries, chosen = function(bits, weights)
        return entries, chosen.astype(np.uint8)

    return table
