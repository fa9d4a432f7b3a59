"""Decoders and encoders in Flax; the rest of the code sees pytrees.

`model` initializes and applies them, `hugging_face` and `gguf` read and write
their files, `generation` writes answers.
"""
