"""Words without a flag: texts, models and prompts, and what is said to a word that is none."""

import io
import shutil
from contextlib import redirect_stderr

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import TEXT

from npgpt.cli import main, program_parser


@pytest.fixture
def with_run(here, finished):
    """A folder with a run, two texts and a file of conversations."""
    shutil.copytree(finished, here / "runs" / "hens")
    (here / "other.txt").write_text(TEXT * 2, encoding="utf-8")
    (here / "more.txt").write_text(TEXT, encoding="utf-8")
    (here / "talks.jsonl").write_text("{}\n", encoding="utf-8")


@pytest.mark.parametrize(("words", "wanted"), [
    ("train a.txt --n-layer 2 b.txt --corpus c", {"corpus": ["c", "a.txt", "b.txt"], "n_layer": 2}),
    ("train --resume runs/hens", {"resume": "runs/hens", "corpus": None}),
    ("generate runs/hens --n 2 hen", {"model": "runs/hens", "prompt": "hen", "n": 2}),
    ("chat --prompt hen runs/hens", {"model": "runs/hens", "prompt": "hen"}),
    ("eval runs/hens other.txt tales", {"model": "runs/hens", "corpus": ["other.txt", "tales"]}),
    ("prepare --corpus a.txt --split tail new", {"corpus": ["a.txt"], "folder": "new"}),
])
def test_words_and_flags_come_in_any_order(words, wanted):
    args = program_parser().parse_args(words.split())
    assert {name: getattr(args, name) for name in wanted} == wanted


@pytest.mark.parametrize(("words", "facts"), [
    ("generate hen", ("'hen'", "generate MODEL TEXT", "runs/hens")),
    ("chat hen", ("'hen'", "chat MODEL TEXT")),
    ("eval other.txt", ("other.txt", "eval MODEL TEXT")),
    ("look hen", ("look MODEL",)),
    ("train talks.jsonl", ("talks.jsonl", "--conversations")),
    ("eval runs/hens talks.jsonl", ("talks.jsonl", "--conversations")),
    ("train Other.txt", ("did you mean other.txt?",)),
    ("train runs/hens", ("runs/hens", ".safetensors")),
])
def test_a_word_in_the_wrong_place_leads_to_the_right_form(refused, with_run, words, facts):
    err = refused(*words.split())
    assert all(fact in err for fact in facts), err


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
