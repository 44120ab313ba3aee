"""The graph against coremltools' own reading of the same files, and on models made to be difficult."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil.frontend.milproto.load import load as load_program
from coremltools.models.neural_network import quantization_utils

from mlexplorer import spec
from mlexplorer.errors import FileFormatError, ModelError, UnsupportedError
from mlexplorer.formats import load
from mlexplorer.graph import Graph, Node
from mlexplorer.layers import LAYOUTS
from mlexplorer.model import Model
from mlexplorer.spec.weight_params import write_floats
from tests.formats.models import model_paths, network

LAYERS = spec.NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields
WEIGHT = "CoreML.Specification.WeightParams"


def graph_of(*layers: tuple[str, str, list[str], list[str]], inputs: tuple[str, ...] = ("x",)) -> Graph:
    """A graph of layers (name, type, inputs, outputs)."""
    model = spec.Model(specificationVersion=4)
    for name in inputs:
        model.description.input.add(name=name)
    model.description.output.add(name="y")
    add_layers(model.neuralNetwork, *layers)
    return Graph(model)


def add_layers(target: Any, *layers: tuple[str, str, list[str], list[str]]) -> list[Any]:
    added = []
    for name, kind, reads, writes in layers:
        layer = target.layers.add(name=name, input=reads, output=writes)
        getattr(layer, kind).SetInParent()
        added.append(layer)
    return added


def fill(message: Any, depth: int = 0) -> int:
    """Set every WeightParams that a message can hold (one of each list) to one value; how many there are."""
    count = 0
    for field in message.DESCRIPTOR.fields:
        if field.message_type is None or field.message_type.name == "NeuralNetwork" or depth > 3:
            continue
        if field.message_type.GetOptions().map_entry:
            continue
        target = getattr(message, field.name)
        probe = target.add() if hasattr(target, "add") else field.message_type._concrete_class()
        if field.message_type.full_name == WEIGHT:
            probe.floatValue.append(1)
            count += 1
        else:
            inner = fill(probe, depth + 1)
            if not inner and hasattr(target, "add"):
                del target[-1]
            if not inner or (field.containing_oneof and message.WhichOneof(field.containing_oneof.name)):
                continue
            count += inner
        if not hasattr(target, "add"):
            target.CopyFrom(probe)
    return count


@pytest.mark.parametrize("kind", [field.name for field in LAYERS])
def test_every_layer_type_shows(kind: str) -> None:
    model = spec.Model(specificationVersion=4)
    layer = model.neuralNetwork.layers.add(name="it", input=["a"], output=["b"])
    params = getattr(layer, kind)
    params.SetInParent()
    expected = fill(params)
    node = Graph(model).node("it")
    assert (node.type, node.inputs, node.outputs, node.params) == (kind, ("a",), ("b",), params)
    assert len(node.weights) == expected
    assert all(weight.bits == 32 for weight in node.weights)
    scalars = [f.name for f in params.DESCRIPTOR.fields if f.message_type is None and f.containing_oneof is None]
    lists = [name for name in scalars if hasattr(getattr(params, name), "append")]
    assert set(node.parameters) >= set(scalars) - set(lists)
    assert not {"weightParams", *(weight.name for weight in node.weights)} & set(node.parameters)


def test_all_158_types_and_all_weights_have_a_layout() -> None:
    assert len(LAYERS) == 158
    holders = {field.name for field in LAYERS if fill(field.message_type._concrete_class())}
    assert set(LAYOUTS) == holders
    assert len(holders) == 18


def coremltools_weights(message: Any) -> Iterator[Any]:
    """All WeightParams with values in a message, by the fields that are set."""
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for item in [value] if hasattr(value, "ListFields") else value:
            if field.message_type.full_name != WEIGHT:
                yield from coremltools_weights(item)
            elif item.floatValue or item.float16Value or item.rawValue or item.int8RawValue:
                yield item


def coremltools_layers(network: Any) -> Iterator[Any]:
    for layer in network.layers:
        yield layer
        for inner in (
            layer.branch.ifBranch,
            layer.branch.elseBranch,
            layer.loop.conditionNetwork,
            layer.loop.bodyNetwork,
        ):
            yield from coremltools_layers(inner)


def test_networks_of_the_corpus_against_coremltools(corpus: Path) -> None:
    compared = 0
    for path in model_paths(corpus):
        if path.suffix != ".mlmodel" or path.name.startswith("simple_layer"):
            continue
        reference = ct.utils.load_spec(str(path))
        kind = reference.WhichOneof("Type")
        if not kind.startswith("neuralNetwork"):
            continue
        graph = load(path).graph
        layers = list(coremltools_layers(getattr(reference, kind)))
        assert [(n.name, n.type) for n in graph.nodes] == [(each.name, each.WhichOneof("layer")) for each in layers]
        expected = list(coremltools_weights(getattr(reference, kind)))
        assert len(graph.weights) == len(expected)
        for weight, params in zip(graph.weights, expected, strict=True):
            assert weight.nbytes <= params.ByteSize() <= weight.nbytes + 40
            if params.floatValue:
                assert weight.kind == "float32"
                np.testing.assert_array_equal(weight.array().reshape(-1), np.array(params.floatValue, np.float32))
            elif params.float16Value:
                assert weight.kind == "float16"
                np.testing.assert_array_equal(
                    weight.array().reshape(-1), np.frombuffer(params.float16Value, "<f2").astype(np.float32)
                )
        compared += len(expected)
    assert compared > 1500


def test_quantized_weights_against_coremltools(corpus: Path) -> None:
    path = next(corpus.glob("mlmodel/*/SqueezeNetInt8LUT@694a119.mlmodel"))
    reference = ct.utils.load_spec(str(path))
    weights = {weight.key: weight for weight in load(path).graph.weights}
    for layer in reference.neuralNetworkClassifier.layers:
        if layer.WhichOneof("layer") == "convolution":
            params = layer.convolution
            shape = [params.outputChannels, params.kernelChannels, *params.kernelSize]
            quantization_utils._dequantize_wp(params.weights, shape)
            weight = weights.pop(f"{layer.name}:weights")
            assert (weight.kind, weight.bits, weight.shape, weight.channel_axis) == ("lookup_table", 8, tuple(shape), 0)
            np.testing.assert_array_equal(weight.array().reshape(-1), np.array(params.weights.floatValue, np.float32))
    assert {key.partition(":")[2] for key in weights} == {"bias"}


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_deconvolutions_quantized_by_coremltools(bits: int) -> None:
    values = np.random.default_rng(bits).normal(size=(3, 4, 2, 5)).astype(np.float32)
    builder = ct.models.neural_network.NeuralNetworkBuilder(
        [("x", ct.models.datatypes.Array(3, 8, 9))], [("y", None)], disable_rank5_shape_mapping=True
    )
    builder.add_convolution(
        "up", 3, 4, 2, 5, 1, 1, "valid", 1, values.transpose(2, 3, 0, 1), None, False, True, None, "x", "y"
    )
    layer = builder.spec.neuralNetwork.layers[0]
    quantization_utils._quantize_wp_field(layer.convolution.weights, bits, "_linear_quantization", [3, 4, 2, 5], axis=1)
    weight = load(builder.spec).graph.node("up").weight("weights")
    assert (weight.kind, weight.bits, weight.shape, weight.channel_axis) == ("linear", bits, (3, 4, 2, 5), 1)
    flat, ours = values.transpose(1, 0, 2, 3).reshape(4, -1), weight.array().transpose(1, 0, 2, 3).reshape(4, -1)
    step = (flat.max(1) - flat.min(1)) / (2**bits - 1)
    assert (np.abs(flat - ours).max(1) <= 0.5001 * step).all()


def program_operations(block: Any) -> Iterator[Any]:
    for operation in block.operations:
        if operation.op_type != "const":
            yield operation
        for inner in operation.blocks:
            yield from program_operations(inner)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_programs_of_the_corpus_against_coremltools(corpus: Path) -> None:
    compared = 0
    for name in ("MNIST@c4226d7", "MNIST@f9f1d23", "DTLN_AEC_128_Part1@3d92b67", "DTLN_AEC_128_Part2@a2e9c9a"):
        package = next(corpus.glob(f"mlpackage/*/{name}.mlpackage"))
        reference = load_program(
            ct.utils.load_spec(str(package)),
            specification_version=ct.utils.load_spec(str(package)).specificationVersion,
            file_weights_dir=str(package / "Data/com.apple.CoreML/weights"),
        )
        graph = load(package).graph
        operations = list(program_operations(reference.functions["main"]))
        ours = {node.outputs[0]: node for node in graph.nodes if node.type != "const"}
        assert [ours[op.outputs[0].name].type for op in operations] == [op.op_type for op in operations]
        for operation in operations:
            node = ours[operation.outputs[0].name]
            for weight in node.weights:
                expected = operation.inputs[weight.name].val
                assert weight.kind == expected.dtype.name
                np.testing.assert_array_equal(weight.array(), expected.astype(np.float32))
                compared += 1
            for key, value in node.parameters.items():
                expected = operation.inputs.get(key)
                if expected is not None and getattr(expected, "val", None) is not None:
                    np.testing.assert_array_equal(value, expected.val)
    assert compared > 30


def test_nested_blocks_and_missing_weight_files(corpus: Path) -> None:
    graph = load(next(corpus.glob("mlpackage/*/DTLN_AEC_128_Part2@5cd9270.mlpackage"))).graph
    loop = next(node for node in graph.nodes if node.type == "while_loop")
    assert [scope.id for scope in graph.scopes if scope.parent == ""] == [
        f"{node.id}/blocks[{i}]" for node in graph.nodes if node.type == "while_loop" for i in (0, 1)
    ]
    inside = [node for node in graph.nodes if node.scope == f"{loop.id}/blocks[1]"]
    assert inside
    assert any(source == loop.id and target == inside[0].id for source, target, _ in graph.edges)
    with pytest.raises(FileFormatError, match=r"has no file 'weights/weight.bin'.*package is incomplete"):
        graph.weights[0].array()
    with pytest.raises(FileFormatError, match=r"loaded without its weight files; load the .mlpackage"):
        Graph(load(next(corpus.glob("mlpackage/*/MNIST@c4226d7.mlpackage"))).spec).weights[0].array()
    with pytest.raises(UnsupportedError, match="ML Programs cannot be quantized"):
        graph.weights[0].encoded()


def test_functions_of_a_program_are_scopes(corpus: Path) -> None:
    message = load(next(corpus.glob("mlpackage/*/MNIST@c4226d7.mlpackage"))).spec
    message.mlProgram.functions["other"].CopyFrom(message.mlProgram.functions["main"])
    message.description.defaultFunctionName = "other"
    graph = Graph(message)
    one = Graph(load(next(corpus.glob("mlpackage/*/MNIST@c4226d7.mlpackage"))).spec)
    assert [scope.id for scope in graph.scopes] == ["other", "main"]
    assert [node.id for node in graph.nodes] == [f"{f}/{node.id}" for f in ("other", "main") for node in one.nodes]
    assert len(graph.weights) == 2 * len(one.weights)
    assert graph.producers(graph.outputs[0])[0].startswith("other/")


def test_a_custom_operation_of_a_program() -> None:
    model = spec.Model()
    block = model.mlProgram.functions["main"].block_specializations["CoreML6"]
    model.mlProgram.functions["main"].opset = "CoreML6"
    operation = block.operations.add(type="custom_layer")
    operation.outputs.add(name="y")
    for name, text in (("class_name", "Swirl"), ("description", "turns"), ("strength", "2")):
        value = operation.attributes[name]
        value.type.tensorType.dataType = 2
        value.immediateValue.tensor.strings.values.append(text)
    (node,) = Graph(model).custom_layers
    assert node.custom is not None
    assert (node.custom.className, node.custom.description, node.custom.parameters) == (
        "Swirl",
        "turns",
        {"strength": "2"},
    )


def test_edges_come_from_the_latest_writer() -> None:
    graph = graph_of(
        ("a", "softmax", ["x"], ["b"]),
        ("first", "softmax", ["b"], ["c"]),
        ("over", "copy", ["x"], ["b"]),
        ("second", "softmax", ["b"], ["y"]),
        ("lost", "softmax", ["nowhere"], ["z"]),
    )
    assert graph.edges == (
        ("x", "a", "x"),
        ("a", "first", "b"),
        ("x", "over", "x"),
        ("over", "second", "b"),
    )
    assert [(v.name, v.producer, v.consumers) for v in graph.values] == [
        ("x", None, ("a", "over")),
        ("b", "a", ("first",)),
        ("c", "first", ()),
        ("b", "over", ("second",)),
        ("y", "second", ()),
        ("z", "lost", ()),
    ]
    assert graph.producers("y") == ("second",)
    with pytest.raises(ModelError, match=r"no output 'x'; its outputs are \['y'\]"):
        graph.producers("x")
    with pytest.raises(ModelError, match="no node 'third'"):
        graph.node("third")


def test_names_that_repeat_are_empty_or_are_those_of_inputs() -> None:
    graph = graph_of(
        ("same", "softmax", ["x"], ["a"]),
        ("same", "softmax", ["a"], ["b"]),
        ("same#2", "softmax", ["b"], ["c"]),
        ("", "softmax", ["c"], ["d"]),
        ("", "softmax", ["d"], ["e"]),
        ("x", "softmax", ["e"], ["y"]),
    )
    ids = [node.id for node in graph.nodes]
    assert ids == ["same", "same#2", "same#2#2", "softmax", "softmax#2", "x#2"]
    assert [source for source, _, _ in graph.edges] == ["x", *ids[:-1]]


def test_loops_and_branches_are_scopes_and_hand_on_their_writes() -> None:
    model = spec.Model()
    model.description.input.add(name="x")
    model.description.output.add(name="y")
    _, branch, loop, _ = add_layers(
        model.neuralNetwork,
        ("start", "softmax", ["x"], ["v"]),
        ("choice", "branch", ["v"], []),
        ("again", "loop", [], []),
        ("end", "softmax", ["v"], ["y"]),
    )
    add_layers(branch.branch.ifBranch, ("yes", "copy", ["x"], ["v"]))
    add_layers(branch.branch.elseBranch, ("no", "copy", ["x"], ["w"]))
    loop.loop.conditionVar = "go"
    add_layers(loop.loop.conditionNetwork, ("test", "lessThan", ["v"], ["go"]))
    (inner,) = add_layers(loop.loop.bodyNetwork, ("deep", "branch", ["go"], []))
    add_layers(inner.branch.ifBranch, ("step", "softmax", ["v"], ["v"]), ("step", "loopBreak", [], []))
    graph = Graph(model)

    assert [(scope.id, scope.parent) for scope in graph.scopes] == [
        ("choice/ifBranch", ""),
        ("choice/elseBranch", ""),
        ("again/conditionNetwork", ""),
        ("again/bodyNetwork", ""),
        ("again/bodyNetwork/deep/ifBranch", "again/bodyNetwork"),
    ]
    prefix = "again/bodyNetwork/deep/ifBranch"
    assert [node.id for node in graph.nodes if node.scope == prefix] == [f"{prefix}/step", f"{prefix}/step#2"]
    sources = {target: [s for s, t, _ in graph.edges if t == target] for target in (node.id for node in graph.nodes)}
    assert sources["again/conditionNetwork/test"] == ["choice/ifBranch/yes", "start"]
    assert sources["again"] == ["again/conditionNetwork/test"]
    assert set(sources["end"]) == {f"{prefix}/step", "choice/ifBranch/yes", "start"}


def test_stages_of_pipelines_are_scopes_with_blobs_of_their_own() -> None:
    model = spec.Model()
    pipeline = model.pipelineRegressor.pipeline
    pipeline.names.extend(["embed"])
    model.description.input.add(name="x")
    model.description.output.add(name="y")
    for _ in range(2):
        stage = pipeline.models.add()
        stage.description.input.add(name="x")
        stage.description.output.add(name="x")
        add_layers(stage.neuralNetwork, ("fc", "softmax", ["x"], ["hidden"]), ("out", "softmax", ["hidden"], ["x"]))
    last = pipeline.models.add()
    last.description.input.add(name="x")
    last.description.input.add(name="hidden")
    last.description.output.add(name="y")
    last.customModel.className = "Judge"
    last.customModel.parameters["limit"].doubleValue = 0.5
    graph = Graph(model)
    assert [(scope.id, scope.name, scope.kind) for scope in graph.scopes] == [
        ("pipeline[0]", "embed", "neuralNetwork"),
        ("pipeline[1]", "neuralNetwork", "neuralNetwork"),
        ("pipeline[2]", "customModel", "customModel"),
    ]
    assert graph.edges == (
        ("x", "pipeline[0]/fc", "x"),
        ("pipeline[0]/fc", "pipeline[0]/out", "hidden"),
        ("pipeline[0]/out", "pipeline[1]/fc", "x"),
        ("pipeline[1]/fc", "pipeline[1]/out", "hidden"),
        ("pipeline[1]/out", "pipeline[2]/customModel", "x"),
    )
    assert graph.producers("y") == ("pipeline[2]/customModel",)
    (judge,) = graph.custom_layers
    assert judge.custom is not None
    assert (judge.custom.className, judge.custom.parameters) == ("Judge", {"limit": 0.5})


def test_custom_layers_show_class_parameters_and_weights() -> None:
    model = spec.Model()
    custom = model.neuralNetwork.layers.add(name="mine").custom
    custom.className, custom.description = "Swirl", "turns the picture"
    custom.parameters["angle"].doubleValue = 1.5
    custom.parameters["label"].stringValue = "left"
    custom.parameters["steps"].intValue = 7
    custom.parameters["size"].longValue = 1 << 40
    custom.parameters["on"].boolValue = True
    write_floats(custom.weights.add(), np.arange(6, dtype=np.float32))
    custom.weights.add().float16Value = np.arange(4, dtype="<f2").tobytes()
    graph = Graph(model)
    (node,) = graph.custom_layers
    assert node.is_custom
    assert node.custom is not None
    assert (node.custom.className, node.custom.description) == ("Swirl", "turns the picture")
    assert node.custom.parameters == {"angle": 1.5, "label": "left", "on": True, "size": 1 << 40, "steps": 7}
    assert [(w.key, w.shape, w.kind, w.nbytes) for w in node.weights] == [
        ("mine:weights[0]", (6,), "float32", 24),
        ("mine:weights[1]", (4,), "float16", 8),
    ]


def test_parameters_are_what_is_stored() -> None:
    model = spec.Model()
    pooling = model.neuralNetwork.layers.add(name="pool").pooling
    pooling.type = 1
    pooling.stride.extend([2, 3])
    pooling.same.asymmetryMode = 1
    lstm = model.neuralNetwork.layers.add(name="lstm").uniDirectionalLSTM
    lstm.activations.add().tanh.SetInParent()
    lstm.activations.add().PReLU.alpha.floatValue.append(1)
    lstm.weightParams.inputGateBiasVector.floatValue.append(2)
    lstm.params.cellClipThreshold = 50
    newer = model.neuralNetwork.layers.add(name="newer").gelu
    newer.mode = 77
    pool, recurrent, gelu = Graph(model).nodes
    assert pool.parameters == {
        "type": "AVERAGE",
        "stride": [2, 3],
        "same": {"asymmetryMode": "TOP_LEFT_HEAVY"},
        "avgPoolExcludePadding": False,
        "globalPooling": False,
    }
    assert recurrent.parameters["activations"] == [{"tanh": {}}, {"PReLU": {}}]
    assert recurrent.parameters["params"]["cellClipThreshold"] == 50
    assert "weightParams" not in recurrent.parameters
    assert [w.name for w in recurrent.weights] == ["activations[1].PReLU.alpha", "weightParams.inputGateBiasVector"]
    assert gelu.parameters == {"mode": 77}


def test_a_layer_of_a_newer_specification_is_unknown() -> None:
    model = spec.Model()
    layer = model.neuralNetwork.layers.add(name="new", input=["x"], output=["y"])
    layer.MergeFromString(bytes([0xD2, 0xF7, 0x02, 0]))
    model.neuralNetwork.layers.add(name="unset")
    new, unset = Graph(model).nodes
    assert (new.type, new.inputs, new.parameters) == ("unknown", ("x",), {"unknown fields": [6010]})
    assert (unset.type, unset.parameters, unset.weights) == ("unknown", {"unknown fields": []}, ())


def test_classic_models_are_one_node_with_counts(corpus: Path) -> None:
    graph = load(next(corpus.glob("mlmodel/*/NamesDT@789862a.mlmodel"))).graph
    vectors, features, trees = graph.nodes
    assert (vectors.id, features.scope) == ("pipeline[0]/pipeline[0]/dictVectorizer", "pipeline[0]/pipeline[1]")
    assert graph.edges[-1] == (features.id, trees.id, "__feature_vector__")
    assert (trees.id, trees.type) == ("pipeline[1]/treeEnsembleClassifier", "treeEnsembleClassifier")
    assert trees.parameters["treeEnsemble"]["nodes"] == "19023 TreeNode"
    assert trees.parameters["stringClassLabels"] == {"vector": ["F", "M"]}
    svm = spec.Model()
    for i in range(40):
        vector = svm.supportVectorClassifier.denseSupportVectors.vectors.add()
        vector.values.extend(range(i))
    svm.supportVectorClassifier.kernel.rbfKernel.gamma = 0.25
    (node,) = Graph(svm).nodes
    assert node.parameters["denseSupportVectors"] == {"vectors": "40 DenseVector"}
    assert node.parameters["kernel"] == {"rbfKernel": {"gamma": 0.25}}


@pytest.mark.parametrize("field", ["floatValue", "float16Value", "rawValue"])
@pytest.mark.parametrize("missing", [1, -1])
def test_weights_that_contradict_the_layer_are_named_when_asked_for(field: str, missing: int) -> None:
    message = network(name="dense", inputs=4, outputs=6)
    weights = message.neuralNetwork.layers[0].innerProduct.weights
    weights.Clear()
    stored = 24 - missing * (1 if field != "rawValue" else 8)
    if field == "floatValue":
        weights.floatValue.extend(range(stored))
    elif field == "float16Value":
        weights.float16Value = bytes(2 * stored)
    else:
        weights.rawValue = bytes(3 * stored // 8)
        weights.quantization.numberOfBits = 3
        weights.quantization.linearQuantization.scale.append(1)
    weight = Model(message).graph.node("dense").weight("weights")
    assert weight.shape == (6, 4)
    words = rf"layer 'dense' \(innerProduct\): weights holds {stored} values.*shape \[6, 4\], 24 values"
    for read in (weight.array, weight.encoded):
        with pytest.raises(ModelError, match=words):
            read()


def test_codes_that_do_not_fill_the_last_byte() -> None:
    message = network(name="dense", inputs=3, outputs=5)
    weights = message.neuralNetwork.layers[0].innerProduct.weights
    weights.Clear()
    weights.rawValue = bytes([0b01101000, 0b01000000])  # fifteen codes of one bit, and one bit of padding
    weights.quantization.numberOfBits = 1
    weights.quantization.lookupTableQuantization.floatValue.extend([-1, 3])
    weight = Model(message).graph.node("dense").weight("weights")
    assert (weight.kind, weight.bits, weight.count, weight.nbytes) == ("lookup_table", 1, 15, 10)
    bits = [0, 1, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    np.testing.assert_array_equal(weight.encoded().codes, bits)
    np.testing.assert_array_equal(weight.array(), np.where(bits, 3, -1).reshape(5, 3))


def test_a_weight_that_is_not_there() -> None:
    message = network(name="dense")
    message.neuralNetwork.layers[0].innerProduct.hasBias = True
    node: Node = Model(message).graph.node("dense")
    with pytest.raises(
        ModelError, match=r"layer 'dense' \(innerProduct\) has no weight 'bias'; its weights are: weights"
    ):
        node.weight("bias")
