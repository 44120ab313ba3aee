"""Nodes, their parameters and their weights, for every layer type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlexplorer import spec
from mlexplorer.errors import ModelError
from mlexplorer.formats import load
from mlexplorer.graph import Graph, Node
from mlexplorer.layers import LAYOUTS
from mlexplorer.model import Model
from mlexplorer.spec.weight_params import write_floats
from tests.formats.models import network

LAYERS = spec.NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields
WEIGHT = "CoreML.Specification.WeightParams"


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
