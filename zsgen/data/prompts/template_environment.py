"""The environment of chat templates: transformers', in a sandbox with limits.

Templates can use the same functions, and give the same text, as in
`transformers.utils.chat_template_utils` (a test compares them), except for what
differs between runs: `strftime_now` has a fixed date, and `random` and `lipsum`
are refused. Jinja's own sandbox only limits `range`; this environment counts
every iteration, call, filter, operator and list (`template_work`), and bounds
results before they are created (`template_growth`).
"""

from collections.abc import Callable
import datetime
import functools
import json
from typing import Any

import jinja2
from jinja2 import ext, nodes, sandbox, utils

from zsgen.data.prompts import template_counting, template_growth
from zsgen.data.prompts.template_work import (
    CALL,
    FILTER,
    ITERATORS,
    MACRO,
    STEP,
    Work,
)

# The date of `strftime_now`, so that tokens do not depend on the day: the
# default of Llama 3's templates.
DATE = datetime.datetime(2024, 7, 26)
# Filters and tests whose time does not depend on the length of values.
_AT_ONCE = frozenset(
    "attr count d default first items last length boolean callable defined"
    " divisibleby escaped even false filter integer iterable mapping none"
    " number odd sameas sequence test true undefined".split()
)
_OPERATORS = frozenset(sandbox.SandboxedEnvironment.default_binop_table)


class Generation(ext.Extension):
  """`{% generation %}` marks answers for other programs; here it does nothing."""

  tags = {"generation"}

  def parse(self, parser):
    """Returns the node that renders the block between the two tags."""
    line = next(parser.stream).lineno
    body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
    # As in transformers, variables that are set inside are local.
    call = self.call_method("_support")
    return nodes.CallBlock(call, [], [], body).set_lineno(line)

  def _support(self, caller: Callable[[], str]) -> str:
    return caller()


class Namespace(utils.Namespace):
  """Jinja's `namespace` without names that begin with an underscore."""

  def __init__(*args, **kwargs):  # Allows `namespace(self=…)`.
    self, args = args[0], args[1:]
    attributes = dict(*args, **kwargs)
    for name in attributes:
      _check_name(name)
    utils.Namespace.__init__(self, attributes)

  def __setitem__(self, name: str, value: Any) -> None:
    _check_name(name)
    utils.Namespace.__setitem__(self, name, value)


def _check_name(name: Any) -> None:
  """Raises SecurityError for a name that begins with an underscore."""
  if isinstance(name, str) and name.startswith("_"):
    raise jinja2.exceptions.SecurityError(
        f"a namespace cannot have {name!r}, which begins with an underscore"
    )


class MakeDict:
  """`dict` for templates, without access to the class."""

  def __call__(self, *args: Any, **kwargs: Any) -> dict:
    """Returns `dict(...)`."""
    return dict(*args, **kwargs)

  def fromkeys(self, *args: Any, **kwargs: Any) -> dict:
    """Calls `dict.fromkeys`."""
    return dict.fromkeys(*args, **kwargs)


def raise_exception(message: str) -> None:
  """Lets a template refuse a conversation."""
  raise jinja2.exceptions.TemplateError(message)


def strftime_now(format: str) -> str:
  """Formats `DATE`."""
  return DATE.strftime(format)


