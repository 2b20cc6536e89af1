// Patching: the stream of one text, at one point and position, put into the pass of a second text.
// Steering: the difference of the two streams there, times a factor, added to the second.

import { cellAt, cells } from "../charts.js";
import { palette } from "../colours.js";
import {
  bar,
  counted,
  el,
  keep,
  legend,
  onArrows,
  percent,
  range,
  setting,
  table,
  textLine,
  whole,
} from "../elements.js";
import { branchName, NOTHING, Trace } from "../model.js";
import { DURATION, moves } from "../motion.js";
import { softmax } from "../ops.js";
import { likeliestFirst, likeliestNext } from "../sampling.js";
import {
  C,
  L,
  likeliest,
  logitsOf,
  model,
  pass,
  record,
  set,
  state,
  tokenizer,
  V,
} from "../state.js";
import { taskOnText } from "../task.js";

const LETTERS = tokenizer.kind === "char" ? 3 : 9; // of a token; more are cut
const FAR = 40, // tokens from the end, among which one is changed for a second text
  FIRST = 12, // tokens that are tried at the first position
  BEYOND = 24; // tokens that are written after the texts
const own = new Trace(); // of the second text, patched or not
let found = {}; // of the second text

export const patch = {
  id: "patch",
  title: "Patching",
  needsModel: true,
  about: "Copy one vector of this text into a second text: does the answer come along?",
  words: ["stream", "logit"],
  build(root) {
    const asked = "The second text, yours to change: it needs as many tokens as the text above",
      [other, putOther] = textLine(asked, "other"),
      [factor, putFactor] = setting("factor", "alpha"),
      canvas = el("canvas", { tabindex: 0, role: "img" }),
      words = el("p", { "aria-live": "polite" }),
      status = el("p", { role: "status" }),
      answers = el("div"),
      towards = "towards the answer of the text above, in % of the texts' difference in logits",
      steering = "Steering: copy a part of the difference, or more than all of it (factor 1)";
    const rest = el(
      "div.wide",
      el("div", legend("away from", towards, "both"), el("div.scroll.one", canvas), words),
      el("div", el("h3", steering), el("div.controls", factor), answers),
    );
    canvas.onclick = (event) => {
      const [row, column] = cellAt(LETTERS, event);
      choose(2 * L - row, found.first + column);
    };
    onArrows(canvas, (down, right) => choose(chosen()[0] - down, chosen()[1] + right));
    root.append(other, status, rest);
    return () => {
      if (!patching.current) patching.start();
      if (patching.done && found.shares && !steered.current) steered.start();
      putOther(state.other || (found.text ?? ""));
      status.textContent = found.problem ?? about();
      rest.hidden = !found.shares;
      if (rest.hidden) return;
      putFactor();
      draw(canvas);
      words.textContent = inWords();
      canvas.ariaLabel = `how much of the answer comes back; ${inWords()}`;
      keep(answers, compared());
    };
  },
};

function choose(k, t) {
  set({ point: Math.max(0, Math.min(2 * L, k)), t });
}

// The chosen point of the stream and position; at first the lowest above the embeddings where one
// token brings back half of the answer.
function chosen() {
  if (state.point >= 0 && state.point <= 2 * L)
    return [state.point, Math.max(found.first, state.t)];
  for (let k = 1; patching.done && k <= 2 * L; k++) {
    const t = found.shares[k].findIndex((share) => share >= 0.5);
    if (t >= 0) return [k, t];
  }
  return [2 * L, pass.T - 1];
}

const patching = taskOnText(
  () => [state.other],
  async (pause) => {
    found = { problem: "Computing ..." };
    await pause(moves() ? DURATION : 150); // the motion comes first
    found = state.other ? second(state.other) : await pair(pause);
    if (found.problem) return;
    const { ids, first, shares, before, gap } = found;
    // From the last position to the first: rows before a patched one are then as they were.
    for (let t = pass.T - 1; t >= first; t--) {
      for (let k = 0; k <= 2 * L; k++) {
        own.ids = ids.slice(0, t);
        const logits = last(model.forward(ids, own, moved(k, t, 1)));
        shares[k][t] = (found.gapOf(logits) - before) / gap;
        await pause();
      }
    }
    found.answers = [answer("text above", pass.ids)];
    await pause();
    found.answers.push(answer("second text", ids));
  },
);

const steered = taskOnText(
  () => [state.other, ...chosen(), state.alpha],
  async (pause) => {
    await pause();
    found.answers[2] = answer("steered", found.ids, moved(...chosen(), state.alpha));
  },
);

