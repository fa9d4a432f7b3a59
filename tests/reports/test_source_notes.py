"""What a source left out, in sentences."""

from zsgen.reports import source_notes


def test_names_from_data_are_shown_as_they_are():
  manifest = {
      "suite": "seqio",
      "prompts": {"shots_left_out": 3, "prompts_cut": 0},
      "source": {
          "bad_rows": {"count": 7, "first": ["a.jsonl, line 1: is x.", "b"]},
          "duplicates": 2,
          "unassigned_tasks": 6,
          "unassigned_splits": {"dev": 4, "": 2},
          "absent_tasks": {"train": 4, "held_out": 0},
          "unread_files": {".txt": {"count": 1, "first": "my_notes.txt"}},
          "unread_fields": {"my_field": 1200},
          "verbatim": {"inputs": 3, "prompts": 1, "tasks": {"ii_rhymes": 3}},
          "read": {
              "rows": {"train": {"ii_rhymes": 4}},
              "bad_rows": {"count": 1, "first": ["row 3"]},
              "rates_ignored": {"ii_rhymes": 0.5, "odd": "a function"},
          },
      },
  }
  assert source_notes.describe(manifest) == [
      "bad rows that were left out: 7; the first 2",
      "  a.jsonl, line 1: is x.",
      "  b",
      "bad rows that were left out: 1",
      "  row 3",
      "files that are not read: 1 .txt (my_notes.txt)",
      "seqio: 1 field of rows is not read: my_field (1,200)",
      (
          "seqio: the Mixture's rates are ignored, and each task is read"
          " completely:"
          " ii_rhymes 0.5, odd a function"
      ),
      "tasks without a row: 4 of train",
      (
          "unassigned tasks, neither trained on nor held out: 6; in the"
          " source: 4 of dev, 2 of no split"
      ),
      (
          "held-out examples that also occur in the training data: 3 with the"
          " same input, 1 with the same definition and input; for example in"
          " ii_rhymes (3)"
      ),
      "duplicates: 2",
      "shots left out: 3",
  ]


def test_a_generated_suite_has_no_remarks():
  manifest = {"suite": "synth", "prompts": {}, "source": {}}
  assert source_notes.describe(manifest) == []


def test_long_lists_are_cut():
  fields = {f"f{i:02}": 1 + (i == 7) for i in range(40)}
  manifest = {"suite": "t", "prompts": {}, "source": {"unread_fields": fields}}
  (line,) = source_notes.describe(manifest)
  assert line.startswith("t: 40 fields of rows are not read: f07 (2), f00 (1)")
  assert line.endswith("f09 (1), …")
