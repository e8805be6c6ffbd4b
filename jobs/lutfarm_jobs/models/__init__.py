"""Model files: built from operators and networks, or brought by people."""

from lutfarm_jobs.models.build_model import Built, build, canary, import_file, keep_values

__all__ = ["Built", "build", "canary", "import_file", "keep_values"]
