"""Renders Jinja like Hugging Face's chat templates need it."""

from collections.abc import Callable, Mapping, Sequence
import re

from zsgen.core import errors
from zsgen.data import suite

SOURCE = "config.data.template: the tokenizer's chat template"
# Incremented when templates with one of these words render differently.
VERSION = 1
_CHANGED = re.compile(r"tojson|strftime_now|{%[-+]?\s*generation|random|lipsum")
_OLDEST = (3, 1, 6)
# Largest number of characters; templates of known models have up to 30,000.
_LONGEST = 50_000
ADVICE = "Use config.data.template='chat' or 'plain'."


def renderer(source: str, names: Mapping[str, str]) -> Callable[..., str]:
  """Compiles a template that runs in Jinja's sandbox.

  Args:
    source: the template.
    names: its variables besides messages, such as bos_token.

  Returns:
    A function of turns and of `add_prompt`, which is `add_generation_prompt`.

  Raises:
    InputError: the template is broken or Jinja is missing; the function raises
      it if the template cannot render the turns.
  """
  try:
    import jinja2
  except ImportError as error:
    raise errors.InputError(
        "config.data.template='tokenizer' needs Jinja. Run `pip install"
        " jinja2`."
    ) from error
  _check_version(jinja2.__version__)
  from zsgen.data.prompts import template_environment

  if len(source) > _LONGEST:
    raise errors.InputError(
        f"{SOURCE} has {len(source):,} characters, more than"
        f" {_LONGEST:,}. {ADVICE}"
    )
  environment = template_environment.Environment()
  try:
    template = environment.from_string(source)
  # Sources that are nested too deeply do not raise TemplateErrors.
  except Exception as error:
    raise errors.InputError(f"{SOURCE} is broken: {error}. {ADVICE}") from error

  def render(turns: Sequence[suite.Turn], add_prompt: bool = False) -> str:
    """Renders turns as text."""
    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
    characters = sum(len(turn.text) for turn in turns)
    environment.work.start(len(source) + characters)
    try:
      return template.render(
          messages=messages,
          tools=None,
          documents=None,
          add_generation_prompt=add_prompt,
          **names,
      )
    # Templates are untrusted programs: all their errors are bad input.
    except Exception as error:
      raise errors.InputError(
          f"{SOURCE} cannot render turns of the roles"
          f" {', '.join(turn.role for turn in turns)}: {error}. {ADVICE}"
      ) from error

  return render


def is_changed(source: str) -> bool:
  """Returns whether a template may render differently than in older versions."""
  return _CHANGED.search(source) is not None


def _check_version(version: str) -> None:
  """Raises InputError for a Jinja whose sandbox has known holes."""
  numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
  if numbers < _OLDEST:
    raise errors.InputError(
        "config.data.template='tokenizer' needs Jinja 3.1.6 or newer, but this"
        f" is {version}: untrusted chat templates can escape from the sandbox of"
        " older versions. Run `pip install --upgrade jinja2`."
    )
