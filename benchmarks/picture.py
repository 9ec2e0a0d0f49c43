"""The table of README as a picture: a group of bars for each line."""

from collections.abc import Iterator
from xml.sax.saxutils import escape

import msgspec

from benchmarks.summary import Line, Summary, shown

WIDTH, MARGIN, LABELS, BARS = 880, 20, 260, 300
"""The width of the picture, of its margin, of the labels and of the longest bar."""
BAR, STEP, GAP = 11, 15, 16
"""The height of a bar, from one bar to the next, and between two lines."""


class Colours(msgspec.Struct, frozen=True, kw_only=True):
    """The colours of a picture."""

    background: str
    text: str
    quiet: str
    by_hand: str
    treadle: str
    peer: str


LIGHT = Colours(
    background="#ffffff",
    text="#1f2328",
    quiet="#59636e",
    by_hand="#c8ccd1",
    treadle="#0969da",
    peer="#e0a458",
)
DARK = Colours(
    background="#0d1117",
    text="#e6edf3",
    quiet="#9198a1",
    by_hand="#3d444d",
    treadle="#4493f8",
    peer="#b4803a",
)


def draw(summary: Summary, colours: Colours) -> str:
    """Return the picture as SVG; the bars of a line are to scale, those of two lines are not."""
    title = "Operations a second, each durable"
    parts = [_text(MARGIN, MARGIN + 12, title, colours.text, bold=True)]
    top = MARGIN + 30
    for line in summary.lines:
        parts += _line(line, top, colours)
        top += 3 * STEP + GAP
    measured = f"{summary.machine}; commit {summary.commit}"
    parts.append(_text(MARGIN, top + 8, measured, colours.quiet))
    height = top + 8 + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{height}" fill="{colours.background}"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _line(line: Line, top: int, colours: Colours) -> Iterator[str]:
    bars = (
        ("by hand", line.by_hand, colours.by_hand),
        ("Treadle", line.treadle, colours.treadle),
        (line.peer_name, line.peer, colours.peer),
    )
    most = max((rate for _, rate, _ in bars if rate is not None), default=1)
    yield _text(MARGIN, top + STEP + BAR - 2, line.work, colours.text)
    for number, (who, rate, colour) in enumerate(bars):
        if rate is None:
            continue
        left, upper, width = MARGIN + LABELS, top + number * STEP, max(1, rate / most * BARS)
        yield (f'<rect x="{left}" y="{upper}" width="{width:.0f}" height="{BAR}" fill="{colour}"/>')
        yield _text(left + round(width) + 6, upper + BAR - 1, f"{shown(rate)} {who}", colours.quiet)


def _text(left: int, base: int, text: str, colour: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{left}" y="{base}" fill="{colour}"{weight}>{escape(text)}</text>'
