"""A user's seqio Tasks and Mixture as suites, by a child process."""

import json
import pathlib
import subprocess
import sys
import textwrap

import pytest

from zsgen.core import config, errors
from zsgen.data import suite
from zsgen.data.sources import child, seqio_task

seqio = pytest.importorskip("seqio")

from zsgen.data.sources.child import modules, seqio_rows  # noqa: E402

HELPERS = """
def upper(dataset):
  import tensorflow as tf
  return dataset.map(lambda x: {**x, "inputs": tf.strings.upper(x["inputs"])})
"""
TASKS = """
import functools
import pathlib
import here_helpers
import seqio
import tensorflow as tf

FEATURES = {
    name: seqio.Feature(seqio.ByteVocabulary()) for name in ("inputs", "targets")
}
TEXTS = {
    name: seqio.Feature(seqio.ByteVocabulary(), dtype=tf.string, rank=0)
    for name in ("inputs", "targets")
}
NUMBERS = {"inputs": seqio.Feature(seqio.PassThroughVocabulary(300))}
pathlib.Path(__file__).with_name("lines.txt").write_text("one\\ntwo\\n")


def source(splits, **columns):
  def read(split, shuffle_files):
    assert not shuffle_files
    numbers = [str(i) for i in range(splits[split])]
    texts = {"q": [f"{split} {i} é" for i in numbers], "a": numbers}
    texts |= {name: [value] * len(numbers) for name, value in columns.items()}
    return tf.data.Dataset.from_tensor_slices(texts)
  return seqio.FunctionDataSource(read, splits=tuple(splits))


@seqio.map_over_dataset(num_seeds=1)
def noise(x, seed):
  drawn = tf.random.stateless_uniform([], seed, 0, 10**6, tf.int32)
  other = tf.random.uniform([], 0, 10**6, tf.int32)
  words = [x["inputs"], tf.strings.as_string(drawn), tf.strings.as_string(other)]
  return {**x, "inputs": tf.strings.join(words, " ")}


def odd(x):
  return tf.strings.to_number(x["targets"], tf.int32) % 2 == 1


def fail(x):
  def check(value):
    if value.numpy() == b"3":
      raise ValueError("three is no answer")
    return value
  checked = tf.py_function(check, [x["targets"]], tf.string)
  return {**x, "targets": tf.ensure_shape(checked, [])}


names = functools.partial(
    seqio.preprocessors.rekey, key_map={"inputs": "q", "targets": "a"}
)
bare = functools.partial(seqio.preprocessors.tokenize, copy_pretokenized=False)
keep = seqio.preprocessors.tokenize
end = seqio.preprocessors.append_eos


def add(name, splits, *steps, features=FEATURES, **columns):
  seqio.TaskRegistry.add(
      name, source=source(splits, **columns), preprocessors=[*steps],
      output_features=features)


ALL = {"train": 40, "validation": 3}
add("noisy_b", ALL, names, here_helpers.upper, noise, keep, end)
add("noisy_a", ALL, names, here_helpers.upper, noise, bare, end)
add("odd", {"train": 6}, names, lambda ds: ds.filter(odd), keep, end)
add("fails", {"train": 6}, names, lambda ds: ds.map(fail), bare)
add("unnamed", {"train": 2}, bare, features={"q": FEATURES["inputs"]})
add("numbers", {"train": 2}, lambda ds: ds.map(
    lambda x: {"inputs": tf.constant([5, 6])}), features=NUMBERS)
add("no_train", {"test": 2}, names, keep)
add("labelled", {"train": 2}, keep, kind="kind é", broken=b"\\xff", number=3,
    features={"q": FEATURES["inputs"], "a": FEATURES["targets"]})
seqio.TaskRegistry.add(
    "lines",
    source=seqio.TextLineDataSource(
        {"train": str(pathlib.Path(__file__).with_name("lines.txt"))}),
    preprocessors=[lambda ds: ds.map(lambda x: {"inputs": x, "targets": x})],
    output_features=TEXTS)
seqio.MixtureRegistry.add("three", [
    ("odd", lambda task: 1 / 0), ("noisy_b", 3), ("noisy_a", 1)])
"""
# What a user's process does: twice, and without TensorFlow.
READ = """
import json, pathlib, sys
from zsgen.core import config
from zsgen.data.sources import seqio_task

data = config.build(config.Data, 
    source="seqio", module="here_tasks", dataset="three", draw="first",
    heldout={"next": config.Heldout(split="validation"),
             "odd": config.Heldout(tasks=("odd",))})
scratch = pathlib.Path("scratch")
rows = seqio_task.rows(data, 0, scratch)
before = rows.stat().st_mtime_ns
suite = seqio_task.seqio_task(data, 1, scratch)
print(json.dumps({
    "examples": [each._asdict() for each in suite.examples()],
    "heldout": suite.heldout, "files": list(map(str, suite.files)),
    "told": suite.notes, "rows": str(rows), "loaded": sorted(sys.modules),
    "kept": before == rows.stat().st_mtime_ns}))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> pathlib.Path:
  """Returns a directory with the user's modules."""
  path = tmp_path_factory.mktemp("user")
  (path / "here_helpers.py").write_text(HELPERS)
  (path / "here_tasks.py").write_text(TASKS)
  return path


