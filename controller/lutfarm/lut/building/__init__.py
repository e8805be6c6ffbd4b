"""From stored runs to entries, one file for each way of measuring."""
