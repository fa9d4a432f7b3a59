"""Tokenizers of Hugging Face's kind with chat templates, made in a moment."""

import dataclasses

import numpy as np
import pytest

tokenizers = pytest.importorskip("tokenizers")

CHATML = """
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif -%}
"""
# BOS in the text, texts stripped, two special tokens about a role.
HEADERS = """{{ bos_token }}{% for message in messages %}
<|head|>{{ message['role'] }}<|/head|>

{{ message['content'] | trim }}<|eot|>
{%- endfor %}
{%- if add_generation_prompt %}
<|head|>assistant<|/head|>

{% endif %}"""
# The system turn inside the first user turn, BOS and EOS of each exchange.
INST = """{% if messages[0].role == 'system' %}
{% set system = '<<SYS>> ' + messages[0].content + ' <</SYS>> ' %}
{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}
{% for message in messages %}
{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Roles must alternate') }}{% endif %}
{% if message.role == 'user' %}
{{ bos_token + '[INST] ' + (system if loop.first else '') }}
{{- message.content.strip() + ' [/INST]' }}
{%- else %}
{{ ' ' + message.content.strip() + ' ' + eos_token }}
{%- endif %}{% endfor %}"""
# No special token at all.
BARE = """{% for message in messages %}## {{ message.role }}
{{ message.content }}
{% endfor %}{% if add_generation_prompt %}## assistant
{% endif %}"""

TEXT = [
    "Name the capital of the country. Which of these is an animal, a fish?",
    "Output: yes, no. The answer is in the passage; say it in one word.",
    "<|im_start|>user assistant system User: Assistant: Input:",
]


@dataclasses.dataclass
class Chatty:
  """What prompts ask of a tokenizer, by the tokenizers library."""

  library: "tokenizers.Tokenizer"
  special_tokens: dict[str, str]
  chat_template: str | None = None
  continued = None
  lost = None
  has_bos: bool = True

  def __post_init__(self):
    added = self.library.get_added_tokens_decoder().items()
    self.special_ids = {token.content: i for i, token in added if token.special}
    ids = {
        name: self.special_ids[token]
        for name, token in self.special_tokens.items()
    }
    self.eos_id = ids["eos_token"]
    self.pad_id = ids.get("pad_token", self.eos_id)
    self.bos_id = ids["bos_token"] if self.has_bos else None
    self.vocab_size = self.library.get_vocab_size()

  def encode_batch(self, texts):
    return self._encode(texts, special=False)

  def encode_special(self, texts):
    return self._encode(texts, special=True)

  def _encode(self, texts, special):
    self.library.encode_special_tokens = not special
    encodings = self.library.encode_batch(list(texts), add_special_tokens=False)
    return [np.array(encoding.ids, np.uint32) for encoding in encodings]

  def decode(self, ids):
    return self.library.decode(list(map(int, ids)), skip_special_tokens=True)


def byte_level(
    chat_template=CHATML,
    special=("<|end|>", "<|im_start|>", "<|im_end|>"),
    eos="<|im_end|>",
    bos=None,
):
  """Returns a tokenizer of bytes with merges, as GPT-2; BOS only if named."""
  library = tokenizers.Tokenizer(tokenizers.models.BPE())
  library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
      add_prefix_space=False
  )
  library.decoder = tokenizers.decoders.ByteLevel()
  _train(library, tokenizers.pre_tokenizers.ByteLevel.alphabet(), special)
  names = {"eos_token": eos} | ({"bos_token": bos} if bos else {})
  return Chatty(library, names, chat_template, has_bos=bool(bos))


def metaspace(chat_template=None, texts=TEXT):
  """Returns one that marks spaces, as Llama 2: BOS <s>, EOS </s>."""
  library = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
  library.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
  library.decoder = tokenizers.decoders.Metaspace()
  alphabet = sorted(set("".join(texts)) | {"▁"})
  _train(library, alphabet, ("<unk>", "<s>", "</s>"))
  return Chatty(
      library,
      {"bos_token": "<s>", "eos_token": "</s>"},
      chat_template,
  )


def unigram(chat_template=None):
  """Returns one of scored pieces of normalized text, as T5; it has </s>."""
  pieces = [
      ("<unk>", 0.0),
      ("</s>", 0.0),
      *((piece, -3.0) for piece in "▁yes/"),
  ]
  library = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, 0))
  library.normalizer = tokenizers.normalizers.NFKC()
  library.add_special_tokens(["<unk>", "</s>"])
  names = {"eos_token": "</s>", "unk_token": "<unk>"}
  return Chatty(library, names, chat_template, has_bos=False)


def _train(library, alphabet, special):
  trainer = tokenizers.trainers.BpeTrainer(
      vocab_size=len(alphabet) + len(special) + 80,
      initial_alphabet=alphabet,
      special_tokens=list(special),
      show_progress=False,
  )
  library.train_from_iterator(TEXT, trainer)
