"""Inserts work counters into the syntax tree of a chat template.

Loops, macros and lists do not call the environment, so counting filters are put
around or into them.
"""

from typing import Any

from jinja2 import nodes, visitor

# Filters that only `Counting` can write: templates cannot have these names.
TICK, MEASURE, CONCAT = "<tick>", "<measure>", "<concat>"
CONTAINER, SLICE = "<container>", "<slice>"
_EQUAL, _SEARCHED = ("eq", "ne"), ("in", "notin")


class Counting(visitor.NodeTransformer):
  """Inserts counting filters into a template's tree."""

  def visit_For(self, node: nodes.For) -> nodes.Node:
    """Counts each iteration, and each item that is skipped, as a step."""
    self._count(node)
    if node.test is not None:
      ticked = _filter(nodes.Const(True), TICK, nodes.Const(0))
      node.test = nodes.And(ticked, node.test)
    return node

  def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
    """Counts each call as a step."""
    return self._count(node)

  def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
    """Counts each call of the caller as a step."""
    return self._count(node)

  def visit_Block(self, node: nodes.Block) -> nodes.Node:
    """Counts blocks, which `self` can render again."""
    return self._count(node)

  def _count(self, node: Any) -> nodes.Node:
    """Makes a node count the characters of its text when it is run."""
    length = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
    self.generic_visit(node)
    tick = _filter(nodes.Const(None), TICK, nodes.Const(length))
    node.body.insert(0, nodes.ExprStmt(tick, lineno=node.lineno))
    return node

  def visit_Output(self, node: nodes.Output) -> nodes.Node:
    """Measures the output."""
    self.generic_visit(node)
    node.nodes = [
        child
        if isinstance(child, nodes.TemplateData | nodes.Const)
        else _filter(child, MEASURE)
        for child in node.nodes
    ]
    return node

  def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
    """Measures parts before they are concatenated."""
    self.generic_visit(node)
    return _filter(nodes.List(node.nodes, lineno=node.lineno), CONCAT)

  def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
    """Counts a slice as a copy."""
    self.generic_visit(node)
    return _filter(node, SLICE) if _is_slice(node) else node

  def visit_List(self, node: nodes.List) -> nodes.Node:
    """Measures lists, which may have any length."""
    self.generic_visit(node)
    return node if _is_constant(node.items) else _filter(node, MEASURE)

  def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
    """Measures tuples, except for assignment targets."""
    self.generic_visit(node)
    if node.ctx != "load" or _is_constant(node.items):
      return node
    return _filter(node, MEASURE)

  def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
    """Measures dictionaries."""
    self.generic_visit(node)
    return _filter(node, MEASURE)

  def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
    """Measures operands, because comparing takes as long as they are."""
    self.generic_visit(node)
    operands = [node.expr, *(operand.expr for operand in node.ops)]
    if all(operand.op in _EQUAL for operand in node.ops) and any(
        isinstance(expression, nodes.Const) for expression in operands
    ):
      return node
    node.expr = _measured(node.expr, MEASURE)
    for operand in node.ops:
      kind = CONTAINER if operand.op in _SEARCHED else MEASURE
      operand.expr = _measured(operand.expr, kind)
    return node


def _measured(node: nodes.Expr, name: str) -> nodes.Expr:
  return node if isinstance(node, nodes.Const) else _filter(node, name)


def _filter(node: nodes.Expr, name: str, *args: nodes.Expr) -> nodes.Filter:
  line = node.lineno or 1
  return nodes.Filter(node, name, list(args), [], None, None, lineno=line)


def _is_slice(node: nodes.Getitem) -> bool:
  return isinstance(node.arg, nodes.Slice)


def _is_constant(items: list[nodes.Expr]) -> bool:
  return all(isinstance(item, nodes.Const) for item in items)
