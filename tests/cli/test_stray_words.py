"""Words without a flag, and the flags of other programs: taken, or led to the flag of ours."""

import shlex
import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import TEXT, TINY

from npgpt import cli as program
from npgpt.cli.stray_words import TAKES, place
from npgpt.cli.train import OF_THE_START
from npgpt.loading.runs import read_run
from npgpt.names import OF_OTHERS


@pytest.fixture
def place_of_work(here, finished):
    """A folder with a run, two texts and a file of settings."""
    shutil.copytree(finished, here / "runs" / "hens")
    (here / "other.txt").write_text(TEXT * 2, encoding="utf-8")
    (here / "more.txt").write_text(TEXT, encoding="utf-8")
    (here / "my.toml").write_text("n_layer = 2", encoding="utf-8")
    (here / "tokens").mkdir()
    (here / "tokens" / "train.bin").write_bytes(b"")
    (here / "talks.jsonl").write_text("{}\n", encoding="utf-8")


TAKEN = [
    ("train other.txt", {"corpus": ["other.txt"]}),
    ("train other.txt --n-layer 2 more.txt", {"corpus": ["other.txt", "more.txt"], "n_layer": 2}),
    ("train '*.txt' my.toml", {"corpus": ["*.txt"], "config": "my.toml"}),
    ("train shakespeare", {"corpus": ["shakespeare"]}),
    ("train --resume runs/hens", {"resume": "runs/hens", "corpus": None}),
    ("train other.txt --n_layer=2 --max_iters 3", {"n_layer": 2, "max_iters": 3}),
    ("generate runs/hens other.txt", {"model": "runs/hens", "prompt_file": "other.txt"}),
    ("prepare other.txt --out new", {"corpus": ["other.txt"], "folder": None, "out": "new"}),
    ("prepare tokens other.txt", {"folder": "tokens", "corpus": ["other.txt"]}),
    ("train https://a.b/c.txt", {"corpus": ["https://a.b/c.txt"]}),
    ("generate 'The hen'", {"model": None, "prompt": "The hen"}),
    ("generate runs/hens hen --n 2", {"model": "runs/hens", "prompt": "hen", "n": 2}),
    ("generate gpt2", {"model": "gpt2", "prompt": None}),
    ("chat 'The hen'", {"model": None, "prompt": "The hen"}),
    ("look 'The hen'", {"run": None, "prompt": "The hen"}),
    ("tokenize 'The hen'", {"tokenizer": None, "text": "The hen"}),
    ("eval other.txt", {"run": None, "corpus": ["other.txt"]}),
    ("eval runs/hens other.txt tales", {"run": "runs/hens", "corpus": ["other.txt", "tales"]}),
    ("train - --n-layer 2", {"corpus": ["-"], "n_layer": 2}),
    ("eval runs/hens -", {"run": "runs/hens", "corpus": ["-"]}),
    ("generate runs/hens -", {"model": "runs/hens", "prompt": None, "prompt_file": "-"}),
    ("train talks.jsonl", {"corpus": None, "conversations": ["talks.jsonl"]}),
    ("prepare other.txt more.txt new", {"corpus": ["other.txt", "more.txt"], "folder": "new"}),
    ("prepare new other.txt", {"corpus": ["other.txt"], "folder": "new"}),
    ("export runs/hens --out new", {"run": "runs/hens", "folder": None, "out": "new"}),
    ("generate 'The hen' runs/hens", {"model": "runs/hens", "prompt": "The hen"}),
    ("look runs/hens new.html", {"run": "runs/hens", "prompt": None, "out": "new.html"}),
    ("prepare --corpus other.txt new", {"corpus": ["other.txt"], "folder": "new"}),
    ("prepare new --corpus other.txt more.txt", {"corpus": ["other.txt", "more.txt"]}),
]


@pytest.mark.parametrize(("line", "wanted"), TAKEN, ids=lambda case: str(case)[:30])
def test_a_word_that_can_mean_one_thing_only_is_taken(place_of_work, line, wanted):
    args = program._parsed(shlex.split(line))
    assert {name: getattr(args, name) for name in wanted} == wanted


