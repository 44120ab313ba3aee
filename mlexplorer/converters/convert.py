"""The verb: a model of another framework as a Core ML model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from mlexplorer.converters.options import ByInput, Options
from mlexplorer.converters.source import CustomConversionFunction
from mlexplorer.errors import FileFormatError, InputError, MissingDependencyError, MlexplorerError, UnsupportedError
from mlexplorer.formats import fetched, load
from mlexplorer.model import Model

_OTHERS = {
    "tensorflow": "a TensorFlow model",
    "torch": "a PyTorch model",
}
_BY_SUFFIX = {
    ".pb": "a TensorFlow graph",
    ".tflite": "a TensorFlow Lite model",
    ".pt": "a PyTorch file",
    ".pth": "a PyTorch file",
    ".pt2": "a PyTorch file",
    ".caffemodel": "a Caffe model",
    ".prototxt": "a Caffe model",
}
_NEITHER = "neither a Keras nor an ONNX model"
_TAKEN = (
    "convert takes .h5, .hdf5, .keras and .onnx files, a Keras architecture as JSON, Keras models and ONNX ModelProtos"
)


def convert(
    source: Any,
    *,
    weights: str | PathLike[str] | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    input_name_shape_dict: Mapping[str, Sequence[int]] | None = None,
    image_input_names: str | Sequence[str] = (),
    image_scale: ByInput = 1.0,
    red_bias: ByInput = 0.0,
    green_bias: ByInput = 0.0,
    blue_bias: ByInput = 0.0,
    gray_bias: ByInput = 0.0,
    is_bgr: bool | Mapping[str, bool] = False,
    image_output_names: str | Sequence[str] = (),
    image_output_scale: float | Mapping[str, float] = 1.0,
    image_output_bias: float | Sequence[float] | Mapping[str, float | Sequence[float]] = 0.0,
    class_labels: Sequence[str] | Sequence[int] | str | PathLike[str] | None = None,
    predicted_feature_name: str = "classLabel",
    predicted_probabilities_output: str = "",
    author: str = "",
    license: str = "",
    short_description: str = "",
    custom_conversion_functions: Mapping[str, CustomConversionFunction] | None = None,
    add_custom_layers: bool = False,
    **coremltools_arguments: Any,
) -> Model:
    """A Keras or ONNX model as a Core ML neural network, without Keras; nothing that a file names is executed.

    `source` is a Keras file (.h5, .hdf5, .keras), a Keras architecture as JSON with its `weights` beside it, a Keras
    model, an ONNX file or a ModelProto; files may be given by their http or https address, as for `load`. Models of
    TensorFlow and PyTorch are handed, with all further arguments, to `coremltools.convert(...,
    convert_to="neuralnetwork")`, where coremltools is installed.

    `input_names` and `output_names` rename the features, in the order of the source. `input_name_shape_dict` gives the
    shapes, batch included, of inputs whose sizes are open. Inputs in `image_input_names` take pictures, whose pixels
    (0 to 255) become `image_scale` * pixel + bias; `is_bgr` says that the network wants blue first. Outputs in
    `image_output_names` become pictures of `image_output_scale` * value + `image_output_bias`. Each of these is one
    value for all features, or a dict by name. With `class_labels`, texts or whole numbers or a text file with one a
    line, the model is a classifier: `predicted_probabilities_output`, else the first output, holds the probabilities.

    `custom_conversion_functions` maps layer names, then classes (of ONNX: node names, then operators with their domain,
    "com.example::GridSampler") to functions from SourceLayer to CustomLayerParams. Layers that are known neither to
    Core ML nor there are listed in one UnsupportedError with functions to complete, or become placeholders with
    `add_custom_layers`.

    Raises FileFormatError for what is not a whole model, UnsupportedError for layers, options and frameworks that
    cannot be converted, and InputError for arguments that do not fit.
    """
    options = Options(
        input_names=input_names,
        output_names=output_names,
        input_name_shape_dict=input_name_shape_dict or {},
        image_input_names=image_input_names,
        image_scale=image_scale,
        red_bias=red_bias,
        green_bias=green_bias,
        blue_bias=blue_bias,
        gray_bias=gray_bias,
        is_bgr=is_bgr,
        image_output_names=image_output_names,
        image_output_scale=image_output_scale,
        image_output_bias=image_output_bias,
        class_labels=class_labels,
        predicted_feature_name=predicted_feature_name,
        predicted_probabilities_output=predicted_probabilities_output,
        author=author,
        license=license,
        short_description=short_description,
        custom_conversion_functions=custom_conversion_functions or {},
        add_custom_layers=add_custom_layers,
    )
    source = fetched(source)
    framework = _framework(source)
    if framework:
        if options != Options() or weights is not None:
            raise InputError(
                f"the source is {framework}, which coremltools converts: give its arguments (inputs=, outputs=, "
                "classifier_config=, ...) instead of those for Keras and ONNX"
            )
        return _by_coremltools(source, framework, coremltools_arguments)
    if coremltools_arguments:
        names = ", ".join(coremltools_arguments)
        raise InputError(
            f"convert has no argument {names}; only TensorFlow and PyTorch models take those of coremltools"
        )
    is_path = isinstance(source, PathLike) or (isinstance(source, str) and not source.lstrip().startswith("{"))
    if is_path:
        _require_present(Path(source))

    from mlexplorer.converters.onnx.conversion import convert_onnx, is_onnx_source

    if is_onnx_source(source):
        if weights is not None:
            raise InputError("an ONNX model has its weights with it; weights= goes with a Keras architecture")
        return convert_onnx(source, options)

    from mlexplorer.converters.keras.conversion import convert_keras
    from mlexplorer.converters.keras.reading import is_keras_source, read_keras

    if is_keras_source(source):
        return convert_keras(read_keras(source, weights=weights), options)
    if is_path:
        raise _refusal(Path(source))
    what = "the text" if isinstance(source, str) else f"a {type(source).__name__}"
    raise FileFormatError(f"{what} is {_NEITHER}; {_TAKEN}")


def _framework(source: Any) -> str:
    """What TensorFlow or PyTorch calls the source, "" for what is converted here."""
    if isinstance(source, str | PathLike):
        return ""
    kind = type(source)
    if any(
        base.__module__.partition(".")[0] in ("keras", "tf_keras") or ".keras." in base.__module__
        for base in kind.__mro__
    ):
        return ""
    for base in kind.__mro__:
        package = base.__module__.partition(".")[0]
        if package in _OTHERS:
            return _OTHERS[package]
    return ""


def _require_present(path: Path) -> None:
    if not os.path.exists(path):  # not Path.exists, which raises for texts that are too long to be a name
        raise FileFormatError(f"{path} does not exist; check the path (the working folder is {Path.cwd()})")


def _refusal(path: Path) -> MlexplorerError:
    """What a file or folder is that is neither Keras' nor ONNX', by what is in it, and what to do instead."""
    if path.is_dir() and (path / "saved_model.pb").exists():
        return UnsupportedError(_advice(f"{path} is a TensorFlow SavedModel", repr(str(path))))
    if path.suffix in _BY_SUFFIX:
        return UnsupportedError(_advice(f"{path} is {_BY_SUFFIX[path.suffix]}", "model"))
    try:
        load(path)
    except FileFormatError as error:
        said = str(error).removeprefix(f"{path} ")
        return FileFormatError(f"{path} is {_NEITHER}: it {said}; {_TAKEN}")
    return InputError(f"{path} is a Core ML model already; read it with mlexplorer.load")


def _advice(what: str, argument: str) -> str:
    return (
        f"{what}, which mlexplorer does not read; coremltools does: "
        f'mlexplorer.load(coremltools.convert({argument}, convert_to="neuralnetwork", ...))'
    )


def _by_coremltools(source: Any, framework: str, arguments: Mapping[str, Any]) -> Model:
    try:
        import coremltools
    except ImportError as error:
        raise MissingDependencyError(
            f"{_advice(f'the source is {framework}', 'model')}; install it with: pip install coremltools"
        ) from error
    try:
        converted = coremltools.convert(source, **{"convert_to": "neuralnetwork", **arguments})
    except Exception as error:  # coremltools and the frameworks raise anything
        raise UnsupportedError(f"coremltools cannot convert {framework}: {type(error).__name__}: {error}") from error
    return load(converted)
