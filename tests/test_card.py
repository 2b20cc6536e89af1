"""The head of a page: each text arrives, none becomes markup."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from npgpt.support.card import head

texts = st.text(st.characters(exclude_categories=["C", "Z"])) | st.sampled_from(
    ["</title><img src=x>", '"><script>', "&lt;", "é ␣"])
PICTURES = {"": None, "card.png": "https://example.org/b/card.png",
            "../card.png": "https://example.org/card.png"}


@given(texts, texts, st.sampled_from([None, "https://example.org/b/c.html?d=1&e"]),
       st.sampled_from(list(PICTURES)))
def test_title_description_and_card_say_what_they_were_given(title, about, address, picture):
    page, tags, shown = HTMLParser(), [], []
    page.handle_data = shown.append
    page.handle_starttag = lambda tag, attributes: tags.append((tag, dict(attributes)))
    page.feed(head(title, about, address, picture))
    found = {a.get("name") or a.get("property") or a["rel"]: a.get("content") or a.get("href") or ""
             for tag, a in tags if tag in ("meta", "link")}
    assert len(found) == len(tags) - 1 and head(title, about, address, picture).isascii()
    assert "".join(shown).replace("\n", "") == found["og:title"] == title
    assert found["description"] == found["og:description"] == about
    assert found["icon"].startswith("data:image/svg+xml,")
    assert found.get("canonical") == address
    assert found.get("og:image") == (PICTURES[picture] if address else None)
