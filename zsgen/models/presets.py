"""Named architectures: `config.model.update(presets.LLAMA32_1B)`.

They are for new parameters. A Hugging Face directory has its own architecture
(`config.model.init="hf:…"`).
"""

from typing import Any

# The embedded base, 0.9 million parameters: its weights are in zsgen/assets.
# A few wide heads make attention faster on a CPU.
TINY: dict[str, Any] = {
    "vocab_size": 264,
    "layers": 4,
    "width": 128,
    "heads": 2,
    "kv_heads": 2,
    "head_width": 64,
    "mlp_width": 384,
    "gated": True,
    "activation": "silu",
    "norm": "rms",
    "norm_eps": 1e-6,
    "positions": "rotary",
    "rope_theta": 10000.0,
    "max_positions": 2048,
    "tied": True,
}

# GPT-2, 124 million parameters (Radford et al., 2019).
GPT2: dict[str, Any] = {
    "vocab_size": 50257,
    "layers": 12,
    "width": 768,
    "heads": 12,
    "kv_heads": 12,
    "head_width": 64,
    "mlp_width": 3072,
    "gated": False,
    "activation": "gelu_tanh",
    "qkv_bias": True,
    "out_bias": True,
    "mlp_bias": True,
    "norm": "layer",
    "norm_eps": 1e-5,
    "positions": "learned",
    "max_positions": 1024,
    "tied": True,
}

# Llama 2, 6.7 billion (2307.09288).
LLAMA2_7B: dict[str, Any] = {
    **TINY,
    "vocab_size": 32000,
    "layers": 32,
    "width": 4096,
    "heads": 32,
    "kv_heads": 32,
    "head_width": 128,
    "mlp_width": 11008,
    "norm_eps": 1e-5,
    "max_positions": 4096,
    "tied": False,
}

# Llama 3.1, 8.0 billion (2407.21783).
LLAMA31_8B: dict[str, Any] = {
    **LLAMA2_7B,
    "vocab_size": 128256,
    "kv_heads": 8,
    "mlp_width": 14336,
    "rope_theta": 500000.0,
    "rope_scaling": "llama3",
    "rope_factor": 8.0,
    "rope_low": 1.0,
    "rope_high": 4.0,
    "rope_original": 8192,
    "max_positions": 131072,
}

# Llama 3.2, 1.2 billion.
LLAMA32_1B: dict[str, Any] = {
    **LLAMA31_8B,
    "layers": 16,
    "width": 2048,
    "head_width": 64,
    "mlp_width": 8192,
    "rope_factor": 32.0,
    "tied": True,
}

# Mistral, 7.2 billion (2310.06825): a window in every block.
MISTRAL_7B: dict[str, Any] = {
    **LLAMA2_7B,
    "kv_heads": 8,
    "mlp_width": 14336,
    "pattern": ("local",),
    "window": 4096,
    "max_positions": 32768,
}

# Qwen 2.5 (2412.15115), 0.5 and 7.6 billion.
QWEN25_05B: dict[str, Any] = {
    **TINY,
    "vocab_size": 151936,
    "layers": 24,
    "width": 896,
    "heads": 14,
    "mlp_width": 4864,
    "qkv_bias": True,
    "rope_theta": 1000000.0,
    "max_positions": 32768,
}
QWEN25_7B: dict[str, Any] = {
    **QWEN25_05B,
    "vocab_size": 152064,
    "layers": 28,
    "width": 3584,
    "heads": 28,
    "kv_heads": 4,
    "head_width": 128,
    "mlp_width": 18944,
    "max_positions": 131072,
    "tied": False,
}

# Qwen 3 (2505.09388), 0.6 and 8.2 billion.
QWEN3_06B: dict[str, Any] = {
    **TINY,
    "vocab_size": 151936,
    "layers": 28,
    "width": 1024,
    "heads": 16,
    "kv_heads": 8,
    "head_width": 128,
    "mlp_width": 3072,
    "qk_norm": True,
    "rope_theta": 1000000.0,
    "max_positions": 40960,
}
QWEN3_8B: dict[str, Any] = {
    **QWEN3_06B,
    "layers": 36,
    "width": 4096,
    "heads": 32,
    "mlp_width": 12288,
    "tied": False,
}

# Gemma 2, 2.6 billion (2408.00118): a window in every other block.
GEMMA2_2B: dict[str, Any] = {
    **TINY,
    "vocab_size": 256000,
    "layers": 26,
    "width": 2304,
    "heads": 8,
    "kv_heads": 4,
    "head_width": 256,
    "mlp_width": 9216,
    "activation": "gelu_tanh",
    "norm_plus_one": True,
    "post_norms": True,
    "pattern": ("local", "global"),
    "window": 4096,
    "score_cap": 50.0,
    "logit_cap": 30.0,
    "max_positions": 8192,
    "embedding_scaled": True,
}

# Gemma 3, 1.0 billion (2503.19786): five blocks with a window, one without.
GEMMA3_1B: dict[str, Any] = {
    **GEMMA2_2B,
    "vocab_size": 262144,
    "width": 1152,
    "heads": 4,
    "kv_heads": 1,
    "mlp_width": 6912,
    "qk_norm": True,
    "pattern": ("local",) * 5 + ("global",),
    "window": 512,
    "score_cap": 0.0,
    "logit_cap": 0.0,
    "rope_theta": 1000000.0,
    "rope_local_theta": 10000.0,
    "max_positions": 32768,
}
