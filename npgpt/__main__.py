"""`python -m npgpt`: the program without its installed script."""

import npgpt.cli.__main__  # noqa: F401
