"""Write the modules of `treadle.blocking` that repeat the asynchronous store without `await`.

`make twin` runs this. The modules repeat the store on purpose: editors and type checkers know only
methods that are written down. `test_twin.py` compares them with the present source.

Each method of the store's classes becomes a method with the same name, arguments, types and
docstring, which runs the asynchronous one and waits for it. It reads modules as source: at run time
the names of types and the overloads are lost.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeAlias

SOURCE = Path(__file__).parents[2] / "src" / "treadle"
TWINS = SOURCE / "blocking"

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


class Twin(NamedTuple):
    """A module to write: the module of `treadle.store` that it repeats, and which classes."""

    module: str
    classes: tuple[str, ...]


MODULES = {
    "_thread_writes": Twin("thread_writes", ("ThreadWrites",)),
    "_threads": Twin("threads", ("Threads",)),
    "_runs": Twin("runs", ("RunWrites", "Runs")),
    "_mailbox_writes": Twin("mailbox_writes", ("MailboxWrites",)),
    "_mailboxes": Twin("mailboxes", ("Mailboxes",)),
    "_documents": Twin("documents", ("DocumentWrites", "Documents")),
    "_live": Twin("live", ("LiveMessage", "Live")),
    "_store": Twin("store", ("Store",)),
}
HOMES = {name: module for module, twin in MODULES.items() for name in twin.classes}
"""The module of each class of the twin."""

REPLACED = {
    "awaited on the store, collected in a batch": "done at once",
    "`treadle.open_store` makes it: `async with treadle.open_store(url) as store:`. One event loop "
    "at a time uses it (on PostgreSQL any number of them), in the process that opened it.": (
        "`treadle.blocking.open_store` makes it. Any number of threads use it, in the process that "
        "opened\nit."
    ),
    "async with treadle.open_store": "with treadle.blocking.open_store",
    "async for": "for",
    "async with": "with",
    "await store": "store",
    "when the first item is awaited": "when the first item is asked for",
}
"""What docstrings say about asynchronous code, and what they say instead."""


def written(name: str) -> str:
    """Return the text of a module of the twin."""
    twin = MODULES[name]
    tree = _tree(f"store/{twin.module}.py")
    body = [part for each in twin.classes for part in _class(tree, each)]
    if name == "_store":
        body.append(_open_store())
    source = f"treadle.store.{twin.module}"
    title = f'"""Written by `make twin` from `{source}`: change that, not this."""'
    code = "\n\n".join(body)
    return _format("\n\n".join([title, _imports(code, tree, source), code]))


def _class(tree: ast.Module, name: str) -> Iterator[str]:
    """Yield the lines of a class: its fields, how it is made, and its methods."""
    node = _find(tree, name)
    base = ast.unparse(node.bases[0]) if node.bases else "Opening" if name == "Store" else ""
    yield f"class {name}({base}):" if base else f"class {name}:"
    yield _indented(_docstring(node))
    if name == "Store":
        yield from map(_indented, _store_fields(node))
        wrapped = "_store"
    else:
        wrapped = "_writes" if name.endswith("Writes") else "_reads"
        yield _indented(_initializer(node, base, wrapped))
    overloaded = {item.name for item in _functions(node) if _is_overload(item)}
    for item in _functions(node):
        if not item.name.startswith("_") and item.name not in _by_hand():
            yield _indented(_method(item, wrapped, is_overloaded=item.name in overloaded))


def _store_fields(node: ast.ClassDef) -> Iterator[str]:
    lines = ["super().__init__(store)"]
    for field, doc in pairwise(node.body):
        if isinstance(field, ast.AnnAssign) and isinstance(doc, ast.Expr):
            yield f'{ast.unparse(field)}\n"""{ast.literal_eval(doc.value)}"""'
            name, kind = ast.unparse(field.target), ast.unparse(field.annotation)
            lines.append(f"self.{name} = {kind}(store.{name}, self._portal)")
    yield "def __init__(self, store: treadle.Store) -> None:\n" + _indented("\n".join(lines))


def _initializer(node: ast.ClassDef, base: str, wrapped: str) -> str:
    argument = wrapped.removeprefix("_")
    lines = [f"def __init__(self, {argument}: original.{node.name}, portal: Portal) -> None:"]
    if base:
        lines.append(f"    super().__init__({argument}, portal)")
    else:
        lines.append("    self._portal = portal")
    lines.append(f"    self.{wrapped} = {argument}")
    for field, doc in pairwise(next(_functions(node)).body):
        match field, doc:
            case ast.Assign(targets=[ast.Attribute(attr=name)]), ast.Expr() if name[0] != "_":
                text = ast.literal_eval(doc.value)
                lines += [f"    self.{name} = {argument}.{name}", f'    """{text}"""']
    return "\n".join(lines)


def _method(node: Function, wrapped: str, *, is_overloaded: bool) -> str:
    """Return a method: the same arguments, what the call gives, and the call."""
    result, way = _result(node)
    if way == "entered":
        return _block(node, result, wrapped)
    head = f"def {node.name}({ast.unparse(node.args)}) -> {result}:"
    if _is_overload(node):
        return f"@overload\n{head} ..."
    call = f"self.{wrapped}.{node.name}"
    lines = [head, _indented(_docstring(node))]
    if is_overloaded and way == "call":  # which signature fits is known to the caller only
        kind = f"Callable[..., Coroutine[Any, Any, {result}]]"
        lines.append(f'    {node.name} = cast("{kind}", {call})')
        call = node.name
    call = f"{call}({_passed_on(node)})"
    if way == "wrapped":
        lines.append(f"    return {result}({call}, self._portal)")
    elif way == "direct":
        lines.append(f"    {call}")
    else:
        lines.append(f"    return self._portal.{way}({call})")
    return "\n".join(lines)


def _block(node: Function, result: str, wrapped: str) -> str:
    """Return a method that is used in a `with` block, and gives a generator there."""
    call = f"self.{wrapped}.{node.name}({_passed_on(node)})"
    lines = ["@contextmanager", f"def {node.name}({ast.unparse(node.args)}) -> {result}:"]
    lines += [_indented(_docstring(node)), f"    with self._portal.entered({call}) as items:"]
    return "\n".join([*lines, "        yield self._portal.iterate(items)"])


def _result(node: Function) -> tuple[str, str]:
    """Return the type that a method gives, and the method of the portal that waits for it."""
    match node.returns:
        case ast.Subscript(ast.Name("Write"), inner):
            return ast.unparse(inner), "call"
        case ast.Subscript(
            ast.Name("AsyncGenerator"), ast.Subscript(ast.Name("AsyncGenerator"), inner)
        ):
            items = f"Generator[{ast.unparse(inner)}, None, None]"
            return f"Generator[{items}, None, None]", "entered"
        case ast.Subscript(ast.Name("AsyncGenerator"), inner):
            return f"Generator[{ast.unparse(inner)}, None, None]", "iterate"
        case ast.Constant(value=name) | ast.Name(name) if name in HOMES:
            return name, "wrapped"
        case ast.Constant(value=None) if isinstance(node, ast.FunctionDef):
            return "None", "direct"
        case ast.expr() if isinstance(node, ast.AsyncFunctionDef):
            return ast.unparse(node.returns), "call"
    raise AssertionError(f"{node.name} returns nothing that can be waited for")


def _passed_on(node: Function) -> str:
    """Return the arguments of a call that passes on all arguments of a method."""
    arguments = node.args
    positional = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    several = [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    named = [f"{each.arg}={each.arg}" for each in arguments.kwonlyargs]
    return ", ".join([*positional[1:], *several, *named])


def _open_store() -> str:
    node = next(
        item
        for item in _tree("__init__.py").body
        if isinstance(item, ast.FunctionDef) and item.name == "open_store"
    )
    named = [f"{each.arg}={each.arg}" for each in node.args.kwonlyargs]
    arguments = ", ".join([each.arg for each in node.args.args] + named)
    head = f"def open_store({ast.unparse(node.args)}) -> Store:"
    call = f"return Store(treadle.open_store({arguments}))"
    return "\n".join([head, _indented(_docstring(node)), _indented(call)])


def _docstring(node: ast.ClassDef | Function) -> str:
    text = ast.get_docstring(node)
    assert text is not None, node.name
    for words, replacement in REPLACED.items():
        pattern = r"\s+".join(map(re.escape, words.split()))
        text = re.sub(pattern, replacement, text)
    quoted = text if "\n" not in text else f"{text}\n"
    return f'"""{quoted}"""'


def _imports(code: str, original: ast.Module, source: str) -> str:
    """Return the imports of all names that the code uses."""
    tree = ast.parse(code)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used -= {name.name for name in tree.body if isinstance(name, ast.ClassDef)}
    if "cast" in used:  # its type is quoted
        used |= {"Callable", "Coroutine", "Any"}
    lines = {
        "Any": "from typing import Any",
        "Callable": "from collections.abc import Callable",
        "Coroutine": "from collections.abc import Coroutine",
        "Generator": "from collections.abc import Generator",
        "Opening": "from treadle.blocking._opening import Opening",
        "Portal": "from treadle.blocking._portal import Portal",
        "original": f"from treadle.store import {source.rpartition('.')[2]} as original",
        "cast": "from typing import cast",
        "contextmanager": "from contextlib import contextmanager",
        "treadle": "import treadle",
    }
    for node in (*original.body, *(_tree("__init__.py").body if "open_store" in code else ())):
        match node:
            case ast.ImportFrom(module=module, names=names):
                for each in names:
                    lines.setdefault(each.name, f"from {module} import {each.name}")
            case ast.Import(names=names):
                for each in names:
                    lines.setdefault(each.name, f"import {each.name}")
            case ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]):
                lines[name] = f"from {source} import {name}"
            case _:
                pass
    for name, module in HOMES.items():
        lines[name] = f"from treadle.blocking.{module} import {name}"
    return "\n".join(sorted(lines[name] for name in used & lines.keys()))


@cache
def _by_hand() -> frozenset[str]:
    """The methods of a blocking store that are not repeated."""
    opening = _find(_tree("blocking/_opening.py"), "Opening")
    return frozenset(item.name for item in _functions(opening))


@cache
def _tree(name: str) -> ast.Module:
    return ast.parse((SOURCE / name).read_text(encoding="utf-8"))


def _find(tree: ast.Module, name: str) -> ast.ClassDef:
    return next(item for item in tree.body if isinstance(item, ast.ClassDef) and item.name == name)


def _functions(node: ast.ClassDef) -> Iterator[Function]:
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            yield item


def _is_overload(node: Function) -> bool:
    return "overload" in map(ast.unparse, node.decorator_list)


def _indented(text: str) -> str:
    return re.sub(r"^(?=.)", "    ", text, flags=re.MULTILINE)


def _format(code: str) -> str:
    """Sort the imports, and format the code as `make format` does."""
    for task in (["check", "--quiet", "--fix-only", "--select", "I"], ["format", "--quiet"]):
        command = [sys.executable, "-m", "ruff", *task, "--stdin-filename", "twin.py", "-"]
        done = subprocess.run(command, input=code, capture_output=True, text=True, check=True)
        code = done.stdout
    return code


def main() -> None:
    """Write all modules."""
    for name in MODULES:
        (TWINS / f"{name}.py").write_text(written(name), encoding="utf-8")


if __name__ == "__main__":
    main()
