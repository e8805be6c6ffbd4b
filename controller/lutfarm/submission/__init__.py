"""From a job file to a checked submission: which devices, on what terms, who shares what."""
