"""The page on the experiments of 2406.11721: figures, targets, comparisons."""

from collections.abc import Mapping, Sequence
import itertools
import pathlib
from typing import Any

import rich.table

from zsgen.core import artifacts, errors
from zsgen.reports import (
    comparison,
    comparison_report,
    grids,
    outcomes,
    page,
    pairs,
)
from zsgen.reports.arrangement import (
    charts,
    contact,
    early,
    figures,
    nearness,
    rules,
)
from zsgen.reports.arrangement import experiments as experiments_lib
from zsgen.reports.interactive import curve_data, payload, sets
from zsgen.reports.interactive import embedded as embedded_lib
from zsgen.reports.interactive import subject as subject_lib
from zsgen.reports.outcomes import Outcome

_TITLE = "The order of instruction data: the experiments of 2406.11721"
_CAPTION = (
    "Losses are divided by the loss before training and steps by their number:"
    " published runs are of LLaMA-2-7B with up to 1,800 steps, and absolute"
    " losses differ even between their figures. Published curves were read off"
    " the figures; stretches that another line hides are left out. Those of the"
    " pilot begin after 10 steps and are divided by their first losses. Scores"
    " were published in percent, and are drawn as shares."
)
_NOTE = (
    "The mean over seeds decides; the number of seeds that meet the rule by"
    " themselves follows. Not run: these runs cannot answer it. Rules were"
    " fixed before the runs."
)
# An experiment that cannot be judged, and the reason.
_Refused = tuple[experiments_lib.Experiment, str]
# The arms that the others are compared with, the first one that there is.
_REFERENCES = ("uniform", "RT", "random", "coarse")


def write(
    paths: Sequence[pathlib.Path], out: pathlib.Path | None = None
) -> tuple[pathlib.Path, list[rich.table.Table], list[str]]:
  """Writes arrangement.html, .md and .json, and the figures as PNG.

  Args:
    paths: directories of sweeps of `configs/arrangement`, or workdirs.
    out: the directory to write to; None for `reports/arrangement` in the first
      workdir.

  Returns:
    The path of the page, the closing tables, and lines on what is left out:
    points that are not finished, and experiments whose arms differ.

  Raises:
    InputError: see `experiments.find`; or no experiment is left, see
      `Experiment.check_alike`.
  """
  opened, notices = experiments_lib.find(paths)
  experiments, refused = _split(opened)
  notices = [*notices, *(f"refused: {reason}" for _, reason in refused)]
  judged = check(experiments, refused)
  experiments = [*experiments, *experiments_lib.join_controls(experiments)]
  out = out or experiments[0].directory.parents[1] / "reports" / "arrangement"
  out.mkdir(parents=True, exist_ok=True)
  comparisons = {_file(e): _compare(e) for e in experiments}
  pictures = {
      _file(e): [
          *figures.draw(e),
          *figures.draw_differences(comparisons[_file(e)]),
      ]
      for e in experiments
  }
  for stem, drawn in pictures.items():
    for picture in drawn:
      page.save(out / _png(stem, picture), picture.png)
  summaries = {
      name: comparison.summary(compared)
      for name, compared in comparisons.items()
  }
  targets = outcomes.table("Targets", judged, _NOTE)
  printed = {
      name: comparison_report.tables(summary)[:-2]
      for name, summary in summaries.items()
  }
  tables = {}
  for name, compared in comparisons.items():
    paired = {e: pairs.compare_all(compared, e) for e in compared.evals}
    summaries[name]["pairs"] = {
        evaluation: pairs.describe(items)
        for evaluation, items in paired.items()
    }
    tables[name] = [*printed[name], *_pair_tables(compared, paired)]
  value = _json(experiments, summaries, judged, notices)
  artifacts.write_json(out / "arrangement.json", value)
  page.save(
      out / "arrangement.md",
      _markdown(experiments, pictures, tables, targets, notices),
  )
  embedded = sets.build(
      [
          sets.Set(
              _file(e),
              charts.build(e),
              subject_lib.from_comparisons([comparisons[_file(e)]]),
          )
          for e in experiments
      ]
  )
  content = _html(experiments, pictures, tables, targets, notices, embedded)
  written = page.save(out / "arrangement.html", content)
  closing = [*itertools.chain(*printed.values()), targets]
  return written, [grids.to_rich(table) for table in closing], notices


def _pair_tables(
    compared: comparison.Comparison,
    paired: Mapping[str, Sequence[pairs.Paired]],
) -> list[grids.Grid]:
  """Builds the tables of all pairs; the others have the pair of two arms."""
  if len(compared.runs) <= 2:
    return []
  return [
      pairs.table(
          f"{name} {compared.evals[name].heading}, all pairs of arms", items
      )
      for name, items in paired.items()
  ]


