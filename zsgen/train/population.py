"""Several runs of one shape, trained as one program.

Members differ in data, order, seed and hyper-parameters. Parameters, moments,
batches and hyper-parameters of all have the members as their first axis, over
which the step is mapped; on several devices that axis is split. A member's
files are those of a run alone, and its curve is the same but for rounding.
"""

from collections.abc import Callable, Sequence
import contextlib
import functools
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from zsgen.core import artifacts, errors
from zsgen.core import mesh as mesh_lib
from zsgen.models import lora as lora_lib
from zsgen.train import (
    batches,
    checkpoints,
    flops,
    loop,
    meter,
    optimizer,
    progress,
    record_digests,
    records,
    resuming,
    stopping,
    watch,
    writers,
)
from zsgen.train import step as step_lib

# What all members must have in common, as attributes of a config.
_ALIKE = (
    "model",
    "lora.rank",
    "lora.targets",
    "train.batch_size",
    "train.loss_groups",
    "train.first_moment",
    "machine.mesh",
    "machine.remat",
    "machine.logits_chunk",
    "machine.attention",
    "machine.micro_batches",
    "machine.save_every",
)


class Job(NamedTuple):
  """All that a population is made of.

  Attributes:
    path: where its checkpoints are.
    members: each as if it were alone.
    sharding: of arrays with the members as their first axis.
    evaluate: for each of the members' evaluators, the evaluation of all of
      them, given stacked parameters.
  """

  path: pathlib.Path
  members: Sequence[loop.Job]
  sharding: jax.sharding.NamedSharding
  evaluate: Sequence[Callable[[Any], list[watch.Evaluation]]]


def sharding(
    mesh: jax.sharding.Mesh, members: int
) -> jax.sharding.NamedSharding:
  """Where arrays lie that have the members as their first axis.

  Raises:
    InputError: the devices do not divide the members.
  """
  if members % mesh.size:
    raise errors.InputError(
        f"config.population is {members} members on {mesh.size} devices, which"
        " do not divide them: take a multiple, or fewer devices."
    )
  if mesh.shape["data"] != mesh.size:
    raise errors.InputError(
        "config.population: members are split over config.machine.mesh.data"
        f" alone, but the mesh is {dict(mesh.shape)}. Leave fsdp and tensor"
        " at 1."
    )
  return mesh_lib.batch_sharding(mesh)


def mapped(
    one: Callable[..., Any], sharding: jax.sharding.NamedSharding
) -> Callable[..., Any]:
  """Of each member by itself; each device computes its own members.

  Args:
    one: a function of one member, whose model is `alone`.
    sharding: of the first axis of what it takes and gives, the members.
  """
  return jax.shard_map(
      jax.vmap(one),
      mesh=sharding.mesh,
      in_specs=sharding.spec,
      out_specs=sharding.spec,
      check_vma=False,
  )


def check(members: Sequence[loop.Job]) -> None:
  """Raises InputError for members that do not fit into one program."""
  first = members[0]
  for each in members[1:]:
    found = {**_shape(each), "steps": each.steps}
    for field, wanted in {**_shape(first), "steps": first.steps}.items():
      if found[field] != wanted:
        raise errors.InputError(
            f"config.population: {field} is {found[field]!r} in"
            f" {each.config.name} and {wanted!r} in {first.config.name}. Members"
            " must be of one shape: train these apart (config.population=1)."
        )


def _shape(job: loop.Job) -> dict[str, Any]:
  """What must be the same in all members, by name."""
  found = {}
  for path in _ALIKE:
    value = functools.reduce(getattr, path.split("."), job.config)
    found[f"config.{path}"] = value
  found["config.evals"] = [
      (each.name, each.every_steps) for each in job.evaluators
  ]
  return found


def train(job: Job) -> list[record_digests.Digests]:
  """Trains from the newest checkpoint, or from the start, to the end.

  Writes what each member would write alone, a checkpoint of the last step
  among it; earlier ones are of the population. See `loop.train`.

  Returns:
    Digests of the records of each member.

  Raises:
    InputError: members that do not fit together, or see `loop.train`.
    Stopped: SIGTERM came; a checkpoint is saved.
  """
  check(job.members)
  keep = job.members[0].config.machine.keep
  with contextlib.ExitStack() as stack:
    for each in job.members:
      stack.enter_context(records.alone(each.path))
    # Until the last checkpoint is committed.
    stop = stack.enter_context(stopping.Stopping(job.path.name))
    path = job.path / checkpoints.NAME
    identity = artifacts.digest([each.identity for each in job.members])
    saved = stack.enter_context(checkpoints.Checkpoints(path, keep, identity))
    return _train(job, saved, stop, stack)


