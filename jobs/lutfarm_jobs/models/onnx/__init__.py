"""ONNX files: written, read with limits, and what precision they are of."""
