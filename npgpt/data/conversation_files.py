"""Files of conversations: JSONL, a conversation in each line.

    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}

Perhaps a message of "system" comes first, then "user" and "assistant" in turn.
"""

import json
from itertools import count

from npgpt.support.files import open_file
from npgpt.support.text import shown

EXAMPLE = ('{"messages": [{"role": "user", "content": "Hi"}, '
           '{"role": "assistant", "content": "Hello."}]}')
LONGEST_LINE = 1 << 22  # bytes


def read_conversations(path):
    """Yield (where it stands, its messages, None) of each conversation in a JSONL file.

    Raises ValueError, which names the line, for the first that is none.
    """
    with open_file(path, "rb") as file:
        for number in count(1):
            line, where = file.readline(LONGEST_LINE + 1), f"{path}, line {number}"
            if not line:
                break
            try:
                if len(line) > LONGEST_LINE:
                    raise ValueError(f"it has more than {LONGEST_LINE:,} bytes")
                text = line.decode("utf-8-sig").strip()
                messages = text and _messages(json.loads(text))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise ValueError(f"{where} is no conversation ({shown(error)}); give a line as "
                                 f"{EXAMPLE}, of user and assistant in turn") from error
            if messages:
                yield where, messages, None


def _messages(found):
    """Return the messages of a conversation; an error of some kind if it is none."""
    messages = [{name: m[name] for name in ("role", "content")} for m in found["messages"]]
    roles = [message["role"] for message in messages]
    turns = roles[roles[:1] == ["system"] :]
    whole = all(message["content"].strip() for message in messages)
    if not (turns and whole) or turns != ["user", "assistant"] * (len(turns) // 2):
        raise ValueError(f"its roles are {', '.join(roles)}, or a message is empty")
    return messages
