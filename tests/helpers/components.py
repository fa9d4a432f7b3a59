"""Components that exist for one test."""

from collections.abc import Callable
from typing import Any

import pytest

from zsgen.core import registry


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
