"""Makes the adapters beside it, and the logits with them, by PEFT.

    python tests/models/adapters/make.py

Needs torch 2.13, transformers 5.23 and peft 0.21. Each case is a directory
that `save_pretrained` wrote for a base of tests/models/families, and
logits.npz: float32 logits [B, T, V] of the base's stored tokens, 0 at padding.
Both matrices are drawn large, so that the adapters matter.
"""

import pathlib
import zlib

import numpy as np
import peft
import torch
import transformers

DIRECTORY = pathlib.Path(__file__).parent
STD = 0.3
# Base and fields of each case.
CASES = {
    "llama2": dict(
        r=3,
        lora_alpha=5,
        target_modules=["q_proj", "v_proj", "o_proj", "down_proj", "lm_head"],
    ),
    "gemma2": dict(
        r=2, lora_alpha=2, target_modules="all-linear", lora_dropout=0.1
    ),
    "gpt2": dict(
        r=4,
        lora_alpha=3,
        use_rslora=True,
        fan_in_fan_out=True,
        target_modules=["c_attn", "mlp.c_proj"],
    ),
}


def make(case: str) -> None:
  """Writes one case."""
  base = DIRECTORY.parent / "families" / case
  model = transformers.AutoModelForCausalLM.from_pretrained(
      base, attn_implementation="eager", dtype=torch.float32
  )
  fields = peft.LoraConfig(task_type="CAUSAL_LM", **CASES[case])
  model = peft.get_peft_model(model, fields).eval()
  torch.manual_seed(zlib.crc32(case.encode()))
  with torch.no_grad():
    for name, parameter in sorted(model.named_parameters()):
      if "lora_" in name:
        parameter.normal_(0, STD)
  model.peft_config["default"].base_model_name_or_path = f"families/{case}"
  # PEFT would add the base's own head to an adapter of it.
  model.save_pretrained(DIRECTORY / case, save_embedding_layers=False)
  (DIRECTORY / case / "README.md").unlink()
  for path in (DIRECTORY / case).iterdir():
    path.chmod(0o644)
  np.savez_compressed(
      DIRECTORY / case / "logits.npz", logits=logits(model, base)
  )


def logits(model: torch.nn.Module, base: pathlib.Path) -> np.ndarray:
  """Returns the logits of the stored tokens of a base."""
  with np.load(base / "logits.npz") as stored:
    inputs = dict(
        input_ids=stored["tokens"],
        attention_mask=stored["mask"],
        position_ids=stored["positions"],
    )
  tensors = {name: torch.tensor(a).long() for name, a in inputs.items()}
  with torch.no_grad():
    actual = model(**tensors).logits.float().numpy()
  return actual * inputs["attention_mask"][..., None].astype(np.float32)


if __name__ == "__main__":
  for case_name in CASES:
    make(case_name)
