"""What models of operators and networks are made of, before any format: graphs, weights, what runs and what comes out."""
