"""Jinja as Hugging Face's chat templates need it."""

from collections.abc import Callable, Mapping, Sequence

from zsgen import errors
from zsgen.data import suite

WHERE = "config.data.template: the tokenizer's chat template"
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
  environment = _environment()
  try:
    template = environment.from_string(source)
  # Sources nested too deep are not TemplateErrors.
  except Exception as error:
    raise errors.InputError(f"{WHERE} is broken: {error}. {ELSE}") from error

  def render(turns: Sequence[suite.Turn], asking: bool = False) -> str:
    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
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


def _environment():
  """A sandbox with the settings and words that templates count on."""
  try:
    import jinja2
    from jinja2 import ext, sandbox
  except ImportError as error:
    raise errors.InputError(
        "config.data.template='tokenizer' needs Jinja. Run `pip install"
        " jinja2`."
    ) from error

  class Generation(ext.Extension):
    """`{% generation %}` marks answers for others; here it does nothing."""

    tags = frozenset({"generation"})

    def parse(self, parser):
      next(parser.stream)
      return parser.parse_statements(("name:endgeneration",), drop_needle=True)

  def raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)

  environment = sandbox.ImmutableSandboxedEnvironment(
      trim_blocks=True,
      lstrip_blocks=True,
      extensions=[Generation, "jinja2.ext.loopcontrols"],
  )
  environment.globals["raise_exception"] = raise_exception
  return environment
