"""What processes of one run must have in common, and who compares it."""

from concurrent import futures
import dataclasses
import threading
import types

import pytest

from zsgen.core import config, errors, hosts, schema, software
from zsgen.core.hosts import facts, service

# What one process may have of its own; all other options are compared.
PER_PROCESS = {
    "config.machine.hosts.coordinator",
    "config.machine.hosts.count",
    "config.machine.hosts.index",
    "config.machine.hosts.wait",
    "config.machine.tensorboard",
    "config.machine.trackio",
    "config.machine.wandb",
}


def _all_fields(value, prefix="config") -> set[str]:
  if not dataclasses.is_dataclass(value):
    return {prefix}
  fields = dataclasses.fields(value)
  parts = [
      _all_fields(getattr(value, field.name), f"{prefix}.{field.name}")
      for field in fields
  ]
  return set().union(*parts)


def test_every_option_is_compared_except_per_process_ones():
  evals = {"a": config.Eval(), "b": config.Eval(split="other")}
  parts = ({"arrangement": "tmt"}, {"arrangement": "random"})
  order = config.build(config.Order, arrangement="concatenate", parts=parts)
  changed = dataclasses.replace(config.Config(), evals=evals, order=order)
  names = {*schema.shared_fields(changed, "config")}
  empty = {"config.targets", "config.data.heldout", "config.evals"}
  assert _all_fields(changed) - names - empty == PER_PROCESS | {
      "config.order.parts"
  }
  assert "config.evals.b.split" in names
  assert "config.order.parts[1].arrangement" in names


def _collect(changed=None, workdir="w", stages=("train",)) -> dict[str, str]:
  return facts.collect([changed or config.Config()], workdir, stages)


def _different(facts: dict[str, str]) -> set[str]:
  first = _collect()
  return {name for name in first if facts.get(name) != first[name]}


def test_facts_outside_the_config(monkeypatch, tmp_path):
  assert _collect() == _collect()
  assert _different(_collect(stages=("order",))) == {"--stage"}
  monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/x")
  assert not _different(_collect())
  changed = {"XLA_FLAGS"}
  first = _collect()
  monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_max_isa=AVX2 --xla_dump_to=/x")
  assert {k for k, v in _collect().items() if v != first[k]} == changed
  monkeypatch.chdir(tmp_path)
  assert {k for k, v in _collect().items() if v != first[k]} == changed | {
      "--workdir"
  }


def test_source_files_are_compared(monkeypatch, tmp_path):
  (tmp_path / "core").mkdir()
  for name in ("a.py", "core/b.py"):
    (tmp_path / name).write_text("x = 1\n")
  monkeypatch.setattr(software, "_PACKAGE", tmp_path)
  read = software.sources.__wrapped__
  first = read()
  assert {*first} == {"the file zsgen/a.py", "the file zsgen/core/b.py"}
  (tmp_path / "core/b.py").write_text("x = 2\n")
  assert {k for k, v in read().items() if v != first[k]} == {
      "the file zsgen/core/b.py"
  }


@pytest.fixture
def processes(monkeypatch):
  """Runs a function in threads that stand for processes."""
  table, changed, me = {}, threading.Condition(), threading.local()

  def publish(key, value):
    with changed:
      table.setdefault(key, value)
      changed.notify_all()

  def await_message(key):
    with changed:
      assert changed.wait_for(lambda: key in table, 20)
      return table[key]

  fake = types.SimpleNamespace(
      count=lambda: 3,
      index=lambda: me.index,
      is_first=lambda: me.index == 0,
      publish=publish,
      await_message=await_message,
  )
  for name, function in vars(fake).items():
    monkeypatch.setattr(service, name, function)

  def run(function) -> list[str]:
    def call(index):
      me.index = index
      try:
        function(index)
      except errors.InputError as error:
        return str(error)
      return ""

    with futures.ThreadPoolExecutor(3) as pool:
      return [*pool.map(call, range(3))]

  return run


def test_inputs_read_by_each_process_are_compared(processes, monkeypatch):
  monkeypatch.setattr(hosts, "is_distributed", lambda: True)
  monkeypatch.setattr(hosts, "_key", lambda name: name)
  recipes = [{"seed": 0, "parameters": {"path": name}} for name in "aab"]
  assert (
      processes(lambda i: hosts.agree("one", {"order": recipes[0]})) == [""] * 3
  )
  messages = processes(lambda i: hosts.agree("two", {"order": recipes[i]}))
  assert len({*messages}) == 1
  assert (
      'order.parameters.path is "a" in process 0 and "b" in process 2.'
      in messages[0]
  )