def tojson(
    x: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
  """Returns JSON without escapes; Jinja's own filter escapes it for HTML."""
  return json.dumps(
      x,
      ensure_ascii=ensure_ascii,
      indent=indent,
      separators=separators,
      sort_keys=sort_keys,
  )


def _refuse(name: str) -> Callable[..., None]:
  """Returns a function that raises SecurityError, for random filters."""

  def refused(*args: Any, **kwargs: Any) -> None:
    """Raises SecurityError, whatever the arguments are."""
    raise jinja2.exceptions.SecurityError(
        f"{name} is random, so tokens would differ between runs"
    )

  return refused


class Environment(sandbox.ImmutableSandboxedEnvironment):
  """Compiles templates that count their work.

  Attributes:
    work: the remaining work of a rendering; call `work.start` before each one.
  """

  intercepted_binops = _OPERATORS

  def __init__(self):
    super().__init__(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[Generation, ext.loopcontrols],
        # The compiler must not run parts of a template uncounted.
        optimized=False,
    )
    self.work = Work()
    self.filters |= {"tojson": tojson, "random": _refuse("the filter random")}
    self.globals |= {
        "raise_exception": raise_exception,
        "strftime_now": strftime_now,
        "dict": MakeDict(),
        "namespace": Namespace,
        "lipsum": _refuse("lipsum"),
    }
    for table in (self.filters, self.tests):
      for name, function in table.items():
        table[name] = self._limited(name, function)
    self.filters |= {
        template_counting.TICK: self._tick,
        template_counting.MEASURE: self._measure,
        template_counting.CONTAINER: self._container,
        template_counting.SLICE: self._slice,
        template_counting.CONCAT: self._concat,
    }

  def call_binop(
      self, context: Any, operator: str, left: Any, right: Any
  ) -> Any:
    """Applies an operator, unless the result is too large."""
    if operator == "+" and type(left) is str and type(right) is str:
      self.work.take(len(left) + len(right))
      return left + right
    template_growth.check_operator(self.work, operator, left, right)
    return self.binop_table[operator](left, right)

  def getitem(self, obj: Any, argument: Any) -> Any:
    """Looks up an item; a tuple as key is measured."""
    if isinstance(argument, tuple):
      self.work.measure(argument)
    return super().getitem(obj, argument)

  def call(__self, __context, __obj, *args, **kwargs):
    """Calls a function or a method; the argument names are Jinja's."""
    work = __self.work
    if isinstance(__obj, jinja2.runtime.Macro):
      work.spend(MACRO)
      return super().call(__context, __obj, *args, **kwargs)
    work.spend(CALL)
    method = getattr(__obj, "__wrapped__", __obj)  # `str.format` is wrapped.
    owner = getattr(method, "__self__", None)
    # Iterators must be read to be measured.
    args = tuple(
        list(work.count(arg)) if isinstance(arg, ITERATORS) else arg
        for arg in args
    )
    values = (*args, *kwargs.values())
    for value in values if isinstance(owner, dict) else (owner, *values):
      work.measure(value)
    if isinstance(owner, str | bytes | int):
      growth = template_growth.METHODS.get(method.__name__)
      if growth:
        work.check(growth(work, owner, *values))
    result = super().call(__context, __obj, *args, **kwargs)
    work.measure(result)
    return result

  def _limited(
      self, name: str, function: Callable[..., Any]
  ) -> Callable[..., Any]:
    """Wraps a filter or a test so that it counts its work."""
    first = 1 if getattr(function, "jinja_pass_arg", None) else 0
    growth = template_growth.FILTERS.get(name)
    slow = template_growth.SLOW.get(name, 0)
    at_once, last = name in _AT_ONCE, first + 1
    simple = not growth and not slow
    work = self.work

    @functools.wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
      """Calls the function and charges its work."""
      work.spend(FILTER)
      if at_once:
        return function(*args, **kwargs)
      if simple and len(args) == last and type(args[-1]) is str and not kwargs:
        work.take(len(args[-1]))
        result = function(*args)
        work.measure(result)
        return result
      values = [
          list(work.count(arg))
          if growth and isinstance(arg, ITERATORS)
          else work.counted(arg)
          for arg in args[first:]
      ]
      measured = sum(map(work.measure, (*values, *kwargs.values())))
      work.spend(slow * measured)
      if growth:
        work.check(growth(work, *values, *kwargs.values()))
      result = function(*args[:first], *values, **kwargs)
      work.measure(result)
      return result

    return limited

  def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> Any:
    template_counting.Counting().visit(source)
    source.set_environment(self)
    return super()._generate(source, *args, **kwargs)

  @jinja2.pass_context  # Keeps the compiler from running it.
  def _tick(self, context: Any, value: Any, length: int) -> Any:
    """Counts a step that writes this number of characters of the template."""
    self.work.spend(STEP + length)
    return value

  @jinja2.pass_context
  def _measure(self, context: Any, value: Any) -> Any:
    """Counts the work of a value that is written; returns it."""
    if type(value) is str:
      self.work.take(len(value))
    else:
      self.work.measure(value)
    return value

  @jinja2.pass_context
  def _container(self, context: Any, value: Any) -> Any:
    """Measures a container, but not a mapping, which is not searched."""
    return value if isinstance(value, dict) else self._measure(context, value)

  @jinja2.pass_context
  def _slice(self, context: Any, value: Any) -> Any:
    """Counts the items of a slice, which are not copied."""
    self.work.spend(len(value) if hasattr(value, "__len__") else 0)
    return value

  @jinja2.pass_context
  def _concat(self, context: Any, parts: list[Any]) -> str:
    self.work.check(self.work.measure(parts))
    return "".join(map(str, parts))
