// A tour over the reader's own model. A step is a sentence with measured numbers and the state that
// shows them; it is computed when the tour begins, and left out where it does not hold.

import { finiteDifference } from "./check.js";
import { SWAPS } from "./chips.js";
import { button, el, percent, range, short } from "./draw.js";
import { branchName, losses, mean, NOTHING, Trace } from "./model.js";
import { leastCertain, readsFar } from "./opening.js";
import { backward } from "./rules.js";
import { probabilities } from "./sampling.js";
import { H, L, likeliest, live, model, pass, record, set, state, tokenizer, V } from "./state.js";

const FIRST = { text: record.prompt, heads: "", mlps: "", positions: "", fault: "", s: -1 };
const WEIGHT = "h.0.mlp.c_fc.weight"; // its gradient comes through the rule of GELU

const STEPS = [whole, future, loss, far, without, swap, early, mlp, fault, yours];
const RUNS = [without, swap, mlp, fault]; // the model again, with a change

const name = (id) => `“${tokenizer.label(id)}”`;
const answer = (t, k = 2 * L) => likeliest(k, t, 1)[0]; // of the stream after k branches
const farthest = () => readsFar(pass.trace, L, H, range(pass.T));

function run(ids, off = {}) {
  const trace = new Trace();
  return model.forward(ids, trace, { ...NOTHING, ...off }).slice(0, ids.length * V);
}

function nextAfter(ids, off) {
  return probabilities(run(ids, off).slice(-V), { temperature: 1, topK: V, topP: 1 });
}

function whole() {
  const t = pass.T - 1,
    [id, p] = answer(t);
  const read = `This is the whole model, ${L} blocks of ${H} heads, after ${pass.T} tokens.`;
  return [`${read} Its answer is on top: ${name(id)}, ${percent(p)}.`, { view: "overview", t }];
}

function future() {
  const t = leastCertain(pass.T, (t) => answer(t)[1]),
    [[id, p], [other, q]] = likeliest(2 * L, t, 2),
    exact = pass.grammar?.[t]?.get(tokenizer.decode([id]));
  if (p >= 0.5) return null;
  const two = `${name(id)}, ${percent(p)}, or ${name(other)}, ${percent(q)}`;
  const known = exact ? ` The grammar gives ${name(id)} ${percent(exact)}.` : "";
  return [`Here the future is open: the model says ${two}.${known}`, { view: "tokens", t }];
}

function loss() {
  const own = mean(pass.losses),
    blind = Math.log(V);
  if (own >= blind) return null;
  const words = `The text costs the model ${own.toFixed(4)} nats per token, and a blind guess`;
  const t = 1 + pass.losses.indexOf(Math.max(...pass.losses));
  const most = `${name(pass.ids[t])}, token ${t + 1}, surprised it most.`;
  return [`${words} ${blind.toFixed(4)}. ${most}`, { view: "tokens", t }];
}

function far() {
  const { weight, layer, head, t, s } = farthest();
  if (weight < 0.3) return null;
  const [before, rest] = [pass.labels.slice(0, s + 1), pass.labels.slice(s + 1)];
  const [start] = /\p{L}*$/u.exec(before.join("")),
    [end] = /^\p{L}*/u.exec(rest.join(""));
  const word = start && ` of “${start}${end}”`;
  const reads = `reads ${percent(weight)} from ${name(pass.ids[s])}${word}, ${t - s} tokens back`;
  const changes = { view: "attention", layer, head, t, s };
  return [`Head ${layer}.${head} at ${name(pass.ids[t])}, token ${t + 1}, ${reads}.`, changes];
}

function without() {
  const { layer, head, t } = farthest(),
    [id, p] = answer(t),
    ids = pass.ids.slice(0, t + 1),
    heads = `${layer}.${head}`;
  const q = nextAfter(ids, { heads: new Set([heads]) })[id];
  if (p - q < 0.05) return null;
  const change = `${name(id)} after token ${t + 1} falls from ${percent(p)} to ${percent(q)}`;
  const changes = { view: "knockout", heads, text: tokenizer.decode([...ids, id]) };
  return [`Take head ${heads} out: ${change}.`, changes];
}

