"""Chat templates of others end soon, and take little memory.

None of these may be run without limits: most would take all memory.
"""

import model_templates
import pytest

from zsgen.core import errors
from zsgen.data import suite
from zsgen.data.prompts import jinja

pytest.importorskip("jinja2")

TALK = [suite.Turn("user", "hi there"), suite.Turn("assistant", "ok")]
_LOOP = "{% for i in range(100000) %}"
_END = "{% endfor %}"
_DOUBLED = (
    "{%% set ns = namespace(x=%s) %%}{%% for i in range(60) %%}"
    "{%% set ns.x = %s %%}{%% endfor %%}%s"
)
LONG = [
    "{{ 'a' * 10**8 }}",
    "{{ 10**8 * 'a' }}",
    "{{ ([1] * 1000) * 1000000 }}",
    "{{ 'a' | center(10**9) }}",
    "{% filter center(10**9) %}a{% endfilter %}",
    "{{ 'a'.center(10**9) }}",
    "{{ 'a'.ljust(10**9) }}",
    "{{ 'a'.rjust(10**9) }}",
    "{{ 'a'.zfill(10**9) }}",
    "{{ ('\t' * 1000).expandtabs(10**7) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (10**9, 1) }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '{:{w}}'.format(1, w=10**9) }}",
    "{{ '{x:1000000000}'.format_map({'x': 1}) }}",
    "{{ ('{0}' * 1000).format('b' * 900000) }}",
    "{{ ('%(a)s' * 1000) % {'a': 'b' * 900000} }}",
    "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
    "{{ ('a' * 100000) | replace('a', 'b' * 100000) }}",
    "{{ ('a' * 1000).replace('', 'b' * 100000) }}",
    "{{ ('b' * 100000).join('a' * 100000) }}",
    "{{ range(100000) | join('b' * 100000) }}",
    "{{ range(100000) | map('string') | join('b' * 100000) }}",
    "{{ ('a\n' * 1000) | indent(10**6) }}",
    "{{ ('a\n' * 100000) | indent('b' * 10000) }}",
    "{{ ('a b ' * 1000) | wordwrap(1, wrapstring='b' * 100000) }}",
    "{{ [1] | batch(10**9, 'x') | list }}",
    "{{ [1] | slice(10**9) | list }}",
    "{{ messages | tojson(indent=10**9) }}",
    "{{ ([1] * 10000) | tojson(separators=('x' * 100000, ':')) }}",
    "{{ (5).to_bytes(10**10, 'little') }}",
    "{{ ('a' * 10**5).translate({97: 'b' * 10**5}) }}",
    "{{ dict.fromkeys(range(100000), 'a' * 900000) }}",
    "{{ ('&' * 900000) | e | e | e }}",
    "{{ strftime_now('%Y' * 10**6) }}",
    _DOUBLED % ("'a'", "ns.x + ns.x", ""),
    _DOUBLED % ("'a'", "ns.x ~ ns.x", ""),
    _DOUBLED % ("'a'", "'%s%s' % (ns.x, ns.x)", ""),
    _DOUBLED % ("'a'", "[ns.x, ns.x] | join", ""),
    _DOUBLED % ("[1]", "[ns.x, ns.x]", "{{ ns.x | tojson }}"),
    _DOUBLED % ("(1,)", "(ns.x, ns.x)", "{% set d = {ns.x: 1} %}"),
    _DOUBLED % ("[1]", "ns.x * 2", ""),
]
STEPS = [
    f"{_LOOP}{_LOOP}{_END}{_END}",
    f"{_LOOP}{{% for j in range(100000) if false %}}{_END}{_END}",
    f"{_LOOP}{{% set x = range(100000) | list %}}{_END}",
    f"{_LOOP}{{% set x = range(100000) | sum %}}{_END}",
    "{% set s = 'a' * 900000 %}" + _LOOP + "{% set t = s[1:] %}" + _END,
    "{% set s = 'a' * 900000 %}"
    + _LOOP
    + "{% if 'b' in s %}{% endif %}"
    + _END,
    "{% set s = 'a' * 900000 %}" + _LOOP + "{% set t = s.upper() %}" + _END,
    "{% set s = 'a' * 900000 %}" + _LOOP + "{% set t = s | upper %}" + _END,
    "{% set s = 'a' * 900000 %}" + _LOOP + "{{ s }}" + _END,
    "{% set l = [1] * 80000 %}" + _LOOP + "{% set t = l == l %}" + _END,
    _LOOP + "x" * 40_000 + _END,
    "{% set y %}" + _LOOP + "x" * 40_000 + _END + "{% endset %}",
    "{% macro m() %}"
    + "x" * 40_000
    + "{% endmacro %}"
    + _LOOP
    + "{{ m() }}"
    + _END,
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}"
    "{% endmacro %}{{ m(40) }}",
    "{% for i in [1] * 30 recursive %}{% if loop.depth < 9 %}"
    "{{ loop([1] * 30) }}{% endif %}{% endfor %}",
    "{{ ('a.' * 400000) | urlize }}",
    "{{ range(100000) | map('center', 100000) | list | length }}",
    "{{ ([[1]] * 30000) | sum(start=[]) }}",
    "{% set ns = namespace(x=[]) %}"
    + _LOOP
    + "{% set ns.x = ns.x + [i] %}"
    + _END,
]
NUMBERS = [
    "{{ 2 ** 10000000000 }}",
    _DOUBLED % ("3", "ns.x * ns.x", ""),
    "{{ 1.5 | round(10**9) }}",
    "{{ ('f' * 900000) | int(base=16) }}",
]
DEEP_AND_LONG = [
    "{% set ns = namespace() %}{% set ns.a = [ns, ns] %}{{ ns | string }}",
    "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}",
    _LOOP.replace("100000", "10**9") + _END,
    "{{ " + "(" * 2000 + ")" * 2000 + " }}",
    "{{ a" + "[0]" * 5000 + " }}",
    "{% if 1 %}" * 3000,
    "x" * 60_000,
]


