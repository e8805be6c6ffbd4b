"""From a sample to an estimate with its interval, and the flags that go with it."""
