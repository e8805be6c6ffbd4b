"""`lutfarm device`: a module for what registers devices, what shows them and what looks after them."""
