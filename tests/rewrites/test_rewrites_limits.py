"""What rewrites cannot be is told with the numbers, before any is made."""

import pytest

from zsgen.core import config, errors
from zsgen.data import sources


def _check(values: dict, **data):
  """Loads the source of these options, as a config file sets them."""
  settings = config.defaults()
  settings.data.source = "rewrites"
  settings.data.update(data)
  settings.data.rewrites.update(values)
  checked = config.check(settings)
  return sources.load(checked.data, 0, None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"x_length": 51}, r"x_length is 51, longer than .* z_length=50"),
        (
            {"rules": 300, "x_length": 2, "letters": 16},
            r"rewrites\.rules: 300 .* about 192, .* x_length=2.*'pair'",
        ),
        (
            {"unseen": 200, "x_length": 2, "letters": 16, "rules": 10},
            r"rewrites\.unseen: 200 .* about 64, .*withheld=0\.25",
        ),
        (
            {
                "rules": 9000,
                "x_length": 2,
                "y_length": 1,
                "letters": 16,
                "distinct": "pair",
            },
            r"about 2,304, .* more letters\.$",
        ),
        (
            {"occurrences": (1, 5)},
            r"has 5, but 5 times x_length=20 is 100 .* z_length=50. At most 2",
        ),
        ({"heldout_occurrences": (3,)}, r"heldout_occurrences has 3, but 3"),
        ({"occurrences": ()}, "occurrences is empty"),
        (
            {"families": ("repeat",), "ks": (2, 3)},
            r"ks has 3, which does not divide x_length=20.*1, 2, 4, 5, 10, 20",
        ),
        (
            {"families": ("repeat",), "ks": (4,), "y_length": 6},
            r"ks has 4, which does not divide y_length=6.*1, 2, 3, 6",
        ),
        (
            {"families": ("mirror",), "ks": (2,), "heldout_ks": (7,)},
            r"heldout_ks has 7, which does not divide",
        ),
        ({"families": ("repeat",)}, "families is set, but no ks"),
        ({"ks": (2,)}, "ks is set, but no families"),
        ({"heldout_ks": (2,)}, "heldout_ks is set, but no heldout_families"),
        ({"families": ("repeats",), "ks": (2,)}, "must be one of: repeat"),
        ({"noop_share": 1.5}, r"noop_share is 1\.5; it must be .* at most 1"),
        ({"noop_share": -0.1}, r"noop_share is -0\.1; it must be at least 0"),
        ({"hard_share": 0.5}, "hard_share is 0.5, but noop_share is 0"),
        ({"subsample": 1.2}, r"subsample is 1\.2"),
        ({"subsample": 0.0}, "of 100,000 examples none is left"),
        ({"subsample_power_law": 0.5}, "but all examples are kept"),
        ({"rules": 101, "examples": 100}, r"examples is 100, .* 101 rules"),
        (
            {"rules": 80, "examples": 100, "subsample": 0.5},
            r"of which 50 are kept, but there are 80 rules",
        ),
        ({"letters": 8, "cipher": 16}, "cipher is 16, whole turns of 8"),
        ({"letters": 27}, "letters is 27; it must be .* at most 26"),
        ({"unseen": 0}, "unseen is 0; it must be at least 1"),
    ],
)
def test_bad_values(values, message):
  with pytest.raises(errors.InputError, match=message):
    _check(values)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"train_instances": 5}, "train_instances is 5: .* does not read it"),
        ({"heldout_instances": 9}, "heldout_instances is 9: .* not read it"),
        (
            {"tokenizer": "rewrites", "max_length": 144},
            "max_length is 144, but examples have 145 tokens",
        ),
        ({"path": "x"}, "path is not an option"),
        (
            {"source": "synth"},
            "config.data.rewrites is not an option",
        ),
    ],
)
def test_bad_options_of_data(data, message):
  with pytest.raises(errors.InputError, match=message):
    _check({"rules": 7}, **data)


def test_longest_examples_are_those_of_has_ops_or_no_ops():
  """Checks a shorter y: has-ops are shorter, and there may be no no-ops."""
  longest = {"tokenizer": "rewrites", "max_length": 5 + 20 + 10 + 50 + 40}
  values = {"y_length": 10, "rules": 2, "unseen": 1, "examples": 2}
  _check(values, **longest)
  with pytest.raises(errors.InputError, match="examples have 135 tokens"):
    _check({**values, "noop_share": 0.5}, **longest)
