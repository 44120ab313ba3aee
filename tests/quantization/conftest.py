"""A network of coremltools' own making with every layer type that it quantizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def _add_layers(builder: Any, seed: int) -> None:
    """All layers read the input, none another layer: coremltools has nothing to fold before it quantizes."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return (rng.laplace(size=shape) * rng.uniform(0.1, 3) + rng.normal() / 4).astype(np.float32)

    def convolution(
        name: str, outputs: int, inputs: int, height: int, width: int, groups: int = 1, **kind: Any
    ) -> None:
        # the builder takes [height, width, in / groups, out]; a deconvolution's is [height, width, in, out / groups]
        shape = (height, width, inputs, outputs) if kind else (height, width, inputs // groups, outputs)
        builder.add_convolution(
            name, shape[2], outputs, height, width, 1, 1, "valid", groups, draw(*shape), draw(outputs), True,
            input_name="data", output_name=name, **kind,
        )  # fmt: skip

    convolution("conv", 7, 5, 3, 2)
    convolution("grouped", 6, 4, 3, 1, groups=2)
    convolution("depthwise", 5, 5, 2, 3, groups=5)
    convolution("deconv", 6, 4, 2, 3, is_deconv=True)
    builder.add_inner_product("dense", draw(4, 5), draw(4), 5, 4, True, "data", "dense")
    builder.add_batched_mat_mul(
        "matmul", ["data"], "matmul", weight_matrix_rows=5, weight_matrix_columns=3, W=draw(5, 3), bias=draw(3)
    )
    builder.add_embedding("embedding", draw(4, 6), draw(4), 6, 4, True, "data", "embedding")
    builder.add_embedding_nd("embedding_nd", "data", "embedding_nd", 6, 4, draw(4, 6), draw(4))
    builder.add_batchnorm("norm", 5, draw(5), draw(5), draw(5), np.abs(draw(5)), input_name="data", output_name="norm")
    builder.add_scale("scale", draw(5), draw(5), True, "data", "scale", [5], [5])
    builder.add_bias("bias", draw(5, 2, 3), "data", "bias", [5, 2, 3])
    builder.add_load_constant("constant", "constant", draw(2, 3, 4), [2, 3, 4])
    builder.add_load_constant_nd("constant_nd", "constant_nd", draw(2, 3, 4, 1, 5), [2, 3, 4, 1, 5])
    builder.add_simple_rnn(
        "rnn", draw(4, 4), draw(4, 5), draw(4), 4, 5, "TANH", ["data", "rnn_h"], ["rnn", "rnn_h_out"]
    )

    def gates(count: int, *shape: int) -> list[np.ndarray]:
        return [draw(*shape) for _ in range(count)]

    builder.add_gru("gru", gates(3, 4, 4), gates(3, 4, 5), gates(3, 4), 4, 5, ["data", "gru_h"], ["gru", "gru_h_out"])
    builder.add_unilstm(
        "lstm", gates(4, 4, 4), gates(4, 4, 5), gates(4, 4), 4, 5, ["data", "h", "c"], ["lstm", "h_out", "c_out"],
        peep=gates(3, 4),
    )  # fmt: skip
    builder.add_bidirlstm(
        "bilstm", gates(4, 4, 4), gates(4, 4, 5), gates(4, 4), gates(4, 4, 4), gates(4, 4, 5), gates(4, 4), 4, 5,
        ["data", "h", "c", "h2", "c2"], ["bilstm", "bh", "bc", "bh2", "bc2"],
    )  # fmt: skip
    builder.add_activation("prelu", "PRELU", "data", "prelu", draw(5))
    builder.add_layer_normalization("layer_norm", "data", "layer_norm", [5], draw(5), draw(5))
    builder.add_convolution3d(
        "conv3d", 2, 3, 1, 2, 4, draw(3, 2, 1, 2, 4), draw(3), True, input_name="data", output_name="conv3d"
    )


def _builder(**options: Any) -> Any:
    from coremltools.models import datatypes
    from coremltools.models.neural_network import NeuralNetworkBuilder

    data = [("data", datatypes.Array(5, 8, 9))]
    return NeuralNetworkBuilder(data, [("conv", None)], disable_rank5_shape_mapping=True, **options)


@pytest.fixture
def network() -> Any:
    """A coremltools specification: a neural network with every layer type that coremltools quantizes, and others."""
    from coremltools.models.neural_network import NeuralNetworkBuilder

    builder = _builder()
    _add_layers(builder, 0)
    branch = builder.add_branch("branch", "data")
    _add_layers(NeuralNetworkBuilder(nn_spec=branch.branch.ifBranch), 1)
    _add_layers(NeuralNetworkBuilder(nn_spec=branch.branch.elseBranch), 2)
    loop = builder.add_loop("loop", max_iterations=2)
    _add_layers(NeuralNetworkBuilder(nn_spec=loop.loop.bodyNetwork), 3)
    _add_layers(NeuralNetworkBuilder(nn_spec=loop.loop.conditionNetwork), 4)
    return builder.spec


@pytest.fixture
def pipeline(network: Any) -> Any:
    """A pipeline of two such networks."""
    import coremltools

    spec = coremltools.proto.Model_pb2.Model(specificationVersion=4)
    for _ in range(2):
        spec.pipeline.models.add().CopyFrom(network)
    return spec
