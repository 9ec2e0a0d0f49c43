"""Write the reference into its Markdown pages, so that it can be read without a build.

A page of the reference has blocks like this one:

    <!-- reference
    .. autoclass:: treadle.Thread
    -->

    (generated)

    <!-- end -->

The comment lists Sphinx directives. The text below it is generated from the source: each name as
a heading, then its definition as Python, with signatures and docstrings, as `help` shows it. The
blocks are `py`, because the tests run all blocks that are `python`. In the site, the directives
replace that text (see `reference`). A block that begins with `<!-- help module:command -->`
contains what the command and its subcommands print for `--help`, and one that begins with
`<!-- operations -->` the routes of the HTTP API.

`python docs/_extensions/pages.py` writes the pages. With `--check` it only reports the pages that
differ from the code, and fails if there are any; a test does that.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import click
from operations import written_operations
from source import default_of, documented, plain, source_of

PAGES = Path(__file__).parents[1] / "reference"
BLOCK = re.compile(r"<!-- reference\n(.*?)-->\n.*?<!-- end -->\n", re.DOTALL)
_HELP = re.compile(r"<!-- help ([\w.:]+) -->\n.*?<!-- end -->\n", re.DOTALL)
_OPERATIONS = re.compile(r"<!-- operations -->\n.*?<!-- end -->\n", re.DOTALL)
_DIRECTIVE = re.compile(r"^\.\. (\w+):: ([\w.]+)(\(\))?\n((?:   .*\n)*)", re.MULTILINE)
_HIDDEN_BASES = {"Model", "SortedModel", "msgspec.Struct", "object"}
_SHOWN_DECORATORS = {
    "asynccontextmanager",
    "classmethod",
    "contextmanager",
    "overload",
    "property",
    "staticmethod",
}


def written(page: str) -> str:
    """Return a page with its generated text brought up to date."""
    page = BLOCK.sub(_write_reference, page)
    page = _HELP.sub(_write_help, page)
    page = _OPERATIONS.sub(_write_operations, page)
    return _format(page)


def _write_reference(block: re.Match[str]) -> str:
    above = re.findall(r"^(#+) ", block.string[: block.start()], re.MULTILINE)
    heading = "#" * (len(above[-1]) + 1)
    lines = [f"<!-- reference\n{block[1]}-->\n"]
    for kind, name, no_init, options in _DIRECTIVE.findall(block[1]):
        if kind != "module":
            lines += [
                f"{heading} `{name}`\n",
                f"```py\n{_stub(kind, name, no_init, options)}\n```\n",
            ]
    return "\n".join([*lines, "<!-- end -->\n"])


def _stub(kind: str, name: str, no_init: str, options: str) -> str:
    """Return the definition of a name as Python, without bodies."""
    if kind in ("alias", "autodata"):
        module, _, last = name.rpartition(".")
        _, node, doc = source_of(module).definition(last)
        value = "" if "no-value" in options else f" = {plain(node.value)}"
        return "\n".join([f"{last}{value}", *_docstring(doc)])
    item = resolve_name(name)
    node = source_of(item.__module__).find(item.__qualname__)
    if not isinstance(node, ast.ClassDef):
        return "\n".join(_function(node))
    hidden = set(re.findall(r":exclude-members: (\w+)", options)) | (
        {"__init__"} if no_init else set()
    )
    special = set(re.findall(r":special-members: (\w+)", options)) | {"__init__"}
    bases = [ast.unparse(base) for base in node.bases]
    shown = ", ".join(base for base in bases if base not in _HIDDEN_BASES and base[0] != "_")
    lines = [f"class {node.name}({shown}):" if shown else f"class {node.name}:"]
    lines += _indented(_docstring(ast.get_docstring(node)))
    for member, doc in _members(item, node):
        name = _name(member)
        if name in special - hidden or not (name.startswith("_") or name in hidden):
            lines += _indented(_member(member, doc))
    return "\n".join(lines if len(lines) > 1 else [*lines, "    ..."])


def _members(item: type, node: ast.ClassDef) -> Iterator[tuple[ast.stmt, str]]:
    """Yield the members of a class; those of its private bases come first."""
    for base in item.__bases__:
        if base.__name__.startswith("_"):
            yield from _members(base, source_of(base.__module__).find(base.__qualname__))
    last_overloads = {_name(member): member for member in node.body if _is_overload(member)}
    for member, _ in documented(node.body):
        overload = last_overloads.get(_name(member))
        if overload is not None and not _is_overload(member):
            # An overload has no docstring of its own: the last one shows that of the function.
            overload.body = member.body
    for member, doc in documented(node.body):
        is_implementation = _name(member) in last_overloads and not _is_overload(member)
        if not (is_implementation or _only_overrides(item, member)):
            yield member, doc


def _is_overload(node: ast.stmt) -> bool:
    return "overload" in map(ast.unparse, getattr(node, "decorator_list", []))


def _only_overrides(item: type, node: ast.stmt) -> bool:
    """Return True for a method that implements one of a base, and says nothing about it."""
    is_method = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    bases = (base for base in item.__mro__[1:] if base is not object)
    return (
        is_method and not ast.get_docstring(node) and any(node.name in vars(base) for base in bases)
    )


def _member(node: ast.stmt, doc: str) -> list[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return ["", *_function(node)]
        case ast.AnnAssign():
            default = default_of(node.value)
            value = f" = {default}" if default else ""
            return [f"{_name(node)}: {ast.unparse(node.annotation)}{value}", *_docstring(doc)]
        case _:
            return [ast.unparse(node), *_docstring(doc)]


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    decorators = [ast.unparse(each) for each in node.decorator_list]
    lines = [f"@{each}" for each in decorators if each in _SHOWN_DECORATORS]
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    result = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    doc = _docstring(ast.get_docstring(node)) or ["..."]
    return [*lines, f"{kind} {node.name}({plain(node.args)}){result}:", *_indented(doc)]


def _name(node: ast.stmt) -> str:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case _:
            return "_"


def _docstring(doc: str | None) -> list[str]:
    """Return the lines of a docstring as Python; the quotes of a long one are on a line below."""
    if not doc:
        return []
    first, *more = doc.replace("\\", "\\\\").splitlines()
    return [f'"""{first}', *more, '"""'] if more else [f'"""{first}"""']


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" if line else "" for line in lines]


def _write_help(block: re.Match[str]) -> str:
    command = resolve_name(block[1])
    lines = [f"<!-- help {block[1]} -->\n"]
    for context in _contexts(command, command.name, None):
        lines += [f"## {context.command_path}\n", f"```text\n{context.get_help()}\n```\n"]
    return "\n".join([*lines, "<!-- end -->\n"])


def _write_operations(block: re.Match[str]) -> str:
    return f"<!-- operations -->\n\n{written_operations()}\n\n<!-- end -->\n"


def _contexts(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[click.Context]:
    context = click.Context(command, parent, name, terminal_width=80, **command.context_settings)
    yield context
    if isinstance(command, click.Group):
        for part in command.list_commands(context):
            if (inner := command.get_command(context, part)) is not None:
                yield from _contexts(inner, part, context)


def _format(page: str) -> str:
    """Format the Python in a page, as `ruff format` does with the whole tree."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", "page.md", "-"]
    done = subprocess.run(  # noqa: S603
        command, input=page, capture_output=True, text=True, check=True
    )
    return done.stdout


def main() -> int:
    """Write the pages, or check them."""
    stale = []
    for path in sorted(PAGES.glob("*.md")):
        page = path.read_text(encoding="utf-8")
        if (new := written(page)) != page:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(new, encoding="utf-8")
    if stale and "--check" in sys.argv:
        print(f"not what the code says: {', '.join(stale)}; run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
