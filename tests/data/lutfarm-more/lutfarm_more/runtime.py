"""A runtime, seen from the host."""

from lutfarm_jobs.runtimes import Runtime

RUNTIME = Runtime("onnx", backend="lutfarm_more.plain_ort", packages=("onnxruntime",))
