"""Files of conversations: JSONL, a conversation in each line.

    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}

Perhaps a message of "system" comes first, then "user" and "assistant" in turn.
"""

import json
from itertools import count

from npgpt.files import open_file
from npgpt.text import shown

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
            if len(line) > LONGEST_LINE:
                raise ValueError(f"{where} has more than {LONGEST_LINE:,} bytes; give a line for "
                                 "each conversation")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                if number == 1 and text.startswith("["):
                    raise ValueError("a list begins (jq -c '.[]' makes lines of it)")
                found = json.loads(text) if text else None
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{where} is not JSON in UTF-8: {shown(error)}; give a line for "
                                 f"each conversation, as {EXAMPLE}") from error
            if text:
                messages = found.get("messages") if isinstance(found, dict) else None
                if wrong := _wrong(messages):
                    raise ValueError(f"{where}: {wrong}; give a line as {EXAMPLE}")
                yield where, [{k: m[k] for k in ("role", "content")} for m in messages], None


def _wrong(messages):
    """Return what is wrong with the messages of a conversation, or None."""
    if not isinstance(messages, list) or not messages:
        return 'it has no list "messages" with messages in it'
    for i, message in enumerate(messages, 1):
        for name in ("role", "content"):
            value = message.get(name) if isinstance(message, dict) else None
            if not isinstance(value, str) or not value.strip():
                return f"message {i} has no text as its {name}"
    roles = [message["role"] for message in messages]
    turns = roles[roles[0] == "system" :]
    if not turns or turns != ["user", "assistant"] * (len(turns) // 2):
        return f"its roles are {shown(', '.join(roles), 60)}, and not user and assistant in turn"
    return None
