"""The reference semantics, by the papers' own examples."""

import itertools

import pytest

from zsgen.rewrites.source import markov

# A string, then the string backward (2410.04717, appendix A); for three
# letters of the alphabet. A and B stand for the paper's alpha and beta.
_LETTERS = "abc"
_MIRROR = [
    *(markov.Rule(f"A{x}", f"{x}AB{x}") for x in _LETTERS),
    *(
        markov.Rule(f"B{x}{y}", f"{y}B{x}")
        for x, y in itertools.product(_LETTERS, repeat=2)
    ),
    *(markov.Rule(f"AB{x}", f"{x}A") for x in _LETTERS),
    markov.Rule("A", "", stop=True),
    markov.Rule("", "A"),
]


@pytest.mark.parametrize("text", ["a", "ab", "aab", "abab", "abb", "cab"])
def test_the_papers_algorithm_adds_the_reverse(text):
  *_, last = markov.steps(text, _MIRROR)
  assert last == text + text[::-1]


def test_steps_of_an_algorithm():
  assert len(list(markov.steps("abb", _MIRROR))) == 11
  assert list(itertools.islice(markov.steps("ab", _MIRROR), 2)) == [
      "Aab",
      "aABab",
  ]


@pytest.mark.parametrize(
    ("left", "right", "text", "expected"),
    [
        ("aa", "bac", "caaba", "cbacba"),
        ("iss", "art", "mississippi", "martissippi"),
        ("iss", "art", "canada", "canada"),
        ("ss", "tr", "mississipi", "mitrissipi"),
        ("ab", "X", "abab", "Xab"),
        ("aa", "b", "aaa", "ba"),
    ],
)
def test_one_rewrite(left, right, text, expected):
  assert markov.rewrite(left, right, text) == expected


def test_rules_apply_in_their_order_and_at_the_leftmost_position():
  rules = [markov.Rule("b", "1"), markov.Rule("a", "2")]
  assert list(markov.steps("aba", rules)) == ["a1a", "21a", "212"]


def test_an_algorithm_ends_where_no_rule_occurs_or_one_stops_it():
  assert list(markov.steps("ccc", [markov.Rule("a", "b")])) == []
  stops = [markov.Rule("a", "aa", stop=True)]
  assert list(markov.steps("a", stops)) == ["aa"]
  grows = [markov.Rule("a", "aa")]
  assert list(itertools.islice(markov.steps("a", grows), 3))[-1] == "aaaa"
