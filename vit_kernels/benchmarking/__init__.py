"""Whole models timed beside other implementations of the same model, every engine in a process of its own."""
