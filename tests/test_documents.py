"""The documents and project files are true: names resolve, snippets print the text beneath them,
commands exist, imports are lean.

A snippet is checked by its `assert` lines and by its output.
"""

import ast
import json
import pkgutil
import re
import shlex
import subprocess
import sys

import pytest
from tiny_run import ROOT, TEXT, TINY, module_of

from npgpt import cli

CONCEPTS = ROOT / "CONCEPTS.md"
DOCUMENTS = [ROOT / name for name in ("README.md", "CONCEPTS.md", "npgpt/README.md",
                                      "autograd/README.md", "benchmarks/README.md")]
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
FOLDERS_OF_CODE = ("autograd", "npgpt", "tests", "benchmarks", "examples")

FENCED = re.compile(r"^(?P<indent> *)```(?P<language>\S*).*\n(?P<text>(?s:.*?))^ *```$", re.M)
LINKED_FILE = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
PATH_IN_BACKTICKS = re.compile(rf"`((?:{'|'.join(FOLDERS_OF_CODE)})/[\w./]+)`")
NAME_IN_BACKTICKS = re.compile(r"`((?:autograd|npgpt)(?:\.[A-Za-z_]\w*)+)")


def relative(path):
    return path.relative_to(ROOT).as_posix()


def read(path):
    return path.read_text(encoding="utf-8")


