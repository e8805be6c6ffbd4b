"""Finding devices, and what a shell there says of them."""