def _split(
    experiments: Sequence[experiments_lib.Experiment],
) -> tuple[list[experiments_lib.Experiment], list[_Refused]]:
  """Returns experiments whose arms can be compared, and the others.

  Raises:
    InputError: there is none of the first kind.
  """
  alike: list[experiments_lib.Experiment] = []
  refused: list[_Refused] = []
  for experiment in experiments:
    try:
      experiment.check_alike()
      alike.append(experiment)
    except errors.InputError as error:
      refused.append((experiment, str(error)))
  if not alike:
    raise errors.InputError(" ".join(reason for _, reason in refused))
  return alike, refused


def check(
    experiments: Sequence[experiments_lib.Experiment],
    refused: Sequence[_Refused] = (),
) -> list[Outcome]:
  """Judges all targets, in the order of their numbers.

  Args:
    experiments: those that are judged.
    refused: others, and the reasons; their targets are not run.
  """
  outcomes_of_refused = {
      rule.target: rules.refuse(rule, experiment, reason)
      for rule in (*early.RULES, *contact.RULES, *nearness.RULES)
      for experiment, reason in refused
      if rule.is_about(experiment)
  }
  judged = [
      outcome
      for module in (early, contact, nearness)
      for outcome in module.check(experiments)
      # Those of targets that no other experiment is about.
      if outcome.target not in outcomes_of_refused
  ]
  judged += outcomes_of_refused.values()
  return sorted(judged, key=lambda outcome: _number(outcome.target))


def _number(target: str) -> int:
  return int(target.partition(" ")[0].removeprefix("R"))


def _file(experiment: experiments_lib.Experiment) -> str:
  """The stem of an experiment's files."""
  sweep = experiment.directory.name.removeprefix("arrangement_")
  return f"{sweep}-{experiment.data}" if experiment.data else sweep


def _compare(
    experiment: experiments_lib.Experiment,
) -> comparison.Comparison:
  """Compares the arms of an experiment."""
  reference = next(
      (arm for arm in _REFERENCES if arm in experiment.arms),
      next(iter(experiment.arms)),
  )
  points = [
      comparison.Point(arm, seed, run.path)
      for arm, runs in experiment.arms.items()
      for seed, run in runs.items()
  ]
  return comparison.open_points(points, reference)


def _json(
    experiments: Sequence[experiments_lib.Experiment],
    summaries: dict[str, dict[str, Any]],
    judged: Sequence[Outcome],
    notices: Sequence[str],
) -> dict[str, Any]:
  """The content of the page, as JSON values."""
  return {
      "title": _TITLE,
      "experiments": {
          _file(e): {
              "experiment": e.name,
              "tier": e.tier,
              "data": e.data,
              "seeds": e.seeds,
              "steps": e.steps,
              **summaries[_file(e)],
          }
          for e in experiments
      },
      "targets": [outcome._asdict() for outcome in judged],
      "left_out": list(notices),
  }


def _png(stem: str, picture: figures.Picture) -> str:
  """The file of a figure."""
  return f"{stem}-{picture.name}.png"


def _markdown(
    experiments: Sequence[experiments_lib.Experiment],
    pictures: dict[str, list[figures.Picture]],
    tables: dict[str, list[grids.Grid]],
    targets: grids.Grid,
    notices: Sequence[str],
) -> str:
  """arrangement.md."""
  lines = [*(f"{line}\n" for line in notices), grids.to_markdown(targets)]
  lines += [f"{_CAPTION}\n", f"{comparison_report.BANDS}\n"]
  for experiment in experiments:
    name = _file(experiment)
    lines.append(f"## {experiment.title}\n")
    lines += [
        f"![{experiment.title}: {picture.title}]({_png(name, picture)})\n"
        for picture in pictures[name]
    ]
    lines += map(grids.to_markdown, tables[name])
  return "\n".join(lines)


def _html(
    experiments: Sequence[experiments_lib.Experiment],
    pictures: dict[str, list[figures.Picture]],
    tables: dict[str, list[grids.Grid]],
    targets: grids.Grid,
    notices: Sequence[str],
    embedded: payload.Payload,
) -> str:
  """arrangement.html."""
  blocks = [
      *(page.badge("incomplete", line) for line in notices),
      outcomes.to_html(targets),
      page.text(_CAPTION),
      page.slot("selection"),
  ]
  for experiment in experiments:
    name = _file(experiment)
    content = [
        _figure(experiment, sets.CHARTS),
        *map(comparison_report.to_html, tables[name]),
        page.heading("All evaluations, differences and tasks"),
        _figure(experiment, curve_data.HELDOUT),
        page.heading("The orders"),
        _figure(experiment, curve_data.ORDER),
        *(
            page.link(_png(name, picture), f"Picture: {picture.title}")
            for picture in pictures[name]
        ),
    ]
    blocks.append(page.section(experiment.title, content))
  return embedded_lib.page_of(_TITLE, blocks, embedded)


def _figure(experiment: experiments_lib.Experiment, group: str) -> str:
  """Returns the place of a figure of an experiment."""
  name = f"{_file(experiment)}/{group}"
  return page.slot("figure", figure=name, title=experiment.title)