def _refused(source):
  with pytest.raises(errors.InputError) as caught:
    jinja.renderer(source, {"bos_token": "<s>"})(TALK)
  message = str(caught.value)
  assert "config.data.template: the tokenizer's chat template" in message
  assert len(message) < 600
  return message


@pytest.mark.parametrize("source", LONG)
def test_long_values(source):
  message = _refused(source)
  assert "it makes a text or a list of" in message or "more steps" in message


@pytest.mark.parametrize("source", STEPS)
def test_many_steps(source):
  assert "it takes more steps than a chat template may" in _refused(source)


@pytest.mark.parametrize("source", NUMBERS)
def test_large_numbers(source):
  assert "it makes a number of more than" in _refused(source)


@pytest.mark.parametrize("source", DEEP_AND_LONG)
def test_deep_and_long_sources(source):
  assert "\n" not in _refused(source)


@pytest.mark.parametrize("name", model_templates.MODELS)
def test_long_conversations_are_within_the_limits(name):
  """Renders 1,000 turns, and two of a million characters."""
  render = jinja.renderer(
      model_templates.MODELS[name], {"bos_token": "<s>", "eos_token": "</s>"}
  )
  turns = [
      suite.Turn(("user", "assistant")[i % 2], f"Turn {i}. " * 20)
      for i in range(1000)
  ]
  assert "Turn 999." in render(turns)
  long = [suite.Turn("user", "x " * 500_000), suite.Turn("assistant", "y")]
  assert len(render(long)) > 999_000
  # The limits are those of each rendering.
  assert render(turns) == render(turns)


def test_nested_loops_over_a_long_conversation_are_within_the_limits():
  source = (
      "{% for m in messages %}{% set ns = namespace(n=0) %}"
      "{% for o in messages[:loop.index0] %}{% if o.role == 'user' %}"
      "{% set ns.n = ns.n + 1 %}{% endif %}{% endfor %}{{ ns.n }},{% endfor %}"
  )
  talk = TALK * 100
  expected = "".join(f"{(i + 1) // 2}," for i in range(len(talk)))
  assert jinja.renderer(source, {})(talk) == expected
