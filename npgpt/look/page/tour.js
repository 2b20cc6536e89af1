// A tour over the reader's own model. A step is a sentence, the changes of the state that show what it
// says, whose numbers are in the view, and the marks (data-mark) of what it speaks of, which is
// brought into sight. It is left out where it does not hold.

import { SWAPS } from "./hero.js";
import { button, el, percent, range } from "./elements.js";
import { branchName, leastCertain, readsFar } from "./model.js";
import { endOf, near } from "./views/overview.js";
import { sentence as lesson, putBack, start } from "./views/teach.js";
import { FAR, H, L, likeliest, live, pass, record, set, state, tokenizer, V } from "./state.js";

const FIRST = { text: record.prompt, heads: "", mlps: "", positions: "", fault: "", sentence: "" };
Object.assign(FIRST, { s: -1, layer: -1, head: -1, rate: -3 });
const WEIGHT = "h.0.mlp.c_fc.weight"; // its gradient comes through the rule of GELU

const SIDES = ["bottom right", "bottom left", "top left", "top right"];
const STEPS = [whole, future, teaches, far, without, swap, early, fault, yours];

const name = (id) => `“${tokenizer.label(id)}”`;
const answer = (t, k = 2 * L) => likeliest(k, t, 1)[0]; // of the stream after k branches
const isWord = (t) => tokenizer.kind !== "words" || pass.labels[t].length > 1; // or a letter of one
const farthest = () => readsFar(pass.trace, L, H, range(pass.T).filter(isWord), FAR);

function whole() {
  const t = pass.T - 1,
    { weight, layer, head, s } = readsFar(pass.trace, L, H, [t], FAR),
    looks = `: head ${layer}.${head} looks from ${near(t, t)} back to ${near(s, t)}`,
    parts = `${L} blocks of ${H} heads, after ${pass.T} tokens`,
    why = weight < 0.3 ? "" : looks,
    sentence = `This is the whole model: ${parts}. It answers ${name(answer(t)[0])}${why}.`;
  return { sentence, changes: { view: "overview" }, marks: ["answer"] };
}

function future() {
  const t = leastCertain(pass.T, (t) => answer(t)[1]);
  if (V < 2 || answer(t)[1] >= 0.5) return null;
  const open = `After “${endOf(t)}” the future is open: no answer has half of the odds.`;
  return {
    // The grammar's odds take longer than a pass: only when this is shown.
    get sentence() {
      return pass.grammar?.[t] ? `${open} Beside it are the true odds, by the grammar.` : open;
    },
    changes: { view: "tokens", t },
    marks: ["likeliest"],
  };
}

function teaches() {
  const { ids } = live ? tokenizer.read(lesson()) : {};
  if (pass.taught || !(ids?.length > 1) || ids.length > record.window) return null;
  const sentence =
    `Now it learns “${lesson()}” in 20 steps. Wait for step 20: see its loss, and another text's. ` +
    "The next step puts the weights back.";
  const marks = ["recital", "progress", "losses"];
  return { sentence, changes: { view: "teach" }, marks, act: start, undo: putBack };
}

function far() {
  const { weight, layer, head, t, s } = farthest();
  if (weight < 0.3) return null;
  const [reader, read] = [t, s].map((i) => name(pass.ids[i])),
    where = `${t - s} tokens before`,
    sentence = `Head ${layer}.${head} looks from ${reader} back to ${read}, ${where}: ${percent(weight)}.`;
  return { sentence, changes: { view: "attention", layer, head, t, s }, marks: ["reads"] };
}

function without() {
  const { weight, layer, head, t } = farthest(),
    [id] = answer(t),
    heads = `${layer}.${head}`,
    text = tokenizer.decode([...pass.ids.slice(0, t + 1), id]);
  if (!live || weight < 0.3) return null;
  const sentence = `Now head ${heads} is taken out: see what it costs to predict ${name(id)} then.`;
  return { sentence, changes: { view: "knockout", heads, text }, marks: ["out", "loss"] };
}

