"""Components that exist for one test."""

from collections.abc import Callable
import sys
from typing import Any

import pytest

from zsgen.core import plugins, registry


def add(
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    name: str,
    build: Callable[..., Any],
    options: type = registry.NoOptions,
) -> None:
  """Registers a component, in place of another of its name, until the end."""
  registry.names(kind)  # Built-in components come first.
  component = registry.Component(kind, name, build, options, build.__module__)
  monkeypatch.setitem(registry._COMPONENTS[kind], name, component)


def isolate(monkeypatch: pytest.MonkeyPatch) -> None:
  """Makes what a test registers, and plug-ins it loads, end with the test."""
  for kind in registry.KINDS:
    registry.names(kind)  # Imports the built-in components.
  known = {kind: {**registry._COMPONENTS[kind]} for kind in registry.KINDS}
  monkeypatch.setattr(registry, "_COMPONENTS", known)
  monkeypatch.setattr(plugins, "_DIGESTS", {})
  monkeypatch.setattr(sys, "path", [*sys.path])
