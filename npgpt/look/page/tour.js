// A tour over the reader's own model. A step is a sentence with measured numbers, the state that
// shows them, and selectors of what it speaks of, which is brought into sight and marked. It is
// computed when the tour begins, and left out where it does not hold.

import { finiteDifference } from "./check.js";
import { SWAPS } from "./chips.js";
import { button, counted, el, percent, range, short } from "./elements.js";
import { branchName, losses, mean, NOTHING, Trace } from "./model.js";
import { leastCertain, readsFar } from "./opening.js";
import { backward } from "./rules.js";
import { likeliestNext, probabilities } from "./sampling.js";
import { endOf } from "./views/overview.js";
import { putBack, sentence, start } from "./views/teach.js";
import {
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
Object.assign(FIRST, { s: -1, layer: -1, head: -1, step: -5, rate: -3, answer: -1, rival: -1 });
const WEIGHT = "h.0.mlp.c_fc.weight"; // its gradient comes through the rule of GELU

const STEPS = [whole, future, teaches, loss, far, without, swap, early, mlp, fault, yours];
const RUNS = [teaches, without, swap, mlp, fault]; // the model again, with a change

const ANSWER = "[aria-label*='answer 1']",
  CHOSEN = "[role=option][aria-selected=true]",
  OUT = ["[aria-pressed=true]", "[aria-live]"];
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

// The word that an answer begins, where the tokens are letters.
function word(before, id) {
  const letters = [],
    trace = new Trace();
  if (!live || tokenizer.kind !== "char") return "";
  for (let next = id; /\p{L}/u.test(tokenizer.decode([next]));) {
    letters.push(next);
    const ids = [...before, ...letters];
    if (letters.length > 12 || ids.length > record.window) break;
    next = likeliestNext(model, ids, trace);
  }
  return letters.length > 1 ? ` for “${tokenizer.decode(letters)}”` : "";
}

function whole() {
  const t = pass.T - 1,
    [id, p] = answer(t);
  const read = `This is the whole model, ${L} blocks of ${H} heads, after ${pass.T} tokens.`;
  return [
    `${read} Its answer is on top: ${name(id)}${word(pass.ids, id)}, ${percent(p)}.`,
    { view: "overview", t },
    [ANSWER],
  ];
}

function future() {
  const t = leastCertain(pass.T, (t) => answer(t)[1]),
    [[id, p], [other, q] = []] = likeliest(2 * L, t, 2),
    exact = pass.grammar?.[t]?.get(tokenizer.decode([id]));
  if (V < 2 || p >= 0.5) return null;
  const two = `${name(id)}, ${percent(p)}, or ${name(other)}, ${percent(q)}`;
  const known = exact ? ` The grammar gives ${name(id)} ${percent(exact)}.` : "";
  const words = `After “${endOf(t)}” the future is open`;
  return [
    `${words}: the model says ${two}.${known}`,
    { view: "tokens", t },
    ["tbody tr:nth-child(-n+2) > :nth-child(-n+2)"],
  ];
}

function teaches() {
  const { ids } = tokenizer.read(sentence());
  if (pass.weights > 0 || !(ids?.length > 1) || ids.length > record.window) return null;
  const own = mean(losses(run(ids), ids, V)).toFixed(4);
  const words =
    `Now it learns “${sentence()}” in 20 steps, from a loss of ${own} nats. Wait for step 20: ` +
    "see its loss, and another text's. The next step puts the weights back.";
  const shown = ["[role=status]", ":is([aria-label^='losses by'], tr:nth-child(2) .recital)"];
  return [words, { view: "teach" }, shown, start, putBack];
}

function loss() {
  const own = mean(pass.losses),
    blind = Math.log(V);
  if (own >= blind) return null;
  const costs = `The text costs the model ${own.toFixed(4)} nats per token (-ln of its probability)`,
    words = `${costs}, and a blind guess among ${counted(V, "token")}`;
  const t = 1 + pass.losses.indexOf(Math.max(...pass.losses));
  const most = `${name(pass.ids[t])}, token ${t + 1}, surprised it most.`;
  return [`${words} ${blind.toFixed(4)}. ${most}`, { view: "tokens", t }, [CHOSEN, ".summary"]];
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
  const why =
    tokenizer.kind === "char" && word
      ? " A token is one letter, so a word has no vector: most of it is gathered at one letter."
      : "";
  const words = `Head ${layer}.${head} at ${name(pass.ids[t])}, token ${t + 1}, ${reads}.${why}`;
  return [words, changes, [".arcs .reader", ".arcs .read", ".arc.chosen"]];
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
  return [`Take head ${heads} out: ${change}.`, changes, OUT];
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
  const words = `Write “${to}” for “${from}”: the answer ${change}.`;
  return [words, { view: "overview", text }, ["#prompt", ANSWER]];
}

function early() {
  const { t } = farthest(),
    [id] = answer(t),
    k = range(2 * L).findLast((k) => answer(t, k)[0] !== id);
  if (k === undefined) return null;
  const before = `Stop the model early at token ${t + 1}: before ${branchName(k + 1)} its answer`;
  const words = `${before} is ${name(answer(t, k)[0])}, from then on it is ${name(id)}.`;
  const rows = [k + 1, k + 2].map((row) => `tbody tr:nth-child(${row}) > :nth-child(4)`);
  return [words, { view: "residual", t }, rows];
}

function mlp() {
  const own = mean(pass.losses),
    now = mean(losses(run(pass.ids, { mlps: new Set([0]) }), pass.ids, V));
  if (now < own + 0.05) return null;
  const change = `the loss goes from ${own.toFixed(4)} to ${now.toFixed(4)}`;
  return [`Take out the MLP of block 0: ${change}.`, { view: "knockout", mlps: "0" }, OUT];
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
  const planted = "Now this page plants a fault in its own rule of GELU, which makes it";
  const words = `A weight's gradient ${two}. ${planted} ${short(wrong)}`;
  const changes = { view: "backward", weight: WEIGHT, at: entry, fault: "gelu" };
  const red = "[aria-live]:has(> .bad)";
  return [`${words}: the check turns red.`, changes, [red]];
}

function yours() {
  const words = "Now you: change a word, and look for the head that notices";
  const teach = live ? "; or teach it a sentence." : ".";
  return [words + teach, { view: "overview", t: pass.T - 1 }, ["#prompt"]];
}

// The button that begins the tour, its panel, and a function to call after the page was drawn.
export function tour() {
  const words = el("p", { "aria-live": "polite" }),
    count = el("span", {});
  let steps = [],
    at = 0,
    leads = false, // until the reader scrolls
    own; // the reader's state, which comes back
  const leave = () => {
    const [, , , , undo] = steps[at] ?? [];
    undo?.();
  };
  const show = (i) => {
    leave();
    at = i;
    const [sentence, changes, , act] = steps[i];
    words.textContent = sentence;
    count.textContent = `${i + 1} of ${steps.length}`;
    back.disabled = i === 0;
    next.disabled = i === steps.length - 1;
    leads = true;
    set({ ...FIRST, ...changes });
    act?.();
  };
  const back = button("Back", () => show(at - 1)),
    next = button("Next", () => show(at + 1)),
    close = button("Close", () => {
      root.hidden = true;
      leave();
      set(own);
    });
  addEventListener("keydown", ({ key }) => key === "Escape" && !root.hidden && close.click());
  const root = el("aside", { class: "tour", hidden: true, "aria-label": "Tour" }, words);
  root.append(el("div", {}, count, back, next, close));
  const begin = () => {
    if (root.hidden) own = Object.fromEntries(Object.keys(FIRST).map((key) => [key, state[key]]));
    else leave();
    const taught = pass.weights > 0;
    if (live) putBack();
    set(FIRST);
    const tried = STEPS.filter((step) => live || !RUNS.includes(step)).map((step) => step());
    [steps, at] = [tried.filter(Boolean), -1];
    if (taught) steps[0][0] = `The model's own weights are put back. ${steps[0][0]}`;
    root.hidden = false;
    show(0);
    next.focus({ preventScroll: true });
  };
  const follow = () => {
    for (const marked of document.querySelectorAll(".pointed")) marked.classList.remove("pointed");
    document.body.style.paddingBottom = root.hidden ? "" : `${root.offsetHeight + 40}px`;
    const [, changes, selectors] = steps[at] ?? [];
    if (root.hidden || state.view !== changes?.view) return;
    const found = selectors.map((css) =>
      Array.from(
        document.querySelectorAll(css[0] === "#" ? css : `#view section:not([hidden]) ${css}`),
      ),
    );
    for (const marked of found.flat()) marked.classList.add("pointed");
    if (leads && found.every((of) => of.length)) bringIntoSight(found.flat(), root);
  };
  for (const gesture of ["wheel", "touchmove"])
    addEventListener(gesture, () => (leads = false), { passive: true });
  return [button("Take the tour", begin, { class: "begin" }), root, follow];
}

// Scrolls what lies around the elements, and then the page, whose lower part the panel covers.
function bringIntoSight(elements, panel) {
  const boxes = () => elements.map((element) => element.getBoundingClientRect());
  for (const element of elements) element.scrollIntoView({ block: "nearest", inline: "nearest" });
  const top = Math.min(...boxes().map((box) => box.top)),
    bottom = Math.max(...boxes().map((box) => box.bottom)),
    free = panel.getBoundingClientRect().top;
  if (top < 8 || bottom > free - 8) scrollBy(0, Math.min(top - 8, (top + bottom - free) / 2));
}
