"""Formulas: small expressions over facts, such as `price.price.last / position.stop_loss - 1`.

They have + - * / and abs, parentheses, at most 200 characters and 8 operators, and the literals 1, 2 and 100 only. A
formula that breaks a rule on operators or literals is parsed, but yields None, because it could support any number.
The same holds for one from which a fact cancels out (x - x, x / x): it has no value.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import NamedTuple

from llmctx.context import paths
from llmctx.context.amount import LITERAL, RATIO, Amount, plain_unit, unit_of
from llmctx.context.facts import Fact
from llmctx.numerals import CONTEXT
from llmctx.schema.values import OF_NOTIONAL

MAX_CHARS = 200
MAX_OPERATORS = 8
MAX_DEPTH = 10
LAUNDERS = "supports any number"

_OPERATORS = {"+": CONTEXT.add, "-": CONTEXT.subtract, "*": CONTEXT.multiply, "/": CONTEXT.divide}
_LITERALS = (Decimal(1), Decimal(2), Decimal(100))
_SHARES = ("0 to 1", "-1 to 1", OF_NOTIONAL)
_LITERAL = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
_SPACE = re.compile(r"\s*+")
_ODD = Decimal("7.389056")
_SAME = Decimal("1e-18")


class Node(NamedTuple):
    """A formula or a part of one."""

    op: str
    """path, literal, + - * /, abs or neg."""
    left: "Node | None" = None
    """The first operand."""
    right: "Node | None" = None
    """The second operand of + - * /."""
    path: str = ""
    """The path, if the node is one."""
    value: Decimal = Decimal(0)
    """The value, if the node is a literal."""

    def paths(self) -> list[str]:
        """Its paths in order, repeated ones included."""
        if self.op == "path":
            return [self.path]
        return [path for part in (self.left, self.right) if part is not None for path in part.paths()]

    @property
    def has_path(self) -> bool:
        """Whether it contains a path."""
        return bool(self.paths())


class FormulaFault(NamedTuple):
    """Why a formula has no value."""

    why: str
    """no such path, null, text in arithmetic, division by zero, or LAUNDERS."""
    path: str = ""
    """The path concerned."""


class NotAFormulaError(Exception):
    """The text is outside the grammar."""


def parse(text: str) -> Node | None:
    """Parse a text as a formula; None if it is not one, or breaks a rule on literals or operators."""
    reader = Reader(text + "]", 0)
    try:
        node = reader.read()
    except NotAFormulaError:
        return None
    return node if reader.at == len(text) + 1 else None


class Reader:
    """Parses one formula up to its closing bracket; `at` is the current offset."""

    def __init__(self, text: str, start: int) -> None:
        self.text, self.at = text, start
        self._end = start + MAX_CHARS + 1
        self._operators = self._depth = 0
        self._lawful = True

    def read(self) -> Node | None:
        """Parse the formula; None if it breaks a rule on literals or operators.

        Raises NotAFormulaError outside the grammar.
        """
        node = self._sum()
        self._take("]")
        return node if self._lawful and self._operators <= MAX_OPERATORS and node.has_path else None

    def _next(self) -> str:
        space = _SPACE.match(self.text, self.at, self._end)
        self.at = self.at if space is None else space.end()
        return self.text[self.at : min(self.at + 1, self._end)]

    def _take(self, character: str) -> None:
        if self._next() != character:
            raise NotAFormulaError
        self.at += 1

    def _sum(self) -> Node:
        node = self._product()
        while (op := self._next()) and op in "+-":
            node = self._joined(op, node, self._product)
        return node

    def _product(self) -> Node:
        node = self._operand()
        while (op := self._next()) and op in "*/":
            node = self._joined(op, node, self._operand)
        return node

    def _joined(self, op: str, left: Node, read: Callable[[], Node]) -> Node:
        self.at += 1
        self._operators += 1
        return Node(op, left, read())

    def _operand(self) -> Node:
        first = self._next()
        if first == "-":
            self.at += 1
            self._operators += 1
            return Node("neg", self._deeper(self._operand))
        if first == "(":
            return self._parenthesis()
        if (literal := _LITERAL.match(self.text, self.at, self._end)) is not None:
            self.at = literal.end()
            value = Decimal(literal[0])
            self._lawful = self._lawful and value in _LITERALS
            return Node("literal", value=value)
        named = paths.read(self.text, self.at, self._end)
        if named is None:
            raise NotAFormulaError
        path, self.at = named
        if path == "abs" and self._next() == "(":
            self._operators += 1
            return Node("abs", self._parenthesis())
        return Node("path", path=path)

    def _parenthesis(self) -> Node:
        self._take("(")
        node = self._deeper(self._sum)
        self._take(")")
        return node

    def _deeper(self, read: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NotAFormulaError
        node = read()
        self._depth -= 1
        return node


def evaluate(node: Node, facts: Mapping[str, Fact]) -> Amount | FormulaFault:
    """Evaluate a formula, or say why it has no value."""
    values: dict[str, Amount] = {}
    places = node.paths()
    for path in places:
        fact = facts.get(path)
        if fact is None:
            return FormulaFault("no such path", path)
        if fact.value is None:
            return FormulaFault("null", path)
        if isinstance(fact.value, bool) or not isinstance(fact.value, Decimal | int):
            return FormulaFault("text in arithmetic", path)
        values[path] = Amount(Decimal(fact.value), RATIO if fact.unit in _SHARES else fact.unit)
    if node.op == "path":
        found = values[node.path]
        return found if found.value.is_finite() else FormulaFault("no number", node.path)
    found = _value(node, values)
    if not found.value.is_finite():
        return FormulaFault("division by zero")
    if _has_own_literals(node) or any(_cancels(node, values, path) for path in values if places.count(path) > 1):
        return FormulaFault(LAUNDERS)
    return plain_unit(found)


def _has_own_literals(node: Node) -> bool:
    """Whether literals of a formula form another number, alone (100 * 100 / 2) or together in a sum (x + 2 + 1)."""
    parts = [part for part in (node.left, node.right) if part is not None]
    alone = node.right is not None and not node.has_path
    return alone or _literals_of_sum(node).copy_abs() not in (0, *_LITERALS) or any(map(_has_own_literals, parts))


def _literals_of_sum(node: Node) -> Decimal:
    """What the literals of a sum come to; 0 if the node is no sum."""
    if node.op == "literal":
        return node.value
    if node.left is None or node.op not in ("+", "-", "neg"):
        return Decimal(0)
    left = _literals_of_sum(node.left)
    return -left if node.right is None else _OPERATORS[node.op](left, _literals_of_sum(node.right))


def _cancels(node: Node, values: Mapping[str, Amount], path: str) -> bool:
    """Whether a formula does not depend on a fact in it (x - x, x / x), tested at unusual values."""
    odd = {
        name: amount._replace(value=CONTEXT.fma(amount.value, 1 + number / _ODD, number / _ODD))
        for number, (name, amount) in enumerate(values.items(), start=1)
    }
    value = _value(node, odd).value
    odd[path] = odd[path]._replace(value=CONTEXT.fma(odd[path].value, _ODD, _ODD))
    change = CONTEXT.subtract(_value(node, odd).value, value)
    return change.is_finite() and change.copy_abs() <= CONTEXT.multiply(value.copy_abs(), _SAME)


def _value(node: Node, values: Mapping[str, Amount]) -> Amount:
    if node.op == "path":
        return values[node.path]
    if node.op == "literal":
        return Amount(node.value, LITERAL)
    assert node.left is not None
    left = _value(node.left, values)
    if node.right is None:
        return Amount(left.value.copy_abs() if node.op == "abs" else CONTEXT.minus(left.value), left.unit)
    right = _value(node.right, values)
    return Amount(_OPERATORS[node.op](left.value, right.value), unit_of(node.op, left, right))
