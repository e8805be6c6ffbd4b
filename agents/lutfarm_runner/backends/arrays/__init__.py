"""numpy arrays in and out of a model: for every backend whose runtime takes them."""
