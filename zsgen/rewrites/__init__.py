"""A plug-in: the string-rewrite experiments of 2402.10891.

`config.plugins = ("zsgen.rewrites.evaluator",)` registers its evaluator;
`python -m zsgen.rewrites RUNS…` writes its report. No other layer imports it.
"""
