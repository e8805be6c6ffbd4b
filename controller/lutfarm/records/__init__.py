"""Values that several rooms keep: a job, a device's state, a canary's round, which fingerprints agree."""
