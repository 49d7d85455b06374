"""Every small mistake that could be made in a module: its mutants, one change each.

Left alone are texts (what is said, not decided), annotations, and the numbers that a module gives a
name at its top: those are policy, and the tests use them by name.
"""

import ast
import copy
from collections.abc import Callable, Iterator
from typing import TypeAlias, cast

from attrs import field, frozen

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
}

Change: TypeAlias = Callable[[ast.AST], ast.AST | list[ast.AST] | None]


@frozen
class Mutant:
    """One change of one module."""

    path: str
    line: int
    place: str  # the function or class it is in
    what: str
    text: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.place}: {self.what}"


def mutants_of(path: str, source: str) -> Iterator[Mutant]:
    """Make every mutant of a module."""
    tree = ast.parse(source)
    for number, (node, place, what, change) in enumerate(_changes(tree)):
        mutated = _Apply(number, change).visit(copy.deepcopy(_numbered(tree)))
        text = ast.unparse(ast.fix_missing_locations(cast("ast.Module", mutated)))
        at = node.pattern if isinstance(node, ast.match_case) else node
        yield Mutant(path, getattr(at, "lineno", 0), place, what, text)


def _numbered(tree: ast.Module) -> ast.Module:
    """Mark each node that is to be changed with the numbers of its changes."""
    if not hasattr(tree, "is_numbered"):
        for number, (node, *_) in enumerate(_changes(tree)):
            node.numbers = (*getattr(node, "numbers", ()), number)  # type: ignore[attr-defined]
        tree.is_numbered = True  # type: ignore[attr-defined]
    return tree


class _Apply(ast.NodeTransformer):
    """Change the one node that has a number."""

    def __init__(self, number: int, change: Change) -> None:
        self._number, self._change = number, change

    def visit(self, node: ast.AST) -> ast.AST | list[ast.AST] | None:
        if self._number in getattr(node, "numbers", ()):
            return self._change(node)
        return self.generic_visit(node)


def _changes(tree: ast.Module) -> Iterator[tuple[ast.AST, str, str, Change]]:
    for top in tree.body:
        if not _is_policy(top):
            for place, node in _decided(top, ""):
                for what, change in _changes_of(node):
                    yield node, place, what, change


def _is_policy(top: ast.stmt) -> bool:
    return isinstance(top, ast.Assign | ast.AnnAssign | ast.Import | ast.ImportFrom)


def _decided(node: ast.AST, place: str) -> Iterator[tuple[str, ast.AST]]:
    """Walk through what decides something: no annotations, decorators or texts."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        place = f"{place}.{node.name}" if place else node.name
    yield place, node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_text(child):
                yield from _decided(child, place)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def _changes_of(node: ast.AST) -> Iterator[tuple[str, Change]]:
    yield from _operators(node)
    yield from _branches(node)
    yield from _parts(node)


def _operators(node: ast.AST) -> Iterator[tuple[str, Change]]:
    match node:
        case ast.Compare(ops=[op]) if type(op) in _COMPARED:
            other = _COMPARED[type(op)]
            yield f"{_show(node)}: {other.__name__}", lambda n: _with(n, ops=[other()])
        case ast.BoolOp(op=op):
            turned: ast.boolop = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield f"{_show(node)}: {type(turned).__name__}", lambda n: _with(n, op=turned)
        case ast.BinOp(op=op) if type(op) in _COMPUTED:
            sign = _COMPUTED[type(op)]
            yield f"{_show(node)}: {sign.__name__}", lambda n: _with(n, op=sign())
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield f"{_show(node)}: without its sign", lambda n: n.operand  # type: ignore[attr-defined]
        case ast.Constant(value=bool() as truth):
            yield f"{truth}: the other", lambda n: _with(n, value=not truth)
        case ast.Constant(value=int() | float() as number):
            yield f"{number}: one more", lambda n: _with(n, value=number + 1)


def _branches(node: ast.AST) -> Iterator[tuple[str, Change]]:
    match node:
        case ast.IfExp():
            yield f"{_show(node)}: never", lambda n: n.orelse  # type: ignore[attr-defined]
            yield f"{_show(node)}: always", lambda n: n.body  # type: ignore[attr-defined]
        case ast.If():
            yield (
                f"if {_show(node.test)}: never",
                lambda n: _with(n, test=ast.Constant(value=False)),
            )
        case ast.match_case(guard=ast.expr() as guard):
            yield f"case without its guard {_show(guard)}", lambda n: _with(n, guard=None)
            yield from _without_case(node)
        case ast.match_case():
            yield from _without_case(node)


def _parts(node: ast.AST) -> Iterator[tuple[str, Change]]:
    match node:
        case ast.Tuple(elts=[_, *_] as items, ctx=ast.Load()):
            yield from (_without_item(item, at) for at, item in enumerate(items))
        case ast.Call(keywords=[_, *_] as named):
            yield from (_without_keyword(node, at, word) for at, word in enumerate(named))
        case ast.Expr(value=ast.Call() | ast.Await() | ast.Yield()):
            yield f"{_show(node)}: left out", lambda _: ast.Pass()


def _without_case(case: ast.match_case) -> Iterator[tuple[str, Change]]:
    if not isinstance(case.pattern, ast.MatchAs) or case.pattern.pattern is not None:
        never = ast.Constant(value=False)
        yield f"case {_show(case.pattern)}: left out", lambda n: _with(n, guard=never)


def _without_item(item: ast.expr, at: int) -> tuple[str, Change]:
    return (
        f"{_show(item)}: left out of its tuple",
        lambda n: _with(n, elts=[*n.elts[:at], *n.elts[at + 1 :]]),
    )


def _without_keyword(call: ast.Call, at: int, word: ast.keyword) -> tuple[str, Change]:
    return (
        f"{_show(call.func)}({word.arg}=): left out",
        lambda n: _with(n, keywords=[*n.keywords[:at], *n.keywords[at + 1 :]]),
    )


def _with(node: ast.AST, **fields: object) -> ast.AST:
    for name, value in fields.items():
        setattr(node, name, value)
    return node


def _show(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:60]
