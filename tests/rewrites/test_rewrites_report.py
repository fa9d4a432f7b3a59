"""The report on rewrites: what is put together, measured and told."""

import json

import numpy as np
import pytest
import rewriting

from tests.helpers import page_data
from zsgen.core import artifacts, errors
from zsgen.data import prepare
from zsgen.reports import grids
from zsgen.rewrites import __main__ as command
from zsgen.rewrites import report as rewrites
from zsgen.rewrites.report import arms as rewrites_arms
from zsgen.rewrites.report import errors as rewrites_errors
from zsgen.rewrites.report import figures as rewrites_figures
from zsgen.rewrites.report import measures as rewrites_measures
from zsgen.rewrites.report import more_targets as rewrites_more_targets
from zsgen.rewrites.report import runs as rewrites_runs

# Accuracy by number of rules: a step between 100 and 300.
STEP = {10: 0.0, 100: 0.02, 300: 0.98, 1000: 0.99}


def _outcomes(root):
  runs, _ = rewrites_runs.find([root])
  arms = rewrites_arms.arms(runs)
  return {
      outcome.target: outcome for outcome in rewrites_more_targets.check(arms)
  }


def _states(root):
  return {name: outcome.state for name, outcome in _outcomes(root).items()}


def _write(root, curve, seeds=(0,), **options):
  for rules, value in curve.items():
    for seed in seeds:
      rewriting.write(root, value, rules=rules, seed=seed, **options)


def test_the_report(tmp_path, capsys):
  for seed, offset in ((1, -0.02), (2, 0.0), (3, 0.02)):
    for rules, value in STEP.items():
      accuracy = float(np.clip(value + offset, 0, 1))
      rewriting.write(tmp_path, accuracy, rules=rules, seed=seed)
  assert command.main([str(tmp_path)]) == 0
  out = tmp_path / "reports" / "rewrites"
  names = {path.name for path in out.iterdir()}
  assert names == {
      "accuracy.png",
      "rewrites.html",
      "rewrites.json",
      "rewrites.md",
  }
  output = capsys.readouterr().out
  assert "0.020 [0.000, 0.040]" in output
  assert "Z1 step" in output and "not run" in output
  assert str(out / "rewrites.html") in output
  result = json.loads((out / "rewrites.json").read_text())
  arm = result["arms"]["all runs"]
  assert arm["unseen"]["300"] == {"1": 0.96, "2": 0.98, "3": 1.0}
  assert 100 < arm["i50"]["low"] <= arm["i50"]["rules"] <= arm["i50"]["high"]
  assert result["published"]["400"] == 0.13
  text = (out / "rewrites.md").read_text()
  assert "| 1,000 | 1 | 1,000 | 3 | 0.987 [0.970, 1.000] |" in text
  values = page_data.read((out / "rewrites.html").read_text("utf-8"))
  assert values["labels"] == ["all runs", "2402.10891"]
  unseen, seen, *_ = values["metrics"]
  assert "unseen rules" in unseen["label"] and "seen rules" in seen["label"]
  lines = [line for line in values["curves"] if line["metric"] == 0]
  for seed, line in zip((1, 2, 3), lines, strict=True):
    assert values["members"][line["member"]] == {"label": 0, "seed": seed}
    by_rules = zip(values["steps"][line["steps"]], line["values"], strict=True)
    assert dict(by_rules) == {
        int(rules): by_seed[str(seed)]
        for rules, by_seed in arm["unseen"].items()
    }
  (figure,) = unseen["published"]
  assert figure["title"] == rewrites_figures.ANOTHER_SCALE
  (line,) = figure["lines"]
  by_rules = zip(values["steps"][line["steps"]], line["values"], strict=True)
  assert dict(by_rules) == rewrites_figures.PUBLISHED
  # The same runs give the same bytes.
  before = {path.name: path.read_bytes() for path in out.iterdir()}
  rewrites.write([tmp_path / "runs"])
  assert before == {path.name: path.read_bytes() for path in out.iterdir()}


