"""Trains a byte-level BPE on texts and writes Hugging Face's files."""

from collections.abc import Iterable, Sequence
import pathlib
from typing import Any

from zsgen.core import artifacts, errors
from zsgen.data.tokenizers import hf_files

PAD, EOS = "<pad>", "<eos>"
# The two special tokens and the 256 bytes.
SMALLEST = 258


def train(texts: Iterable[Sequence[str]], vocab_size: int) -> Any:
  """Trains a tokenizer with GPT-2's word borders, pad 0, eos 1 and every byte.

  The same texts give the same tokenizer, whatever the number of threads.

  Args:
    texts: batches of texts, read once.
    vocab_size: number of ids; there are fewer if nothing is left to merge.

  Returns:
    A `tokenizers.Tokenizer`.

  Raises:
    InputError: the tokenizers library is missing, or the size is too small.
  """
  if vocab_size < SMALLEST:
    raise errors.InputError(
        f"--vocab_size={vocab_size}: must be {SMALLEST} or more, for 256 bytes,"
        f" {PAD} and {EOS}."
    )
  try:
    import tokenizers
  except ImportError as error:
    raise errors.InputError(
        "training a tokenizer needs the package: pip install tokenizers."
    ) from error
  tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
  byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
  tokenizer.pre_tokenizer = byte_level
  tokenizer.decoder = tokenizers.decoders.ByteLevel()
  trainer = tokenizers.trainers.BpeTrainer(
      vocab_size=vocab_size,
      special_tokens=[PAD, EOS],
      initial_alphabet=byte_level.alphabet(),
      show_progress=False,
  )
  tokenizer.train_from_iterator(texts, trainer)
  return tokenizer


def write(tokenizer: Any, directory: pathlib.Path) -> None:
  """Writes a trained tokenizer to a new directory, which `hf.read` reads."""
  names = {"eos_token": EOS, "pad_token": PAD}
  config = {
      "tokenizer_class": "PreTrainedTokenizerFast",
      "add_bos_token": False,
      "clean_up_tokenization_spaces": False,
      **names,
  }
  with artifacts.writing(directory) as partial:
    spec = tokenizer.to_str(pretty=True).encode()
    artifacts.write_bytes(partial / hf_files.TOKENIZER, spec)
    artifacts.write_json(partial / hf_files.CONFIG, config)
    artifacts.write_json(partial / hf_files.MAP, names)