function swap() {
  const [from, to] = SWAPS.find(([from]) => record.prompt.includes(from)) ?? ["", ""],
    text = record.prompt.replaceAll(from, to);
  const [id, p] = answer(pass.T - 1),
    odds = nextAfter(tokenizer.encode(text).slice(-pass.T)),
    now = odds.indexOf(Math.max(...odds));
  if (now === id) return null;
  const change = `${name(id)}, ${percent(p)}, becomes ${name(now)}, ${percent(odds[now])}`;
  return [`Write “${to}” for “${from}”: the answer ${change}.`, { view: "overview", text }];
}

function early() {
  const { t } = farthest(),
    [id] = answer(t),
    k = range(2 * L).findLast((k) => answer(t, k)[0] !== id);
  if (k === undefined) return null;
  const before = `the answer after token ${t + 1} is ${name(answer(t, k)[0])} before`;
  const words = `Read out earlier, ${before} ${branchName(k + 1)}, and from there on ${name(id)}.`;
  return [words, { view: "residual", t }];
}

function mlp() {
  const own = mean(pass.losses),
    now = mean(losses(run(pass.ids, { mlps: new Set([0]) }), pass.ids, V));
  if (now < own + 0.05) return null;
  const change = `the loss goes from ${own.toFixed(4)} to ${now.toFixed(4)}`;
  return [`Take out the MLP of block 0: ${change}.`, { view: "knockout", mlps: "0" }];
}

function fault() {
  const { at, values } = record.gradient.weights[WEIGHT],
    entry = at[values.reduce((best, x, i) => (x > values[best] ? i : best), 0)],
    targets = [...pass.ids.slice(1), -1];
  const rule = (fault) => backward(model, pass.trace, targets, fault).grads[WEIGHT][entry];
  const [right, wrong] = [rule(""), rule("gelu")],
    nudged = finiteDifference(WEIGHT, entry, 1e-5);
  if (!(Math.abs(right - nudged) < 1e-5 * right && Math.abs(wrong - right) > 1e-3 * right))
    return null;
  const two = `is ${short(right)} by the chain rule, and ${short(nudged)} if you nudge the weight`;
  const words = `A weight's gradient ${two}. With a fault in the rule of GELU it is ${short(wrong)}`;
  const changes = { view: "backward", weight: WEIGHT, at: entry, fault: "gelu" };
  return [`${words}, and the check turns red.`, changes];
}

function yours() {
  const words = "Now you: change a word, and look for the head that notices";
  const teach = live ? "; or teach it a sentence." : ".";
  return [words + teach, { view: "overview", t: pass.T - 1 }];
}

// The panel, and the button that begins the tour.
export function tour() {
  const words = el("p", { "aria-live": "polite" }),
    count = el("span", {});
  let steps = [],
    at = 0,
    own = ""; // the reader's text, which comes back
  const show = (i) => {
    at = i;
    const [sentence, changes] = steps[i];
    words.textContent = sentence;
    count.textContent = `${i + 1} of ${steps.length}`;
    back.disabled = i === 0;
    next.disabled = i === steps.length - 1;
    set({ ...FIRST, ...changes });
  };
  const back = button("Back", () => show(at - 1)),
    next = button("Next", () => show(at + 1)),
    close = button("Close", () => {
      root.hidden = true;
      set({ text: own });
    });
  const root = el("aside", { class: "tour", hidden: true, "aria-label": "Tour" }, words);
  root.append(el("div", {}, count, back, next, close));
  const begin = () => {
    if (root.hidden) own = state.text;
    set(FIRST);
    const tried = STEPS.filter((step) => live || !RUNS.includes(step)).map((step) => step());
    steps = tried.filter(Boolean);
    root.hidden = false;
    show(0);
    next.focus();
  };
  return [button("Take the tour", begin, { class: "begin" }), root];
}
