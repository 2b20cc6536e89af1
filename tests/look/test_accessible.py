"""Every view for everybody: axe finds nothing, and the keyboard reaches all.

axe is a script in the wheel `axe-playwright-python`; nothing else of the wheel is used.
"""

from importlib.resources import files

import pytest
from look_page import TAB, VIEWS, media

pytestmark = pytest.mark.slow

# [the number of controls, the one that has the focus, -1 for none]
FOCUS = """
const controls = "a[href], button, input, select, textarea, summary, [tabindex]";
const all = [...document.querySelectorAll(controls)].filter(
  (element) => element.checkVisibility() && !element.disabled && element.tabIndex >= 0);
return [all.length, all.indexOf(document.activeElement)];
"""


@pytest.fixture(scope="module")
def axe():
    pytest.importorskip(
        "axe_playwright_python", reason="pip install --no-deps axe-playwright-python has axe.min.js"
    )
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def violations(browser, axe):
    """Return axe's violations of the page as lines: the rule, and the elements.

    The frames of the book show views, which are tested by themselves.
    """
    found = browser.driver.execute_async_script(
        axe + ";const done = arguments[0];"
        "axe.run({ iframes: false }).then((result) => done(result.violations));"
    )
    return [f"{rule['id']}: {node['html'][:200]} {node['failureSummary']}"
            for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize(
    "address",
    [*(f"view={view}&text=One+dawn+shy+Lady+Zora+of" for view in VIEWS), "text=é"],
)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 640, 1280, 2000])
def test_axe_finds_no_violation(browser, pages, axe, address, theme, width):
    """Nor beside a text that cannot be read."""
    browser.open(pages["tales"][0], address, width)
    browser.run("document.documentElement.dataset.theme = arguments[0]; npgpt.set({})", theme)
    assert violations(browser, axe) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_axe_finds_no_violation_in_the_book(browser, book, axe, theme, width):
    """Each page in one of the four ways, so that it takes half a minute; one of code in all."""
    found, way = {}, 2 * (theme == "dark") + (width == 400)
    paths = sorted({*book.glob("*.html")} - {book / "microscope.html"})[way::4]  # a view
    paths += [book / "code" / "npgpt" / "__init__.py.html"]
    with media(browser, "prefers-color-scheme", theme):
        for path in paths:
            browser.open(path, width=width)
            found[path.name] = violations(browser, axe)
    assert len(found) > 4 and {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize("view", VIEWS)
def test_the_tab_key_reaches_every_control_and_leaves_again(browser, pages, view):
    from selenium.webdriver.common.action_chains import ActionChains

    browser.open(pages["tales"][0], f"view={view}&text=One+dawn")
    browser.run("document.activeElement.blur()")
    reached = []
    for _ in range(300):
        ActionChains(browser.driver).send_keys(TAB).perform()
        count, at = browser.run(FOCUS)
        if at < 0 or at in reached:
            break
        reached.append(at)
    assert len(reached) == count and count > 4
