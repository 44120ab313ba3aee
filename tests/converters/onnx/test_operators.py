"""Every operator, with every option that changes its result, against onnxruntime; no two dimensions are equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from mlexplorer import errors
from tests.converters.onnx.cases import Case, X, assert_close, check, converted, floats, model, predicted, reference

RNG = np.random.default_rng(3)


def w(*shape: int, low: float = -1.0, high: float = 1.0) -> Any:
    return RNG.uniform(low, high, shape).astype(np.float32)


def i(*values: int) -> Any:
    return np.array(values, np.int64)


IMAGE, ROW, VOLUME = X((2, 6, 9, 7)), X((2, 6, 11)), X((2, 4, 5, 7, 6))
MATRIX = X((5, 7))
WHOLE = X((3, 5), -9, 10, whole=True, dtype=np.int64)
TRUTH = X((3, 5), 0, 2, whole=True, dtype=np.bool_)

ACTIVATIONS = [
    *(Case(type, [IMAGE]) for type in ("Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "HardSwish", "Mish", "Erf")),
    *(Case(type, [IMAGE]) for type in ("LeakyRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "HardSigmoid")),
    Case("LeakyRelu", [ROW], {"alpha": 0.3}, note="alpha"),
    Case("Elu", [ROW], {"alpha": 0.3}, note="alpha"),
    Case("Selu", [ROW], {"alpha": 1.2, "gamma": 0.7}, note="alpha"),
    Case("Celu", [ROW], {"alpha": 0.6}, note="alpha"),
    Case("HardSigmoid", [ROW], {"alpha": 0.3, "beta": 0.4}, note="alpha"),
    Case("ThresholdedRelu", [X((3, 7), -2, 3, whole=True)], {"alpha": 1.0}, note="at the threshold"),
    Case("Shrink", [ROW], {"lambd": 0.4, "bias": 0.3}),
    Case("Gelu", [IMAGE]),
    Case("Gelu", [IMAGE], {"approximate": "tanh"}, note="tanh"),
    Case("com.microsoft::Gelu", [IMAGE]),
    Case("PRelu", [IMAGE, w(6, 1, 1)], note="channels"),
    Case("PRelu", [IMAGE, w(1)], note="one"),
    Case("PRelu", [IMAGE, w(7)], note="columns"),
    Case("PRelu", [ROW, w(6, 1)], note="row"),
    Case("PRelu", [IMAGE, X((6, 1, 1))], note="computed"),
    Case("Clip", [IMAGE, np.float32(-0.5), np.float32(0.7)]),
    Case("Clip", [IMAGE, None, np.float32(0.7)], note="above"),
    Case("Clip", [IMAGE, X((), -1, 0), X((), 0, 1)], note="computed"),
    Case("Clip", [IMAGE], {"min": -0.5}, opset=7, note="below"),
    Case("Softmax", [IMAGE], {"axis": 1}),
    Case("Softmax", [IMAGE], {"axis": 1}, opset=11),
    Case("Softmax", [X((2, 7, 1, 1))], {"axis": 1}, opset=11, note="pixel"),
    Case("LogSoftmax", [X((5, 7), -90, 90)], note="far"),
    Case("Hardmax", [IMAGE], {"axis": 1}),
    Case("Hardmax", [IMAGE], {"axis": 1}, opset=11),
    Case("Hardmax", [X((7, 1))], {"axis": 0}, note="one column"),
    Case("LogSoftmax", [ROW], {"axis": 1}, opset=11),
]

FUNCTIONS = [
    *(Case(type, [IMAGE]) for type in ("Abs", "Neg", "Exp", "Floor", "Ceil", "Round", "Sign", "Sin", "Cos", "Tan")),
    *(Case(type, [IMAGE]) for type in ("Sinh", "Cosh", "Asinh", "Atan")),
    *(Case(type, [X((3, 5), -0.9, 0.9)]) for type in ("Asin", "Acos", "Atanh")),
    Case("Acosh", [X((3, 5), 1.1, 4)]),
    *(Case(type, [X((3, 5), 0.01, 4)]) for type in ("Log", "Sqrt", "Reciprocal")),
    Case("Round", [X((4, 3), -5, 6, whole=True)], note="whole"),
    Case("Identity", [IMAGE]),
    Case("Dropout", [IMAGE]),
    Case("Dropout", [IMAGE], {"ratio": 0.3}, opset=7),
    Case("Cast", [X((3, 5), -4, 4)], {"to": 7}, note="whole"),
    Case("Cast", [X((3, 5), -3, 3, whole=True)], {"to": 9}, note="truth"),
    Case("Cast", [TRUTH], {"to": 1}, note="floats"),
    Case("IsNaN", [ROW]),
    Case("EyeLike", [X((3, 5))], {"k": 1}),
    Case("EyeLike", [WHOLE], {"k": -1}, note="whole"),
]

ARITHMETIC = [
    *(Case(type, [IMAGE, X((6, 1, 7), 0.5, 2)]) for type in ("Add", "Sub", "Mul", "Div")),
    *(Case(type, [w(6, 1, 1), IMAGE], note="constant first") for type in ("Sub", "Mul")),
    Case("Add", [IMAGE, np.float32(0.3)], note="scalar"),
    Case("Div", [WHOLE, X((5,), 2, 5, whole=True, dtype=np.int64)], note="whole"),
    Case("Mod", [WHOLE, X((5,), 2, 5, whole=True, dtype=np.int64)]),
    Case("Mod", [WHOLE, i(-3)], note="negative"),
    Case("Mod", [X((3, 5), -9, 9), X((5,), 1, 3)], {"fmod": 1}, note="fmod"),
    Case("Pow", [X((3, 5), 0.1, 2), X((5,))]),
    Case("Pow", [IMAGE, np.float32(2)], note="square"),
    Case("Pow", [X((3, 5), 0.1, 2), np.float32(0.5)], note="root"),
    Case("Pow", [X((3, 5), 0.1, 2), np.float32(-1.5)], note="constant"),
    *(Case(type, [IMAGE, X((6, 1, 1)), X((7,))]) for type in ("Max", "Min", "Mean", "Sum")),
    *(Case(type, [IMAGE], note="one") for type in ("Max", "Mean")),
    *(
        Case(type, [WHOLE, X((5,), -4, 5, whole=True, dtype=np.int64)])
        for type in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    ),
    *(Case(type, [TRUTH, X((5,), 0, 2, whole=True, dtype=np.bool_)]) for type in ("And", "Or", "Xor")),
    Case("Not", [TRUTH]),
    Case("Where", [TRUTH, X((3, 1)), X((5,))]),
    Case("Where", [TRUTH, X((3, 5)), np.float32(0.25)], note="scalar"),
]

CONVOLUTIONS = [
    Case("Conv", [IMAGE, w(5, 6, 3, 2), w(5)]),
    Case("Conv", [IMAGE, w(5, 6, 3, 2)], {"strides": [2, 1], "pads": [1, 0, 2, 3]}, note="asymmetric"),
    Case("Conv", [IMAGE, w(5, 6, 3, 2)], {"dilations": [2, 3]}, note="dilated"),
    Case("Conv", [IMAGE, w(9, 2, 3, 2), w(9)], {"group": 3}, note="groups"),
    Case("Conv", [IMAGE, w(6, 1, 3, 2), w(6)], {"group": 6}, note="depthwise"),
    *(
        Case("Conv", [IMAGE, w(5, 6, 4, 3)], {"auto_pad": mode, "strides": [2, 3]}, note=mode)
        for mode in ("SAME_UPPER", "SAME_LOWER", "VALID")
    ),
    Case("Conv", [IMAGE, X((5, 6, 3, 2))], note="computed weights"),
    Case("Conv", [ROW, w(5, 6, 4), w(5)], {"strides": [2], "pads": [1, 2], "dilations": [2]}, note="1D"),
    Case("Conv", [VOLUME, w(6, 2, 3, 2, 1), w(6)], {"group": 2, "pads": [1, 0, 2, 0, 1, 1]}, note="3D"),
    Case("ConvTranspose", [IMAGE, w(6, 5, 3, 2), w(5)], {"strides": [2, 3]}),
    Case("ConvTranspose", [IMAGE, w(6, 2, 3, 2), w(4)], {"strides": [2, 1], "group": 2}, note="groups"),
    Case("ConvTranspose", [IMAGE, w(6, 5, 3, 4)], {"pads": [1, 0, 2, 1], "strides": [2, 2]}, note="cropped"),
    Case(
        "ConvTranspose",
        [IMAGE, w(6, 5, 3, 4), w(5)],
        {"pads": [1, 1, 1, 1], "strides": [3, 2], "output_padding": [1, 0]},
        note="output padding",
    ),
    Case(
        "ConvTranspose",
        [IMAGE, w(6, 5, 3, 2), w(5)],
        {"strides": [3, 3], "output_padding": [2, 1]},
        note="output padding beyond",
    ),
    Case("ConvTranspose", [IMAGE, w(6, 5, 3, 4)], {"dilations": [2, 2]}, note="dilated"),
    Case("ConvTranspose", [IMAGE, w(6, 5, 4, 3)], {"strides": [2, 2], "output_shape": [17, 14]}, note="output shape"),
    *(
        Case("ConvTranspose", [IMAGE, w(6, 5, 4, 3)], {"strides": [2, 2], "auto_pad": mode}, note=mode)
        for mode in ("SAME_UPPER", "SAME_LOWER")
    ),
    Case("ConvTranspose", [ROW, w(6, 5, 4), w(5)], {"strides": [2], "output_padding": [1]}, note="1D"),
    Case("ConvTranspose", [VOLUME, w(4, 3, 3, 2, 4), w(3)], {"strides": [2, 1, 2]}, note="3D"),
]

POOLING = [
    Case("MaxPool", [IMAGE], {"kernel_shape": [3, 2], "strides": [2, 2]}),
    Case("MaxPool", [IMAGE], {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1]}, note="padded"),
    Case("MaxPool", [IMAGE], {"kernel_shape": [2, 3], "strides": [2, 2], "ceil_mode": 1}, note="ceil"),
    Case("MaxPool", [IMAGE], {"kernel_shape": [4, 3], "strides": [2, 3], "auto_pad": "SAME_UPPER"}, note="SAME_UPPER"),
    Case("MaxPool", [IMAGE], {"kernel_shape": [4, 3], "strides": [2, 3], "auto_pad": "SAME_LOWER"}, note="SAME_LOWER"),
    Case("MaxPool", [ROW], {"kernel_shape": [3], "strides": [2]}, note="1D"),
    Case("MaxPool", [VOLUME], {"kernel_shape": [2, 3, 1], "pads": [1, 0, 0, 0, 1, 0]}, note="3D"),
    Case("MaxPool", [IMAGE], {"kernel_shape": [3, 2], "dilations": [2, 3], "pads": [1, 0, 2, 1]}, note="dilated"),
    Case("MaxPool", [ROW], {"kernel_shape": [3], "dilations": [2], "strides": [2], "ceil_mode": 1}, note="dilated 1D"),
    Case("AveragePool", [IMAGE], {"kernel_shape": [3, 2], "strides": [2, 1]}),
    *(
        Case(
            "AveragePool",
            [IMAGE],
            {"kernel_shape": [3, 4], "strides": [2, 2], "pads": [1, 2, 0, 1], "count_include_pad": include, **ceil},
            note=f"padded {include} {ceil}",
        )
        for include in (0, 1)
        for ceil in ({}, {"ceil_mode": 1})
    ),
    Case("AveragePool", [IMAGE], {"kernel_shape": [4, 5], "strides": [3, 3], "ceil_mode": 1}, note="ceil"),
    Case("AveragePool", [ROW], {"kernel_shape": [3], "pads": [1, 1], "count_include_pad": 1}, note="1D"),
    Case("AveragePool", [VOLUME], {"kernel_shape": [2, 3, 1], "pads": [1, 0, 0, 0, 1, 0]}, note="3D"),
    Case("LpPool", [IMAGE], {"kernel_shape": [3, 2], "strides": [2, 1]}),
    *(Case(type, [x]) for type in ("GlobalAveragePool", "GlobalMaxPool") for x in (IMAGE, ROW, VOLUME)),
    Case("GlobalLpPool", [IMAGE]),
]

NORMALIZATIONS = [
    *(
        Case("BatchNormalization", [x, w(c), w(c), w(c), w(c, low=0.5)], {"epsilon": 0.01}, note=f"rank {len(x.shape)}")
        for x, c in ((IMAGE, 6), (ROW, 6), (VOLUME, 4), (MATRIX, 7))
    ),
    Case("BatchNormalization", [IMAGE, w(6), w(6), w(6), w(6, low=0.5)], opset=7),
    *(
        Case("InstanceNormalization", [x, w(c), w(c)], {"epsilon": 0.01}, note=f"rank {len(x.shape)}")
        for x, c in ((IMAGE, 6), (ROW, 6), (VOLUME, 4))
    ),
    Case("InstanceNormalization", [IMAGE, X((6,)), X((6,))], note="computed"),
    Case("LayerNormalization", [IMAGE, w(7), w(7)]),
    Case("LayerNormalization", [IMAGE, w(9, 7)], {"axis": 2, "epsilon": 0.01}, opset=17, note="axis"),
    Case("LayerNormalization", [ROW, X((11,)), X((11,))], note="computed"),
    Case("GroupNormalization", [IMAGE, w(6), w(6)], {"num_groups": 3, "epsilon": 0.01}),
    Case("GroupNormalization", [IMAGE, w(3), w(3)], {"num_groups": 3}, opset=18),
    Case("LRN", [IMAGE], {"size": 3, "alpha": 0.5, "beta": 0.6, "bias": 1.5}),
    Case("LpNormalization", [IMAGE], {"axis": 1}),
    Case("LpNormalization", [IMAGE], {"axis": 2, "p": 1}, note="p=1"),
    Case("MeanVarianceNormalization", [IMAGE]),
    Case("MeanVarianceNormalization", [IMAGE], {"axes": [1, 3]}, note="axes"),
]

PRODUCTS = [
    Case("MatMul", [MATRIX, w(7, 3)]),
    *(Case("MatMul", [X((2, 4, 5, 7)[4 - n :]), w(7, 3)], note=f"weights {n}") for n in (1, 3, 4)),
    Case("MatMul", [w(3, 5), MATRIX], note="constant first"),
    Case("MatMul", [X((2, 1, 5, 7)), X((4, 7, 3))], note="batches"),
    Case("MatMul", [X((7,)), X((2, 7, 3))], note="row"),
    Case("MatMul", [X((2, 3, 7)), X((7,))], note="column"),
    Case("MatMul", [X((7,)), X((7,))], note="vectors"),
    Case("Gemm", [MATRIX, w(7, 3), w(3)]),
    Case("Gemm", [MATRIX, w(3, 7), w(1, 3)], {"transB": 1, "alpha": 0.5, "beta": 2.0}, note="scaled"),
    Case("Gemm", [MATRIX, w(5, 3)], {"transA": 1}, note="transA"),
    Case("Gemm", [MATRIX, w(7, 3), np.float32(0.4)], note="scalar"),
    Case("Gemm", [MATRIX, w(7, 3), w(5, 3)], {"beta": 0.5}, note="matrix"),
    Case("Gemm", [MATRIX, X((3, 7)), X((5, 1))], {"transB": 1, "alpha": 0.5, "beta": 2.0}, note="computed"),
    *(
        Case("Einsum", [X(a), X(b)], {"equation": equation}, note=equation)
        for equation, a, b in (
            ("ij,jk->ik", (5, 7), (7, 3)),
            ("bhid,bhjd->bhij", (2, 3, 5, 7), (2, 3, 4, 7)),
            ("bij,jk", (2, 5, 7), (7, 3)),
            ("nchw,nkc->nkhw", (2, 6, 9, 7), (2, 5, 6)),
            ("i,j->ji", (5,), (7,)),
            ("aib,cb->ac", (2, 5, 7), (3, 7)),
            ("...ij,jk->...ik", (2, 3, 5, 7), (7, 4)),
            ("b...,...c", (2, 5, 7), (5, 7, 3)),
        )
    ),
    Case("Einsum", [ROW], {"equation": "abc->cb"}, note="one"),
]

REDUCTIONS = [
    *(
        Case(type, [X((2, 6, 9, 7), 0.1, 2)], {"axes": [1, -1], "keepdims": 0}, opset=11)
        for type in ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean")
    ),
    *(
        Case(type, [X((2, 6, 9, 7), 0.5, 1.5), i(2)])
        for type in ("ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare")
    ),
    Case("ReduceSum", [IMAGE], note="all"),
    Case("ReduceSum", [IMAGE, np.zeros(0, np.int64)], {"noop_with_empty_axes": 1}, note="none"),
    Case("ReduceMean", [IMAGE], {"keepdims": 0}, note="scalar"),
    *(Case(type, [IMAGE], {"axis": 2, "keepdims": kept}) for type in ("ArgMax", "ArgMin") for kept in (0, 1)),
    Case("TopK", [IMAGE, i(3)], {"axis": 1}, outputs=2),
    Case("TopK", [IMAGE, i(3)], {"axis": 2, "largest": 0}, outputs=2, note="least"),
    Case("TopK", [IMAGE], {"axis": 1, "k": 2}, opset=9, outputs=2),
    *(
        Case("CumSum", [IMAGE, np.int64(axis)], {"exclusive": exclusive, "reverse": reverse})
        for axis, exclusive, reverse in ((1, 0, 0), (2, 1, 0), (-1, 0, 1), (0, 1, 1))
    ),
]

SHAPES = [
    Case("Reshape", [IMAGE, i(0, -1, 3)]),
    Case("Flatten", [IMAGE], {"axis": 2}),
    Case("Squeeze", [X((2, 1, 7, 1)), i(1)]),
    Case("Squeeze", [X((2, 1, 7, 1))], {"axes": [3]}, opset=11),
    Case("Squeeze", [X((1, 1))], note="to a scalar"),
    Case("Unsqueeze", [ROW, i(0, -1)]),
    Case("Unsqueeze", [ROW], {"axes": [2]}, opset=11),
    Case("Unsqueeze", [X(()), i(0, 1)], note="of a scalar"),
    Case("Transpose", [IMAGE], {"perm": [2, 0, 3, 1]}),
    Case("Transpose", [IMAGE], note="reversed"),
    Case("DepthToSpace", [X((2, 12, 3, 5))], {"blocksize": 2}),
    Case("DepthToSpace", [X((2, 12, 3, 5))], {"blocksize": 2, "mode": "CRD"}, note="CRD"),
    Case("SpaceToDepth", [X((2, 3, 4, 6))], {"blocksize": 2}),
    Case("Concat", [IMAGE, X((2, 4, 9, 7)), w(2, 1, 9, 7)], {"axis": -3}),
    Case("Concat", [ROW, np.zeros((2, 0, 11), np.float32)], {"axis": 1}, note="empty"),
    Case("Split", [IMAGE, i(1, 3, 2)], {"axis": 1}, outputs=3),
    Case("Split", [IMAGE], {"axis": 1, "split": [4, 2]}, opset=11, outputs=2),
    Case("Split", [IMAGE], {"axis": 1}, opset=11, outputs=3, note="even"),
    Case("Split", [IMAGE], {"axis": 3, "num_outputs": 3}, outputs=3, note="uneven"),
    Case("Expand", [X((6, 1, 7)), i(2, 1, 9, 7)]),
    Case("Tile", [ROW, i(2, 1, 3)]),
    Case("Slice", [IMAGE, i(1, -5), i(4, 2**62), i(1, -2)]),
    Case("Slice", [IMAGE, i(-1, 6), i(-(2**62), 1), i(2, 3), i(-2, -1)], note="backwards"),
    Case("Slice", [IMAGE], {"starts": [1, 2], "ends": [-1, 100], "axes": [1, 3]}, opset=9),
    Case("Pad", [IMAGE, i(0, 1, 2, 0, 1, 0, 3, 4), np.float32(0.7)]),
    Case("Pad", [IMAGE, i(1, 2, 0, 3), None, i(3, 1)], {"mode": "constant"}, note="axes"),
    Case("Pad", [IMAGE, i(0, 0, -2, 1, 0, -1, 0, -3)], note="cut"),
    Case("Pad", [IMAGE], {"pads": [0, 1, 2, 0, 1, 0, 3, 4], "value": 0.7}, opset=9),
    *(Case("Pad", [IMAGE, i(0, 0, 1, 2, 0, 0, 3, 4)], {"mode": mode}, note=mode) for mode in ("reflect", "edge")),
    Case("Pad", [IMAGE, i(0, 2, 1, 0, 0, 1, 0, 0)], {"mode": "reflect"}, note="channels"),
    Case("Pad", [ROW, i(1, 2, 1, 0, 3, 4)], {"mode": "edge"}, note="all axes"),
    Case("Pad", [X((7,)), i(2, 3)], {"mode": "reflect"}, note="vector"),
    *(Case("Trilu", [X((2, 5, 7)), np.int64(k)], {"upper": u}) for k, u in ((0, 1), (1, 0), (-2, 1))),
]

INDICES = [
    Case("Gather", [IMAGE, i(3, 0, -1)], {"axis": 2}),
    Case("Gather", [IMAGE, np.int64(2)], {"axis": 1}, note="one"),
    Case("Gather", [IMAGE, np.array([[0, 2, 1], [3, 5, 4]])], {"axis": 1}, note="matrix"),
    Case("Gather", [w(9, 5), X((2, 3), 0, 9, whole=True, dtype=np.int64)], note="embedding"),
    Case("Gather", [w(9, 5, 2), X((2, 3), 0, 9, whole=True, dtype=np.int64)], note="computed"),
    Case("GatherElements", [IMAGE, np.random.default_rng(1).integers(-6, 6, (2, 4, 9, 7))], {"axis": 1}),
    Case("GatherND", [IMAGE, np.array([[0, 1], [1, 5], [1, 0]])]),
    Case("GatherND", [MATRIX, np.array([[0, 1], [4, 6]])], note="elements"),
    *(
        Case("ScatterND", [MATRIX, np.array([[1], [3]]), X((2, 7))], {"reduction": reduction}, note=reduction)
        for reduction in ("none", "add", "mul", "max", "min")
    ),
    Case("ScatterElements", [MATRIX, np.array([[1, 0, 6], [2, 3, 1]]), X((2, 3))], {"axis": 1}),
    Case("ScatterElements", [MATRIX, np.array([[1, 0, 4]]), X((1, 3))], {"reduction": "add"}, note="add"),
    Case("ReverseSequence", [X((5, 3, 2)), i(5, 1, 3)]),
    Case("ReverseSequence", [X((3, 5, 2)), i(5, 1, 3)], {"batch_axis": 0, "time_axis": 1}, note="batch first"),
    Case("OneHot", [X((2, 3), -4, 4, whole=True, dtype=np.int64), np.int64(4), w(2)]),
    Case("OneHot", [X((2, 3), 0, 4, whole=True, dtype=np.int64), np.int64(5), w(2)], {"axis": 1}, note="axis"),
]

RESIZING = [
    *(
        Case(
            "Resize",
            [X((1, 3, 5, 7)), None, None, i(1, 3, *size)],
            {"mode": mode, "coordinate_transformation_mode": grid},
            note=f"{mode} {grid} {size}",
        )
        for mode in ("nearest", "linear", "cubic")
        for grid in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
        for size in ((10, 21), (8, 9), (3, 4))
    ),
    *(
        Case(
            "Resize",
            [X((1, 3, 5, 7)), None, np.array([1, 1, 1.6, 0.7], np.float32)],
            {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": rounding},
            note=rounding,
        )
        for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    ),
    Case("Resize", [X((1, 3, 5, 7)), np.array([1, 1, 2, 2], np.float32)], {"mode": "nearest"}, opset=10),
    Case("Resize", [X((1, 3, 5, 7)), np.array([1, 1, 2, 3], np.float32)], {"mode": "linear"}, opset=10),
    Case("Resize", [X((1, 3, 5, 7)), None, np.array([3, 2], np.float32)], {"axes": [3, 2], "mode": "linear"}),
    Case("Resize", [X((2, 3, 5)), None, None, i(2, 3, 8)], {"mode": "linear"}, note="1D"),
    Case("Resize", [X((2, 3, 5)), None, None, i(2, 3, 10)], {"mode": "nearest"}, note="1D nearest"),
    Case("Resize", [X((1, 2, 3, 4, 5)), None, None, i(1, 2, 6, 8, 7)], {"mode": "linear"}, note="3D"),
    Case("Resize", [X((1, 3, 5, 7)), None, None, i(1, 3, 3, 4)], {"mode": "linear", "antialias": 1}, note="antialias"),
    Case(
        "Resize",
        [X((1, 3, 5, 7)), np.array([0, 0, 0.1, 0.2, 1, 1, 0.8, 0.9], np.float32), None, i(1, 3, 4, 6)],
        {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"},
        note="crop",
    ),
    *(
        Case("Upsample", [X((1, 3, 5, 7)), np.array([1, 1, 2, 3], np.float32)], {"mode": mode}, opset=9)
        for mode in ("nearest", "linear")
    ),
    Case("Upsample", [X((1, 3, 5, 7))], {"scales": [1.0, 1.0, 2.0, 3.0]}, opset=7),
]

SAMPLING = [
    *(
        Case(
            "GridSample",
            [X((2, 3, 5, 7)), X((2, 4, 6, 2), -3.2, 3.2)],
            {"mode": mode, "padding_mode": padding, "align_corners": aligned},
            note=f"{mode} {padding} {aligned}",
        )
        for mode in ("linear", "nearest")
        for padding in ("zeros", "border", "reflection")
        for aligned in (0, 1)
    ),
    Case("GridSample", [X((1, 3, 5, 7)), X((1, 4, 6, 2), -1, 1)], opset=16),
    Case("GridSample", [X((1, 3, 5, 7)), w(1, 4, 6, 2)], {"mode": "bilinear"}, opset=16, note="constant grid"),
    *(
        Case(
            "RoiAlign",
            [X((2, 3, 5, 7)), X((9, 4), low, high), X((9,), 0, 2, whole=True, dtype=np.int64)],
            {"output_height": 4, "output_width": 6, "sampling_ratio": points, "spatial_scale": 0.75,
             "coordinate_transformation_mode": mode},
            note=f"{low} to {high}, {points} points, {mode}",
        )
        for low, high, points in ((0, 5, 1), (-6, 14, 2), (2, 3, 3))
        for mode in ("half_pixel", "output_half_pixel")
    ),
    Case("RoiAlign", [X((1, 3, 5, 7)), X((4, 4), 0, 5), np.zeros(4, np.int64)], {"sampling_ratio": 2}, opset=10),
    Case("RoiAlign", [X((1, 3, 1, 7)), X((4, 4), -1, 5), np.zeros(4, np.int64)], {"sampling_ratio": 2}, note="one row"),
    *(
        Case("GridSample", [X((1, 3, 1, 7)), X((1, 4, 6, 2), -3, 3)], {"padding_mode": padding, "align_corners": 1},
             note=f"one row {padding}")
        for padding in ("zeros", "border")
    ),
    *(
        Case("AffineGrid", [X(theta), i(*size)], {"align_corners": aligned}, note=f"{len(size) - 2}D {aligned}")
        for theta, size in (((3, 2, 3), (3, 4, 5, 7)), ((2, 3, 4), (2, 3, 4, 5, 7)))
        for aligned in (0, 1)
    ),
]  # fmt: skip

SIGNALS = [
    Case("DFT", [X((2, 11, 1))], {"axis": 1}, opset=17),
    Case("DFT", [X((2, 11, 2))], {"axis": 1, "inverse": 1}, opset=17, note="inverse"),
    *(
        Case("DFT", [X((3, 9, 5, parts)), i(length)[0], i(axis)[0]], fields, opset=20, note=f"{parts} {length} {axis}")
        for parts in (1, 2)
        for length, axis in ((7, 1), (12, 1), (5, -2))
        for fields in ([{}, {"onesided": 1}] if parts == 1 else [{}])
    ),
    Case("DFT", [X((3, 4, 9, 2)), None, i(0)[0]], opset=20, note="first axis"),
    Case("STFT", [X((2, 53, 1)), i(5)[0], w(12)], opset=17),
    Case("STFT", [X((2, 53, 1)), i(4)[0], None, i(11)[0]], {"onesided": 0}, opset=17, note="no window"),
    Case("STFT", [X((2, 53, 1)), i(7)[0], w(16), i(16)[0]], opset=17, note="both"),
]

STEPS, BATCH, INPUTS, SIZE = 5, 2, 3, 4


def _recurrent(type: str, gates: int, extra: int, **attributes: Any) -> Case:
    """With biases; `extra` inputs hold the first states."""
    ways = 2 if attributes.get("direction") == "bidirectional" else 1
    states = [X((ways, BATCH, SIZE))] * extra
    inputs = [
        X((STEPS, BATCH, INPUTS)),
        w(ways, gates * SIZE, INPUTS),
        w(ways, gates * SIZE, SIZE),
        w(ways, 2 * gates * SIZE),
        *([None, *states] if extra else []),
    ]
    note = f"{attributes.get('direction', '')} {'states' if extra else ''} {attributes.get('linear_before_reset', '')}"
    outputs = 3 if type == "LSTM" else 2
    return Case(type, inputs, {"hidden_size": SIZE, **attributes}, outputs=outputs, note=note)


RECURRENT = [
    *(
        _recurrent(type, gates, states * first, direction=direction)
        for type, gates, states in (("LSTM", 4, 2), ("GRU", 3, 1), ("RNN", 1, 1))
        for direction in ("forward", "reverse", "bidirectional")
        for first in (0, 1)
    ),
    *(
        _recurrent("GRU", 3, first, direction=direction, linear_before_reset=1)
        for direction in ("forward", "reverse", "bidirectional")
        for first in (0, 1)
    ),
    Case(
        "LSTM",
        [X((5, 2, 3)), w(1, 16, 3), w(1, 16, 4), None, None, None, None, w(1, 12)],
        {"hidden_size": 4},
        outputs=3,
        note="peepholes",
    ),
    Case(
        "LSTM",
        [X((5, 2, 3)), w(1, 16, 3), w(1, 16, 4)],
        {"hidden_size": 4, "input_forget": 1},
        outputs=3,
        note="coupled",
    ),
    Case(
        "RNN",
        [X((5, 2, 3)), w(1, 4, 3), w(1, 4, 4), w(1, 8), i(5, 5).astype(np.int32)],
        {"hidden_size": 4, "activations": ["HardSigmoid"], "activation_alpha": [0.3], "activation_beta": [0.4]},
        outputs=2,
        note="activation",
    ),
]

QUANTIZATION = [
    Case("QuantizeLinear", [X((3, 5), -20, 20), np.float32(0.11), np.uint8(120)]),
    Case("QuantizeLinear", [IMAGE, w(6, low=0.01), np.zeros(6, np.int8)], {"axis": 1}, note="axis"),
    Case("DequantizeLinear", [X((3, 5), 0, 255, whole=True, dtype=np.uint8), np.float32(0.11), np.uint8(120)]),
    Case(
        "DequantizeLinear",
        [X((2, 6, 9), -128, 127, whole=True, dtype=np.int8), w(6, low=0.01), np.arange(6, dtype=np.int8)],
        {"axis": 1},
        note="axis",
    ),
]

CODES = X((2, 6, 9, 7), 0, 255, whole=True, dtype=np.uint8)
ROWS_OF_CODES = X((3, 5, 8), -128, 127, whole=True, dtype=np.int8)


def codes(*shape: int, dtype: Any = np.int8) -> Any:
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max, shape).astype(dtype)


SCALE, ZERO = np.float32(0.07), np.uint8(117)
CODED = [
    Case("QLinearConv", [CODES, SCALE, ZERO, codes(5, 6, 3, 2), np.float32(0.02), np.int8(0), np.float32(1.9), ZERO]),
    Case(
        "QLinearConv",
        [CODES, SCALE, ZERO, codes(4, 3, 3, 2), w(4, low=0.01), np.zeros(4, np.int8), np.float32(20), ZERO,
         codes(4, dtype=np.int16).astype(np.int32)],
        {"group": 2, "strides": [2, 1], "pads": [1, 0, 2, 1]},
        note="channels",
    ),
    Case("QLinearMatMul", [ROWS_OF_CODES, SCALE, np.int8(3), codes(8, 7), w(7, low=0.01), np.zeros(7, np.int8),
                           np.float32(9), np.int8(-5)]),
    Case("ConvInteger", [CODES, codes(5, 6, 3, 2, dtype=np.uint8), ZERO, np.uint8(100)]),
    Case("MatMulInteger", [ROWS_OF_CODES, codes(8, 7)]),
    Case("MatMulInteger", [ROWS_OF_CODES, codes(8, 7), np.int8(-9), codes(7)], note="zero points"),
]  # fmt: skip
"""Operators on codes, whose results are whole numbers: they are the same."""

DEFINED_BY_OTHERS = [
    Case("RMSNormalization", [ROW, w(11)], opset=23),
    Case("Attention", [X((1, 2, 5, 8)), X((1, 2, 7, 8)), X((1, 2, 7, 8))], opset=23),
    Case("Swish", [ROW], {"alpha": 0.7}, opset=24),
    Case("CenterCropPad", [MATRIX, i(4, 9)]),
    Case("MatMul", [X((5, 7), dtype=np.float64), w(7, 3).astype(np.float64)], note="double"),
]
"""Operators that ONNX defines by others, or newest ones, and other types of numbers."""

LEGACY = [
    Case("ImageScaler", [X((1, 3, 5, 7))], {"scale": 0.5, "bias": [0.1, 0.2, -0.3]}, opset=8),
    Case("Crop", [X((1, 3, 8, 7))], {"border": [1, 2, 3, 0]}, opset=8),
    Case("Crop", [X((1, 3, 8, 7))], {"border": [1, 2, 3, 0], "scale": [4, 3]}, opset=8, note="scale"),
    Case("Affine", [ROW], {"alpha": 0.5, "beta": 0.3}, opset=8),
    Case("ScaledTanh", [ROW], {"alpha": 0.5, "beta": 0.3}, opset=8),
    Case("ParametricSoftplus", [ROW], {"alpha": 0.5, "beta": 0.3}, opset=8),
]

EVERY = [
    *ACTIVATIONS,
    *FUNCTIONS,
    *ARITHMETIC,
    *CONVOLUTIONS,
    *POOLING,
    *NORMALIZATIONS,
    *PRODUCTS,
    *REDUCTIONS,
    *SHAPES,
    *INDICES,
    *RESIZING,
    *SAMPLING,
    *SIGNALS,
    *RECURRENT,
    *QUANTIZATION,
    *CODED,
    *DEFINED_BY_OTHERS,
    *LEGACY,
]


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_operator(case: Case) -> None:
    check(case)


@pytest.mark.parametrize(("type", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_batches_first(type: str, gates: int) -> None:
    """The attribute `layout`, which onnxruntime does not have: the same with the first two axes exchanged."""
    names = ["X", "W", "R", "B", "", "H"]
    fields = {"hidden_size": SIZE, "direction": "bidirectional"}
    first = helper.make_node(type, names, ["y", "h"], layout=1, **fields)
    later = [
        helper.make_node("Transpose", ["X"], ["X0"], perm=[1, 0, 2]),
        helper.make_node("Transpose", ["H"], ["H0"], perm=[1, 0, 2]),
        helper.make_node(type, ["X0", "W", "R", "B", "", "H0"], ["y0", "h0"], **fields),
        helper.make_node("Transpose", ["y0"], ["y"], perm=[2, 0, 1, 3]),
        helper.make_node("Transpose", ["h0"], ["h"], perm=[1, 0, 2]),
    ]
    stored = [
        numpy_helper.from_array(array, name)
        for name, array in (
            ("W", w(2, gates * SIZE, INPUTS)),
            ("R", w(2, gates * SIZE, SIZE)),
            ("B", w(2, 2 * gates * SIZE)),
        )
    ]
    inputs = [floats("X", BATCH, STEPS, INPUTS), floats("H", BATCH, 2, SIZE)]
    feeds = {"X": w(BATCH, STEPS, INPUTS), "H": w(BATCH, 2, SIZE)}
    network = converted(model([first], inputs, ["y", "h"], stored))
    assert_close(predicted(network, feeds), reference(model(later, inputs, ["y", "h"], stored), feeds))


@pytest.mark.parametrize("fields", [{}, {"detect_negative": 0}, {"detect_positive": 0}])
def test_infinite_numbers(fields: dict[str, int]) -> None:
    case = Case("IsInf", [X((2, 5))], fields)
    feeds = {"x0": np.array([[np.inf, 1, -np.inf, np.nan, 0], [3.4e38, -3.4e38, 2, np.inf, -1]], np.float32)}
    assert_close(predicted(converted(case.model()), feeds), reference(case.model(), feeds))


def test_half_precision_is_computed_in_floats() -> None:
    """Within what onnxruntime itself loses in 16 bits."""
    case = Case("Conv", [X((1, 3, 9, 7), dtype=np.float16), w(5, 3, 2, 3).astype(np.float16)])
    wanted = reference(case.model(), case.feeds())["y0"].astype(np.float32)
    got = predicted(converted(case.model()), case.feeds())["y0"]
    assert np.abs(got - wanted).max() < 2e-3 * np.ptp(wanted)


def test_grus_written_out_have_a_limit() -> None:
    case = _recurrent("GRU", 3, 0, linear_before_reset=1)
    inputs = [X((300, BATCH, INPUTS)), *case.inputs[1:]]
    with pytest.raises(errors.UnsupportedError, match="300 steps, and 256 are the most"):
        converted(Case("GRU", inputs, case.attributes, outputs=2).model())


REFUSED = [
    (Case("Resize", [X((1, 3, 5, 7)), None, None, i(9, 8)],
          {"axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"}), "aspect ratio"),
    (Case("Resize", [IMAGE, None, X((4,), 1, 2)]), "only a run can tell"),
    (Case("Reshape", [IMAGE, X((2,), 1, 9, whole=True, dtype=np.int64)]), "only a run can tell"),
    (Case("Pad", [IMAGE, i(0, 0, 1, 1, 0, 0, 1, 1)], {"mode": "wrap"}), "pads by 'wrap'"),
    (Case("LpPool", [IMAGE], {"kernel_shape": [2, 2], "p": 3}), "norm p=3"),
    (Case("AveragePool", [IMAGE], {"kernel_shape": [2, 2], "dilations": [2, 1]}), "dilations"),
    (Case("ArgMax", [IMAGE], {"select_last_index": 1}), "select_last_index"),
    (Case("BatchNormalization", [IMAGE, *[w(6)] * 4], {"training_mode": 1}, outputs=3), "training"),
    (Case("BatchNormalization", [ROW, w(6, 11), w(6, 11), w(6, 11), w(6, 11)], {"spatial": 0}, opset=7), "spatial"),
    (Case("LSTM", [X((5, 2, 3)), w(1, 16, 3), w(1, 16, 4)], {"hidden_size": 4, "clip": 3.0}), "clip"),
    (Case("LSTM", [X((5, 2, 3)), w(1, 16, 3), w(1, 16, 4), None, i(5, 4).astype(np.int32)], {"hidden_size": 4}),
     "sequence_lens"),
    (Case("GRU", [X((5, 2, 3)), w(1, 12, 3), w(1, 12, 4)], {"hidden_size": 4, "activations": ["Elu", "Tanh"]}), "Elu"),
    (Case("GatherND", [IMAGE, np.array([[0], [1]])], {"batch_dims": 1}), "batch_dims"),
    (Case("Einsum", [X((5, 5))], {"equation": "ii->i"}), "diagonal"),
    (Case("Conv", [ROW, X((5, 6, 4))]), "weights are computed"),
    (Case("NonMaxSuppression", [X((1, 9, 4)), X((1, 2, 9)), i(3)]), "as many rows as boxes are left"),
    (Case("AffineGrid", [X((1, 2, 3)), i(1, 3, 30_000, 20_000)]), "too large for a constant"),
    (Case("DFT", [X((2, 1 << 33, 1)), i(7)[0], i(1)[0]], opset=20), "too many for a matrix"),
    (Case("STFT", [X((2, 50_000, 1)), i(4)[0], None, i(40_000)[0]], opset=17), "too many for a matrix"),
    (Case("MatMulInteger", [X((5, 8), -128, 127, whole=True, dtype=np.int8), codes(8, 7), codes(5)]), "for each row"),
    (Case("STFT", [X((2, 53, 2)), i(4)[0], None, i(11)[0]], {"onesided": 0}, opset=17), "complex"),
    (Case("MelWeightMatrix", [i(1 << 30)[0], i(1 << 20)[0], i(8000)[0], np.float32(0), np.float32(4000)], opset=17),
     "too large"),
    (Case("NonZero", [MATRIX]), "how much it gives depends on the values"),
    (Case("Loop", [i(3), None, ROW]), "body"),
    (Case("GridSample", [X((1, 3, 5, 7)), X((1, 4, 6, 2))], {"mode": "cubic"}), "custom_conversion_functions"),
    (Case("GridSample", [X((1, 3, 5, 7, 4)), X((1, 4, 6, 2, 3))]), "on pictures can be"),
    (Case("RoiAlign", [X((1, 3, 5, 7)), X((4, 4), 0, 5), np.zeros(4, np.int64)]), "sampling_ratio 0"),
    (Case("RoiAlign", [X((1, 3, 5, 7)), X((4, 4), 0, 5), np.zeros(4, np.int64)], {"sampling_ratio": 2, "mode": "max"}),
     "mode is 'max'"),
    (Case("MaxUnpool", [X((1, 3, 2, 2)), X((1, 3, 2, 2), 0, 4, whole=True, dtype=np.int64)], {"kernel_shape": [2, 2]}),
     "places of its maxima"),
    (Case("AffineGrid", [X((1, 2, 3)), X((4,), 1, 9, whole=True, dtype=np.int64)]), "only a run can tell"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "reason"), REFUSED, ids=[f"{case} {reason}" for case, reason in REFUSED])
def test_what_core_ml_does_not_have_is_refused_by_name(case: Case, reason: str) -> None:
    with pytest.raises(errors.MlexplorerError, match=reason) as caught:
        converted(case.model())
    assert case.type in str(caught.value)


OLD = [
    (
        Case("Add", [IMAGE, w(6)], {"broadcast": 1, "axis": 1}, opset=6),
        lambda old: Case("Add", [IMAGE, old.inputs[1].reshape(6, 1, 1)]),
    ),
    (
        Case("Sub", [IMAGE, X((6, 9))], {"broadcast": 1, "axis": 1}, opset=6, note="computed"),
        lambda old: Case("Sub", [IMAGE, X((6, 9, 1))]),
    ),
    (Case("Mul", [IMAGE, w(7)], {"broadcast": 1}, opset=6), lambda old: Case("Mul", old.inputs)),
    (
        Case("BatchNormalization", [IMAGE, w(6), w(6), w(6), w(6, low=0.5)], {"is_test": 1}, opset=6),
        lambda old: Case("BatchNormalization", old.inputs),
    ),
    (Case("Relu", [IMAGE], opset=1), lambda old: Case("Relu", old.inputs)),
    (Case("Concat", [ROW, X((2, 4, 11))], opset=1), lambda old: Case("Concat", old.inputs, {"axis": 1})),
    (Case("Reshape", [IMAGE], {"shape": [0, -1, 3]}, opset=1), lambda old: Case("Reshape", [IMAGE, i(0, -1, 3)])),
    (
        Case("Pad", [IMAGE], {"paddings": [0, 0, 1, 2, 0, 0, 3, 0], "value": 0.5}, opset=1),
        lambda old: Case("Pad", [IMAGE, i(0, 0, 1, 2, 0, 0, 3, 0), np.float32(0.5)]),
    ),
    (
        Case("Split", [IMAGE], {"axis": 1, "split": [4, 2]}, opset=1, outputs=2),
        lambda old: Case("Split", [IMAGE, i(4, 2)], {"axis": 1}, outputs=2),
    ),
    (
        Case("Upsample", [X((1, 3, 5, 7))], {"height_scale": 2.0, "width_scale": 3.0}, opset=1),
        lambda old: Case("Upsample", old.inputs, {"scales": [1.0, 1.0, 2.0, 3.0]}, opset=7),
    ),
    (
        Case("PRelu", [IMAGE, w(6)], opset=6),
        lambda old: Case("PRelu", [IMAGE, old.inputs[1].reshape(6, 1, 1)]),
    ),
    (Case("Cast", [X((3, 5), -4, 4)], {"to": "INT64"}, opset=1), lambda old: Case("Cast", old.inputs, {"to": 7})),
    (
        Case("Clip", [IMAGE], {"min": -0.5, "max": 0.7}, opset=6),
        lambda old: Case("Clip", [IMAGE, np.float32(-0.5), np.float32(0.7)]),
    ),
    (
        Case("Scale", [ROW], {"scale": 0.7}, opset=8),
        lambda old: Case("Mul", [ROW, np.float32(0.7)]),
    ),
    (
        Case("Gemm", [MATRIX, w(7, 3), w(3)], {"broadcast": 1}, opset=6),
        lambda old: Case("Gemm", old.inputs),
    ),
]


@pytest.mark.parametrize(("case", "newer"), OLD, ids=[str(case) for case, _ in OLD])
def test_old_form(case: Case, newer: Any) -> None:
    check(case, newer(case))
