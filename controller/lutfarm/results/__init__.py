"""From a job's stored runs to its table, validated or not."""