@pytest.fixture(scope="module")
def result(home, root) -> dict:
  """Returns what a process of the user's has read."""
  run = subprocess.run(
      [sys.executable, "-c", READ],
      cwd=home,
      env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
      capture_output=True,
      check=True,
      text=True,
  )
  return {**json.loads(run.stdout), "stderr": run.stderr}


@pytest.fixture(scope="module")
def loaded(home):
  """Imports the user's modules in this process."""
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(home)
    yield modules.load("here_tasks")
  for name in ("noisy_b", "noisy_a", "odd", "fails", "unnamed", "numbers"):
    seqio.TaskRegistry.remove(name)
  for name in ("no_train", "labelled", "lines"):
    seqio.TaskRegistry.remove(name)
  seqio.MixtureRegistry.remove("three")


def _examples_of(result: dict, task: str) -> list[dict]:
  return [example for example in result["examples"] if example["task"] == task]


def _reader(loaded, dataset, splits=("train",), **fields) -> seqio_rows.Reader:
  columns = vars(config.Fields(**fields))
  request = {"dataset": dataset, "splits": splits, "fields": columns}
  return seqio_rows.Reader(request, loaded)


@pytest.mark.slow
def test_a_mixture_is_its_tasks_one_by_one(result):
  splits = [
      (example["task"], example["split"]) for example in result["examples"]
  ]
  assert list(dict.fromkeys(splits)) == [
      ("noisy_a", "train"),
      ("noisy_b", "train"),
      ("noisy_a.validation", "next"),
      ("noisy_b.validation", "next"),
      ("odd", "odd"),
  ]
  assert result["heldout"] == ["next", "odd"]
  counts = {"train": {"noisy_a": 40, "noisy_b": 40, "odd": 3}}
  counts["validation"] = {"noisy_a": 3, "noisy_b": 3}
  notes = result["told"]["read"]
  assert notes["rows"] == counts
  rates = {"noisy_a": 1.0, "noisy_b": 3.0, "odd": "a function"}
  assert notes["rates_ignored"] == rates


@pytest.mark.slow
def test_preprocessors_and_the_sequence_are_kept(result):
  texts = [example["targets"][0] for example in _examples_of(result, "noisy_a")]
  assert texts == [str(i) for i in range(40)]
  for example in _examples_of(result, "noisy_a"):
    assert example["input"].startswith(f"TRAIN {example['targets'][0]} é ")
  assert [example["key"] for example in _examples_of(result, "odd")] == [
      "0",
      "1",
      "2",
  ]
  assert [example["targets"] for example in _examples_of(result, "odd")] == [
      ["1"],
      ["3"],
      ["5"],
  ]


@pytest.mark.slow
def test_random_draws_do_not_depend_on_decoding(result):
  """Checks that the same steps draw the same, though one decodes tokens."""
  notes = result["told"]["read"]["text"]
  assert notes["noisy_a"]["input"] == "inputs (decoded)"
  assert notes["noisy_b"]["input"] == "inputs_pretokenized (pretokenized)"
  decoded, pretokenized = (
      _examples_of(result, name) for name in ("noisy_a", "noisy_b")
  )
  assert [example["input"] for example in decoded] == [
      example["input"] for example in pretokenized
  ]
  assert len({example["input"].split()[-1] for example in decoded}) > 30


@pytest.mark.slow
def test_the_parent_never_loads_tensorflow(result):
  assert not {"tensorflow", "seqio"} & set(result["loaded"])
  assert "seqio three: 89 rows, done" in result["stderr"]


@pytest.mark.slow
def test_a_second_call_reads_the_table(result):
  assert result["kept"]
  assert result["stderr"].count("done") == 1