def test_the_first_experiment_passes_and_fails(tmp_path):
  _write(tmp_path / "a", STEP)
  assert _states(tmp_path / "a") | {"Z1 numbers": "not run"} == {
      **dict.fromkeys(_states(tmp_path / "a"), "not run"),
      **dict.fromkeys(("Z1 step", "Z1 rank", "Z1 control"), "pass"),
      "Z1 plateau": "pass",
  }
  _write(tmp_path / "b", {10: 0.0, 100: 0.4, 1000: 0.9}, control=0.9)
  states = _states(tmp_path / "b")
  assert states["Z1 step"] == states["Z1 control"] == "fail"
  assert states["Z1 plateau"] == "fail"
  _write(tmp_path / "c", {10: 0.5, 100: 0.0, 300: 0.0})
  states = _states(tmp_path / "c")
  assert states["Z1 rank"] == "fail"
  assert states["Z1 plateau"] == "not run"


def test_published_numbers_apply_to_the_papers_sizes_only(tmp_path):
  sizes = {
      "examples": 1_000_000,
      "x_length": 20,
      "y_length": 20,
      "z_length": 50,
  }
  values = rewriting.config().model
  model = {"layers": 6, "heads": 4, "width": 256, "positions": "learned"}
  changes = {"model": {**vars(values), **model}}
  _write(tmp_path, {100: 0.0, 600: 0.5}, changes=changes, **sizes)
  # As many examples are seen 50 times: here they are not.
  assert _states(tmp_path)["Z1 numbers"] == "not run"
  for path in (tmp_path / "runs").iterdir():
    manifest = artifacts.read_json(path / "manifest.json")
    manifest["batch_size"] = 12_500_000
    del manifest["digest"]
    artifacts.write_manifest(path, manifest)
  outcome = _outcomes(tmp_path)["Z1 numbers"]
  assert (outcome.state, outcome.values) == ("fail", "600: 0.500")


def test_no_ops(tmp_path):
  for share in (0.1, 0.5):
    _write(tmp_path / "a", STEP, noop_share=share)
  states = _states(tmp_path / "a")
  assert states["Z2 step"] == states["Z2 plateau"] == "pass"
  _write(tmp_path / "b", STEP, noop_share=0.1)
  _write(tmp_path / "b", {**STEP, 300: 0.1, 1000: 0.92}, noop_share=0.5)
  states = _states(tmp_path / "b")
  assert states["Z2 step"] == states["Z2 plateau"] == "fail"


def test_the_power_law_is_compared_with_the_even_runs(tmp_path):
  _write(tmp_path / "a", {1000: 0.99}, power_law=2.0)
  assert _states(tmp_path / "a")["Z3"] == "not run"
  _write(tmp_path / "a", STEP)
  assert _states(tmp_path / "a")["Z3"] == "pass"
  _write(tmp_path / "a", {1000: 0.9}, power_law=0.03)
  outcome = _outcomes(tmp_path / "a")["Z3"]
  assert outcome.state == "fail" and "not so" in outcome.values


def test_families(tmp_path):
  known = ("repeat", "period", "mirror")
  for families, curve in (
      (known, {500: 0.0, 1000: 0.8}),
      (known[:1], {1000: 0.1}),
      (known[1:2], {1000: 0.2}),
      (known[:2], {1000: 0.7}),
  ):
    free = {"heldout_families": known, "heldout_ks": (1,)}
    free |= {"x_length": 9, "y_length": 9, "z_length": 9, "unseen": 10}
    _write(tmp_path, curve, families=families, ks=(3,), **free)
  states = _outcomes(tmp_path)
  assert states["Z1"].state == "not run"
  assert states["Z4 rules"].values == "+0.800"
  assert states["Z4 families"].values == "+0.600"
  assert states["Z4 rules"].state == states["Z4 families"].state == "pass"


