from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.checks import check_layer, run_layer
from tests.layers.arrays import normal


def edges(top: int, bottom: int, left: int, right: int) -> dict[str, Any]:
    pairs = [(top, bottom), (left, right)]
    return {"borderAmounts": [{"startEdgeSize": start, "endEdgeSize": end} for start, end in pairs]}


@pytest.mark.parametrize("shape", [(5, 6), (4, 5, 6), (2, 4, 5, 6), (2, 3, 4, 5, 6)])
def test_padding(shape: tuple[int, ...]) -> None:
    x = normal(*shape)
    amounts: Any = [(0, 0)] * (len(shape) - 2) + [(1, 2), (4, 3)]
    constant = {"paddingAmounts": edges(1, 2, 4, 3), "constant": {"value": -2.5}}
    check_layer("padding", constant, [x], np.pad(x, amounts, constant_values=-2.5))
    for kind, mode in (("reflection", "reflect"), ("replication", "edge")):
        expected = np.pad(x, amounts, mode=mode)  # type: ignore[call-overload]
        check_layer("padding", {"paddingAmounts": edges(1, 2, 4, 3), kind: {}}, [x], expected)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"paddingAmounts": edges(1, 1, 1, 1)}, "type of padding"),
        ({"paddingAmounts": edges(1, 5, 1, 1), "reflection": {}}, "larger than"),
        ({"paddingAmounts": {"borderAmounts": [{"startEdgeSize": 1}]}, "replication": {}}, "has 1 entries"),
    ],
)
def test_padding_refuses(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        run_layer("padding", parameters, [normal(4, 5, 6)])


def test_constant_pad_by_amounts_or_to_lengths() -> None:
    x = normal(2, 3, 4)
    amounts = [0, 1, 2, 0, 3, 4]
    expected = np.pad(x, [(0, 1), (2, 0), (3, 4)], constant_values=7)
    check_layer("constantPad", {"value": 7, "padAmounts": amounts}, [x], expected)
    check_layer("constantPad", {"value": 7}, [x, np.array(amounts, np.float32)], expected)
    lengths = [0, 5, 4, 0, 0, 0]
    expected = np.pad(x, [(0, 3), (1, 0), (0, 0)], constant_values=7)
    to_size = {"value": 7, "padToGivenOutputSizeMode": True}
    check_layer("constantPad", {**to_size, "padAmounts": lengths}, [x], expected)
    check_layer("constantPad", to_size, [x, np.array(lengths, np.float32)], expected)
    with pytest.raises(ModelError, match="two for each"):
        run_layer("constantPad", {"padAmounts": [1, 2]}, [x])


def test_crop() -> None:
    x = normal(2, 3, 7, 9)
    check_layer("crop", {"cropAmounts": edges(1, 2, 3, 4)}, [x], x[..., 1:5, 3:5])
    reference = normal(1, 1, 4, 5)
    check_layer("crop", {"offset": [2, 3]}, [x, reference], x[..., 2:6, 3:8])
    check_layer("crop", {}, [x, reference], x[..., :4, :5])
    check_layer("crop", {"cropAmounts": edges(0, 0, 0, 0)}, [x], x)
    for parameters, inputs in (({"cropAmounts": edges(4, 3, 0, 0)}, [x]), ({"offset": [4, 0]}, [x, reference])):
        with pytest.raises(ModelError, match="not within"):
            run_layer("crop", parameters, inputs)
    with pytest.raises(ModelError, match="a height and a width"):
        run_layer("crop", {"offset": [1]}, [x, reference])
