"""The parts of a store, each with the rows that it knows."""
