"""pytest-benchmark suites, one per operator and one for the whole model; `python -m benchmarks.run` runs them and reports."""