def test_occurrences(tmp_path):
  curves = {
      (1,): {500: 0.0, 1000: 0.4},
      (2,): {500: 0.1, 1000: 0.7},
      (3,): {500: 0.05, 1000: 0.3},
      (1, 2, 3): {500: 0.6, 1000: 0.9},
  }
  for counts, curve in curves.items():
    options = {"occurrences": counts, "heldout_occurrences": (1, 2, 3)}
    _write(tmp_path, curve, **options)
  states = _states(tmp_path)
  assert states["Z1"] == "not run"  # Of (1,): it is tested on others.
  assert states["Z5 mixed"] == states["Z5 middle"] == "pass"
  _write(tmp_path / "b", {500: 0.6, 1000: 0.8}, occurrences=(1, 2, 3))
  for counts in ((1,), (2,), (3,)):
    _write(tmp_path / "b", {500: 0.6, 1000: 0.85}, occurrences=counts)
  states = _states(tmp_path / "b")
  assert states["Z5 mixed"] == states["Z5 middle"] == "fail"


def test_encrypted(tmp_path):
  options = {"noop_share": 0.4, "cipher": 3, "examples": 2000}
  _write(tmp_path, {10: 0.41, 900: 0.8}, **options)
  assert _states(tmp_path)["Z6 half (surrogate)"] == "not run"
  half = {"subsample": 0.5, **options}
  _write(tmp_path, {400: 0.5, 900: 0.79}, **half)
  _write(tmp_path, {900: 0.6}, subsample_power_law=0.2, **half)
  states = _states(tmp_path)
  assert {states[name] for name in states if "Z6" in name} == {"pass"}


def test_half_is_reached_between_rules():
  assert rewrites_measures.crossing({100: 0.0, 10_000: 1.0}) == pytest.approx(
      1000
  )
  assert rewrites_measures.crossing({10: 0.6, 100: 0.9}) is None
  assert rewrites_measures.crossing({10: 0.6, 20: 0.4, 80: 0.6}) == (
      pytest.approx(40)
  )
  values = {10: {0: 0.0, 1: 0.0, 2: 0.0}, 1000: {0: 1.0, 1: 0.4, 2: 1.0}}
  threshold = rewrites_measures.threshold(values)
  assert threshold == rewrites_measures.threshold(values)
  assert threshold.low == pytest.approx(100) and threshold.low < threshold.rules
  # All three draws are the seed that never comes there: once in 27.
  assert threshold.without == pytest.approx(1 / 27, abs=0.02)
  assert rewrites_measures.threshold({10: {0: 0.0}, 20: {0: 1.0}}).low is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("cbacba", "right"),
        ("caaba", "ignored"),
        ("cbbbba", "wrong y"),
        ("cccccc", "other"),
        ("caabac", "misplaced"),
        ("cbacb", "length"),
        ("", "length"),
    ],
)
def test_classes_of_answers(written, expected):
  question = rewrites_errors.Question("aa", "bac", "caaba", "cbacba")
  assert rewrites_errors.classify(question, written) == expected


@pytest.mark.parametrize("cipher", [0, 3])
def test_written_answers_are_compared_with_the_store(tmp_path, cipher):
  options = {
      "rules": 5,
      "unseen": 8,
      "seen": 0,
      "noop_share": 0.25,
      "cipher": cipher,
      "examples": 10,
  }
  config = rewriting.config(**options)
  store = prepare.prepare(tmp_path / "stores", config.data, 0)
  path = rewriting.write(tmp_path, 0.5, store=store.path, **options)
  evals = path / "evals" / "written"
  evals.mkdir(parents=True)
  ids = store.split_ids("unseen")
  keys, texts = store.keys(ids), store.texts(ids)
  operations = [key.startswith("op") for key in keys]
  # The first is right, the others say the input again.
  first, *_ = np.flatnonzero(operations)
  rows = [
      {
          "id": int(i),
          "prediction": text[1] if position == first else _input(text[0]),
      }
      for position, (i, text) in enumerate(zip(ids, texts, strict=True))
  ]
  lines = "\n".join(map(json.dumps, rows))
  (evals / "predictions-4.jsonl").write_text(lines + "\n")
  (run,), _ = rewrites_runs.find([path])
  shares = rewrites_errors.shares(run)
  count = sum(operations)
  assert shares["right"] == 1 / count
  assert shares["ignored"] == 1 - 1 / count


