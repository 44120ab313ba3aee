"""Core ML networks on any machine: lowered to ONNX, run by onnxruntime."""
