"""Reads finished runs: data frames, comparisons and pages.

Nothing here trains or evaluates a model, and nothing needs a device.
"""
