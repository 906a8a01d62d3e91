"""The argument types of the commands: what they take, and words that a user understands when they do not."""

from __future__ import annotations

import argparse

import pytest

from vit_kernels import _cli


@pytest.mark.parametrize("kind, text, value", [
    ("positive_int", "3", 3), ("non_negative_int", "0", 0), ("seed", "4294967295", 4294967295), ("positive_float", "1e-3", 1e-3)])
def test_taken(kind, text, value):
    assert getattr(_cli, kind)(text) == value


@pytest.mark.parametrize("kind, text, message", [
    ("positive_int", "many", "'many' is not a whole number"), ("positive_int", "1.5", "'1.5' is not a whole number"),
    ("positive_int", "0", "0 is not at least 1"), ("non_negative_int", "", "'' is not a whole number"),
    ("non_negative_int", "-1", "-1 is negative"), ("seed", "x", "'x' is not a whole number"),
    ("positive_float", "fast", "'fast' is not a number, expected one like 0.001"), ("positive_float", "nan", "nan is not a positive number"),
    ("positive_float", "inf", "inf is not a positive number")])
def test_refused(kind, text, message, capsys):
    parser = argparse.ArgumentParser(prog="command")
    parser.add_argument("--value", type=getattr(_cli, kind))
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args([f"--value={text}"])
    assert stopped.value.code == 2
    assert f"argument --value: {message}" in capsys.readouterr().err
