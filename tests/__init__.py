"""The tests, the benchmark and the demonstration."""
