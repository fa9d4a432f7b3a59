"""From examples to a store of tokens.

`sources` reads examples, `prompts` renders them as text, `tokenizers` encodes
them, and `store` reads what `prepare` or the jobs of `shards` have written.
"""
