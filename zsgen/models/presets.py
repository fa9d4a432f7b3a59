"""Architectures with a name: `config.model.update(presets.TINY)`."""

# The embedded base, 0.9 million parameters: its weights are in zsgen/assets.
# Few wide heads: attention on a CPU is quicker for it.
TINY = {
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
