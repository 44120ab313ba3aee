"""See what a Core ML model is made of and what it looks like at 1 to 8 bits per weight, in a notebook, anywhere.

>>> import mlexplorer as mle
>>> model = mle.samples.style()
>>> mle.explore(model)                                       # the explorer, in a notebook
>>> small = mle.quantize(model, mle.LookupTable(bits=4))
>>> mle.save(small, "style-4bit.mlmodel")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlexplorer import errors, samples
    from mlexplorer.comparison import Comparison, Rate, compare, psnr, snr, ssim
    from mlexplorer.converters.convert import convert
    from mlexplorer.converters.network import NetworkBuilder
    from mlexplorer.converters.source import CustomLayerParams, SourceLayer
    from mlexplorer.coremltools_bridge import connect_coremltools, disconnect_coremltools
    from mlexplorer.formats import load, save
    from mlexplorer.graph import Graph, Node, Weight
    from mlexplorer.model import Feature, Model
    from mlexplorer.quantization.linear import Linear
    from mlexplorer.quantization.lookup_table import LookupTable
    from mlexplorer.quantization.plan import Plan, dequantize, quantize_each
    from mlexplorer.quantization.scheme import Float16, Float32, Scheme
    from mlexplorer.quantization.selection import Selection
    from mlexplorer.quantization.statistics import SchemeError, error_table
    from mlexplorer.quantizing import quantize
    from mlexplorer.recommendation import Choice, Recommendation, recommend
    from mlexplorer.runtime.custom import CustomLayer, CustomModel, custom_layer, custom_model
    from mlexplorer.runtime.prediction import Predictor, predict
    from mlexplorer.sweeps import Sweep, sweep
    from mlexplorer.swift import swift_source
    from mlexplorer.views.explorer import Explorer
    from mlexplorer.views.frontier import plot_frontier
    from mlexplorer.views.showing import explore, show

__version__ = "0.5.1"

# Imported when first used: `import mlexplorer` alone brings neither widgets nor onnxruntime.
_HOMES = {
    "Comparison": "comparison",
    "Choice": "recommendation",
    "CustomLayer": "runtime.custom",
    "CustomLayerParams": "converters.source",
    "CustomModel": "runtime.custom",
    "Explorer": "views.explorer",
    "Feature": "model",
    "Float16": "quantization.scheme",
    "Float32": "quantization.scheme",
    "Graph": "graph",
    "Linear": "quantization.linear",
    "LookupTable": "quantization.lookup_table",
    "Model": "model",
    "NetworkBuilder": "converters.network",
    "Node": "graph",
    "Plan": "quantization.plan",
    "Predictor": "runtime.prediction",
    "Rate": "comparison",
    "Recommendation": "recommendation",
    "Scheme": "quantization.scheme",
    "SchemeError": "quantization.statistics",
    "Selection": "quantization.selection",
    "SourceLayer": "converters.source",
    "Sweep": "sweeps",
    "Weight": "graph",
    "compare": "comparison",
    "connect_coremltools": "coremltools_bridge",
    "convert": "converters.convert",
    "custom_layer": "runtime.custom",
    "custom_model": "runtime.custom",
    "disconnect_coremltools": "coremltools_bridge",
    "dequantize": "quantization.plan",
    "error_table": "quantization.statistics",
    "errors": "",
    "explore": "views.showing",
    "load": "formats",
    "plot_frontier": "views.frontier",
    "predict": "runtime.prediction",
    "psnr": "comparison",
    "quantize": "quantizing",
    "quantize_each": "quantization.plan",
    "recommend": "recommendation",
    "samples": "",
    "save": "formats",
    "show": "views.showing",
    "snr": "comparison",
    "ssim": "comparison",
    "sweep": "sweeps",
    "swift_source": "swift",
}

__all__ = [
    "Choice",
    "Comparison",
    "CustomLayer",
    "CustomLayerParams",
    "CustomModel",
    "Explorer",
    "Feature",
    "Float16",
    "Float32",
    "Graph",
    "Linear",
    "LookupTable",
    "Model",
    "NetworkBuilder",
    "Node",
    "Plan",
    "Predictor",
    "Rate",
    "Recommendation",
    "Scheme",
    "SchemeError",
    "Selection",
    "SourceLayer",
    "Sweep",
    "Weight",
    "compare",
    "connect_coremltools",
    "convert",
    "custom_layer",
    "custom_model",
    "dequantize",
    "disconnect_coremltools",
    "error_table",
    "errors",
    "explore",
    "load",
    "plot_frontier",
    "predict",
    "psnr",
    "quantize",
    "quantize_each",
    "recommend",
    "samples",
    "save",
    "show",
    "snr",
    "ssim",
    "sweep",
    "swift_source",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'mlexplorer' has no attribute {name!r}")
    value = getattr(import_module(f"mlexplorer.{home}"), name) if home else import_module(f"mlexplorer.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