LED = [
    ("train runs/hens", ("--resume runs/hens", "--init-from runs/hens")),
    ("train smollm2 other.txt", ("--init-from smollm2",)),
    ("train --init smollm2", ("--init-from",)),
    ("train --tokenizer gpt2", ("npgpt prepare",)),
    ("train --bias False", ("False", "--no-")),
    ("train --bias=False", ("--no-",)),
    ("train --val-split 0.1", ("--train-fraction?",)),
    ("train --validation-file x", ("npgpt eval",)),
    ("train --base smollm2", ("--init-from?",)),
    ("train --resume_from_checkpoint x", ("--resume",)),
    ("resume runs/hens", ("npgpt train --resume",)),
    ("generate --prompt a --prompt b", ("--prompt", "twice")),
    ("generate -o x", ("> FILE",)),
    ("generate --quantize int8", ("--weights?",)),
    ("generate --stream", ("as it comes",)),
    ("chat --n 3", ("--n",)),
    ("chat --save x", ("/save FILE",)),
    ("run smollm2", ("generate or chat",)),
    ("export runs/hens new --outtype gguf", (".gguf",)),
    ("info --n-layer 12", ("npgpt train", "--check")),
    ("train stray", ("stray", "--corpus")),
    ("train Other.txt", ("did you mean other.txt?",)),
    ("eval runs/hens runs/hens runs/hens", ("no text", "--corpus")),
    ("train --name hens", ("--out?",)),
    ("train --lora", ("all weights",)),
    ("tokenize runs/hens --text hen", ("without a flag",)),
    ("eval runs/hens runs/hens", ("runs/hens",)),
    ("generate runs/hens runs/hens", ("runs/hens",)),
    ("train --data other.txt", ("--corpus",)),
    ("train --epochs=3", ("--epochs=3", "--max-iters")),
    ("train --learning_rate 1", ("--lr?",)),
    ("train --device cpu", ("CPU",)),
    ("generate -p hen", ("--prompt?",)),
    ("chat --prompt-file x", ("--prompt?",)),
    ("generate --max-tokens 9", ("--max-new-tokens?",)),
    ("generate --greedy", ("--temperature?",)),
    ("train --context 64", ("--block-size?",)),
    ("train --num-threads 2", ("NUMBA_NUM_THREADS",)),
    ("generate --model x", ("without a flag",)),
    ("generate --input x", ("--prompt?",)),
    ("train --model x", ("--init-from?",)),
    ("eval runs/hens absent.txt", ("absent.txt", "--corpus")),
    ("sample hen", ("sample", "generate?")),
    ("finetune x.txt", ("finetune", "train?")),
    ("generate -n 9", ("--max-new-tokens?",)),
    ("chat -n 9", ("--max-new-tokens?",)),
    ("train --ctx 9", ("--block-size?",)),
    ("export runs/hens --format gguf", ("--outtype?",)),
    ("version", ("--version?",)),
    ("list", ("info?",)),
    ("diff runs/hens", ("diff", "compare?")),
    ("train --file other.txt", ("--corpus?",)),
    ("'The hen'", ("generate --prompt", "The hen")),
    ("other.txt", ("other.txt", "npgpt train FILE")),
    ("smollm2", ("smollm2", "npgpt chat MODEL")),
    ("exercise softmax", ("'softmax'", "npgpt exercise lists")),
]


@pytest.mark.parametrize(("line", "facts"), LED, ids=lambda case: str(case)[:30])
def test_other_words_and_flags_lead_to_ours(place_of_work, capsys, line, facts):
    with pytest.raises(SystemExit) as end:
        program._parsed(shlex.split(line))
    err = capsys.readouterr().err
    assert end.value.code == 2 and all(fact in err for fact in facts), err


def test_a_word_in_the_place_of_a_model_may_be_a_text(refused, here):
    assert "--prompt" in refused("generate", "hen")


def test_what_others_call_them_leads_to_settings_of_ours():
    flags = {a.dest for command in ("train", "generate", "export", "chat")
             for a in program._parser(command)[1][command]._actions if a.option_strings}
    assert OF_OTHERS.keys() <= flags | program.COMMANDS.keys() and set(OF_THE_START) <= flags
    assert not {word for words in OF_OTHERS.values() for word in words.split()} & flags


@given(word=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=99),
       command=st.sampled_from(list(TAKES)), times=st.sampled_from([1, 300]))
def test_any_word_is_taken_or_left(word, command, times):
    word *= times  # 256 letters are more than a file's name has
    args = program._parser(command)[1][command].parse_args(["x"] if command == "tokenize" else [])
    before = dict(vars(args))
    left = place(command, args, [word])
    assert (left and left[0].startswith(word)) or vars(args) != before


def test_a_settings_file_with_anothers_name_is_led_too(refused, here):
    (here / "my.toml").write_text("learning_rate = 0.1", encoding="utf-8")
    assert "lr?" in refused("train", "my.toml")


def test_a_start_of_nanogpt_is_led_on(refused, here):
    assert "npgpt train --resume" in refused("train", "--init_from=resume")


@pytest.mark.parametrize("flags", [[], ["--out", "tuned"], ["--lr", 1e-4]])
def test_fine_tuning_asks_for_its_text(refused, done, here, place_of_work, flags):
    err = refused("train", "--init-from", "runs/hens", *flags)
    assert "--corpus" in err and read_run("runs/hens").training.corpus[0] in err
    assert "--resume --out runs/hens" in err
    tiny = ("--max-iters", 1, "--sample-tokens", 0)
    done("train", "other.txt", "--init-from", "runs/hens", *flags, *tiny)


def test_a_text_without_a_flag_is_trained_on(done, place_of_work):
    done("train", "other.txt", *TINY)
    assert read_run("runs/other").training.corpus == ("other.txt",)


def test_standard_input_that_nobody_reads_is_noted_and_stays(here, place_of_work):
    waiting = "import sys; from npgpt.cli import _parsed; _parsed(sys.argv[1:]); print(input())"
    for line, fact in (("train --check", "train -"), ("generate runs/hens", "--prompt -"),
                       ("generate --prompt hen", ""), ("train other.txt", ""), ("info", "")):
        done = subprocess.run([sys.executable, "-c", waiting, *line.split()], input="hen\n",
                              capture_output=True, encoding="utf-8", check=True)
        noted = "standard input" in done.stderr
        assert (noted and fact in done.stderr if fact else not noted) and done.stdout == "hen\n"


@pytest.mark.parametrize(("flag", "text", "fact"), [
    ("--prompt", "other.txt", "--prompt - < other.txt"),
    ("--prompt", "@other.txt", "--prompt - < other.txt"),
    ("--stop", r"hen\n", r"$'\n'"),
    ("--stop", "hen", ""),
])
def test_what_a_shell_leaves_as_typed_is_noted(cli, place_of_work, flag, text, fact):
    err = cli("generate", "runs/hens", "--max-new-tokens", 1, flag, text)[2]
    assert fact in err if fact else not err


@pytest.mark.parametrize(("path", "fact"), [("hens", "runs/hens"), ("other.txt", "--prompt-file")])
def test_what_is_no_model_leads_to_one(refused, place_of_work, path, fact):
    assert fact in refused("generate", path)
    assert "npgpt eval" in refused("compare", "runs/hens", path)
