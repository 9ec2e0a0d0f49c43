"""The site of the documentation: `make docs`. Prose is Markdown, the reference is generated."""

import sys
from pathlib import Path

import treadle

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "Treadle"
version = release = treadle.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "reference", "complete"]
nitpicky = True
nitpick_ignore_regex = [
    # Others' names: their inventories would have to be fetched.
    (
        "py:.*",
        r"(asyncio|collections|concurrent|contextlib|enum|msgspec|os|pathlib|random|starlette|types)\..*",
    ),
    ("py:class", r"treadle\..*\.(\w*T|_\w+)"),  # type variables, private classes
]

html_theme = "furo"
html_title = "Treadle"
html_copy_source = False
html_show_copyright = False
smartquotes_action = "D"  # dashes only
myst_heading_anchors = 3

default_role = "name"
add_module_names = False
python_display_short_literal_types = True
python_maximum_signature_line_length = 150
autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_member_order = "bysource"
