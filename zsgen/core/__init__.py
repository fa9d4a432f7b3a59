"""Shared by all layers: config, artifacts, errors, mesh and processes."""
