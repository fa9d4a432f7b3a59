"""Inserts work counters into the syntax tree of a chat template.

Loops, macros and lists do not call the environment, so filters that count are
placed around or into them.
"""

from typing import Any

from jinja2 import nodes, visitor

# Filters that only `Counting` can write: these are no names in a template.
TICK, MEASURE, CONCAT = "<tick>", "<measure>", "<concat>"
CONTAINER, SLICE = "<container>", "<slice>"
_EQUAL, _SEARCHED = ("eq", "ne"), ("in", "notin")


class Counting(visitor.NodeTransformer):
  """Inserts filters that count into a template's tree."""

  def visit_For(self, node: nodes.For) -> nodes.Node:
    """Each iteration is a step, and so is each item that is passed over."""
    self._count(node)
    if node.test is not None:
      ticked = _filter(nodes.Const(True), TICK, nodes.Const(0))
      node.test = nodes.And(ticked, node.test)
    return node

  def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
    """Each call is a step."""
    return self._count(node)

  def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
    """Each call of the caller is a step."""
    return self._count(node)

  def visit_Block(self, node: nodes.Block) -> nodes.Node:
    """Blocks can be written again, by `self`."""
    return self._count(node)

  def _count(self, node: Any) -> nodes.Node:
    length = sum(len(each.data) for each in node.find_all(nodes.TemplateData))
    self.generic_visit(node)
    tick = _filter(nodes.Const(None), TICK, nodes.Const(length))
    node.body.insert(0, nodes.ExprStmt(tick, lineno=node.lineno))
    return node

  def visit_Output(self, node: nodes.Output) -> nodes.Node:
    """What is written is measured."""
    self.generic_visit(node)
    node.nodes = [
        each
        if isinstance(each, nodes.TemplateData | nodes.Const)
        else _filter(each, MEASURE)
        for each in node.nodes
    ]
    return node

  def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
    """Parts are measured before they are put together."""
    self.generic_visit(node)
    return _filter(nodes.List(node.nodes, lineno=node.lineno), CONCAT)

  def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
    """A slice is a copy."""
    self.generic_visit(node)
    return _filter(node, SLICE) if _is_slice(node) else node

  def visit_List(self, node: nodes.List) -> nodes.Node:
    """What is made of others is as long as all of them."""
    self.generic_visit(node)
    return node if _is_constant(node.items) else _filter(node, MEASURE)

  def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
    """As lists; names that are assigned to are none."""
    self.generic_visit(node)
    if node.ctx != "load" or _is_constant(node.items):
      return node
    return _filter(node, MEASURE)

  def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
    """As lists."""
    self.generic_visit(node)
    return _filter(node, MEASURE)

  def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
    """Comparing takes as long as what is compared."""
    self.generic_visit(node)
    operands = [node.expr, *(each.expr for each in node.ops)]
    if all(each.op in _EQUAL for each in node.ops) and any(
        isinstance(each, nodes.Const) for each in operands
    ):
      return node
    node.expr = _measured(node.expr, MEASURE)
    for each in node.ops:
      kind = CONTAINER if each.op in _SEARCHED else MEASURE
      each.expr = _measured(each.expr, kind)
    return node


def _measured(node: nodes.Expr, name: str) -> nodes.Expr:
  return node if isinstance(node, nodes.Const) else _filter(node, name)


def _filter(node: nodes.Expr, name: str, *args: nodes.Expr) -> nodes.Filter:
  line = node.lineno or 1
  return nodes.Filter(node, name, list(args), [], None, None, lineno=line)


def _is_slice(node: nodes.Getitem) -> bool:
  return isinstance(node.arg, nodes.Slice)


def _is_constant(items: list[nodes.Expr]) -> bool:
  return all(isinstance(each, nodes.Const) for each in items)
