// A tour over the reader's own model. A step is a sentence with measured numbers, the changes of the
// state that show them, and the marks (data-mark) of what it speaks of, which is brought into sight.
// It is computed when its turn comes, and left out where it does not hold.

import { finiteDifference } from "./check.js";
import { SWAPS } from "./chips.js";
import { button, el, percent, range, short } from "./elements.js";
import { branchName, losses, mean, NOTHING, Trace } from "./model.js";
import { leastCertain, readsFar } from "./opening.js";
import { backward } from "./rules.js";
import { likeliestNext, probabilities } from "./sampling.js";
import { endOf, wordAt } from "./views/overview.js";
import { sentence as lesson, putBack, start } from "./views/teach.js";
import {
  FAR,
  H,
  L,
  likeliest,
  live,
  model,
  pass,
  record,
  set,
  state,
  tokenizer,
  V,
  windowStart,
} from "./state.js";

const FIRST = { text: record.prompt, heads: "", mlps: "", positions: "", fault: "", sentence: "" };
Object.assign(FIRST, { s: -1, layer: -1, head: -1, rate: -3, answer: -1, rival: -1 });
const WEIGHT = "h.0.mlp.c_fc.weight"; // its gradient comes through the rule of GELU

const STEPS = [whole, future, teaches, far, without, swap, early, fault, yours];
const RUNS = [teaches, without, swap, fault]; // the model again, with a change

const SIDES = ["bottom right", "bottom left", "top left", "top right"];
const name = (id) => `“${tokenizer.label(id)}”`;
const answer = (t, k = 2 * L) => likeliest(k, t, 1)[0]; // of the stream after k branches
const farthest = () => readsFar(pass.trace, L, H, range(pass.T).filter(isWord), FAR);
const isWord = (t) => tokenizer.kind !== "words" || pass.labels[t].length > 1; // or a letter of one

function run(ids, off = {}) {
  const trace = new Trace();
  return model.forward(ids, trace, { ...NOTHING, ...off }).slice(0, ids.length * V);
}

function nextAfter(ids, off) {
  return probabilities(run(ids, off).slice(-V), { temperature: 1, topK: V, topP: 1 });
}

// The word that an answer begins, where the tokens are letters.
function word(before, id) {
  const letters = [],
    trace = before === pass.ids ? pass.trace : new Trace();
  if (!live || tokenizer.kind !== "char") return "";
  for (let next = id; /\p{L}/u.test(tokenizer.decode([next]));) {
    letters.push(next);
    const ids = [...before, ...letters];
    if (letters.length > 12 || ids.length > record.window) break;
    next = likeliestNext(model, ids, trace);
  }
  if (before === pass.ids) model.forward(before, trace); // it has its rows still
  return letters.length > 1 ? ` for “${tokenizer.decode(letters)}”` : "";
}

function whole() {
  const t = pass.T - 1,
    [id, p] = answer(t);
  const read = `This is the whole model, ${L} blocks of ${H} heads, after ${pass.T} tokens.`;
  const sentence = `${read} Its answer is on top: ${name(id)}${word(pass.ids, id)}, ${percent(p)}.`;
  return { sentence, changes: { view: "overview", t }, marks: ["answer"] };
}

function future() {
  const t = leastCertain(pass.T, (t) => answer(t)[1]),
    [[id, p], [other, q] = []] = likeliest(2 * L, t, 2),
    exact = pass.grammar?.[t]?.get(tokenizer.decode([id]));
  if (V < 2 || p >= 0.5) return null;
  const two = `${name(id)}, ${percent(p)}, or ${name(other)}, ${percent(q)}`;
  const known = exact ? ` The grammar gives ${name(id)} ${percent(exact)}.` : "";
  const sentence = `After “${endOf(t)}” the future is open: the model says ${two}.${known}`;
  return { sentence, changes: { view: "tokens", t }, marks: ["likeliest"] };
}

