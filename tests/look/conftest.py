"""Models to look at, whose weights are so large that no rule can be wrong unseen; their pages; and
a browser.

The browser is Debian's chromium, driven by selenium (the extra `browser`). Where either is missing,
the tests that need it are skipped; with NPGPT_BROWSER=required, as in .ci/run, they fail.
"""

import io
import json
import os
import shutil
from importlib.util import find_spec

import pytest
from look_page import lively

from npgpt import tales
from npgpt.batches import TextSource
from npgpt.config import GPTConfig, TrainConfig
from npgpt.data.corpora import load_corpus
from npgpt.data.tokens import scan
from npgpt.loading import Loaded
from npgpt.loading.runs import Run
from npgpt.look.page import make_page, view_titles
from npgpt.tokenizers import BPETokenizer, CharTokenizer

TEXT = tales.generate(20_000, seed=3)
KINDS = ("tales", "bpe", "untied")


def make_subject(kind, folder):
    """Return a `Loaded`. tales: the preset's shape, characters, a run without metrics. bpe: byte
    pairs and biases. untied: an output layer of its own."""
    if kind == "bpe":
        tokenizer = BPETokenizer.train(TEXT, 300)
        config = GPTConfig(tokenizer.vocab_size, 24, n_layer=2, n_head=6, n_embd=24)
        return Loaded("byte pairs", lively(config), tokenizer, None)
    tokenizer = CharTokenizer.train(TEXT)
    if kind == "untied":
        config = GPTConfig(tokenizer.vocab_size, 16, 1, 2, 10, bias=True, tie_weights=False)
        return Loaded("untied", lively(config), tokenizer, None)
    config = GPTConfig(tokenizer.vocab_size, 256, 4, 4, 128, bias=False)
    stats = scan(load_corpus(["tales"]))  # the page holds a part of it, if it has this hash
    source = TextSource("tales", stats.characters, stats.sha256, tales.entropy_rate())
    return Loaded("tales", lively(config), tokenizer, Run(folder, config, TrainConfig(), source))


@pytest.fixture(scope="session")
def subjects(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return {kind: make_subject(kind, folder) for kind in KINDS}


@pytest.fixture(scope="session")
def pages(subjects, tmp_path_factory):
    """Return {kind: (path of its page, record)}."""
    folder, found = tmp_path_factory.mktemp("pages"), {}
    for kind, subject in subjects.items():
        html, record = make_page(subject)
        path = folder / f"{kind}.html"
        path.write_text(html, encoding="utf-8")
        found[kind] = path, record
    return found


class Browser:
    """A chromium without a window.    driver: selenium's, for all else"""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, address="view=overview", width=1000, ratio=1):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": ratio, "mobile": width == 400},
        )
        self.driver.get("about:blank")  # so that another address of the same file is read anew
        self.logs()
        self.driver.get(f"{path.as_uri()}#{address}")
        return self

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def find(self, css):
        return self.driver.find_element("css selector", css)

    def logs(self):
        """Return (complaints of the console, requests of the page) since the last call."""
        complaints = [entry["message"] for entry in self.driver.get_log("browser")]
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        asked = [
            event["params"]["request"]["url"].split("#")[0]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return complaints, asked


@pytest.fixture(scope="session")
def browser():
    paths = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in paths or not find_spec("selenium"):
        missing = pytest.fail if os.environ.get("NPGPT_BROWSER") == "required" else pytest.skip
        missing("install selenium (the extra 'browser'), chromium and chromium-driver (by apt)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = paths[0]
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(paths[1]))
    yield Browser(driver)
    driver.quit()


@pytest.fixture(scope="session")
def book(pages, tmp_path_factory):
    """Return the folder of a book, about which Sphinx has nothing to say."""
    pytest.importorskip("sphinxext.opengraph", reason="of the extra 'book'")
    from npgpt.book.pages import MODEL, write_book

    folder, warnings = tmp_path_factory.mktemp("book") / "book", io.StringIO()
    page = pages["tales"][0].read_text(encoding="utf-8")
    write_book(folder, view_titles(), {MODEL: page}, warning=warnings)
    assert warnings.getvalue() == ""
    return folder