def _train(
    job: Job,
    saved: checkpoints.Checkpoints,
    stop: stopping.Stopping,
    stack: contextlib.ExitStack,
) -> list[record_digests.Digests]:
  """`train`, with its checkpoints; what it opens is closed by the stack."""
  members, first_member = job.members, job.members[0]
  steps, machine = first_member.steps, first_member.config.machine
  say = first_member.say

  # The state: a checkpoint's, or new.
  latest = saved.latest()
  first = latest or 0
  state, frozen, digests, advice = _start(job, saved, latest)
  say(
      f"train    {len(members)} members from step {first} of {steps}: {job.path}"
  )

  # Records of each, cut back to the checkpoint.
  program = first_member.program
  counted = flops.of(
      first_member.start.arch, program.shapes.params, program.frozen_shapes
  )
  clock = meter.Meter(counted, flops.peak(program.mesh.devices))
  line = stack.enter_context(progress.Progress(first, steps))
  kept = [
      _record(each, own, latest, stack)
      for each, own in zip(members, digests, strict=True)
  ]
  logs = [
      _logger(each, record, first, line, clock, stack, advise)
      for each, record, advise in zip(members, kept, advice, strict=True)
  ]
  timer = logs[0]

  # The device program, and what feeds it.
  run_step = _program(job)
  feeds = [each.feed(first) for each in members]
  layouts = _layouts(members)

  pending = None
  stop.listen()
  for step in range(first, steps + 1):
    resumed_here = step == first and latest is not None

    # Evaluate; a checkpoint is saved after its step's evaluation.
    for place, evaluate in enumerate(job.evaluate):
      of_members = [each.evaluators[place] for each in members]
      if _due(step, of_members[0].every_steps, steps) and not resumed_here:
        pending = _log(pending, logs)
        found = evaluate(lora_lib.join(state.params, frozen))
        perf = timer.evaluated(of_members[0])
        for log, one, each in zip(logs, of_members, found, strict=True):
          log.record_evaluation(one, step, each, perf)

    # Save; whatever the checkpoint counts is durable before it.
    stopped = step < steps and stop.reached(step)
    due = step and _due(step, machine.save_every, steps)
    if (due or stopped) and not resumed_here:
      pending = _log(pending, logs)
      saved.save(step, state, [each.sync() for each in kept])
      timer.saved(step)

    if stopped:
      raise errors.Stopped(stopping.told(step, steps))
    if step == steps:
      break

    # Train, and log the step before while this one runs.
    with timer.feeding(pending):
      batch = _batch([feed(step) for feed in feeds], layouts)
    hyper = _stacked(
        [optimizer.hyper_at(each.config.train, step, steps) for each in members]
    )
    if timer.is_new(batch):
      pending = _log(pending, logs)
      with timer.compiling(batch):
        run_step.lower(state, frozen, batch, hyper).compile()
    state, metrics = run_step(state, frozen, batch, hyper)
    _log(pending, logs)
    pending = watch.Pending(
        step, hyper, metrics, batch.lengths, batch.tokens.size
    )
  timer.tell_shares()
  digests = [each.sync() for each in kept]
  _save_members(job, state, digests)
  return digests


def _program(job: Job) -> Any:
  """A step of all members, compiled for each shape."""
  program = job.members[0].program
  one = functools.partial(
      program.plain_step, model=program.model.on_each_device
  )
  return jax.jit(mapped(one, job.sharding), donate_argnums=0)


def _record(
    member: loop.Job,
    kept: record_digests.Digests,
    latest: int | None,
    stack: contextlib.ExitStack,
) -> records.Records:
  """A member's files, cut back to the checkpoint."""
  record = records.Records(
      path=member.path,
      batch_size=member.config.train.batch_size,
      steps=member.steps,
      evaluated={
          each.name: (loop.due_steps(each.every_steps, member.steps), each.ids)
          for each in member.evaluators
      },
      kept=kept,
      first=latest or 0,
      resumed=latest is not None,
  )
  stack.callback(record.close)
  return record


