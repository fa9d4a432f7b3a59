"""The notebook runs from top to bottom, and its outputs belong to its code."""

import base64
import io
import re
import types

from PIL import Image
import pytest

nbformat = pytest.importorskip("nbformat")
notebook_lib = pytest.importorskip("docs.notebook")


@pytest.fixture(scope="module")
def committed():
  """Returns the notebook of the checkout."""
  return nbformat.read(notebook_lib.PATH, as_version=4)


def _code(notebook):
  return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _outputs(notebook):
  return [output for cell in _code(notebook) for output in cell.outputs]


def _text(notebook) -> str:
  return "".join(output.get("text", "") for output in _outputs(notebook))


def _figures(notebook) -> list[Image.Image]:
  return [
      Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
      for output in _outputs(notebook)
      if "image/png" in output.get("data", {})
  ]


def test_outputs_are_those_of_the_code(committed):
  nbformat.validate(committed)
  assert committed.metadata["zsgen"]["digest"] == notebook_lib.digest(
      committed
  ), "out of date: run `python -m docs.notebook`"
  counts = [cell.execution_count for cell in _code(committed)]
  assert counts == list(range(1, len(counts) + 1))
  assert not [o for o in _outputs(committed) if o.output_type == "error"]
  assert len(_figures(committed)) == 2


def test_outputs_name_no_machine(committed):
  text = nbformat.writes(committed)
  assert not re.findall(r"/(?:home|root|tmp|work|Users)/", text)
  assert "\\u001b" not in text  # No colors or progress bars.
  assert len(text) < 500_000


def test_the_first_screen_of_the_readme_has_the_notebook(root):
  first = (root / "README.md").read_text("utf-8").splitlines()[:50]
  assert "(launch/colab.ipynb)" in "\n".join(first)


@pytest.fixture
def install(committed):
  """Returns the names of the cell that installs; it has nothing to do here."""
  names = {}
  exec(_code(committed)[0].source, names)  # The notebook is ours.
  return names


@pytest.mark.parametrize(
    ("paths", "smi", "extra"),
    [
        ([], None, ""),
        (["/dev/accel0"], None, "tpu"),
        (["/dev/vfio/0"], None, "tpu"),
        ([], "CUDA Version: 12.4  |", "cuda12"),
        ([], "CUDA Version: 13.0  |", "cuda13"),
        ([], "it has failed", "cuda12"),
    ],
)
def test_jax_is_that_of_the_machine(install, monkeypatch, paths, smi, extra):
  def find(pattern):
    return [path for path in paths if path.startswith(pattern[:9])]

  monkeypatch.setattr(install["glob"], "glob", find)
  monkeypatch.setattr(install["shutil"], "which", lambda _: smi)
  completed = types.SimpleNamespace(stdout=smi)
  monkeypatch.setattr(install["subprocess"], "run", lambda *_, **__: completed)
  assert install["find_extra"]() == extra


def test_installation_goes_to_an_environment_of_its_own(
    install, monkeypatch, tmp_path
):
  calls = []
  monkeypatch.chdir(tmp_path)
  monkeypatch.setitem(install, "find_extra", lambda: "tpu")
  monkeypatch.setattr(
      install["subprocess"],
      "run",
      lambda command, **_: calls.append([str(word) for word in command]),
  )
  assert install["install"](".") == tmp_path / "zsgen-env/bin/python"
  assert calls[-1][-1] == f"zsgen[hf,tpu] @ {tmp_path.as_uri()}"
  assert calls[-2][-1] == str(tmp_path / "zsgen-env")
  install["install"]("git+https://example.com/zsgen")
  assert calls[-1][-1] == "zsgen[hf,tpu] @ git+https://example.com/zsgen"
  with pytest.raises(ValueError, match="set SOURCE"):
    install["install"]("")


@pytest.mark.slow
def test_the_notebook_runs(root, tmp_path, monkeypatch):
  """Runs all cells with 10 steps instead of 120."""
  monkeypatch.setenv("PYTHONPATH", str(root))
  executed = notebook_lib.execute(tmp_path, {"STEPS": 10})
  text = _text(executed)
  assert "160 examples, in the sequence of the order" in text
  assert re.search(r"heldout_family +random \d\.\d+, tmt \d\.\d+, diff", text)
  assert "model.safetensors" in text and "886912 parameters" in text
  assert re.search(r"random \d\.\d+, my_fork \d\.\d+", text)
  for figure in _figures(executed):
    assert len(figure.convert("L").getcolors(256)) > 20
  assert str(tmp_path) not in text and "\x1b" not in text
