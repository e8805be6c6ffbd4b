"""`lutfarm serve`, and what keeps a served farm: who may come in, which hosts, which database."""
