"""Reading a page as a browser would, as far as tests need it."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """A page's elements and texts; `AssertionError` where elements are not closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See `HTMLParser`."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """See `HTMLParser`."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """See `HTMLParser`."""
        if data.strip() and self._open[-1] not in ("style", "script"):
            self.texts.append(" ".join(data.split()))

    def all(self, tag: str, attribute: str) -> list[str]:
        """The values of an attribute in all elements of a kind that have it."""
        return [found[attribute] for name, found in self.elements if name == tag and attribute in found]

    def addresses(self) -> list[str]:
        """Everything that the page loads or leads to."""
        return [value for _, found in self.elements for name, value in found.items() if name in ("src", "href")]
