"""Measurements, started by hand: `python -m tests.benchmarks NAME`. No test runs them."""
