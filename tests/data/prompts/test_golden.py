"""Masks of every source and template, in files that people read.

`python tests/data/prompts/test_golden.py` (with PYTHONPATH=.) writes
them again; look at what changed before you commit it.
"""

import pathlib

import golden_examples
import pytest

from tests.helpers import chat_tokenizers
from zsgen.core import config
from zsgen.data import prompts, store, tokenizers
from zsgen.reports import batch_view

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
PROMPTS = {"niv2": "niv2", "flan_mini": "joined", "p3": "joined"}
OPTIONAL_PARTS = dict(negative_shots=1, explanations=True, task_name=True)
# File: source, template and options.
FILES = {
    **{
        f"{source}_{template}": (source, template, {})
        for source in golden_examples.SOURCES
        for template in ("plain", "chat", "tokenizer")
    },
    "niv2_all_shown": ("niv2", "plain", OPTIONAL_PARTS),
    "niv2_fit": ("niv2", "plain", dict(prompt_tokens=205)),
    "niv2_cut": ("niv2", "plain", dict(prompt_tokens=85)),
}


def _tokenizer(template, examples):
  """Returns bytes, Llama's kind with BOS, or ChatML's with its own end."""
  if template == "plain":
    return tokenizers.Bytes()
  if template == "tokenizer":
    return chat_tokenizers.byte_level()
  texts = [str(example) for example in examples]
  return chat_tokenizers.metaspace(texts=[*chat_tokenizers.TEXT, "\n", *texts])


def page(source, template, options):
  """Returns the examples of a source as the batch view shows them."""
  examples = list(golden_examples.SOURCES[source]())
  tokenizer = _tokenizer(template, examples)
  data = config.build(
      config.Data,
      template=template,
      prompt=PROMPTS.get(source, "plain"),
      **options,
  )
  prompt = prompts.get(data, tokenizer, seed=0)
  encoded = prompts.encode([prompt(example) for example in examples], tokenizer)
  return "".join(
      f"--- {example.task} {example.key}\n"
      f"{batch_view.marked(store.TokenRow(*row), tokenizer).plain}\n"
      for example, row in zip(examples, encoded, strict=True)
  )


@pytest.mark.parametrize("name", FILES)
def test_masks_are_those_that_people_read(name):
  if name.endswith("_tokenizer"):
    pytest.importorskip("jinja2")
  expected = (GOLDEN / f"{name}.txt").read_text("utf-8")
  assert expected.count("--- ") == 20
  assert page(*FILES[name]) == expected


if __name__ == "__main__":
  for file, arguments in FILES.items():
    (GOLDEN / f"{file}.txt").write_text(page(*arguments), "utf-8")
