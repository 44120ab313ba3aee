"""ONNX models, converted operator by operator."""
