"""Write npgpt/guides/flags.md, the table of every command's flags, from the parsers.

    python examples/flags.py
"""

import re
from pathlib import Path

from npgpt import cli

TABLE = Path(__file__).resolve().parents[1] / "npgpt" / "guides" / "flags.md"
HEAD = """\
# All flags

`npgpt COMMAND --help` prints the flags of a command, and `npgpt train --help-all` all settings of a
training. This table is made from the same text, by `python examples/flags.py`.
"""


def table():
    """Return the document."""
    parser = cli.program_parser()
    (commands,) = (action.choices for action in parser._actions if action.dest == "command")
    text = HEAD
    for name, (purpose, _) in cli.COMMANDS.items():
        rows = "".join(row(action) for action in commands[name].fill()._actions
                       if action.dest not in ("help", "help_all", "traceback"))
        text += f"\n## {name}\n\n{plain(purpose[0].upper() + purpose[1:])}.\n"
        text += f"\n| flag | what it does |\n| --- | --- |\n{rows}" if rows else ""
    return text


def row(action):
    """Return the line of a flag or a word."""
    name = action.option_strings[0] if action.option_strings else action.metavar
    choices = f" ({', '.join(map(str, action.choices))})" if action.choices else ""
    return f"| `{name}` | {plain(getattr(action, 'hidden', action.help) + choices)} |\n"


def plain(text):
    """Return a help text as the cell of a table in Markdown."""
    return re.sub(r"([|<>*_])", r"\\\1", text)


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