@pytest.mark.slow
def test_a_changed_module_is_read_again(result, home, monkeypatch):
  files = {pathlib.Path(file_path).name for file_path in result["files"]}
  assert files == {"rows.parquet", "here_tasks.py", "here_helpers.py"}
  path = pathlib.Path(result["rows"])
  requests = []

  def run(request, out):
    requests.append(request)
    raise errors.InputError("read again")

  monkeypatch.setattr(child, "_run", run)
  recipe = dict(child.manifest(path)["made_by"])
  recipe.pop("versions")
  assert child.rows(recipe, "error", path.parents[1]) == path
  with (home / "here_helpers.py").open("a") as file:
    file.write("# changed\n")
  with pytest.raises(errors.InputError, match="read again"):
    child.rows(recipe, "error", path.parents[1])
  assert requests == [recipe]


def test_features_by_name(loaded):
  columns = {"task": "kind", "input": "q", "target": "a", "category": "kind"}
  reader = _reader(loaded, "labelled", **columns, choices="a")
  rows = list(reader.rows())
  assert rows[1] == suite.Example(
      "kind é",
      "kind é",
      "train",
      "",
      "train 1 é",
      ("1",),
      "1",
      choices=("1",),
  )
  assert reader.notes["unlabelled"] == ""
  notes = reader.notes["text"]["labelled"]
  assert notes["input"] == "q_pretokenized (pretokenized)"
  assert notes["category"] == "kind (text)"


def test_bytes_that_are_no_text_are_a_bad_row(loaded):
  rows = _reader(loaded, "labelled", input="broken", target="a").rows()
  assert "train, row 0: is not UTF-8" in str(next(rows))


def test_files_of_a_source_are_listed(loaded):
  reader = _reader(loaded, "lines")
  assert [row.input for row in reader.rows()] == ["one", "two"]
  names = [pathlib.Path(file).name for file in reader.files()]
  assert names == ["here_helpers.py", "here_tasks.py", "lines.txt"]
  assert reader.notes["unlabelled"] == "lines"


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ("nosy_a", {}, "no Task or Mixture 'nosy_a'. Did you mean \"noisy_a\""),
        ("no_train", {}, "no split 'train'. It has: test"),
        ("odd", {"splits": ["train", "tst"]}, "heldout: .* no split 'tst'"),
        ("unnamed", {}, r"'inputs' is missing .*\(there are: a, q\)"),
        ("labelled", {"input": "number", "target": "a"}, "'number' is no text"),
        (
            "numbers",
            {"target": "inputs"},
            "PassThroughVocabulary. decodes to no",
        ),
        ("fails", {}, "train, row 3: .*preprocessor.*three is no answer"),
    ],
)
def test_bad_tasks(loaded, dataset, options, message):
  with pytest.raises(errors.InputError, match=message):
    list(_reader(loaded, dataset, **options).rows())


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("import no_such_thing", "cannot be imported.*no_such_thing"),
        ("x = (", "cannot be imported.*SyntaxError"),
        ("raise ValueError('first\\nlast')", "cannot be imported.*last"),
        ("import os\nprint('gone', flush=True)\nos._exit(3)", "status 3: gone"),
    ],
)
def test_a_module_that_does_not_import(tmp_path, monkeypatch, module, message):
  (tmp_path / "broken_tasks.py").write_text(textwrap.dedent(module))
  monkeypatch.syspath_prepend(tmp_path)
  data = _data(module="broken_tasks")
  with pytest.raises(errors.InputError, match=message):
    seqio_task.rows(data, 0, tmp_path / "scratch")
  assert not list((tmp_path / "scratch").iterdir())


def _data(**options) -> config.Data:
  heldout = {"heldout": config.Heldout(split="validation")}
  return config.build(
      config.Data,
      **{"source": "seqio", "module": "m", "dataset": "d", "heldout": heldout}
      | options,
  )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"module": ""}, "config.data.module: is empty"),
        ({"dataset": ""}, "config.data.dataset: is empty"),
        ({"path": "x"}, "config.data.path is not an option"),
        ({"heldout": {}}, "config.data.heldout: is empty"),
        ({"heldout": {"a": config.Heldout(split="train")}}, "takes the split"),
        ({"fields": config.Fields(split="s")}, "has splits of its own"),
        ({"fields": config.Fields(target="")}, "fields.target: is empty"),
    ],
)
def test_bad_options(tmp_path, options, message):
  with pytest.raises(errors.InputError, match=message):
    seqio_task.seqio_task(_data(**options), 0, tmp_path)
