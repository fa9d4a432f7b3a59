"""Tasks of lm-evaluation-harness by `--stage=evaluate`."""

import json
import subprocess
import sys

import pytest

import zsgen
from zsgen.core import config as config_lib
from zsgen.core import errors

COMMON = """
dataset_path: json
dataset_kwargs:
  data_files:
    test: {directory}/rows.jsonl
test_split: test
"""
TASKS = {
    "own_choice": (
        """
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: ["yes", "no"]
doc_to_target: "{{answer}}"
metric_list:
  - metric: acc
"""
    ),
    "own_text": (
        """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}}"
metric_list:
  - metric: word_perplexity
"""
    ),
    "own_writing": (
        """
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs:
  until: ["."]
  max_gen_toks: 4
metric_list:
  - metric: exact_match
"""
    ),
}


@pytest.fixture
def harnessed(small, tmp_path):
  """Returns a config of three tasks in a directory."""
  directory = tmp_path / "tasks"
  directory.mkdir()
  rows = [
      {"question": f"Is {i} even?", "answer": ("yes", "no")[i % 2]}
      for i in range(6)
  ]
  (directory / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
  for name, text in TASKS.items():
    common = COMMON.format(directory=directory)
    (directory / f"{name}.yaml").write_text(f"task: {name}{common}{text}")
  small.evals = {
      "lm": {
          "type": "harness",
          "tasks": tuple(TASKS),
          "task_files": str(directory),
          "per_task": 4,
      }
  }
  return small


@pytest.mark.slow
def test_tasks_without_training(harnessed, tmp_path, capsys):
  pytest.importorskip("lm_eval", reason="the extra harness brings lm_eval")
  path = zsgen.run(harnessed, tmp_path / "w", ["evaluate"]).evaluation
  output = capsys.readouterr().err
  metrics = json.loads((path / "metrics.json").read_text())
  assert metrics["lm/own_choice/acc"] in (0, 0.25, 0.5, 0.75, 1)
  assert metrics["lm/own_text/word_perplexity"] > 1
  assert metrics["lm/own_writing/exact_match"] == 0
  scores = [metrics[f"lm/{task}/first_metric"] for task in TASKS]
  assert metrics["lm/task_mean_first_metric"] == pytest.approx(sum(scores) / 3)
  details = json.loads((path / "evals/lm/details.json").read_text())
  assert details["settings"]["bos"] is False
  assert details["settings"]["chat_template"] is None
  assert details["n-samples"]["own_choice"] == {"original": 6, "effective": 4}
  assert len(details["samples"]["own_choice"]) == 4
  counts = json.loads((path / "counts.json").read_text())
  assert counts["lm"] == {"tasks": 3, "examples": 12, "of": 12}
  assert "BOS before texts: no; chat template: none" in output
  assert "own_text" in output and "word_perplexity" in output
  # The tasks' files, not their directory, are a part of what it is.
  moved = tmp_path / "moved"
  (tmp_path / "tasks").rename(moved)
  harnessed.evals.lm.task_files = str(moved)
  again = zsgen.run(harnessed, tmp_path / "w", ["evaluate"]).evaluation
  assert again == path
  harnessed.evals.lm.tasks = ("own_chioce",)
  with pytest.raises(errors.InputError, match="cannot load own_chioce"):
    zsgen.run(harnessed, tmp_path / "w", ["evaluate"])


def test_a_run_does_not_evaluate_tasks(harnessed, tmp_path):
  with pytest.raises(errors.InputError, match="not done during training"):
    zsgen.run(harnessed, tmp_path / "w", ["train"])
  assert not (tmp_path / "w/runs").exists()


def test_options_without_effect(harnessed, tmp_path):
  harnessed.evals.lm.max_examples = 4
  with pytest.raises(errors.InputError, match="max_examples has no effect"):
    zsgen.run(harnessed, tmp_path / "w", ["evaluate"])
  harnessed.evals.lm.tasks = ()
  with pytest.raises(errors.InputError, match="tasks is empty"):
    config_lib.check(harnessed)


@pytest.mark.peer
def test_torch_is_not_imported():
  pytest.importorskip("torch", reason="torch is not installed")
  pytest.importorskip("lm_eval", reason="the extra harness brings lm_eval")
  code = (
      "import sys; from zsgen.evals import harness; from lm_eval import"
      " evaluator, tasks; from lm_eval.api import model;"
      " print('torch' in sys.modules)"
  )
  output = subprocess.check_output([sys.executable, "-c", code], text=True)
  assert output.split("\n")[-2] == "False"