def _input(prompt):
  return prompt.strip().split("\n\n")[1]


def test_runs_of_several_sizes_make_a_heat_map(tmp_path):
  _write(tmp_path, {10: 0.0, 100: 1.0}, examples=1000)
  _write(tmp_path, {10: 0.0, 100: 0.5}, examples=2000)
  page, _, _ = rewrites.write([tmp_path])
  heat = (page.parent / "examples_per_rule.png").read_bytes()
  assert heat == rewrites_figures.examples_per_rule(
      {(10, 100): 0.0, (100, 10): 1.0, (10, 200): 0.0, (100, 20): 0.5}
  )
  text = page.read_text("utf-8")
  row = f"<tr><td>100</td><td>0.000</td><td>{grids.MISSING}</td></tr>"
  assert "<th>10 rules</th><th>100 rules</th>" in text and row in text
  result = json.loads((page.parent / "rewrites.json").read_text())
  assert list(result["arms"]) == ["examples 1000", "examples 2000"]


def test_unfinished_runs_are_reported_and_left_out(tmp_path, capsys):
  _write(tmp_path, STEP)
  path = rewriting.write(tmp_path, 0.5, rules=500)
  (path / "result.json").unlink()
  assert command.main([str(tmp_path)]) == 0
  assert f"not finished, left out: {path}" in capsys.readouterr().out
  page = (tmp_path / "reports" / "rewrites" / "rewrites.html").read_text()
  assert "incomplete</span>" in page
  with pytest.raises(errors.InputError, match="no finished run; 1 are not"):
    rewrites_runs.find([path])


def test_a_sweep_names_its_runs(tmp_path):
  path = rewriting.write(tmp_path, 0.5, rules=500)
  sweep = tmp_path / "sweeps" / "a-0"
  (sweep / "points").mkdir(parents=True)
  note = {"run": f"runs/{path.name}"}
  artifacts.write_json(sweep / "points" / "a.json", note)
  page, _, _ = rewrites.write([sweep])
  assert page.parent == sweep / "reports" / "rewrites"
  page, _, _ = rewrites.write([path])
  assert page.parent == tmp_path / "reports" / "rewrites"
  page, _, _ = rewrites.write([sweep, path], tmp_path / "out")
  assert page == tmp_path / "out" / "rewrites.html"


def test_runs_that_cannot_be_reported(tmp_path, capsys):
  assert command.main([str(tmp_path)]) == 2
  assert "there is no finished run" in capsys.readouterr().err
  path = rewriting.write(tmp_path, 0.5, rules=500)
  other_path = rewriting.write(tmp_path, 0.6, rules=500, changes={"name": "b"})
  with pytest.raises(errors.InputError, match="Report them apart"):
    rewrites.write([tmp_path])
  values = artifacts.read_json(other_path / "config.json")
  rules = values["data"].pop("rewrites")
  values["data"]["source"] = "synth"
  artifacts.write_json(other_path / "config.json", values)
  with pytest.raises(errors.InputError, match="source is 'synth'"):
    rewrites.write([path, other_path])
  values["data"] |= {"source": "rewrites", "rewrites": rules}
  del values["evals"]["unseen"]
  artifacts.write_json(other_path / "config.json", values)
  with pytest.raises(errors.InputError, match="nothing to report"):
    rewrites.write([other_path])


def _judged(path, ids, wrong):
  """Writes the evaluation of unseen rules: two wrong tokens, or none."""
  directory = path / "evals" / "unseen"
  directory.mkdir(parents=True)
  last = np.where(wrong, 2.0, 0.0).astype(np.float32)
  np.save(directory / "ids.npy", ids)
  np.save(directory / "steps.npy", np.array([0, 4]))
  np.save(directory / "loss.npy", np.stack([np.ones_like(last), last]))


