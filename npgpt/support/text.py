"""Text for a person to read: a prompt to start from, safe printing, tokens as a stream of text."""

import codecs
import difflib
import re

VISIBLE_SPACES = {" ": "␣", "\n": "⏎", "\t": "⇥"}
# Characters that act on a terminal: control characters except tabs and line ends, and marks that
# change the direction of writing. Halves of surrogate pairs cannot be written at all.
TERMINAL_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

# What beginners type, and ours of the same meaning, or what to do instead.
TYPED = {
    "epochs": "--max-iters counts steps; training prints how many read the text",
    "steps": "max_iters", "learning_rate": "lr", "data": "corpus",
    "model": "init_from", "max_tokens": "max_new_tokens", "greedy": "temperature",
    "device": "all is computed on the CPU", "out": "> FILE keeps what is printed",
    "resume": "npgpt train --resume goes on with a run",
}


def visible(token):
    """Return a token as a label: spaces, line ends and everything else without a shape visible."""
    return shown("".join(VISIBLE_SPACES.get(c, c) for c in token), most=1 << 40)


def shown(name, most=200):
    """Return a name or a value from a file as one harmless line of at most `most` characters.

    >>> print(shown("a" + chr(27) + "[2J"))
    a\\x1b[2J
    >>> print(shown("hens", 4), shown("roosters", 4))
    hens r...
    """
    text = str(name)[: most + 1]
    text = text[: most - 3] + "..." if len(text) > most else text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def nearest(name, names):
    """Return ": did you mean X?" for an unknown name that resembles a known one, else "".

    >>> nearest("n_layers", ["n_layer", "n_head"]), nearest("--steps", ["--stop", "--max-iters"])
    (': did you mean n_layer?', ': did you mean --max-iters?')
    """
    plain = {known.lstrip("-").replace("-", "_").lower(): known for known in names}
    word = name.lstrip("-").replace("-", "_")
    if word not in plain:
        instead = TYPED.get(word, word)
        if " " in instead:
            return f": {instead}"
        word = instead if instead in plain else word
    near = difflib.get_close_matches(word, plain, 1, 0.65)
    return f": did you mean {plain[near[0]]}?" if near else ""


def counted(count, noun):
    """Return a number of things in words.

    >>> counted(1, "layer"), counted(1200, "step")
    ('1 layer', '1,200 steps')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def rounded(value):
    """Return a number with two digits, or from 10 on with those before the point.

    >>> [rounded(value) for value in (0, 0.0631, 2.26, 1273.2)]
    ['0', '0.063', '2.3', '1,273']
    """
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.2g}"


def clock(seconds):
    """Return a duration as a person reads it.

    >>> [clock(0.4), clock(75), clock(3600 * 30 + 125)]
    ['0:00', '1:15', '30:02:05']
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def printable(text):
    """Return a text for a terminal, with the characters that act on it escaped as in JSON.

    >>> print(printable("a" + chr(27) + "[2J"))
    a\\u001b[2J
    """
    return TERMINAL_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def starting_prompt(tokenizer):
    """Return the prompt of a new text: two line ends, or token 0 if the tokenizer has none."""
    try:
        tokenizer.encode("\n\n")
        return "\n\n"
    except ValueError:
        return tokenizer.decode([0])


class TextStream:
    """The text of tokens that come one by one, returned as soon as it is certain.

    A character may need the bytes of several tokens, and a stop string their characters: text that
    may be the beginning of a stop string is held back until more tokens decide.

    tokenizer   a tokenizer whose `tokens` are bytes
    stop        strings: the text ends before the first that occurs in it, and `ended` is True then
    """

    def __init__(self, tokenizer, stop=()):
        if not all(stop):
            raise ValueError("a stop string is empty, which is everywhere; give some text")
        self.tokens, self.stop = tokenizer.tokens, tuple(stop)
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.kept, self.ended = "", False

    def add(self, token):
        """Return the text that one more token makes certain; it may be empty."""
        return self._certain(self.decoder.decode(self.tokens[token]))

    def end(self):
        """Return the rest of the text when no token follows."""
        return self._certain(self.decoder.decode(b"", final=True), last=True)

    def _certain(self, text, last=False):
        if self.ended:
            return ""
        text, self.kept = self.kept + text, ""
        found = [at for at in map(text.find, self.stop) if at >= 0]
        if found:
            self.ended = True
            return text[: min(found)]
        certain = len(text) if last else len(text) - max(
            (k for s in self.stop for k in range(1, len(s)) if text.endswith(s[:k])), default=0
        )
        self.kept = text[certain:]
        return text[:certain]
