"""Read from the source what the running program does not know: names of types, defaults of fields.

At run time `Time` is an annotated int, a default is a factory, and an alias has no name.
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
    """A field of a class. Without a default it is required."""

    name: str
    type: str
    default: str
    doc: str


class Alias(NamedTuple):
    """A type with a name."""

    type: str
    doc: str


class Source:
    """The text of a module. Types have their full names; Sphinx shows the last part (`~`)."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._tree = ast.parse(getsource(sys.modules[module]))
        self._full_names = {name: f"{module}.{name}" for name in _names(self._tree)}
        for node in self._tree.body:
            if isinstance(node, ast.ImportFrom) and node.module != "typing":
                for name in node.names:
                    self._full_names[name.asname or name.name] = f"{node.module}.{name.name}"

    def fields(self, class_name: str, variables: Mapping[str, type]) -> Iterator[Field]:
        """Yield the fields in the body of a class, with the values of its type variables."""
        names = {
            name: f"{one.__module__}.{one.__qualname__}".removeprefix("builtins.")
            for name, one in variables.items()
            if isinstance(one, type)
        }
        for node, doc in documented(self.find(class_name).body):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                type_ = self._type(node.annotation, names)
                yield Field(node.target.id, type_, default_of(node.value), doc)

    def alias(self, name: str) -> Alias:
        """Return the type behind a name that this module defines or imports, and its docstring."""
        source, node, doc = self.definition(name)
        value = getattr(node, "value", None)
        match value:
            case ast.Subscript(
                ast.Name("Annotated"), ast.Tuple([base, ast.Call(keywords=words)])
            ) if any(isinstance(word.value, ast.Dict) for word in words):
                value = base  # Sphinx cannot read a dictionary in a type
        return Alias(source._type(value), doc)

    def definition(self, name: str) -> "tuple[Source, Any, str]":
        """Return the module and the statement that define a name, and the docstring below it."""
        for node, doc in documented(self._tree.body):
            if name in _targets(node):
                return self, node, doc
        module, _, imported = self._full_names[name].rpartition(".")
        return source_of(module).definition(imported)

    def signature(self, qualname: str) -> tuple[str, str]:
        """Return the arguments and the result of a function or method."""
        function = copy.deepcopy(self.find(qualname))
        arguments: ast.arguments = function.args
        for own in (arguments.posonlyargs, arguments.args):
            if own and own[0].arg in ("self", "cls"):
                del own[0]
        for argument in ast.walk(arguments):
            if isinstance(argument, ast.arg) and argument.annotation is not None:
                argument.annotation = ast.Name(self._type(argument.annotation))
        return plain(arguments), self._type(function.returns)

    def find(self, qualname: str) -> Any:
        """Return the definition of a class, function or method."""
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
    """Import a module and return its source."""
    import_module(module)
    return Source(module)


class _Names(ast.NodeTransformer):
    """Replace names by their full names."""

    def __init__(self, full_names: Mapping[str, str]) -> None:
        self._full_names = full_names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        full = self._full_names.get(node.id, node.id)
        return ast.Name(f"~{full}" if "." in full else full)


class _Numbers(ast.NodeTransformer):
    """Write large numbers as the source does: 30_000."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.Name(f"{node.value:_}") if type(node.value) is int else node


def default_of(node: ast.expr | None) -> str:
    """Return the default of a field, or nothing if it has none."""
    match node:
        case None:
            return ""
        case ast.Call(func=ast.Name(id="written" | "always_encoded"), args=[value]):
            return default_of(value)
        case ast.Call(func=ast.Attribute(attr="field"), keywords=options):
            given = [option.value for option in options if option.arg == "default"]
            return plain(given[0]) if given else "{}"
        case _:
            return plain(node)


def plain(node: ast.AST) -> str:
    """Return code as text, with large numbers written as in the source."""
    return ast.unparse(_Numbers().visit(copy.deepcopy(node)))


def documented(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, str]]:
    """Yield each statement with the docstring below it."""
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
