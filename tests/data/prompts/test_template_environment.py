"""Templates give the text that transformers' environment gives."""

import model_templates
import pytest

from zsgen.core import errors
from zsgen.data import suite
from zsgen.data.prompts import jinja

jinja2 = pytest.importorskip("jinja2")

NAMES = {"bos_token": "<s>", "eos_token": "</s>"}
TALK = [
    ("user", 'Hi <b>"it\'s"</b> & é'),
    ("assistant", "<think>\nhm\n</think>\n\nHello\n"),
    ("user", " Bye 🙂"),
    ("assistant", "See you"),
]
TOOLS = [{"type": "function", "return": 1, "function": {"name": "f", "n": 1}}]


def _messages(talk=TALK):
  return [{"role": role, "content": content} for role, content in talk]


def _compile_reference(source):
  library = pytest.importorskip("transformers.utils.chat_template_utils")
  return library._compile_jinja_template(source)


def _compile(source):
  from zsgen.data.prompts import template_environment

  environment = template_environment.Environment()
  environment.work.start(10_000)
  return environment.from_string(source)


def _context(**variables):
  defaults = dict(tools=None, documents=None, add_generation_prompt=False)
  return {"messages": _messages(), **defaults, **NAMES, **variables}


@pytest.mark.parametrize("source", model_templates.CONSTRUCTS)
def test_constructs(source):
  context = _context()
  assert _compile(source).render(**context) == _compile_reference(
      source
  ).render(**context)


@pytest.mark.parametrize("tools", [None, TOOLS])
@pytest.mark.parametrize("add_generation_prompt", [False, True])
@pytest.mark.parametrize("system", [None, "Be brief."])
@pytest.mark.parametrize("name", model_templates.MODELS)
def test_templates_of_models(
    name, system, add_generation_prompt, tools, monkeypatch
):
  from zsgen.data.prompts import template_environment

  source = model_templates.MODELS[name]
  talk = TALK if system is None else [("system", system), *TALK]
  context = _context(
      messages=_messages(talk),
      add_generation_prompt=add_generation_prompt,
      tools=tools,
  )
  reference = _compile_reference(source)
  reference.environment.globals["strftime_now"] = (
      template_environment.DATE.strftime
  )
  actual = _compile(source).render(**context)
  assert actual == reference.render(**context)
  assert "See you" in actual
  if name == "llama_3":  # What it has where it knows no date.
    assert "Today Date: 26 Jul 2024" in actual


def test_environment_defines_all_that_transformers_does():
  actual, reference = (
      item("").environment for item in (_compile, _compile_reference)
  )
  assert set(reference.filters) <= set(actual.filters)
  assert set(reference.globals) <= set(actual.globals)
  assert set(reference.tests) <= set(actual.tests)
  for option in ("trim_blocks", "lstrip_blocks", "keep_trailing_newline"):
    assert getattr(reference, option) == getattr(actual, option)
  tags = {tag for item in reference.extensions.values() for tag in item.tags}
  assert tags <= {
      tag for item in actual.extensions.values() for tag in item.tags
  }


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('No') }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{% set ns = namespace(_x=1) %}",
        "{{ messages[0] + 1 }}",
        "{{ {1: messages[0].nothing} | tojson }}",
        "{% include 'x' %}",
        "{% do 1 %}",
    ],
)
def test_sources_that_transformers_refuses_are_refused(source):
  for compiled in (_compile_reference, _compile):
    with pytest.raises((jinja2.TemplateError, TypeError)):
      compiled(source).render(**_context())


@pytest.mark.parametrize(
    "source", ["{{ [1, 2] | random }}", "{{ lipsum(n=1) }}"]
)
def test_nondeterministic_templates_are_refused(source):
  with pytest.raises(errors.InputError, match="is random"):
    jinja.renderer(source, NAMES)([suite.Turn("user", "x")])


def test_the_date_is_fixed():
  render = jinja.renderer("{{ strftime_now('%Y-%m-%d %H:%M') }}", NAMES)
  assert render([]) == "2024-07-26 00:00"


def test_an_old_jinja_is_refused(monkeypatch):
  monkeypatch.setattr(jinja2, "__version__", "3.1.5")
  with pytest.raises(errors.InputError, match=r"3\.1\.6 or newer"):
    jinja.renderer("", NAMES)
  monkeypatch.setattr(jinja2, "__version__", "3.2.0.dev0")
  jinja.renderer("", NAMES)
