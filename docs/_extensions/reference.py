"""The reference, generated from docstrings by autodoc. Here is what autodoc does not do by itself.

- Signatures call types by their names, and structs list their fields (see `source`).
- `alias` documents the name of a type.
- A name in single backquotes is a link if the reference has it, and code if not. One that looks
  like a class, or begins with `treadle.`, must be there.
- `help` shows what a command and all under it write for `--help`.
"""

import inspect
import re
from collections.abc import Iterator
from pkgutil import resolve_name
from typing import Any, get_args, get_origin

import click
import msgspec
from docutils import nodes
from source import source_of
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.nodes import make_refnode
from sphinx.util.typing import ExtensionMetadata

from treadle.core.codec import Model, SortedModel

_NAME = re.compile(r"[A-Za-z]\w*(\.\w+)*(\(\))?")
_EXPECTED = re.compile(r"treadle\.[\w.]+|([A-Z][a-z]+){2,}(\.\w+)*")
"""What must be in the reference: full names, and classes whose names are two words."""

_BASES = {Model, SortedModel, msgspec.Struct}
"""Structs whose fields are told once, and not again with each that inherits them."""


class Name(SphinxRole):
    """What stands in single backquotes: a name, which may become a link, or any piece of code."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Leave names to Sphinx and `find_name`."""
        if not _NAME.fullmatch(self.text):
            return [nodes.literal(self.rawtext, self.text)], []
        refer = self.env.domains.python_domain.role("obj")
        return refer("py:obj", self.rawtext, self.text, self.lineno, self.inliner)


class Alias(SphinxDirective):
    """`.. alias:: module.Name`: a type's name, what it stands for, and what is said of it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Write it as a type of Sphinx's Python domain."""
        module, _, name = self.arguments[0].rpartition(".")
        alias = source_of(module).alias(name)
        head = [f".. py:type:: {name}", f"   :module: {module}", f"   :canonical: {alias.type}"]
        return self.parse_text_to_nodes("\n".join([*head, "", *_indented(alias.doc)]))


class Help(SphinxDirective):
    """`.. help:: module:command`: its help, and that of each command under it, on 80 columns."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Write a section for each command."""
        command = resolve_name(self.arguments[0])
        return [self._section(context) for context in _contexts(command, command.name, None)]

    def _section(self, context: click.Context) -> nodes.section:
        path, text = context.command_path, context.get_help()
        section = nodes.section(ids=[nodes.make_id(path)], names=[nodes.fully_normalize_name(path)])
        section += nodes.title(path, path)
        section += nodes.literal_block(text, text, language="text")
        self.state.document.note_explicit_target(section)
        return section


def _contexts(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[click.Context]:
    context = click.Context(command, parent, name, terminal_width=80, **command.context_settings)
    yield context
    if isinstance(command, click.Group):
        for part in command.list_commands(context):
            yield from _contexts(command.commands[part], part, context)


def write_signature(
    app: Sphinx, what: str, name: str, item: Any, options: Any, arguments: str | None, result: str
) -> tuple[str, str] | None:
    """The signature of what you call; of what you do not make yourself (`Class()`), none."""
    if what == "class" and (arguments == "()" or issubclass(item, msgspec.Struct)):
        return "", ""
    if what in ("class", "exception"):
        item = item.__init__
    function = inspect.unwrap(item)
    if not inspect.isfunction(function) or function.__module__.split(".")[0] != "treadle":
        return None
    arguments, result = source_of(function.__module__).signature(function.__qualname__)
    return f"({arguments})", "" if what in ("class", "exception") else result


def read_docstring(
    app: Sphinx, what: str, name: str, item: Any, options: Any, lines: list[str]
) -> None:
    """Read the sections of a docstring (`Args:`, `Raises:`), of an attribute's as of a method's.

    The extension takes what an attribute's docstring says before a colon for its type.
    """
    kind = "method" if what in ("attribute", "data", "property") else what
    lines[:] = GoogleDocstring(lines, what=kind, name=name, obj=item, options=options).lines()


def write_fields(
    app: Sphinx, what: str, name: str, item: Any, options: Any, lines: list[str]
) -> None:
    """Add the fields of a struct to its docstring, its own before those it inherits."""
    if what != "class" or not issubclass(item, msgspec.Struct):
        return
    variables: dict[str, type] = {}
    for base in getattr(item, "__orig_bases__", ()):
        names = getattr(get_origin(base), "__parameters__", ())
        variables |= {name.__name__: one for name, one in zip(names, get_args(base), strict=False)}
    for kind in inspect.getmro(item):
        if issubclass(kind, msgspec.Struct) and (kind is item or kind not in _BASES):
            for field in source_of(kind.__module__).fields(kind.__qualname__, variables):
                lines += ["", f".. py:attribute:: {field.name}", f"   :type: {field.type}"]
                lines += [f"   :value: {field.default}"] if field.default else []
                lines += ["", *_indented(field.doc)]


def leave_out(
    app: Sphinx, what: str, name: str, item: Any, skip: bool, options: Any
) -> bool | None:
    """Leave the fields of structs to `write_fields`."""
    return True if str(item) == "SLOTS_ATTR" else None  # only structs have slots here


def find_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """What a name means that Sphinx did not find as it stands: a link, code, or None: an error."""
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"].removesuffix("()")
    objects = env.domains.python_domain.objects
    end = "." + (name.rpartition(".")[2] if name.startswith("treadle.") else name)
    found = [key for key, one in objects.items() if key.endswith(end) and not one.aliased]
    if len(found) == 1 and (name[:1].isupper() or name.startswith("treadle.")):
        entry = objects[found[0]]
        return make_refnode(
            app.builder, node["refdoc"], entry.docname, entry.node_id, content, found[0]
        )
    is_code = node["reftype"] == "obj" and not _EXPECTED.fullmatch(name)
    return content if is_code else None


def _indented(text: str) -> list[str]:
    return [f"   {line}" for line in text.splitlines()]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add it all to Sphinx."""
    app.add_role("name", Name())
    app.add_directive("alias", Alias)
    app.add_directive("help", Help)
    app.connect("autodoc-process-signature", write_signature)
    app.connect("autodoc-process-docstring", read_docstring)
    app.connect("autodoc-process-docstring", write_fields)
    app.connect("autodoc-skip-member", leave_out)
    app.connect("missing-reference", find_name)
    return {"parallel_read_safe": True}
