"""The dashboard: pages about a store, as an ASGI application.

A page is an `Operation` like those of the API: the same dispatcher checks host, origin, right and
owner. To add the page of a noun, say `runs`:

1. `_runs.py` has a handler for each page and each action, and ends with `OPERATIONS`. A handler
   reads the store, and returns `render(call, "runs.html", found=found)`. The query of a page is a
   struct, such as `SearchRuns`; a field that was left empty in the form of the filters is left out.
2. An action is an operation with the method POST, a `form` (a struct of the fields), an action and
   an owner rule. Its handler writes, and returns `redirect(call, "runs", run_id, said="Done.")`:
   the next page shows what it said. Ask for a confirmation on a page of its own.
3. `templates/runs.html` extends `layout.html` and imports `macros.html`, which has tables, pagers,
   filters, badges, times, values and empty states. It sets `title`, and `refreshes` if the page may
   be fetched again every few seconds; only what is in the block `live` is replaced then.
   Times, sizes and numbers have filters: `| relative(now)`, `| absolute`, `| size`, `| number`.
4. `_pages.py` lists the operations, and `_sections.py` the section for the navigation.

Templates get: `url("runs", run_id, after=cursor)`, a link below the path of the mount; `here(after=
cursor)`, the same page with a changed query; `can("cancel")`, whether a button is shown, which is
no check; `shown("payload", value)`, a value after the hook that redacts, as text of a bounded
length; `principal`, `own` and `now`. Show what users or agents wrote through `shown` or the macro
`value`, so that it can be redacted; for a part of a value, `call.redact` the whole, and show the
part through `cut`. Everything that is printed is escaped, and has its invisible characters as
escapes. There is no `style=` and no inline script: the policy forbids both.

`tests/http/dashboard/test_pages.py` walks all operations. What a page needs in its query is in its
`QUERIES`, and what an action needs in its form in `FORMS`.
"""

from treadle.http._dashboard._dashboard import Dashboard

__all__ = ["Dashboard"]