function swap() {
  const [from, to] = SWAPS.find(([word]) => record.prompt.includes(word)) ?? [];
  if (!live || !from) return null;
  const sentence = `Write “${to}” for “${from}”: the answer was ${name(answer(pass.T - 1)[0])}.`,
    text = record.prompt.replaceAll(from, to);
  return { sentence, changes: { view: "overview", text }, marks: ["text", "answer"] };
}

function early() {
  const { t } = farthest(),
    [id] = answer(t),
    k = range(2 * L).findLast((k) => answer(t, k)[0] !== id);
  if (k === undefined) return null;
  const before = `Stop the model early at token ${t + 1}: before ${branchName(k + 1)} its answer`,
    sentence = `${before} is ${name(answer(t, k)[0])}, from then on it is ${name(id)}.`;
  return { sentence, changes: { view: "residual", t }, marks: [`lens-${k}`, `lens-${k + 1}`] };
}

function fault() {
  const sentence =
    "A weight's gradient by the chain rule is what you get if you nudge the weight. Now this page " +
    "plants a fault in its own rule of GELU: the check turns red.";
  const changes = { view: "backward", weight: WEIGHT, at: -1, fault: "gelu" };
  return live ? { sentence, changes, marks: ["fault"] } : null;
}

function yours() {
  const teach = live ? "; or teach it a sentence." : ".",
    sentence = `Now you: change a word, and look for the head that notices${teach}`;
  return { sentence, changes: { view: "overview" }, marks: ["text"] };
}

// The button that begins the tour, its card, and a function to call after the page was drawn.
export function tour() {
  const words = el("p", { "aria-live": "polite" }),
    count = el("span");
  let steps, // those that hold
    at = 0, // the one that is shown
    leads = false, // until the reader scrolls
    own; // the reader's state, which comes back
  const leave = () => steps[at].undo?.();
  const show = (i) => {
    at = i;
    const { sentence, changes, act } = steps[i];
    words.textContent = sentence;
    count.textContent = `Step ${i + 1} of ${steps.length}`;
    back.disabled = i === 0;
    next.disabled = i === steps.length - 1;
    leads = true;
    set({ ...FIRST, ...changes });
    act?.();
  };
  const go = (by) => () => {
    leave();
    show(at + by);
  };
  const end = () => {
    card.hidden = true;
    leave();
    set(own);
  };
  const back = button("Back", go(-1)),
    next = button("Next", go(1)),
    buttons = el("div", count, back, next, button("Close", end)),
    card = el("aside.tour", { hidden: true, "aria-label": "Tour" }, words, buttons);
  addEventListener("keydown", ({ key }) => key === "Escape" && !card.hidden && end());
  const begin = () => {
    const { taught } = pass;
    if (card.hidden) own = Object.fromEntries(Object.keys(FIRST).map((key) => [key, state[key]]));
    else leave();
    card.hidden = true;
    if (live) putBack();
    if (Object.keys(FIRST).some((key) => state[key] !== FIRST[key])) set(FIRST);
    steps = STEPS.map((step) => step()).filter(Boolean);
    card.hidden = false;
    show(0);
    if (taught) words.prepend("The model's own weights are put back. ");
    next.focus({ preventScroll: true });
  };
  const follow = () => {
    for (const marked of document.querySelectorAll(".pointed")) marked.classList.remove("pointed");
    document.body.style.paddingBottom = card.hidden ? "" : `${card.offsetHeight + 40}px`;
    const { changes, marks } = steps?.[at] ?? {};
    if (!card.hidden && state.view !== changes.view) {
      card.hidden = true; // the reader has gone elsewhere, with Back or by a tab
      leave();
    }
    if (card.hidden) return;
    const found = marks.map((mark) =>
      Array.from(document.querySelectorAll(`[data-mark="${mark}"]`)).filter((each) =>
        each.checkVisibility(),
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
  if (!SIDES.some(isFree)) fit(card.getBoundingClientRect().top);
}
