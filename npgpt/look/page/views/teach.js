// Training in the page: AdamW on one sentence, by the page's own backward, and what it costs.

import { chart } from "../charts.js";
import { button, el, setting, table, textLine, whole } from "../elements.js";
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

const STEPS = 20, // by a press of the button
  EVERY = 4, // steps between two losses of the other text
  BEYOND = 40; // tokens that it writes after those of the sentence
const EXAMPLE = "A wise ghost did not cross the river because it was too cold.";
const trace = new Trace();
// Since the weights were put back: optimizer; base, pass.version then; going; learned [step, loss of
// the last sentence]; lost [step, loss of the other text]; recitals { step, of, ids, given, done },
// of which `given` ids begin the sentence `of`.
const course = {};

export const teach = {
  id: "teach",
  title: "Teach it",
  needsModel: true,
  about: "Train it on one sentence: it memorises that, and forgets the rest.",
  words: ["nats"],
  build(root) {
    const [line, putLine] = textLine("The sentence to learn", "sentence"),
      [rate, putRate] = setting("learning rate", "rate", (log) => (10 ** log).toExponential(1)),
      go = button("", () => (isTeaching() ? (course.going = false) : start()), { class: "begin" }),
      back = button("Put the weights back", putBack),
      words = el("p", { role: "status", "data-mark": "progress" }),
      plot = el("div.scroll", { "data-mark": "losses" }),
      written = el("div", { "data-mark": "recital" }),
      after = el("p.legend", `What it writes after ${STEPS} steps will stand here.`),
      other = el("details", { hidden: !record.others }, el("summary", "The other text"));
    other.append(el("pre", record.others ?? ""));
    root.append(line, el("div.controls", go, back, rate), written, after, words, plot, other);
    let drawn; // the recital that is shown, and how long it was
    forget();
    return () => {
      if (!pass.taught && (course.optimizer.steps || pass.version !== course.base)) forget();
      const { learned, recitals } = course,
        { problem } = read();
      putLine(sentence());
      putRate();
      go.textContent = isTeaching() ? "Stop" : `Teach it, ${STEPS} steps`;
      go.disabled = Boolean(problem);
      after.hidden = recitals.length !== 1;
      back.disabled = !pass.taught;
      words.textContent = problem ?? inWords();
      plot.replaceChildren(...(learned.length > 1 ? [curves()] : []));
      const now = recitals.map(({ of, step, ids }) => [of, step, ids.length]).join();
      if (now !== drawn) written.replaceChildren(...(now ? [recited()] : []));
      drawn = now;
      const busy = teaching.current && !teaching.done;
      if (!problem && !busy && !opening.current && !isBegun()) opening.start();
    };
  },
};

export function start() {
  course.going = true;
  opening.run = null;
  teaching.start();
}

export function putBack() {
  teaching.run = null;
  if (course.optimizer) forget();
  if (pass.taught) putWeightsBack();
  set({});
}

function forget() {
  const matrices = Object.keys(record.weights).filter((n) => record.weights[n].shape.length > 1),
    optimizer = new AdamW(model.weights, new Set(matrices), record.optimizer),
    base = pass.version;
  Object.assign(course, { optimizer, base, going: false, learned: [], lost: [], recitals: [] });
  opening.run = null;
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
  return course.going && teaching.current;
}

// Whether it has gone on with the sentence before it learns it.
function isBegun() {
  const last = course.recitals.at(-1);
  return last?.of === sentence() && last.done;
}

async function begin(ids, pause) {
  course.recitals = course.recitals.filter(({ of, done }) => done && of === sentence());
  course.learned = [[course.optimizer.steps, lossOf(ids)]];
  await recite(ids, pause);
}

// What it makes of the sentence, shown before anything is pressed.
const opening = new Task(
  () => [state.view, sentence(), pass.version],
  async (pause) => {
    await pause(course.recitals.length ? 150 : 0);
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
    const { learned, lost, optimizer } = course;
    learned.pop(); // of these weights, as the first below
    for (let i = 0; ; i++) {
      const ends = i === STEPS || !course.going;
      if (others.length > 1 && (i % EVERY === 0 || ends))
        lost.push([optimizer.steps, lossOf(others)]);
      learned.push([optimizer.steps, lossOf(ids)]);
      await pause(0);
      if (ends) break;
      optimizer.step(backward(model, trace, [...ids.slice(1), -1]).grads, 10 ** state.rate);
      weightsChanged();
    }
    course.going = false;
    await recite(ids, pause);
  },
);

function lossOf(ids) {
  trace.ids = [];
  return mean(losses(model.forward(ids, trace), ids, V));
}

// Writes on after the first quarter of the sentence, up to a word's end, the likeliest token each
// time.
async function recite(sentenceIds, pause) {
  const texts = sentenceIds.map((id) => tokenizer.decode([id])),
    isInside = (t) => /\p{L}$/u.test(texts[t - 1]) && /^\p{L}/u.test(texts[t]),
    own = new Trace();
  let given = Math.max(1, texts.length >> 2);
  while (given < texts.length - 1 && isInside(given)) given++;
  const ids = sentenceIds.slice(0, given),
    recital = { step: course.optimizer.steps, of: sentence(), ids, given };
  course.recitals.push(recital);
  while (ids.length < Math.min(record.window, sentenceIds.length + BEYOND)) {
    ids.push(likeliestNext(model, ids, own));
    await pause();
  }
  recital.done = true;
}

function inWords() {
  const { learned, lost, optimizer } = course;
  const say = (points) => {
    const [before, now] = [points[0], points.at(-1)].map(([, nats]) => nats.toFixed(4));
    return points.length > 1 ? `${now} nats, ${before} before` : `${now} nats`;
  };
  if (!learned.length) return "";
  const others = lost.length ? ` Loss of the other text: ${say(lost)}.` : "";
  return `Step ${optimizer.steps}. Loss of the sentence: ${say(learned)}.${others}`;
}

function curves() {
  const lines = [
    { name: "the sentence", points: course.learned, style: "line" },
    { name: "the other text", points: course.lost, style: "line faint" },
  ];
  return chart("losses by taught step", lines);
}

function recited() {
  const rows = course.recitals.map(({ step, ids, given }) => {
    const [start, rest] = [ids.slice(0, given), ids.slice(given)].map((i) => tokenizer.decode(i));
    return [step, el("td.recital", el("b", start), rest)];
  });
  return table("what it writes", ["step", "it goes on"], rows);
}
