"""Tables of HTML, and strangers' text in them."""

from html.parser import HTMLParser

from belfry.dataset.notebooks.html import html_table

SCRIPT = '<script>alert("x")</script>'
HOSTILE = [SCRIPT, "<img src=x onerror=alert(1)>", "</td></table>&lt;", "\x1b[31m\u202e", "a'b\"c"]


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_cells_are_text_whatever_they_hold() -> None:
    found = Tags(html_table(HOSTILE, [HOSTILE, [None, 1, 0.123456, True, ("x",)]], caption=HOSTILE[0]))
    assert set(found.tags) == {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert found.tags.count("td") == 10
    assert found.text.count(HOSTILE[0]) == 3  # as text
    assert "\\x1b[31m\\u202e" in found.text
    assert found.text[-4:] == ["1", "0.1235", "True", "('x',)"]


def test_a_long_cell_is_cut() -> None:
    assert len(html_table(["x"], [["y" * 10_000]])) < 500
