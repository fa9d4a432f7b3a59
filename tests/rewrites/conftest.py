"""Tests of the plug-in may use its components in any config."""

from zsgen import rewrites
from zsgen.core import plugins

plugins.load(rewrites.PLUGINS)
