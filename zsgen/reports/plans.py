"""Plans as tables: one in detail, or several side by side."""

from collections.abc import Iterable, Mapping

from zsgen.planning import hlo, roofline
from zsgen.planning import plan as plan_lib
from zsgen.reports import grids

_GIB = 2**30
# The header of a table of several plans.
_HEADER = (
    "plan",
    "place",
    "mesh",
    "weights",
    "moments",
    "gradients",
    "a step",
    "in all",
    "there is",
    "left",
    "seconds at least",
    "MFU at most",
    "compiled in",
)


def tables(plan: plan_lib.Plan) -> list[grids.Grid]:
  """Returns the tables of a plan in detail."""
  results = [_parameters(plan), _memory(plan), _work(plan)]
  if plan.rooflines:
    results.append(_rooflines(plan))
  if plan.compiled and plan.compiled.collectives:
    title = "Collectives of a step, on each device"
    results.append(_collectives(title, plan.compiled.collectives))
  if plan.compiled and plan.compiled.transfers:
    title = "Transfers between slices in a step, on each device"
    results.append(_collectives(title, plan.compiled.transfers))
  return results


def verdict(plan: plan_lib.Plan) -> list[str]:
  """Returns lines on whether the plan fits, and what to do if not."""
  if not plan.limit:
    return ["memory of the devices is not known: see what they need above"]
  difference = gib(abs(plan.limit - plan.used))
  if plan.fits and plan.hardware.compiles:
    difference = gib(max(plan.limit - plan.used, 0))
    return [f"fits: {difference} GiB of each device are left"]
  if plan.fits:
    return [
        f"may fit: {difference} GiB of each device are left for what is not counted"
        " (activations of one block, gathered logits, the compiler's"
        " temporaries). Nothing can be compiled for it here: run the stage"
        " there."
    ]
  lines = [
      f"does not fit: each device lacks {difference} GiB. The cheapest remedies:"
  ]
  return [*lines, *(f"  {line}" for line in plan.remedies)]


def row(name: str, plan: plan_lib.Plan) -> list[str]:
  """Returns a plan as a row of `side_by_side`."""
  states, compiled = plan.states, plan.compiled
  bound = max(plan.bounds.values(), default=0.0)
  return [
      name,
      plan.hardware.name,
      _sizes(plan.mesh.shape),
      gib(states.weights + states.frozen),
      gib(states.moments),
      gib(states.gradients),
      gib(compiled.temporary) if compiled else grids.MISSING,
      gib(plan.used),
      gib(plan.limit) if plan.limit else grids.MISSING,
      f"{(plan.limit - plan.used) / _GIB:+.2f}" if plan.limit else "",
      grids.number(bound, 2) if bound else grids.MISSING,
      grids.percent(_most_mfu(plan)),
      f"{compiled.seconds:.0f} s" if compiled else grids.MISSING,
  ]


def side_by_side(rows: Iterable[list[str]]) -> grids.Grid:
  """Returns a table of several plans, in GiB of each device."""
  return grids.Grid(
      title="Plans; memory in GiB of each device",
      header=_HEADER,
      rows=list(rows),
      words=3,
      note=(
          "Mesh: data x fsdp x context x tensor. A step: what the compiler allocates"
          " beside weights and moments, gradients among it."
      ),
  )


def gib(size: float) -> str:
  """Formats bytes as GiB."""
  return f"{size / _GIB:,.2f}"


def _parameters(plan: plan_lib.Plan) -> grids.Grid:
  """Returns the table of parameters, and how each is divided."""
  rows = [
      [
          parameter.name if parameter.trained else f"{parameter.name} (stays)",
          f"{' x '.join(map(str, parameter.shape))} {parameter.dtype}",
          " ".join(map(_axes, parameter.spec)) or "·",
          str(parameter.count),
          f"{parameter.bytes / 2**20:,.1f}",
      ]
      for parameter in plan.parameters
  ]
  header = ("parameter", "each", "split over", "arrays", "MiB")
  note = "Split over: the mesh axis of each axis. MiB: of all on each device."
  return grids.Grid("Parameters", header, rows, words=3, note=note)


def _axes(axes: str | tuple[str, ...] | None) -> str:
  """Returns the mesh axes of an axis of a parameter, for display."""
  return "+".join((axes,) if isinstance(axes, str) else axes or "·")


