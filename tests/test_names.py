"""The checker of names and docstrings: what it counts, and the limits."""

import dataclasses
import textwrap

from tests.helpers import names

RULES = names.Rules(
    vague=frozenset({"each", "found", "of", "one"}),
    nouns=frozenset({"Rows"}),
    imperatives=frozenset({"See"}),
    limits={"package": (50.0, 0.0)},
)


def _check(source: str) -> names.Counts:
  return names.check_source(textwrap.dedent(source), RULES)


def test_counts_a_name_once_per_scope():
  counts = _check("""
      found = 1
      found += 1

      def count(one, *, each=0):
        rows = [each for each in one]
        return lambda found: rows
  """)
  assert [finding.text for finding in sorted(counts.vague)] == [
      "found",
      "each",
      "one",
      "found",
  ]
  assert counts.names == 6  # And `count` and `rows`.


def test_finds_attributes_aliases_and_exceptions():
  counts = _check("""
      import numpy as found

      class Store:
        of: int

        def __init__(self):
          self.each = 1
          try:
            pass
          except ValueError as one:
            raise

      match 1:
        case found_rows:
          pass
  """)
  texts = {finding.text for finding in counts.vague}
  assert texts == {"found", "of", "each", "one"}


def test_a_name_is_vague_if_all_its_words_are():
  assert RULES.is_vague("_one_of")
  assert RULES.is_vague("FOUND")
  assert not RULES.is_vague("found_rows")
  assert not RULES.is_vague("is_found")
  assert not RULES.is_vague("__of__")
  assert not RULES.is_vague("_")


def test_public_functions_start_with_a_verb():
  counts = _check('''
      def first():
        """Returns the first row."""

      def second():
        """Rows of the second shard."""

      def third():
        """See `first`."""

      def fourth():
        """What is left over."""

      def _fifth():
        """Private ones may be noun phrases."""

      class Sixth:
        """A class."""

        @property
        def rows(self):
          """The rows."""
  ''')
  assert counts.docstrings == 4
  assert [finding.text for finding in counts.verbless] == [
      "Rows of the second shard.",
      "What is left over.",
  ]


def test_a_file_belongs_to_its_deepest_layer():
  rules = dataclasses.replace(
      RULES, limits={"zsgen": (1.0, 1.0), "zsgen/core": (1.0, 1.0)}
  )
  files = {
      "zsgen/main.py": names.Counts(names=1),
      "zsgen/core/mesh.py": names.Counts(names=2),
  }
  layers = names.sum_layers(files, rules)
  assert layers["zsgen"].names == 1
  assert layers["zsgen/core"].names == 2


def test_the_project_is_within_its_limits(capsys):
  assert names.main([]) == 0, capsys.readouterr().out


def test_fails_above_a_limit(tmp_path, monkeypatch, capsys):
  (tmp_path / "package").mkdir()
  (tmp_path / "package" / "module.py").write_text("each = 1\nfound = 2\n")
  (tmp_path / "pyproject.toml").write_text(textwrap.dedent("""
      [tool.zsgen.names]
      vague = ["each", "found"]
      nouns = []
      imperatives = []

      [tool.zsgen.names.limits]
      package = [50.0, 0.0]
  """))
  monkeypatch.setattr(names, "ROOT", tmp_path)
  assert names.main([]) == 1
  output = capsys.readouterr().out
  assert "above the limit of 50.0%" in output
  assert "package/module.py: 2 names, 0 docs" in output