def docstrings(path):
    """Return every docstring of a Python file, joined."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(read(path))) if isinstance(node, documented)]
    return "\n".join(ast.get_docstring(node) or "" for node in nodes)


def names_in_backticks(text):
    return sorted(set(NAME_IN_BACKTICKS.findall(FENCED.sub("", text))))


snippets = module_of(ROOT / "examples" / "snippets.py")


def commands(text):
    """Return the commands of a document: indented lines, up to two spaces and a description."""
    lines = re.findall(r"^    (?:\S+=\S+ )*(\.venv/bin/\S.*)$", FENCED.sub("", text), re.M)
    return [re.split(r"  +|(?: \| )|(?: > )|(?: && )", line)[0] for line in lines]


# ---- the documents


@pytest.mark.parametrize("path", DOCUMENTS + EXAMPLES, ids=relative)
def test_every_dotted_name_of_our_code_resolves(path):
    text = read(path) if path.suffix == ".md" else docstrings(path)
    for name in names_in_backticks(text):
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError) as error:
            pytest.fail(f"{relative(path)} speaks of `{name}`: {error}")


@pytest.mark.filterwarnings("ignore:this processor has no instructions for bfloat16")
@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_the_snippets_run_in_order_and_print_what_stands_beneath(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = read(path)
    if "runs/tales" in "".join(snippet.code for snippet in snippets.snippets(text)):
        (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
        assert cli.main(["train", *TINY, "--corpus", "a.txt", "--out", "runs/tales"]) == 0
    found = snippets.snippets(text)
    for snippet, printed in zip(found, snippets.what_they_print(found, path), strict=True):
        if path == CONCEPTS or snippet.printed:
            where = f"{relative(path)}, the snippet of line {snippet.line}"
            assert printed == snippet.printed, f"{where}; mend it with: {snippets.COMMAND}"


def test_the_notebook_is_what_the_document_gives_and_can_be_opened():
    assert read(snippets.NOTEBOOK) == snippets.as_notebook(read(CONCEPTS)), snippets.COMMAND
    notebook = json.loads(read(snippets.NOTEBOOK))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = notebook["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    keys = {"cell_type", "id", "metadata", "source"}
    for cell in cells:
        code = cell["cell_type"] == "code"
        assert set(cell) == keys | {"execution_count", "outputs"} if code else keys
        for link in LINKED_FILE.findall(FENCED.sub("", cell["source"])):
            assert (snippets.NOTEBOOK.parent / link).exists(), link
    set_up, *codes = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    assert set_up == cells[0]["source"] and "%pip install" in set_up
    assert all(line.startswith("#") for line in set_up.splitlines())  # not run with the others
    assert "\n".join(codes).split() == "".join(
        snippet.code for snippet in snippets.snippets(read(CONCEPTS))
    ).split()


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_the_commands_that_a_document_prints_are_commands(path, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.txt").touch()
    for command in commands(read(path)):
        program, *words = shlex.split(command)
        if program == ".venv/bin/npgpt":
            try:
                cli.program_parser().parse_args(words)
            except SystemExit as end:
                assert end.code == 0, f"{command}: {capsys.readouterr().err}"
        elif program == ".venv/bin/python" and words[0] == "-m":
            assert (ROOT / words[1].split(".")[0]).is_dir() or words[1] == "pytest", command
        elif program == ".venv/bin/python" and words[0] != "-c":
            assert (ROOT / words[0]).exists(), command


def test_the_cheap_commands_of_the_lesson_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cheap = ("gradcheck --op", "info", "exercise")
    ran = 0
    for command in commands(read(CONCEPTS)):
        words = command.removeprefix(".venv/bin/npgpt ")
        if words.startswith(cheap):
            ran += 1
            assert cli.main(shlex.split(words)) == 0, f"{command}: {capsys.readouterr().err}"
    assert ran > 10


def test_every_section_of_the_lesson_has_a_picture_something_to_try_and_three_questions():
    _, *sections = re.split(r"^## ", read(CONCEPTS), flags=re.M)
    for section in sections:
        heading = section.splitlines()[0]
        if heading not in ("Map of the code", "The Claims, One by One", "Further Reading",
                           "Appendix", "Glossary"):
            assert re.search(r"!\[[^]]+\]\([^)]+\)", section), f"{heading} has no picture"
            assert "**Try this.**" in section and commands(section), f"{heading}: nothing to try"
            asked, _, answers = section.partition("**Check yourself.**")[2].partition("<details>")
            for text in (asked, answers):
                assert re.findall(r"^(\d)\. ", text, re.M) == ["1", "2", "3"], heading


FIELDS_WORDS = """
backpropagation, gradient descent, self-attention, overfitting, positional encoding, fine-tuning,
hallucination, context window, hyperparameter, initialization, RLHF, reverse-mode, reasoning,
generative pre-trained transformer, regularization, early stopping, quantization, inference,
instruction tuning, excess, encoder, decoder, logits, softmax, momentum, SGD,
language model, token, character, Byte Pair Encoding, subword, vocabulary, embedding, positional
embedding, attention, query, key, value, attention score, attention weights, multi-head attention,
head, causal attention, masked attention, autoregressive, transformer block, layer normalization,
residual connection, feed-forward network, MLP, pre-norm, next token prediction, cross-entropy,
training loop, epoch, batch, backward pass, AdamW, learning rate, batch size, gradient clipping,
sampling, greedy, temperature, top-k, top-p, nucleus, encoder-only, encoder-decoder, decoder-only,
tied embeddings, activation function, GELU, ReLU, weight decay, scaling law, parameter, compute"""


def plain(text):
    """Return a text in small letters, without marks, links' targets and line breaks."""
    return " ".join(re.sub(r"\]\([^)]*\)|[*`\[]", "", text).lower().split())


def test_every_word_of_the_field_is_in_the_glossary_and_stands_where_it_says():
    titles_and_texts = re.split(r"^##+ (.*)\n", read(CONCEPTS), flags=re.M)[1:]
    sections = {re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")): plain(f"{title} {text}")
                for title, text in zip(titles_and_texts[::2], titles_and_texts[1::2], strict=True)}
    rows = re.findall(r"^\| (.+?) \|(.*?)\| .+? \| (.+) \|$", titles_and_texts[-1], re.M)[2:]
    listed = [word for words, own, _ in rows for word in f"{words}, {own.strip()}".split(", ")]
    there = {plain(word) for word in listed}
    assert [word for word in map(plain, FIELDS_WORDS.split(",")) if word not in there] == []
    for words, own, where in rows:
        for word in plain(f"{words}, {own.strip()}").strip(",").split(", "):
            for anchor in re.findall(r"\]\(#(.*?)\)", where):
                assert re.search(rf"(?<!\w){re.escape(word)}", sections[anchor]), (word, anchor)


@pytest.mark.parametrize("path", [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("*/*.md")),
                                  *sorted(ROOT.glob("examples/*/*.md"))], ids=relative)
