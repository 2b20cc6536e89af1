"""Words without a flag: texts, models and prompts, and what is said to a word that is none."""

import io
import shutil
from contextlib import redirect_stderr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.cli import main, program_parser


@pytest.mark.parametrize(("words", "wanted"), [
    ("train a.txt --n-layer 2 b.txt --corpus c", {"corpus": ["c", "a.txt", "b.txt"], "n_layer": 2}),
    ("train --resume runs/hens", {"resume": "runs/hens", "corpus": None}),
    ("generate a --n 2 hen", {"model": "a", "prompt": "hen", "n": 2}),
    ("eval runs/hens other.txt tales", {"model": "runs/hens", "corpus": ["other.txt", "tales"]}),
])
def test_words_and_flags_come_in_any_order(words, wanted):
    assert vars(program_parser().parse_args(words.split())).items() >= wanted.items()


@pytest.mark.parametrize(("words", "facts"), [
    ("generate hen", "'hen' MODEL TEXT runs/hens"),
    ("chat hen", "'hen' MODEL TEXT"),
    ("eval other.txt", "other.txt MODEL TEXT"),
    ("look hen", "MODEL runs/hens, 'runs/my hens'"),
    ("compare runs/hen runs/hens", "runs/hens, 'runs/my hens'"),
    ("train talks.jsonl", "talks.jsonl --conversations"),
    ("eval runs/hens talks.jsonl", "talks.jsonl --conversations"),
    ("train runs/hens", "runs/hens .safetensors"),
])
def test_a_word_in_the_wrong_place_leads_to_the_right_form(refuses, here, finished, words, facts):
    for name in ("hens", "my hens"):
        shutil.copytree(finished, here / "runs" / name)
    (here / "other.txt").touch()
    (here / "talks.jsonl").touch()
    refuses(facts, *words.split())


@given(word=st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1,
                    max_size=99),
       command=st.sampled_from(["train", "generate", "chat", "eval", "tokenize"]),
       times=st.sampled_from([1, 300]))
def test_any_word_is_refused_in_a_line_of_one_screen(tmp_path_factory, word, command, times):
    """Even one that is longer than the name of a file can be."""
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(io.StringIO()) as said:
        patch.chdir(tmp_path_factory.mktemp("empty"))
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(), "utf-8"))
        try:
            assert main([command, word * times]) == 1
        except SystemExit as end:
            assert end.code == 2
    assert len(said.getvalue()) < 1200
