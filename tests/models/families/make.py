"""Makes the tiny models beside it, and their logits, by transformers.

    python tests/models/families/make.py [CASE …]

Needs torch 2.13 and transformers 5.23. Each case is a directory that
`save_pretrained` wrote, and logits.npz: tokens, mask and positions [B, T], and
float32 logits [B, T, V], 0 at padding. Parameters are drawn large, those of
norms and biases too, so that no term of a model vanishes.
"""

from collections.abc import Mapping
import pathlib
import shutil
import sys
import zlib

import numpy as np
import torch
import transformers

DIRECTORY = pathlib.Path(__file__).parent
LENGTHS = (20, 13, 7)
STD = 0.3
_SIZES = dict(
    vocab_size=48,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)
_GEMMA = dict(
    hidden_activation="gelu_pytorch_tanh",
    head_dim=8,
    query_pre_attn_scalar=6,
    sliding_window=5,
    num_key_value_heads=1,
    intermediate_size=16,
)
_LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=500000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
_YARN = dict(
    rope_type="yarn",
    rope_theta=10000.0,
    factor=4.0,
    original_max_position_embeddings=1024,
)
# model_type and fields of each case; sizes are those above.
CASES = {
    "gpt2": (
        "gpt2",
        dict(
            vocab_size=48,
            n_embd=16,
            n_layer=2,
            n_head=2,
            n_positions=32,
            bos_token_id=1,
            eos_token_id=2,
        ),
    ),
    "llama2": ("llama", dict(tie_word_embeddings=False)),
    "llama3": (
        "llama",
        dict(
            tie_word_embeddings=True,
            head_dim=16,
            max_position_embeddings=512,
            rope_parameters=_LLAMA3,
        ),
    ),
    "llama3_long": (
        "llama",
        dict(
            tie_word_embeddings=True,
            head_dim=16,
            max_position_embeddings=131072,
            rope_parameters={
                **_LLAMA3,
                "original_max_position_embeddings": 8192,
            },
        ),
    ),
    "llama_biases": ("llama", dict(attention_bias=True, mlp_bias=True)),
    "llama_linear": (
        "llama",
        dict(
            max_position_embeddings=256,
            rope_parameters=dict(
                rope_type="linear", rope_theta=10000.0, factor=4.0
            ),
        ),
    ),
    "llama_bf16": ("llama", dict(dtype="bfloat16")),
    "mistral": ("mistral", dict(sliding_window=5)),
    "qwen2": ("qwen2", dict(tie_word_embeddings=True)),
    "qwen2_window": (
        "qwen2",
        dict(
            use_sliding_window=True,
            sliding_window=5,
            max_window_layers=1,
            num_hidden_layers=3,
        ),
    ),
    "qwen3": ("qwen3", dict(head_dim=8, tie_word_embeddings=True)),
    "qwen3_yarn": (
        "qwen3",
        dict(head_dim=16, max_position_embeddings=4096, rope_parameters=_YARN),
    ),
    "gemma2": (
        "gemma2",
        dict(
            _GEMMA,
            num_hidden_layers=3,
            attn_logit_softcapping=2.0,
            final_logit_softcapping=5.0,
        ),
    ),
    "gemma3": (
        "gemma3_text",
        dict(
            _GEMMA,
            num_hidden_layers=8,
            head_dim=4,
            intermediate_size=8,
            max_position_embeddings=256,
            rope_parameters=dict(
                full_attention=dict(
                    rope_type="linear", rope_theta=1000000.0, factor=8.0
                ),
                sliding_attention=dict(rope_type="default", rope_theta=10000.0),
            ),
        ),
    ),
}
# Written as several files.
SHARDED = ("mistral",)


def model_of(case: str) -> torch.nn.Module:
  """Returns the model of a case; its parameters follow from its name."""
  kind, fields = CASES[case]
  fields = dict(fields if kind == "gpt2" else {**_SIZES, **fields})
  dtype = fields.pop("dtype", "float32")
  config = transformers.AutoConfig.for_model(kind, **fields)
  model = transformers.AutoModelForCausalLM.from_config(
      config, attn_implementation="eager"
  )
  generator = torch.Generator().manual_seed(zlib.crc32(case.encode()))
  for name, parameter in model.named_parameters():
    sample = STD * torch.randn(parameter.shape, generator=generator)
    if "norm" in name or ".ln_" in name:
      sample += parameter.data  # Around what it is when new.
    parameter.data = sample.to(getattr(torch, dtype))
  return model.eval()


def inputs_of(case: str, model: torch.nn.Module) -> dict[str, np.ndarray]:
  """Returns right-padded rows; positions are far apart if there are many."""
  rng = np.random.default_rng(zlib.crc32(case.encode()))
  shape = (len(LENGTHS), max(LENGTHS))
  mask = (np.arange(shape[1]) < np.array(LENGTHS)[:, None]).astype(np.int32)
  last = model.config.max_position_embeddings
  positions = np.tile(np.arange(shape[1]), (shape[0], 1))
  if last > _SIZES["max_position_embeddings"]:
    for row, length in enumerate(LENGTHS):
      sampled = np.sort(rng.choice(last, length, replace=False))
      positions[row, :length] = [*sampled[:-1], last - 1]
  tokens = rng.integers(0, model.config.vocab_size, shape)
  return dict(
      tokens=(tokens * mask).astype(np.int32),
      mask=mask,
      positions=(positions * mask).astype(np.int32),
  )


def logits_of(
    model: torch.nn.Module, inputs: Mapping[str, np.ndarray]
) -> np.ndarray:
  """Returns float32 logits [B, T, V], 0 at padding."""
  with torch.no_grad():
    logits = model(
        input_ids=torch.tensor(inputs["tokens"], dtype=torch.long),
        attention_mask=torch.tensor(inputs["mask"], dtype=torch.long),
        position_ids=torch.tensor(inputs["positions"], dtype=torch.long),
        use_cache=False,
    ).logits
  return logits.numpy() * inputs["mask"][..., None].astype(np.float32)


def make(case: str) -> None:
  """Writes the directory of a case."""
  transformers.utils.logging.disable_progress_bar()
  directory = DIRECTORY / case
  shutil.rmtree(directory, ignore_errors=True)
  model = model_of(case)
  shard = "12KB" if case in SHARDED else "1GB"
  model.save_pretrained(directory, max_shard_size=shard)
  (directory / "generation_config.json").unlink()
  for path in directory.iterdir():
    path.chmod(0o644)
  inputs = inputs_of(case, model)
  logits = logits_of(model.float(), inputs)
  np.savez_compressed(directory / "logits.npz", **inputs, logits=logits)
  print(f"{case}: logits up to {np.abs(logits).max():.3g}")


if __name__ == "__main__":
  for case_name in sys.argv[1:] or CASES:
    make(case_name)