def test_every_file_and_picture_that_a_document_links_to_is_there(path):
    linked = LINKED_FILE.findall(FENCED.sub("", read(path)))
    assert [name for name in linked if not (path.parent / name).exists()] == []


@pytest.mark.parametrize("path", [*DOCUMENTS, ROOT / "CONTRIBUTING.md"], ids=relative)
def test_every_path_in_backticks_is_there(path):
    named = set(PATH_IN_BACKTICKS.findall(read(path))) - {"npgpt/cli/NAME.py"}
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_readme_has_exactly_two_set_up_commands():
    install = r"python3 -m venv .venv && .venv/bin/pip install -e '\.\[(\w+)\]' && (.*)"
    found = re.findall(install, read(ROOT / "README.md"))
    expected = {("plot", ".venv/bin/npgpt train"), ("test", ".venv/bin/python -m pytest")}
    assert set(found) == expected and len(found) == 2


TREE_LINE = re.compile(r"^( *)(\S+(?: \S+)*)  +\S", re.M)
UNNAMED = {"README.md", "__init__.py", "__main__.py", "py.typed"}


def tree():
    """Yield the path of each name in README.md's tree, two spaces deeper for each folder."""
    blocks = FENCED.finditer(read(ROOT / "README.md"))
    (lines,) = (block["text"] for block in blocks if block["language"] == "text")
    folders = []
    for indent, names in TREE_LINE.findall(lines):
        folders[len(indent) // 2 :] = [names]
        yield from ("".join(folders[:-1]) + name for name in names.split())


def test_the_tree_has_all_places_of_the_repository_and_nothing_else():
    named = list(tree())
    assert [name for name in named if not (ROOT / name).exists()] == []
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=False, capture_output=True)
    places = set()
    for name in tracked.stdout.decode("utf-8").split():  # none in a source distribution
        top, *below = re.findall(r"[^/]+/?", name)
        places |= {top} | ({top + below[0]} if top in ("autograd/", "npgpt/") else set())
    places = {name for name in places if name.split("/")[-1] not in UNNAMED}
    assert places - set(named) == set(), "name these in the tree of README.md"


def test_each_name_that_moved_is_where_the_changelog_says():
    changes = read(ROOT / "CHANGELOG.md")
    rows = re.findall(r"^\| (`.*) \| (`.*) \|$", changes, re.M)
    (latest,) = re.findall(r"^version = (.*)$", read(ROOT / "setup.cfg"), re.M)
    assert rows and re.search(r"^## (.*)$", changes, re.M)[1] == latest
    for old, new in rows:
        for name in names_in_backticks(new):
            pkgutil.resolve_name(name)
        for name in names_in_backticks(old):
            with pytest.raises((ImportError, AttributeError)):
                pytest.fail(f"`{name}` is there still: {pkgutil.resolve_name(name)}")


# ---- the imports


def test_importing_us_warns_of_nothing_and_loads_no_compiler_no_plotting_and_no_peer():
    code = "import sys, autograd, npgpt; print(*sys.modules)"
    command = [sys.executable, "-W", "error", "-c", code]
    run = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, encoding="utf-8")
    assert run.returncode == 0, run.stderr
    assert not {"numba", "matplotlib", "torch", "tiktoken", "regex"} & set(run.stdout.split())


def test_no_file_imports_pickle():
    picklers = r"^ *(?:from|import) (?:_?pickle|shelve|cloudpickle|dill|joblib)\b"
    for path in (path for folder in FOLDERS_OF_CODE for path in (ROOT / folder).rglob("*.py")):
        used = re.search(picklers, read(path), re.M)
        assert not used, f"{relative(path)} imports {used}: save arrays with safetensors instead"


def test_the_citation_is_of_this_version():
    of = dict(re.findall(r"^(\w+)(?: =|:) (.*)$", read(ROOT / "setup.cfg"), re.M))
    citation = dict(re.findall(r"^(?:  - )?([\w-]+): (.*)$", read(ROOT / "CITATION.cff"), re.M))
    assert [citation[name] for name in ("version", "license", "name")] == [
        of["version"], of["license"], of["author"]]
    assert of["description"].lower() in citation["title"].lower()
