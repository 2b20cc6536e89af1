// Training in the page: AdamW on one sentence, by the page's own backward, and what it costs.

import { chart } from "../charts.js";
import { button, el, slider, table, textLine, whole } from "../elements.js";
import { losses, mean, Trace } from "../model.js";
import { AdamW } from "../optim.js";
import { backward } from "../rules.js";
import { likeliestNext } from "../sampling.js";
import {
  model,
  pass,
  putWeightsBack,
  record,
  set,
  state,
  tokenizer,
  V,
  weightsChanged,
} from "../state.js";
import { Task } from "../task.js";
import { runHistory } from "../history.js";

const STEPS = 20, // by a press of the button
  EVERY = 4, // steps between two losses of the other text
  BEYOND = 40; // tokens that it writes after those of the sentence
const EXAMPLE = "A wise old owl of London did not cross the river because it was too wet.";
const trace = new Trace();
let going = false,
  optimizer, // and the rest since the weights were put back
  base, // pass.version then
  learned, // [step, loss of the last sentence]
  lost, // [step, loss of the other text]
  recitals; // { step, of, ids, given, done }: `given` of the ids begin the sentence `of`

export const teach = {
  id: "teach",
  title: "Teach it",
  needsModel: true,
  about: "Train it on one sentence: it memorises that, and forgets the rest.",
  section: "Training Process: The optimizer",
  words: ["nats"],
  build(root) {
    const [line, putLine] = textLine("The sentence to learn", "sentence");
    const [rate, putRate] = slider(
      "learning rate",
      { min: -5, max: -2, step: 0.25 },
      (log) => set({ rate: log }),
      (log) => (10 ** log).toExponential(1),
    );
    const go = button("", () => (isTeaching() ? (going = false) : start()), { class: "begin" }),
      back = button("Put the weights back", putBack);
    const words = el("p", { role: "status", "data-mark": "progress" }),
      plot = el("div", { class: "scroll", "data-mark": "losses" }),
      written = el("div");
    const other = el("details", { hidden: !record.others }, el("summary", {}, "The other text"));
    other.append(el("pre", {}, record.others ?? ""));
    root.append(
      line,
      el("div", { class: "controls" }, go, back, rate),
      words,
      plot,
      written,
      other,
    );
    const updateRest = this.rest(root);
    let drawn, length;
    forget();
    return () => {
      if (!pass.taught && (optimizer.steps || pass.version !== base)) forget();
      const { problem } = read();
      putLine(sentence());
      putRate(state.rate);
      go.textContent = isTeaching() ? "Stop" : `Teach it, ${STEPS} steps`;
      go.disabled = Boolean(problem);
      back.disabled = !pass.taught;
      words.textContent = problem ?? inWords();
      plot.replaceChildren(...(learned.length > 1 ? [curves()] : []));
      const { ids } = recitals.at(-1) ?? {}; // of the text that grows
      if (ids !== drawn || ids?.length !== length)
        written.replaceChildren(...(ids ? [recited()] : []));
      [drawn, length] = [ids, ids?.length];
      updateRest();
      const busy = teaching.current && !teaching.done;
      if (!problem && !busy && !opening.current && !isBegun()) opening.start();
    };
  },
  // What a page without the model has too.
  rest(root) {
    const [run, update] = runHistory();
    root.append(run);
    return update;
  },
};

export function start() {
  going = true;
  opening.run = null;
  teaching.start();
}

export function putBack() {
  teaching.run = null;
  if (optimizer) forget();
  if (pass.taught) putWeightsBack();
  set({});
}

function forget() {
  const matrices = Object.keys(record.weights).filter((n) => record.weights[n].shape.length > 1);
  optimizer = new AdamW(model.weights, new Set(matrices), record.optimizer);
  [going, learned, lost, recitals] = [false, [], [], []];
  opening.run = null;
  base = pass.version;
}

export function sentence() {
  if (state.sentence) return state.sentence;
  return tokenizer.known && tokenizer.readable(EXAMPLE) !== EXAMPLE ? record.prompt : EXAMPLE;
}

// The tokens of the sentence, or the problem with it.
function read() {
  const found = tokenizer.read(sentence()),
    count = found.ids?.length,
    most = record.window;
  if (count < 2) return { problem: "A loss needs two tokens: type another." };
  if (count > most) return { problem: `It has ${whole(count)} tokens: leave at most ${most}.` };
  return found;
}

function isTeaching() {
  return going && teaching.current;
}

// Whether it has gone on with the sentence before it learns it.
function isBegun() {
  const last = recitals.at(-1);
  return last?.of === sentence() && last.done;
}

async function begin(ids, pause) {
  recitals = recitals.filter(({ of, done }) => done && of === sentence());
  learned = [[optimizer.steps, lossOf(ids)]];
  await recite(ids, pause);
}

// What it makes of the sentence, shown before anything is pressed.
const opening = new Task(
  () => [state.view, sentence(), pass.version],
  async (pause) => {
    await pause(recitals.length ? 150 : 0);
    await begin(read().ids, pause);
  },
);

// It goes on in other views, which follow it.
const teaching = new Task(
  () => [sentence(), state.rate, state.kept],
  async (pause) => {
    const { ids } = read(),
      others = tokenizer.encode(record.others ?? "").slice(0, record.window);
    if (!isBegun()) await begin(ids, pause);
    learned.pop(); // of these weights, as the first below
    for (let i = 0; ; i++) {
      const ends = i === STEPS || !going;
      if (others.length > 1 && (i % EVERY === 0 || ends))
        lost.push([optimizer.steps, lossOf(others)]);
      learned.push([optimizer.steps, lossOf(ids)]);
      await pause(0);
      if (ends) break;
      optimizer.step(backward(model, trace, [...ids.slice(1), -1]).grads, 10 ** state.rate);
      weightsChanged();
    }
    going = false;
    await recite(ids, pause);
  },
);

function lossOf(ids) {
  trace.ids = [];
  return mean(losses(model.forward(ids, trace), ids, V));
}

// Writes on after the first quarter of the sentence, the likeliest token each time.
async function recite(sentenceIds, pause) {
  const given = Math.max(1, sentenceIds.length >> 2),
    ids = sentenceIds.slice(0, given),
    own = new Trace();
  const recital = { step: optimizer.steps, of: sentence(), ids, given };
  recitals.push(recital);
  while (ids.length < Math.min(record.window, sentenceIds.length + BEYOND)) {
    ids.push(likeliestNext(model, ids, own));
    await pause();
  }
  recital.done = true;
}

function inWords() {
  if (!learned.length) return "";
  const before = ([[, nats], ...more]) => (more.length ? `, ${nats.toFixed(4)} before` : ""),
    say = (points) => `${points.at(-1)[1].toFixed(4)} nats${before(points)}`;
  const others = lost.length ? ` Loss of the other text: ${say(lost)}.` : "";
  return `Step ${optimizer.steps}. Loss of the sentence: ${say(learned)}.${others}`;
}

function curves() {
  const all = [
    { name: "the sentence", points: learned, style: "line" },
    { name: "the other text", points: lost, style: "line faint" },
  ];
  return chart("losses by taught step", all, { unit: "step", counted: true });
}

function recited() {
  const rows = recitals.map(({ step, ids, given }) => {
    const [start, rest] = [ids.slice(0, given), ids.slice(given)].map((i) => tokenizer.decode(i));
    return [
      el("th", { scope: "row" }, step),
      el("td", { class: "recital" }, el("b", {}, start), rest),
    ];
  });
  return table(["step", "it goes on"], rows, { "aria-label": "what it writes" });
}
