"""lutfarm: how long operators and models take on real devices, as tables one can trust."""
