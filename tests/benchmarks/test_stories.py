"""The picture that README.md opens with."""

import pytest
from tiny_run import TEXT, TINY

from benchmarks.stories import main
from npgpt.cli import main as npgpt


def test_a_run_is_drawn_if_it_has_samples(tmp_path, capsys):
    text = tmp_path / "$hens.txt"
    text.write_text(TEXT, encoding="utf-8")
    for name, flags in (("run", []), ("silent", ["--sample-tokens", "0"])):
        arguments = ["train", "--corpus", str(text), "--out", str(tmp_path / name), *TINY, *flags]
        assert npgpt(arguments) == 0
    picture = tmp_path / "a.png"
    main([str(tmp_path / "run"), "--out", str(picture)])
    assert picture.read_bytes().startswith(b"\x89PNG") and "picture" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="--sample-tokens"):
        main([str(tmp_path / "silent"), "--out", str(tmp_path / "b.png")])