function teaches() {
  const { ids } = tokenizer.read(lesson());
  if (pass.taught || !(ids?.length > 1) || ids.length > record.window) return null;
  const own = mean(losses(run(ids), ids, V)).toFixed(4);
  const words =
    `Now it learns “${lesson()}” in 20 steps, from a loss of ${own} nats. Wait for step 20: ` +
    "see its loss, and another text's. The next step puts the weights back.";
  const marks = ["progress", "losses"];
  return { sentence: words, changes: { view: "teach" }, marks, act: start, undo: putBack };
}

function far() {
  const { weight, layer, head, t, s } = farthest();
  if (weight < 0.3) return null;
  const word = tokenizer.kind !== "words" && wordAt(s, t) && ` of “${wordAt(s, t)}”`;
  const reads = `reads ${percent(weight)} from ${name(pass.ids[s])}${word || ""}, ${t - s} tokens back`;
  const changes = { view: "attention", layer, head, t, s };
  const why =
    tokenizer.kind === "char" && word
      ? " A token is one letter, so a word has no vector: most of it is gathered at one letter."
      : "";
  const sentence = `Head ${layer}.${head} at ${name(pass.ids[t])}, token ${t + 1}, ${reads}.${why}`;
  return { sentence, changes, marks: ["reads"] };
}

function without() {
  const { layer, head, t } = farthest(),
    [id, p] = answer(t),
    ids = pass.ids.slice(0, t + 1),
    heads = `${layer}.${head}`;
  const q = nextAfter(ids, { heads: new Set([heads]) })[id];
  if (p - q < 0.05) return null;
  const change =
    `${name(id)} after token ${t + 1} falls from ${percent(p)} to ${percent(q)}, ` +
    `which costs ${Math.log(p / q).toFixed(2)} nats`;
  const changes = { view: "knockout", heads, text: tokenizer.decode([...ids, id]) };
  return { sentence: `Take head ${heads} out: ${change}.`, changes, marks: ["out", "loss"] };
}

function swap() {
  const [from, to] = SWAPS.find(([from]) => record.prompt.includes(from)) ?? ["", ""],
    text = record.prompt.replaceAll(from, to);
  const [id, p] = answer(pass.T - 1),
    all = tokenizer.encode(text),
    ids = all.slice(windowStart(all.length)),
    odds = nextAfter(ids),
    now = odds.indexOf(Math.max(...odds));
  if (now === id) return null;
  const other = `${name(now)}${word(ids, now)}, ${percent(odds[now])}`,
    change = `${name(id)}${word(pass.ids, id)}, ${percent(p)}, becomes ${other}`;
  const sentence = `Write “${to}” for “${from}”: the answer ${change}.`;
  return { sentence, changes: { view: "overview", text }, marks: ["text", "answer"] };
}

function early() {
  const { t } = farthest(),
    [id] = answer(t),
    k = range(2 * L).findLast((k) => answer(t, k)[0] !== id);
  if (k === undefined) return null;
  const before = `Stop the model early at token ${t + 1}: before ${branchName(k + 1)} its answer`;
  const sentence = `${before} is ${name(answer(t, k)[0])}, from then on it is ${name(id)}.`;
  return { sentence, changes: { view: "residual", t }, marks: [`lens-${k}`, `lens-${k + 1}`] };
}

function fault() {
  const { at, values } = record.gradient.weights[WEIGHT],
    entry = at[values.reduce((best, x, i) => (x > values[best] ? i : best), 0)],
    targets = [...pass.ids.slice(1), -1];
  const rule = (fault) => backward(model, pass.trace, targets, fault).grads[WEIGHT][entry];
  const [right, wrong] = [rule(""), rule("gelu")],
    nudged = finiteDifference(WEIGHT, entry);
  if (!(Math.abs(right - nudged) < 1e-5 * right && Math.abs(wrong - right) > 1e-3 * right))
    return null;
  const two = `is ${short(right)} by the chain rule, and ${short(nudged)} if you nudge the weight`;
  const planted = "Now this page plants a fault in its own rule of GELU, which makes it";
  const sentence = `A weight's gradient ${two}. ${planted} ${short(wrong)}: the check turns red.`;
  const changes = { view: "backward", weight: WEIGHT, at: entry, fault: "gelu" };
  return { sentence, changes, marks: ["fault"] };
}

