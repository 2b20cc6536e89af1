"""What the controls do that no other test presses, and where the focus is then."""

import pytest
from look_page import (
    BACKSPACE,
    DOWN,
    END,
    ENTER,
    HOME,
    LEFT,
    RIGHT,
    UP,
    mouse,
    press,
    shown,
    table,
    until,
)

# The view, the control, the keys that are typed in it (with none it is clicked), what that changes.
CONTROLS = (
    ("overview", "[aria-label*='block 2, head 1']", ENTER, {
        "view": "attention", "layer": 2, "head": 1, "s": -1}),
    ("overview", "[aria-label^='block 3 MLP']", "", {"view": "residual"}),
    ("overview", ".part[tabindex='0']", RIGHT + ENTER, {"view": "tokens"}),
    ("overview", ".part[tabindex='0']", LEFT + ENTER, {"view": "residual"}),
    ("overview", "[aria-label='the token after']", "", {"t": 6}),
    ("overview", "[aria-label='the token before']", ENTER, {"t": 4}),
    ("knockout", "[aria-label$='block 3, MLP']", "", {"mlps": "3"}),
    ("knockout", "[aria-label^=Positions] [data-t='4']", "", {"positions": "4", "t": 4}),
    ("tokens", "[role=listbox]", HOME + RIGHT, {"t": 1}),
    ("tokens", "[role=listbox]", END + LEFT, {"t": 10}),
    ("tokens", "[type=number]", f"7{ENTER}", {"seed": 17}),
    ("attention", "[aria-label^='2.1']", "", {"layer": 2, "head": 1}),
    ("attention", "canvas[tabindex]", DOWN + DOWN + RIGHT, {"t": 7, "s": 4}),
    ("attention", "canvas[tabindex]", UP + LEFT + LEFT, {"t": 4, "s": 1}),
    ("attention", ".arcs text:nth-of-type(3)", "", {"s": 2}),
    ("attention", ".arcs text:nth-of-type(9)", "", {"t": 8}),  # beyond the chosen position
    ("residual", "[aria-label=rival]", DOWN, {"rival": 22}),  # the next of the likeliest
    ("backward", "label:nth-child(2) [type=number]", BACKSPACE + ENTER, {"at": 4}),
    ("backward", ".controls select", DOWN, {"weight": "h.0.attn.c_proj.weight", "at": -1}),
)
# Whether the focus is on an element of the view, or on what it is a part of.
FOCUSED = """
const { activeElement: has, body } = document;
return has !== body && has.contains(document.querySelector(arguments[0]));
"""


def opened(browser, pages, view):
    browser.open(pages["tales"][0], f"view={view}&text=One+dawn+shy&t=5&s=3&at=45", 1280)
    return browser.run("return npgpt.state")


@pytest.mark.parametrize(("view", "css", "keys", "changes"), CONTROLS)
def test_a_control_changes_what_it_says_and_keeps_the_focus(
    browser, pages, view, css, keys, changes
):
    def act():
        control = browser.find(f"section {css}")
        return [control.send_keys(keys) if keys else control.click()]

    before = opened(browser, pages, view)
    until(browser, act)  # it may be drawn anew meanwhile
    assert browser.run("return npgpt.state") == before | changes
    assert "view" in changes or browser.run(FOCUSED, f"section {css}")


def test_a_token_of_a_picture_is_chosen_and_read_aloud(browser, pages):
    opened(browser, pages, "overview")
    browser.find(".token.chosen + .token").click()
    assert browser.run("return npgpt.state.t") == 6
    browser.run("npgpt.set({ view: 'residual' })")
    mouse(browser, "[aria-label='logit lens'] canvas", 104 + 7.5 * 24, 30)
    chosen = browser.find("section:not([hidden]) [aria-selected=true]")
    assert chosen.get_attribute("data-t") == "7"
    strip = browser.find("section:not([hidden]) [role=listbox]")
    assert strip.get_attribute("aria-activedescendant") == chosen.get_attribute("id")


def test_a_fault_is_planted_in_the_chosen_rule(browser, pages):
    opened(browser, pages, "backward")
    browser.find("section button + label select").send_keys(DOWN)
    press(browser, "Plant a fault")
    assert browser.run("return npgpt.state.fault") == "gelu"


def test_a_bet_returns_the_focus_and_the_game_begins_again(browser, pages):
    opened(browser, pages, "bet")
    field = browser.find("[aria-label='the next character']")
    field.send_keys("q")
    browser.find("section .begin").click()
    assert browser.run(FOCUSED, "[aria-label='the next character']")
    assert len(table(browser, "losses in nats")) == 6
    press(browser, "From the beginning")
    assert len(table(browser, "losses in nats")) == 4


def test_the_tour_begins_with_the_focus_on_its_button(browser, pages):
    opened(browser, pages, "overview")
    press(browser, "Take the tour")
    assert shown(browser, ".tour :focus") == "Next"
