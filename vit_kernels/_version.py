"""The one place that states the version: read by setup.py, CMake and the native library check."""

__version__ = "0.1.0"
