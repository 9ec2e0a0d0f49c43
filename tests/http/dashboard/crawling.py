"""All pages of the dashboard that links lead to, in process."""

from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx


class Parsed(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def links(self) -> list[str]:
        """Return where its links lead."""
        return [attributes.get("href") or "" for tag, attributes in self.elements if tag == "a"]


def kind_of(url: str) -> str:
    """Return what pages of the same kind have in common: the path without its ids."""
    segments = urlsplit(url).path.strip("/").split("/")
    return "/".join(name if at % 2 == 0 else "*" for at, name in enumerate(segments))


async def crawl(
    browser: httpx.AsyncClient, most: int, start: str = "/"
) -> dict[str, httpx.Response]:
    """Return the answers at all URLs that links lead to, at most so many of each kind of page."""
    found: dict[str, httpx.Response] = {}
    counts: dict[str, int] = {}
    waiting = [start]
    while waiting:
        url = waiting.pop(0)
        kind = kind_of(url)
        if url in found or counts.get(kind, 0) >= most:
            continue
        counts[kind] = counts.get(kind, 0) + 1
        found[url] = response = await browser.get(url)
        if response.headers["content-type"].startswith("text/html"):
            links = Parsed(response.text).links
            waiting += [urljoin(url, link).partition("#")[0] for link in links]
    return found
