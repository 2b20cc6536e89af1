"""The picture that README.md opens with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import TEXT, TINY

from benchmarks.stories import chosen, main, words
from npgpt.cli import main as npgpt


@given(st.lists(st.tuples(st.integers(), st.text()), min_size=1, max_size=50))
def test_the_first_and_the_last_sample_are_shown_and_none_twice(samples):
    samples = list(enumerate(samples))
    shown = chosen(samples)
    assert shown[0] == samples[0] and shown[-1] == samples[-1]
    assert shown == sorted(set(shown)) and len(shown) <= 5


def test_words_are_told_apart_from_what_stands_beside_them():
    assert words('"Not I," said the hen.\n\nOne') == ["Not", "I", "said", "the", "hen", "One"]


def test_a_run_is_drawn_if_it_has_samples(tmp_path, capsys):
    text = tmp_path / "$hens.txt"
    text.write_text(TEXT, encoding="utf-8")
    for name, flags in (("run", []), ("silent", ["--sample-tokens", "0"])):
        arguments = ["train", "--corpus", str(text), "--out", str(tmp_path / name), *TINY, *flags]
        assert npgpt(arguments) == 0
    picture = tmp_path / "a.png"
    main([str(tmp_path / "run"), "--out", str(picture)])
    assert picture.read_bytes().startswith(b"\x89PNG") and "picture" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no samples; train with --sample-tokens 200"):
        main([str(tmp_path / "silent"), "--out", str(tmp_path / "b.png")])
