"""Helpers under the module names that MindFormers has for them."""