def _memory(plan: plan_lib.Plan) -> grids.Grid:
  """Returns the table of memory by purpose."""
  states, compiled = plan.states, plan.compiled
  rows = [
      ["weights that are trained", gib(states.weights)],
      ["weights that stay", gib(states.frozen)],
      ["moments", gib(states.moments)],
      ["gradients", gib(states.gradients)],
  ]
  if compiled:
    rows += [
        ["compiled: held between steps", gib(compiled.arguments)],
        [
            "compiled: during a step, gradients among it",
            gib(compiled.temporary),
        ],
        ["compiled: results that replace nothing", gib(compiled.copied)],
        ["compiled: the program", gib(compiled.code)],
    ]
  elif plan.residual_bytes:
    rows.append(
        ["kept for the backward pass, at the least", gib(plan.residual_bytes)]
    )
  rows.append(["in all", gib(plan.used)])
  if plan.limit:
    rows.append(["there is", gib(plan.limit)])
  return grids.Grid("Memory of each device", ("what", "GiB"), rows)


def _work(plan: plan_lib.Plan) -> grids.Grid:
  """Returns the table of FLOPs and the minimum time that they take."""
  shape = plan.shape
  tokens, logits = shape.rows * shape.length, plan.groups * shape.loss_slots
  rows = [
      ["rows x tokens", f"{shape.rows} x {shape.length:,} = {tokens:,}"],
      [
          "positions with logits",
          f"{plan.groups} x {shape.loss_slots:,} = {logits:,}",
      ],
      ["model FLOPs, TFLOP", grids.number(plan.model_flops / 1e12, 1)],
      ["those of the head", grids.percent(plan.head_flops / plan.model_flops)],
      ["as traced, with repetitions", grids.number(plan.flops / 1e12, 1)],
  ]
  rows += [
      [f"seconds at the least: {bottleneck}", grids.number(seconds)]
      for bottleneck, seconds in plan.bounds.items()
  ]
  if plan.bounds:
    bound = max(plan.bounds.values())
    rows.append(["tokens/s at most", grids.number(tokens / bound, 0)])
    rows.append(["MFU at most", grids.percent(_most_mfu(plan), 1)])
  note = "A lower bound of the step, from the peaks of zsgen/core/chips.py."
  return grids.Grid(
      "A step", ("what", ""), rows, note=note if plan.bounds else ""
  )


def _rooflines(plan: plan_lib.Plan) -> grids.Grid:
  """Returns the table of the mean step with and without split positions."""
  rows = [
      [
          _sizes(line.mesh),
          f"{line.slots:,.0f}",
          grids.number(line.slots / line.tokens, 2)
          if plan.planned
          else grids.MISSING,
          *map(grids.number, (line.products, line.memory, line.links)),
          grids.number(line.seconds),
      ]
      for line in plan.rooflines
  ]
  header = (
      *("mesh", "slots", "slots per token", "FLOPs, s", "HBM, s", "links, s"),
      "seconds at least",
  )
  note = (
      f"Mesh: data x fsdp x context x tensor. {roofline.FORMULA}. Chips:"
      " zsgen/core/chips.py."
  )
  title = "The mean step with and without context"
  return grids.Grid(title, header, rows, note=note)


def _sizes(mesh: Mapping[str, int]) -> str:
  """Returns the sizes of the axes of a mesh."""
  return " x ".join(map(str, mesh.values()))


def _collectives(
    title: str, collectives: Mapping[str, hlo.Collective]
) -> grids.Grid:
  """Returns the table of collectives, by kind."""
  rows = [
      [
          kind,
          f"{collective.count:,}",
          gib(collective.received),
          f"{collective.largest / 2**20:,.1f}",
      ]
      for kind, collective in sorted(collectives.items())
  ]
  return grids.Grid(
      title,
      ("kind", "runs", "GiB received", "MiB of the largest result"),
      rows,
  )


def _most_mfu(plan: plan_lib.Plan) -> float | None:
  """Returns the MFU if the step takes only its lower bound."""
  chip = plan.hardware.chip
  if not plan.bounds or not chip:
    return None
  peak = plan.mesh.size * chip.flops
  return plan.model_flops / peak / max(plan.bounds.values())
