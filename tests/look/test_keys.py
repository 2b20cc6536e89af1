"""What each control of each view does stands in keys.txt: at its keys, when it is pressed, at its
ends, and when it is pressed again.

A line names a control as it is offered, in the order of the Tab key; of many of a kind there are
the first and the last. Below it is what changes: the page's state, the focus, other controls.
"""

from pathlib import Path
from textwrap import wrap

from look_lists import ACTS, STEADY
from look_page import BET, VIEWS, compare, turn_to

LIST = Path(__file__).with_name("keys.txt")
INDENTED = {"initial_indent": "    ", "subsequent_indent": "    ", "break_long_words": False,
            "break_on_hyphens": False}
TEXT = "text=One+dawn+shy"
OUT = "heads=0.1&mlps=2&positions=3,4"
DRAW = "[...document.querySelectorAll('button')].find((b) => /^Draw/.test(b.textContent)).click();"
# For each: the page, the address, the button to press or the script to run there, where to act.
STATES = {
    "the page": ("microscope", TEXT, "",
                 ".top > button:not(.begin), #pitch, #reads, #prompt, #kept, #views, footer"),
    **{view: ("microscope", f"view={view}&{TEXT}", "", "section") for view in (*VIEWS, "bet")},
    "parts are out": ("microscope", f"view=knockout&{TEXT}&{OUT}", "", ".controls"),
    "two tokens are drawn": ("microscope", f"view=tokens&{TEXT}", 2 * DRAW, ".steps"),
    "a fault": ("microscope", f"view=backward&{TEXT}&fault=gelu&at=5", "", ".controls > button"),
    "taught": ("microscope", f"view=teach&{TEXT}&sentence=A", "npgpt.pass.weights = 1;"
               "npgpt.set({})", ".controls > button"),
    "a bet": ("microscope", f"view=bet&{TEXT}", BET, ".controls > button"),
    "an unknown mark": ("microscope", "text=A+hen+€", "", "#reads, header > p:not(#pitch)"),
    "the tour": ("microscope", "", "Take the tour", ".tour"),
    "in a book": ("microscope", f"view=attention&only=1&{TEXT}", "npgpt.set({ view: 'tokens' })",
                  "main > button, header *, .concept *, footer *"),
    **{f"recorded: {view}": ("recorded", f"view={view}", "",
         "#prompt, section :is(.controls, button, canvas, [role=listbox])")
       for view in ("overview", "tokens", "residual")},
}


def test_each_control_does_what_is_in_the_list(browser, paths, tmp_path):
    lines = []
    for name, (kind, address, then, where) in STATES.items():
        turn_to(browser, paths[kind], address, then, more=STEADY)
        lines.append(f"# {name}")
        for control, does in browser.run(ACTS, where, 11 if name == "the tour" else 2):
            if does or lines[-1][0] in "# ":
                lines.append(control)
            else:  # several that are only offered
                lines[-1] += f" | {control}"
            lines += wrap("; ".join(does), 160, **INDENTED)
    compare(lines, LIST, tmp_path)
