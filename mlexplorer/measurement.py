"""How far a quantized model's outputs lie from the original's, in few numbers that plans can be chosen by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.comparison import Rate
from mlexplorer.comparison.metrics import decibels
from mlexplorer.comparison.outputs import class_outputs
from mlexplorer.errors import InputError
from mlexplorer.model import Feature, Model
from mlexplorer.runtime.prediction import Predictor

Array = NDArray[Any]

_PEAK = 255.0
_LEAST_PROBABILITY = 1e-20


@dataclass(frozen=True)
class Measurement:
    """The distance between two models' outputs over all inputs.

    `error` is the mean square of the differences over that of the original's values, the mean over the outputs. The
    probabilities of classes are compared by their logarithms, less the mean of these, which are what a softmax was
    given: by the probabilities themselves a network that tells nothing any more is nearer to the original than one
    that is sure of another class. `psnr` is that of picture outputs, clamped and rounded as pictures are, all pixels of
    all inputs together, in dB, None where there are none (`compare` takes the mean of the pictures' dBs instead).
    `agreement` is the share of inputs for which a classifier gives the same label, with its interval; None for others.
    """

    error: float
    psnr: float | None = None
    agreement: Rate | None = None

    @property
    def snr(self) -> float:
        """The signal-to-noise ratio in dB."""
        return decibels(1.0, self.error)

    @property
    def quality(self) -> float:
        """The PSNR of pictures, else the signal-to-noise ratio, in dB."""
        return self.snr if self.psnr is None else self.psnr

    @property
    def metric(self) -> str:
        """What `quality` is: "PSNR" or "SNR"."""
        return "SNR" if self.psnr is None else "PSNR"


class Reference:
    """A model's outputs for some inputs, to which those of its quantized copies are compared.

    Picture outputs of a network are taken before they are rounded. Raises InputError where no output has numbers.
    """

    def __init__(self, model: Model, predictor: Predictor, inputs: Sequence[Mapping[str, Any]]) -> None:
        if not inputs:
            raise InputError("there are no inputs to measure with")
        self._predictor, self._inputs = predictor, inputs
        self._features = [feature for feature in model.outputs if feature.type not in ("string", "sequence")]
        label = str(model.spec.description.predictedFeatureName)
        self._label = label if label in class_outputs(model) else ""
        self._probabilities = str(model.spec.description.predictedProbabilitiesName)
        if not self._features:
            raise InputError("the model has no output with numbers to measure")
        self.names = list(dict.fromkeys([*(feature.name for feature in self._features), *filter(None, [self._label])]))
        """What is measured, and the label."""
        self._outputs = [predictor.predict(dict(given), outputs=self.names) for given in inputs]
        self._running = predictor

    def measure(self, quantized: Model) -> Measurement:
        """The distance of a quantized copy; raises Cancelled after `cancel`."""
        self._running = predictor = self._predictor.rebind(quantized)
        return self.distance(predictor.predict(dict(given), outputs=self.names) for given in self._inputs)

    def distance(
        self, quantized: Iterable[Mapping[str, Any]], original: Sequence[Mapping[str, Any]] | None = None
    ) -> Measurement:
        """The distance of a copy's outputs, the values of `names` for each input, from the original's.

        `original` are these where they were computed in the same way as the copy's, so that equal weights differ in
        nothing.
        """
        noise = dict.fromkeys((feature.name for feature in self._features), 0.0)
        signal = dict(noise)
        squares, pixels, agreeing = 0.0, 0, 0
        for outputs, others in zip(original or self._outputs, quantized, strict=True):
            for feature in self._features:
                a, b = (_numbers(feature, values[feature.name], outputs) for values in (outputs, others))
                if feature.name == self._probabilities:
                    a, b = _scores(a), _scores(b)
                noise[feature.name] += float(np.sum(np.square(a - b)))
                signal[feature.name] += float(np.sum(np.square(a)))
                if feature.type == "image":
                    squares += float(np.sum(np.square(_as_pixels(a) - _as_pixels(b))))
                    pixels += a.size
            agreeing += bool(self._label) and outputs[self._label] == others[self._label]
        errors = [_ratio(noise[name], signal[name]) for name in noise]
        return Measurement(
            float(np.mean(errors)),
            decibels(_PEAK**2, squares / pixels) if pixels else None,
            Rate(agreeing, len(self._inputs)) if self._label else None,
        )

    def cancel(self) -> None:
        """Stop the measurement that is under way, from another thread."""
        self._running.cancel()


def _numbers(feature: Feature, value: Any, reference: Mapping[str, Any]) -> Array:
    if isinstance(value, dict):
        return np.array([value.get(key, 0.0) for key in reference[feature.name]], np.float64)
    return np.asarray(value, np.float64)


def _scores(probabilities: Array) -> Array:
    """What a softmax was given, but for a constant."""
    logarithms: Array = np.log(np.maximum(probabilities, _LEAST_PROBABILITY))
    centred: Array = logarithms - logarithms.mean()
    return centred


def _as_pixels(values: Array) -> Array:
    return np.clip(np.rint(values), 0.0, _PEAK)


def _ratio(noise: float, signal: float) -> float:
    if not math.isfinite(noise):
        return math.inf
    return noise / signal if signal > 0.0 else (math.inf if noise > 0.0 else 0.0)
