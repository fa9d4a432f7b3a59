"""The evaluator of rewrites, a plug-in."""

import jax
import numpy as np

import zsgen
from zsgen import evals, rewrites
from zsgen.core import config, plugins
from zsgen.core import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.evals import api, metrics
from zsgen.models import model as model_lib
from zsgen.rewrites import source


def test_parts_of_the_examples_are_reported(tmp_path):
  values = {
      "plugins": rewrites.PLUGINS,
      "data": {
          "source": "rewrites",
          "prompt": "joined",
          "tokenizer": "rewrites",
          "rewrites": {
              "rules": 5,
              "examples": 20,
              "x_length": 2,
              "y_length": 2,
              "z_length": 6,
              "noop_share": 0.5,
              "unseen": 20,
              "seen": 0,
          },
      },
      "evals": {"new": {"type": "rewrites", "split": "unseen"}},
  }
  store = store_lib.open_store(zsgen.run(values, tmp_path, ["prepare"]).store)
  checked = config.check(values)
  context = api.Context(
      store,
      model_lib.Model.from_config(checked.model),
      mesh_lib.make(config.Mesh(), jax.devices()[:1]),
      batch_size=4,
  )
  evaluator = evals.make("new", checked.evals["new"], context)
  right = store.loss_lengths[evaluator.ids].astype(np.float32)
  kinds = [source.kind_of(key) for key in store.keys(evaluator.ids)]
  right[[kind == "noop" for kind in kinds]] = 0  # Only they are wrong.
  values = evaluator.judged(right).metrics
  assert values["new/has_op_exact_match"] == values["new/op1_exact_match"] == 1
  assert values["new/no_op_exact_match"] == values["new/noop_exact_match"] == 0
  assert values["new/exact_match"] == 1 - kinds.count("noop") / len(kinds)
  assert [*values][:3] == [
      "new/exact_match",
      "new/task_mean_exact_match",
      "new/token_accuracy",
  ]
  specs = checked.evals
  assert metrics.find(specs, "new/op1_exact_match").unit == "share"
  target = config.Target(metric="new/has_op_exact_match", above=0.5)
  metrics.check_targets(specs, {"t": target})


def test_the_source_of_the_evaluator_enters_the_names_of_runs():
  spec = config.build(config.Eval, type="rewrites")
  assert (
      evals.science(spec)["plugin"]
      == plugins.digests()["zsgen.rewrites.evaluator"]
  )
  assert "plugin" not in evals.science(config.Eval())
