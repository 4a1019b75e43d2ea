"""ONNX models of recorded predictions."""
