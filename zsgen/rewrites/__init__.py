"""A plug-in: the string-rewrite experiments of 2402.10891.

Configs set `config.plugins = zsgen.rewrites.PLUGINS`, which registers its
source, tokenizer and evaluator; `python -m zsgen.rewrites RUNS…` writes its
report. No other layer imports it.
"""

# Three modules, so that the names of artifacts hash only what makes them.
PLUGINS = (
    "zsgen.rewrites.source",
    "zsgen.rewrites.tokenizer",
    "zsgen.rewrites.evaluator",
)
