"""Our command line and its rivals on the same work, timed in one run on one machine: docs/benchmarks.md."""
