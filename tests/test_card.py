"""The head of a page: each text arrives, none becomes markup."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from npgpt.card import head

texts = st.text(st.characters(exclude_categories=["C", "Z"])) | st.sampled_from(
    ["</title><img src=x>", '"><script>', "&lt;", "é ␣"])


class Head(HTMLParser):
    """title: the text of the title; found: {name of a meta or link: its value}"""

    def __init__(self, text):
        super().__init__()
        self.title, self.found, self.tags = "", {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        name = found.get("name") or found.get("property") or found.get("rel")
        self.found[name] = found.get("content", found.get("href"))
        self.tags.append(tag)

    def handle_data(self, data):
        self.title += data.rstrip("\n")


@given(texts, texts, st.sampled_from([None, "https://example.org/b/c.html?d=1&e"]),
       st.sampled_from(["", "card.png", "../card.png"]))
def test_title_description_and_card_say_what_they_were_given(title, about, address, picture):
    text = head(title, about, address, picture)
    page = Head(text)
    assert text.isascii() and set(page.tags) == {"title", "meta", "link"}
    assert page.title == page.found["og:title"] == title
    assert page.found["description"] == page.found["og:description"] == about
    assert page.found["icon"].startswith("data:image/svg+xml,")
    assert page.found.get("canonical") == address
    at = {"": None, "card.png": "https://example.org/b/card.png",
          "../card.png": "https://example.org/card.png"}[picture]
    assert page.found.get("og:image") == (at if address else None)
    assert ("twitter:card" in page.found) == bool(address and picture)
