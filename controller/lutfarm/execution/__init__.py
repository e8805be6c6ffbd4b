"""The main loop: open a farm, resume, order, commit, decide again."""