def _logger(
    member: loop.Job,
    record: records.Records,
    first: int,
    line: progress.Progress,
    clock: meter.Meter,
    stack: contextlib.ExitStack,
    advise: Callable[[int], str],
) -> watch.Logger:
  """What logs a member's metrics; line and clock are the population's."""
  sinks = writers.make(member.config.machine, member.path, first)
  for sink in sinks:
    stack.callback(sink.close)
  path, say = member.path, member.say
  return watch.Logger(path, say, record, sinks, line, clock, advise)


def _start(
    job: Job, saved: checkpoints.Checkpoints, latest: int | None
) -> tuple[
    step_lib.State,
    Any,
    list[record_digests.Digests],
    list[Callable[[int], str]],
]:
  """State and frozen parameters, stacked; and of each member the digests of
  its records, and what `loop.prepare_advice` returns.
  """
  put = functools.partial(_put, sharding=job.sharding)
  frozen = [loop.load_frozen(each) for each in job.members]
  if latest is None:
    job.members[0].say(f"start    {job.members[0].start.said}; and so on")
    params = [
        each.start.load(each.program.shardings.params) for each in job.members
    ]
    states = [
        each.program.init(one)
        for each, one in zip(job.members, params, strict=True)
    ]
    advice = [
        loop.prepare_advice(each, one, still, latest)
        for each, one, still in zip(job.members, params, frozen, strict=True)
    ]
    return put(states), put(frozen), [{} for _ in job.members], advice
  count = len(job.members)
  shapes = jax.tree.map(
      lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype),
      job.members[0].program.shapes,
  )
  places = jax.tree.map(lambda _: job.sharding, shapes)
  like = checkpoints.like(shapes, places)
  problem = functools.partial(_problem_of_records, job.members)
  state, digests = resuming.newest(saved, like, problem, job.path)
  if not saved.has_checksums(latest):
    job.members[0].say(f"start    {checkpoints.UNCHECKED}")
  kept = [record_digests.from_json(each) for each in digests]
  advice = [loop.prepare_advice(each, {}, {}, latest) for each in job.members]
  return state, put(frozen), kept, advice


def _problem_of_records(
    members: Sequence[loop.Job], digests: Sequence[Any]
) -> str:
  """What is wrong with the records of a member; "" if nothing."""
  problems = map(loop.problem_of_records, members, digests)
  return next(filter(None, problems), "")


def _put(trees: Sequence[Any], sharding: jax.sharding.Sharding) -> Any:
  """Trees as one, stacked."""
  return jax.device_put(_stacked(jax.device_get(trees)), sharding)


def _stacked(trees: Sequence[Any]) -> Any:
  return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _layouts(members: Sequence[loop.Job]) -> batches.Layouts:
  """Shapes that serve all members."""
  rows = sorted({rows for each in members for rows in each.layouts.rows})
  return batches.Layouts(
      tuple(rows), max(each.layouts.length for each in members)
  )


def _batch(
    examples: Sequence[batches.Examples], layouts: batches.Layouts
) -> batches.Batch:
  """The batches of all members in the shape that the largest needs."""
  laid = [batches.lay_out(each, layouts) for each in examples]
  rows = max(each.tokens.shape[0] for each in laid)
  alike = batches.Layouts((rows,), layouts.length)
  return _stacked(
      [
          one if one.tokens.shape[0] == rows else batches.lay_out(each, alike)
          for one, each in zip(laid, examples, strict=True)
      ]
  )


def _log(pending: watch.Pending | None, logs: Sequence[watch.Logger]) -> None:
  """Waits for a step's metrics and logs those of each member."""
  if pending is None:
    return
  metrics = jax.device_get(pending.metrics)
  perf = {**logs[0].trained(pending), "perf/members": len(logs)}
  for i, log in enumerate(logs):
    hyper, own = jax.tree.map(
        lambda leaf, i=i: leaf[i], (pending.hyper, metrics)
    )
    log.record_step(pending.step, hyper, own, perf)


def _save_members(
    job: Job, state: step_lib.State, digests: Sequence[record_digests.Digests]
) -> None:
  """Each member's own checkpoint of the last step."""
  states = jax.device_get(state)
  for i, each in enumerate(job.members):
    with loop.open_checkpoints(each) as saved:
      if saved.latest() is None:
        own = jax.tree.map(lambda leaf, i=i: leaf[i], states)
        own = jax.device_put(own, each.program.shardings)
        saved.save(each.steps, own, digests[i])


def _due(step: int, every: int, steps: int) -> bool:
  return step % every == 0 or step == steps
