"""Benchmarks, which measure the project and a peer in the same run."""