function yours() {
  const words = "Now you: change a word, and look for the head that notices";
  const teach = live ? "; or teach it a sentence." : ".";
  const changes = { view: "overview", t: pass.T - 1 };
  return { sentence: words + teach, changes, marks: ["text"] };
}

// The button that begins the tour, its card, and a function to call after the page was drawn.
export function tour() {
  const words = el("p", { "aria-live": "polite" }),
    count = el("span");
  let shown = [], // the steps up to the present one
    leads = false, // until the reader scrolls
    own; // the reader's state, which comes back
  const steps = STEPS.filter((step) => live || !RUNS.includes(step));
  const leave = () => shown.at(-1)?.undo?.();
  const show = () => {
    const { i, sentence, changes, act } = shown.at(-1);
    words.textContent = sentence;
    count.textContent = `Step ${shown.length}`;
    back.disabled = shown.length === 1;
    next.disabled = i === steps.length - 1;
    leads = true;
    set({ ...FIRST, ...changes });
    act?.();
  };
  const goOn = () => {
    leave();
    leads = false;
    if (Object.keys(FIRST).some((key) => state[key] !== FIRST[key])) set(FIRST);
    let i = shown.at(-1)?.i ?? -1,
      step = null;
    while (!step) step = steps[++i](); // the last one always holds
    shown.push({ i, ...step });
    show();
  };
  const goBack = () => {
    leave();
    shown.pop();
    show();
  };
  const end = () => {
    card.hidden = true;
    leave();
    set(own);
  };
  const back = button("Back", goBack),
    next = button("Next", goOn);
  const card = el("aside", { class: "tour", hidden: true, "aria-label": "Tour" }, words);
  card.append(el("div", {}, count, back, next, button("Close", end)));
  addEventListener("keydown", ({ key }) => key === "Escape" && !card.hidden && end());
  const begin = () => {
    if (card.hidden) own = Object.fromEntries(Object.keys(FIRST).map((key) => [key, state[key]]));
    else leave();
    const { taught } = pass;
    if (live) putBack();
    shown = [];
    card.hidden = false;
    goOn();
    if (taught) words.prepend("The model's own weights are put back. ");
    next.focus({ preventScroll: true });
  };
  const follow = () => {
    for (const marked of document.querySelectorAll(".pointed")) marked.classList.remove("pointed");
    document.body.style.paddingBottom = card.hidden ? "" : `${card.offsetHeight + 40}px`;
    const { changes, marks } = shown.at(-1) ?? {};
    if (card.hidden || state.view !== changes?.view) return;
    const found = marks.map((name) =>
      Array.from(document.querySelectorAll(`[data-mark="${name}"]`)).filter((e) =>
        e.checkVisibility(),
      ),
    );
    for (const marked of found.flat()) marked.classList.add("pointed");
    if (leads && found.every((of) => of.length)) bringIntoSight(found.flat(), card);
  };
  for (const gesture of ["wheel", "touchmove"])
    addEventListener(gesture, () => (leads = false), { passive: true });
  return [button("Take the tour", begin, { class: "begin" }), card, follow];
}

// Scrolls to the elements, and moves the card to a side where it covers none of them.
function bringIntoSight(elements, card) {
  const boxes = () => elements.map((element) => element.getBoundingClientRect());
  const fit = (free) => {
    const top = Math.min(...boxes().map((box) => box.top)),
      bottom = Math.max(...boxes().map((box) => box.bottom));
    if (top < 8 || bottom > free - 8) scrollBy(0, Math.min(top - 8, (top + bottom - free) / 2));
  };
  const isFree = (side) => {
    card.dataset.side = side;
    const { top, right, bottom, left } = card.getBoundingClientRect();
    return !boxes().some(
      (box) => box.left < right && box.right > left && box.top < bottom && box.bottom > top,
    );
  };
  for (const element of elements) element.scrollIntoView({ block: "nearest", inline: "nearest" });
  fit(innerHeight);
  if (![card.dataset.side, ...SIDES].some(isFree)) fit(card.getBoundingClientRect().top);
}
