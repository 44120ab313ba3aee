"""The verb `quantize`: by the weights alone, or calibrated on what the layers compute."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlexplorer.model import Model
from mlexplorer.progress import Progress, reporting
from mlexplorer.quantization.plan import Plan, Select, plan_of
from mlexplorer.quantization.plan import quantize as quantize_weights
from mlexplorer.quantization.scheme import Scheme

if TYPE_CHECKING:
    from mlexplorer.runtime.custom import CustomLayerClass


def quantize(
    model: Model,
    scheme_or_plan: Scheme | Plan,
    *,
    select: Select | None = None,
    calibration: Any = None,
    custom_layers: Mapping[str, CustomLayerClass] | None = None,
    progress: Progress | bool = True,
    cancelled: threading.Event | None = None,
) -> Model:
    """A copy of the model with its weights in fewer bits; the model itself stays as it is.

    A scheme goes to all weights that `select` accepts, a `Selection` or a function of a `Weight`; without it, to all
    but biases and the vectors of normalization. A plan says it for each weight.

    With `calibration` the weights are rounded with error feedback, layer after layer: each makes up for what those
    before it lost, which is worth some decibels at 2 to 4 bits and takes a run of the network for every layer.
    "noise" calibrates without any data, on pictures of noise; else give pictures, a folder of them, arrays or inputs by
    name, some of those that the model is made for. The file stays plain Core ML. `custom_layers` are classes by class
    name (see `predict`); `progress` shows a bar, or is called with what is under way, how many weights are done, and of
    how many.

    Raises QuantizationError where a weight cannot be quantized, UnsupportedError for models without a neural network,
    InputError and CustomLayerError where the model cannot be calibrated, and Cancelled once `cancelled` is set.
    """
    if calibration is None:
        return quantize_weights(model, scheme_or_plan, select=select)
    from mlexplorer.calibration import calibrate
    from mlexplorer.feeds import inputs_of

    plan = plan_of(model, scheme_or_plan, select)
    with reporting(progress) as report:
        inputs = inputs_of(model, calibration)
        return calibrate(model, plan, inputs, custom_layers=custom_layers, progress=report, cancelled=cancelled)
