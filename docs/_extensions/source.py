"""What the source says and the running program has forgotten: names of types, defaults of fields.

When the program runs, `Time` is an annotated int, a default is a factory, and an alias has no name.
"""

import ast
import copy
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from inspect import cleandoc, getsource
from itertools import pairwise
from typing import Any, NamedTuple


class Field(NamedTuple):
    """A field of a class; one without a default must be given."""

    name: str
    type: str
    default: str
    doc: str


class Alias(NamedTuple):
    """A type with a name."""

    type: str
    doc: str


class Source:
    """A module's text. Types have their full names, of which Sphinx shows the end (`~`)."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._tree = ast.parse(getsource(sys.modules[module]))
        self._full_names = {name: f"{module}.{name}" for name in _names(self._tree)}
        for node in self._tree.body:
            if isinstance(node, ast.ImportFrom) and node.module != "typing":
                for name in node.names:
                    self._full_names[name.asname or name.name] = f"{node.module}.{name.name}"

    def fields(self, class_name: str, variables: Mapping[str, type]) -> Iterator[Field]:
        """The fields in the body of a class; `variables` are what its type variables stand for."""
        names = {
            name: f"{one.__module__}.{one.__qualname__}".removeprefix("builtins.")
            for name, one in variables.items()
        }
        for node, doc in _documented(self._find(class_name).body):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                type_ = self._type(node.annotation, names)
                yield Field(node.target.id, type_, _default(node.value), doc)

    def alias(self, name: str) -> Alias:
        """What a name of the module stands for, be it defined here or imported."""
        for node, doc in _documented(self._tree.body):
            if name in _targets(node):
                return Alias(self._type(getattr(node, "value", None)), doc)
        module, _, imported = self._full_names[name].rpartition(".")
        return source_of(module).alias(imported)

    def signature(self, qualname: str) -> tuple[str, str]:
        """The arguments of a function or method, and what it returns."""
        function = copy.deepcopy(self._find(qualname))
        arguments: ast.arguments = function.args
        for own in (arguments.posonlyargs, arguments.args):
            if own and own[0].arg in ("self", "cls"):
                del own[0]
        for argument in ast.walk(arguments):
            if isinstance(argument, ast.arg) and argument.annotation is not None:
                argument.annotation = ast.Name(self._type(argument.annotation))
        return ast.unparse(_Numbers().visit(arguments)), self._type(function.returns)

    def _find(self, qualname: str) -> Any:
        node: Any = self._tree
        for part in qualname.split("."):
            node = next(each for each in node.body if getattr(each, "name", None) == part)
        return node

    def _type(self, node: ast.expr | None, names: Mapping[str, str] = {}) -> str:
        if node is None:
            return ""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode="eval").body
        return ast.unparse(_Names({**self._full_names, **names}).visit(copy.deepcopy(node)))


@cache
def source_of(module: str) -> Source:
    """The source of a module, which is imported."""
    import_module(module)
    return Source(module)


class _Names(ast.NodeTransformer):
    """Writes names in full."""

    def __init__(self, full_names: Mapping[str, str]) -> None:
        self._full_names = full_names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        full = self._full_names.get(node.id, node.id)
        return ast.Name(f"~{full}" if "." in full else full)


class _Numbers(ast.NodeTransformer):
    """Writes large numbers as the source does: 30_000."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.Name(f"{node.value:_}") if type(node.value) is int else node


def _default(node: ast.expr | None) -> str:
    match node:
        case None:
            return ""
        case ast.Call(func=ast.Name(id="written"), args=[value]):
            return _default(value)
        case ast.Call(func=ast.Attribute(attr="field")):
            return "{}"
        case _:
            return ast.unparse(_Numbers().visit(copy.deepcopy(node)))


def _documented(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, str]]:
    """Statements, each with the text that stands under it."""
    for node, after in pairwise([*body, ast.Pass()]):
        match after:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node, cleandoc(text)
            case _:
                yield node, ""


def _targets(node: ast.stmt) -> list[str]:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.ClassDef(name=name):
            return [name]
        case _:
            return []


def _names(tree: ast.Module) -> list[str]:
    return [name for node in tree.body for name in _targets(node)]
