"""Files as publishers wrote them: the sizes that the models are known by."""

import json

import jax
import pytest

from zsgen.models import hugging_face
from zsgen.models import model as model_lib

pytest.importorskip("transformers", reason="the extra hf brings transformers")

_LLAMA = dict(
    model_type="llama",
    hidden_act="silu",
    num_hidden_layers=32,
    hidden_size=4096,
    num_attention_heads=32,
    rms_norm_eps=1e-5,
    tie_word_embeddings=False,
)
_QWEN = dict(
    hidden_act="silu",
    max_window_layers=28,
    rms_norm_eps=1e-6,
    rope_theta=1000000.0,
    tie_word_embeddings=True,
    use_sliding_window=False,
    vocab_size=151936,
)
_GEMMA = dict(
    hidden_activation="gelu_pytorch_tanh",
    num_hidden_layers=26,
    head_dim=256,
    query_pre_attn_scalar=256,
    rms_norm_eps=1e-6,
)
# What each file says, how many parameters that is, and some of what it means.
PUBLISHED = {
    "gpt2": (
        dict(
            model_type="gpt2",
            activation_function="gelu_new",
            n_ctx=1024,
            n_embd=768,
            n_head=12,
            n_layer=12,
            n_positions=1024,
            vocab_size=50257,
        ),
        124_439_808,
        dict(head_width=64, mlp_width=3072, activation="gelu_tanh", tied=True),
    ),
    "llama-2-7b": (
        dict(
            _LLAMA,
            intermediate_size=11008,
            num_key_value_heads=32,
            max_position_embeddings=4096,
            rope_scaling=None,
            vocab_size=32000,
        ),
        6_738_415_616,
        dict(head_width=128, rope_theta=10000.0, rope_scaling="none"),
    ),
    "llama-3.1-8b": (
        dict(
            _LLAMA,
            intermediate_size=14336,
            num_key_value_heads=8,
            max_position_embeddings=131072,
            mlp_bias=False,
            rope_scaling={
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
                "rope_type": "llama3",
            },
            rope_theta=500000.0,
            vocab_size=128256,
        ),
        8_030_261_248,
        dict(rope_theta=500000.0, rope_scaling="llama3", rope_original=8192),
    ),
    "mistral-7b-v0.1": (
        dict(
            _LLAMA,
            model_type="mistral",
            intermediate_size=14336,
            num_key_value_heads=8,
            max_position_embeddings=32768,
            rope_theta=10000.0,
            sliding_window=4096,
            vocab_size=32000,
        ),
        7_241_732_096,
        dict(pattern=("local",), window=4096),
    ),
    "qwen2.5-0.5b": (
        dict(
            _QWEN,
            model_type="qwen2",
            hidden_size=896,
            intermediate_size=4864,
            num_attention_heads=14,
            num_hidden_layers=24,
            num_key_value_heads=2,
            max_position_embeddings=32768,
            sliding_window=32768,
        ),
        494_032_768,
        dict(qkv_bias=True, out_bias=False, pattern=("global",), window=0),
    ),
    "qwen3-0.6b": (
        dict(
            _QWEN,
            model_type="qwen3",
            attention_bias=False,
            head_dim=128,
            hidden_size=1024,
            intermediate_size=3072,
            num_attention_heads=16,
            num_hidden_layers=28,
            num_key_value_heads=8,
            max_position_embeddings=40960,
            sliding_window=None,
        ),
        596_049_920,
        dict(qk_norm=True, head_width=128, rope_theta=1000000.0),
    ),
    "gemma-2-2b": (
        dict(
            _GEMMA,
            model_type="gemma2",
            hidden_act="gelu_pytorch_tanh",
            attn_logit_softcapping=50.0,
            final_logit_softcapping=30.0,
            hidden_size=2304,
            intermediate_size=9216,
            num_attention_heads=8,
            num_key_value_heads=4,
            sliding_window=4096,
            vocab_size=256000,
        ),
        2_614_341_888,
        dict(
            pattern=("local", "global"),
            window=4096,
            score_cap=50.0,
            logit_cap=30.0,
            query_width=0.0,
        ),
    ),
    "gemma-3-1b": (
        dict(
            _GEMMA,
            model_type="gemma3_text",
            attn_logit_softcapping=None,
            hidden_size=1152,
            intermediate_size=6912,
            num_attention_heads=4,
            num_key_value_heads=1,
            rope_local_base_freq=10000,
            rope_scaling=None,
            rope_theta=1000000,
            sliding_window=512,
            sliding_window_pattern=6,
            vocab_size=262144,
        ),
        999_885_952,
        dict(
            pattern=("local",) * 5 + ("global",),
            window=512,
            rope_theta=1000000.0,
            rope_local_theta=10000.0,
        ),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_config(name, tmp_path):
  said, parameters, fields = PUBLISHED[name]
  (tmp_path / "config.json").write_text(json.dumps(said))
  arch = hugging_face.arch_of(tmp_path)
  model = model_lib.Model.from_config(arch)
  shapes = jax.eval_shape(model.init, jax.random.key(0))
  assert model_lib.parameter_count(shapes) == parameters
  assert {field: getattr(arch, field) for field in fields} == fields
