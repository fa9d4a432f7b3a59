"""config.json as publishers wrote it, older fields and all, is the preset."""

import json

import pytest

from zsgen.core import config
from zsgen.models import hugging_face, presets

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
# What each file says of the decoder, by the preset's name.
PUBLISHED = {
    "GPT2": dict(
        model_type="gpt2",
        activation_function="gelu_new",
        n_ctx=1024,
        n_embd=768,
        n_head=12,
        n_layer=12,
        n_positions=1024,
        vocab_size=50257,
    ),
    "LLAMA2_7B": dict(
        _LLAMA,
        intermediate_size=11008,
        num_key_value_heads=32,
        max_position_embeddings=4096,
        rope_scaling=None,
        vocab_size=32000,
    ),
    "LLAMA31_8B": dict(
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
    "MISTRAL_7B": dict(
        _LLAMA,
        model_type="mistral",
        intermediate_size=14336,
        num_key_value_heads=8,
        max_position_embeddings=32768,
        rope_theta=10000.0,
        sliding_window=4096,
        vocab_size=32000,
    ),
    "QWEN25_05B": dict(
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
    "QWEN3_06B": dict(
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
    "GEMMA2_2B": dict(
        _GEMMA,
        model_type="gemma2",
        hidden_act="gelu_pytorch_tanh",
        attn_logit_softcapping=50.0,
        final_logit_softcapping=30.0,
        max_position_embeddings=8192,
        hidden_size=2304,
        intermediate_size=9216,
        num_attention_heads=8,
        num_key_value_heads=4,
        sliding_window=4096,
        vocab_size=256000,
    ),
    "GEMMA3_1B": dict(
        _GEMMA,
        model_type="gemma3_text",
        attn_logit_softcapping=None,
        hidden_size=1152,
        intermediate_size=6912,
        num_attention_heads=4,
        num_key_value_heads=1,
        max_position_embeddings=32768,
        rope_local_base_freq=10000,
        rope_scaling=None,
        rope_theta=1000000,
        sliding_window=512,
        sliding_window_pattern=6,
        vocab_size=262144,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_config_is_the_preset(name, tmp_path):
  (tmp_path / "config.json").write_text(json.dumps(PUBLISHED[name]))
  expected = config.Model(**{"init": "new", **getattr(presets, name)})
  assert hugging_face.arch_of(tmp_path) == expected
