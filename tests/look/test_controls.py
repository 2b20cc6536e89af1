"""What the controls do that no other test presses, and where the focus is then."""

import pytest
from look_page import BACKSPACE, DOWN, ENTER, HOME, RIGHT, mouse, until

# The view, the control, the keys that are typed in it (with none it is clicked), what that changes.
CONTROLS = (
    ("overview", "[aria-label*='block 2, head 1']", ENTER, {
        "view": "attention", "layer": 2, "head": 1, "s": -1}),
    ("overview", ".part[tabindex='0']", RIGHT + ENTER, {"view": "tokens"}),
    ("overview", "#reads [role=listbox]", RIGHT, {"t": 6}),
    ("knockout", "section [aria-label$='block 3, MLP']", "", {"mlps": "3"}),
    ("knockout", "section [aria-label^=Positions] [data-t='4']", "", {"positions": "4", "t": 4}),
    ("knockout", "section [aria-label^=Positions]", RIGHT + " ", {"positions": "6", "t": 6}),
    ("tokens", "section [role=listbox]", HOME + RIGHT, {"t": 1}),
    ("tokens", "section [type=number]", f"7{ENTER}", {"seed": 17}),
    ("attention", "section [aria-label^='2.1']", "", {"layer": 2, "head": 1}),
    ("attention", "section canvas[tabindex]", DOWN + DOWN + RIGHT, {"t": 7, "s": 4}),
    ("attention", "section [role=listbox] [data-t='2']", "", {"s": 2}),
    ("attention", "section [role=listbox] [data-t='8']", "", {"t": 8}),  # it comes later
    ("backward", "section label:nth-child(2) [type=number]", BACKSPACE + ENTER, {"at": 4}),
    ("backward", "section .controls select", DOWN, {"weight": "h.0.attn.c_proj.weight", "at": -1}),
)
# Whether the focus is on an element of the view, or on what it is a part of.
FOCUSED = """
const { activeElement: has, body } = document;
return has !== body && has.contains(document.querySelector(arguments[0]));
"""


@pytest.mark.parametrize(("view", "css", "keys", "changes"), CONTROLS)
def test_a_control_changes_what_it_says_and_keeps_the_focus(
    browser, pages, view, css, keys, changes
):
    def act():
        control = browser.find(css)
        return [control.send_keys(keys) if keys else control.click()]

    browser.open(pages["tales"][0], f"view={view}&text=One+dawn+shy&t=5&s=3&at=45", 1280)
    before = browser.run("return npgpt.state")
    until(browser, act)  # it may be drawn anew meanwhile
    assert browser.run("return npgpt.state") == before | changes
    assert "view" in changes or browser.run(FOCUSED, css)


def test_a_token_of_the_lens_is_chosen_and_read_aloud(browser, pages):
    browser.open(pages["tales"][0], "view=residual&text=One+dawn+shy", 1280)
    mouse(browser, "[aria-label='logit lens'] canvas", 104 + 7.5 * 24, 30)
    chosen = browser.find("section:not([hidden]) [aria-selected=true]")
    assert chosen.get_attribute("data-t") == "7"
    strip = browser.find("section:not([hidden]) [role=listbox]")
    assert strip.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
