"""Jinja as Hugging Face's chat templates need it."""

from collections.abc import Callable, Mapping, Sequence
import re

from zsgen.core import errors
from zsgen.data import suite

WHERE = "config.data.template: the tokenizer's chat template"
# Bumped when templates with one of these words give other text than before.
VERSION = 1
_CHANGED = re.compile(r"tojson|strftime_now|{%[-+]?\s*generation|random|lipsum")
_OLDEST = (3, 1, 6)
# Characters of a template; those of known models have up to 30,000.
_LONGEST = 50_000
ELSE = "Take config.data.template='chat' or 'plain'."


def renderer(source: str, names: Mapping[str, str]) -> Callable[..., str]:
  """Compiles a template, to run in Jinja's sandbox.

  Args:
    source: the template.
    names: what it knows beside messages: bos_token and its like.

  Returns:
    A function of turns, and of `asking`: whether an answer is asked for.

  Raises:
    InputError: a broken template, or no Jinja; and by the function, turns that
      the template cannot show.
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
        f"{WHERE} has {len(source):,} characters, and {_LONGEST:,} are the"
        f" most. {ELSE}"
    )
  environment = template_environment.Environment()
  try:
    template = environment.from_string(source)
  # Sources nested too deep are not TemplateErrors.
  except Exception as error:
    raise errors.InputError(f"{WHERE} is broken: {error}. {ELSE}") from error

  def render(turns: Sequence[suite.Turn], asking: bool = False) -> str:
    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
    characters = sum(len(turn.text) for turn in turns)
    environment.work.start(len(source) + characters)
    try:
      return template.render(
          messages=messages,
          tools=None,
          documents=None,
          add_generation_prompt=asking,
          **names,
      )
    # Templates are programs of others: whatever they raise is bad input.
    except Exception as error:
      raise errors.InputError(
          f"{WHERE} cannot show turns of the roles"
          f" {', '.join(turn.role for turn in turns)}: {error}. {ELSE}"
      ) from error

  return render


def is_changed(source: str) -> bool:
  """Whether a template may give other text than by older versions of zsgen."""
  return _CHANGED.search(source) is not None


def _check_version(version: str) -> None:
  """Raises InputError for a Jinja whose sandbox has known holes."""
  numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
  if numbers < _OLDEST:
    raise errors.InputError(
        "config.data.template='tokenizer' needs Jinja 3.1.6 or newer, and this"
        f" is {version}: chat templates of others can leave the sandbox of"
        " older ones. Run `pip install --upgrade jinja2`."
    )