def _write_with_store(tmp_path, options):
  """Writes a run and its store; returns the run, and ids, x and z of unseen."""
  config = rewriting.config(**options)
  store = prepare.prepare(tmp_path / "stores", config.data, 0)
  path = rewriting.write(tmp_path, 0.5, store=store.path, **options)
  ids = store.split_ids("unseen")
  questions = []
  for prompt, _ in store.texts(ids):
    rule, z = prompt.strip().split("\n\n")
    questions.append((rule.split(" -> ")[0], z))
  return path, ids, questions


def test_exact_match_by_position(tmp_path):
  options = {
      "rules": 4,
      "examples": 10,
      "unseen": 80,
      "seen": 0,
      "noop_share": 0.25,
      "z_length": 12,  # x of three letters may begin at ten places.
  }
  path, ids, questions = _write_with_store(tmp_path, options)
  positions = np.array([z.find(x) for x, z in questions])
  assert set(positions) == set(range(-1, 10))
  # Right at places 0, 1, 2 and 9, and where there is no x.
  _judged(path, ids, (positions > 2) & (positions < 9))
  (run,), _ = rewrites_runs.find([path])
  second = (positions == 2).sum() / ((positions == 2) | (positions == 3)).sum()
  last = (positions == 9).sum() / ((positions == 8) | (positions == 9)).sum()
  expected = dict(
      zip(rewrites_errors.FIFTHS, (1.0, second, 0.0, 0.0, last), strict=True)
  )
  assert rewrites_errors.by_position(run) == pytest.approx(expected)
  page, _, _ = rewrites.write([path])
  assert "where x begins" in (page.parent / "rewrites.md").read_text("utf-8")


def test_exact_match_by_the_first_letter_of_x(tmp_path):
  options = {"rules": 4, "examples": 10, "unseen": 300, "seen": 0}
  options |= {"noop_share": 0.25, "letters": 12, "distinct": "pair"}
  options |= {"x_length": 2, "y_length": 2, "z_length": 8}
  path, ids, questions = _write_with_store(tmp_path, options)
  groups = []
  for x, z in questions:
    rest = z.replace(x, "#", 1)  # No letter.
    if rest == z:
      groups.append("none")
    elif x[0] not in rest:
      groups.append("nowhere else")
    else:
      is_before = rest.find(x[0]) < rest.find("#")
      groups.append("before x" if is_before else "only after x")
  groups = np.array(groups)
  assert set(groups) == {"none", *rewrites_errors.FIRST_LETTERS}
  # A model that takes the first letter for x; every third is wrong anyway.
  wrong = (groups == "before x") | (np.arange(len(ids)) % 3 == 0)
  _judged(path, ids, wrong)
  (run,), _ = rewrites_runs.find([path])
  assert rewrites_errors.by_first_letter(run) == pytest.approx(
      {
          name: 1 - wrong[groups == name].mean()
          for name in rewrites_errors.FIRST_LETTERS
      }
  )
  page, _, _ = rewrites.write([path])
  assert "first letter of x is" in (page.parent / "rewrites.md").read_text()


def test_exact_match_by_family(tmp_path):
  options = {
      "rules": 4,
      "examples": 10,
      "unseen": 6,
      "seen": 0,
      "families": ("repeat",),
      "ks": (3,),
      "heldout_ks": (1, 3),
      "distinct": "pair",
  }
  config = rewriting.config(**options)
  store = prepare.prepare(tmp_path / "stores", config.data, 0)
  path = rewriting.write(tmp_path, 0.5, store=store.path, **options)
  ids = store.split_ids("unseen")
  free = [store.categories[i] == "random" for i in store.task_index[ids]]
  _judged(path, ids, np.array(free))
  (run,), _ = rewrites_runs.find([path])
  by_family = rewrites_errors.by_category(run)
  assert by_family == {"random": 0.0, "repeat-3": 1.0}
  page, _, _ = rewrites.write([path])
  assert "by family and k" in (page.parent / "rewrites.md").read_text("utf-8")