// The second text's tokens, and its answer b beside the answer a of the text above; or the problem.
function second(text) {
  const read = tokenizer.read(text),
    ids = read.ids?.slice(pass.cut),
    wrong = (problem) => ({ text, problem });
  if (!ids) return wrong(read.problem);
  if (read.ids.length !== pass.read.length)
    return wrong(
      `The second text has ${counted(read.ids.length, "token")} and the text above ` +
        `${whole(pass.read.length)}: give it as ` +
        "many, so that the positions correspond.",
    );
  const first = ids.findIndex((id, t) => id !== pass.ids[t]);
  if (first < 0) return wrong("The model reads the same of the two texts: change a token.");
  own.ids = [];
  const [above, here] = [logitsOf(pass.trace), model.forward(ids, own)].map(last),
    [[a], [b]] = [above, here].map(likeliestFirst);
  if (a === b) return wrong(`Both go on with ${tokenizer.label(a)}: change what decides it.`);
  const points = range(2 * L + 1),
    stream = points.map((k) => own.arrays.get(`x.${k}`).slice()),
    gapOf = (logits) => logits[a] - logits[b],
    before = gapOf(here),
    gap = gapOf(above) - before;
  return { text, ids, first, a, b, stream, shares: points.map(() => []), gapOf, before, gap };
}

// The last row of logits.
function last(logits) {
  return logits.slice((pass.T - 1) * V, pass.T * V);
}

// For GPT.forward: the second text's stream at (k, t), moved to the first's, alpha of the way.
function moved(k, t, alpha) {
  const [x, to] = [found.stream[k], pass.trace.arrays.get(`x.${k}`)].map((rows) =>
    rows.subarray(t * C, t * C + C),
  );
  return { ...NOTHING, patch: { k, t, row: x.map((v, c) => v + alpha * (to[c] - v)) } };
}

// A second text with a different answer: a word of the tales changed, or one token for a likely one,
// at best some tokens before the end; at the first position for one that the model answers with.
async function pair(pause) {
  const [nearest, next, ...before] = range(Math.min(FAR, pass.T)).slice(1),
    text = tokenizer.decode(pass.read),
    changed = new Set([text.replace("tired", "noisy")]);
  const replace = (t, id) => changed.add(tokenizer.decode(pass.read.with(pass.cut + t, id)));
  for (const back of [...before, next, nearest].filter(Boolean)) {
    const t = pass.T - back,
      likely = likeliest(2 * L, t - 1, 2).find(([id]) => id !== pass.ids[t]);
    if (likely) replace(t, likely[0]);
  }
  if (pass.T <= FAR) for (const [id] of likeliest(2 * L, pass.T - 1, FIRST)) replace(0, id);
  changed.delete(text);
  for (const each of changed) {
    const one = second(each);
    if (!one.problem) return one;
    await pause();
  }
  const problem =
    `Tried ${counted(changed.size, "text")} that ${changed.size === 1 ? "differs" : "differ"} ` +
    "in one word or token: none has another answer. Type a second text.";
  return { text, problem };
}

// [name, probabilities of the two answers, the text that it goes on with]
function answer(name, ids, off) {
  const trace = new Trace(),
    probs = last(model.forward(ids, trace, off)),
    longer = [...ids];
  softmax(probs, 0, V);
  while (longer.length < Math.min(record.window, ids.length + BEYOND))
    longer.push(likeliestNext(model, longer, trace, off));
  return [name, probs[found.a], probs[found.b], tokenizer.decode(longer.slice(ids.length))];
}

function about() {
  const [a, b] = [found.a, found.b].map((id) => tokenizer.label(id)),
    from = `from token ${found.first + 1} on they differ`;
  return `The text above goes on with ${a}, the second with ${b}; ${from}.`;
}

function inWords() {
  const [k, t] = chosen(),
    share = found.shares[k][t],
    where = `The stream at token ${t + 1}, “${pass.labels[t]}”, after ${branchName(k)}`;
  return share === undefined ? "" : `${where}, brings back ${(100 * share).toFixed(1)} %.`;
}

function draw(canvas) {
  const { first, shares, ids } = found,
    { change } = palette(),
    [k, t] = chosen(),
    names = [...range(2 * L + 1).map((i) => branchName(2 * L - i)), "text above", "second"];
  const cell = (row, i) => {
    if (row === 2 * L + 1) return [pass.labels[first + i]];
    if (row > 2 * L) return [tokenizer.label(ids[first + i])];
    const share = shares[2 * L - row][first + i];
    return share === undefined ? [""] : [`${Math.round(100 * share) || 0}`, change(share)];
  };
  cells(canvas, LETTERS, names, pass.T - first, cell, [2 * L - k, t - first]);
}

function compared() {
  const { a, b, answers = [] } = found,
    rows = answers.map(([name, p, q, text]) => [
      name,
      bar(p, percent(p)),
      bar(q, percent(q)),
      el("td.recital", text),
    ]);
  return table("answers", ["text", tokenizer.label(a), tokenizer.label(b), "goes on"], rows);
}
