"""Pages that ask before something is done, and say what that would be."""

from collections.abc import Mapping, Sequence

from starlette.responses import Response

from treadle.core.mailboxes import MailboxEntry
from treadle.http._call import Call
from treadle.http._dashboard._rendering import render
from treadle.http._errors import Refused


def confirm(
    call: Call,
    *,
    question: str,
    effects: Sequence[str],
    button: str,
    action: Sequence[str],
    back: str,
    section: str,
    is_final: bool = True,
    fields: Mapping[str, str | int] | None = None,
    entries: Sequence[MailboxEntry] = (),
) -> Response:
    """Return the page that asks whether something should be done.

    Args:
        call: the call that is answered.
        question: what is asked, as the title.
        effects: what it does, in sentences.
        button: what the button says that does it; the empty text, if there is nothing to do.
        action: the segments of the path that does it.
        back: the URL of the page to go back to instead.
        section: the section that it belongs to.
        is_final: whether it cannot be undone.
        fields: the fields of the form. Texts must have no invisible characters: pages show these
            as escapes.
        entries: the first entries that it is about.

    Raises:
        Refused: the server only reads.
    """
    if call.read_only:
        raise Refused(403, "read_only", "the server only reads")
    return render(
        call,
        "confirm.html",
        title=question,
        section=section,
        effects=effects,
        button=button,
        action=action,
        back=back,
        is_final=is_final,
        fields=fields or {},
        entries=entries,
    )
