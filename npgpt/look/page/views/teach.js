// Training in the page: AdamW on one sentence, by the page's own backward, and what it costs.

import { button, chart, el, slider, table } from "../draw.js";
import { losses, mean, Trace } from "../model.js";
import { AdamW } from "../optim.js";
import { backward } from "../rules.js";
import { likeliestNext } from "../sampling.js";
import { logitsOf, model, putWeightsBack, record, set, state, tokenizer } from "../state.js";
import { V, weightsChanged } from "../state.js";
import { Task } from "../task.js";
import { UnknownCharacter } from "../tokenizer.js";

const STEPS = 20, // by a press of the button
  EVERY = 4, // steps between two losses on other stories
  BEYOND = 40; // tokens that it writes after those of the sentence
const EXAMPLE = "A wise old owl of London did not cross the river because it was too wet.";
const trace = new Trace();
let optimizer, // and the rest since the weights were put back
  learned = [], // [step, loss of the sentence]
  lost = [], // [step, loss of other stories]
  recitals = [], // { step, of, ids, given }: `given` of the ids begin the sentence `of`
  left = 0; // steps to go

export const teach = {
  id: "teach",
  title: "Teach it",
  needsModel: true,
  about: "Train it on one sentence: it memorises that, and forgets the rest.",
  section: "Training Process: Optimizer",
  build(root) {
    const sentence = el("input", { class: "long", spellcheck: "false", autocomplete: "off" });
    sentence.oninput = () => set({ sentence: sentence.value });
    const [rate, putRate] = slider(
      "learning rate",
      { min: -5, max: -2, step: 0.25 },
      (log) => set({ rate: log }),
      (log) => (10 ** log).toExponential(1),
    );
    const go = button("", () => {
      left = isTeaching() ? 0 : STEPS;
      if (left) teaching.start();
      set({});
    });
    const back = button("Put the weights back", () => {
      teaching.run = null;
      forget();
      putWeightsBack();
      set({});
    });
    const words = el("p", { role: "status" }),
      plot = el("div", { class: "scroll" }),
      written = el("div");
    root.append(
      el("label", {}, "The sentence to learn ", sentence),
      el("div", { class: "controls" }, rate, go, back),
      words,
      plot,
      written,
    );
    if (record.others)
      root.append(
        el("details", {}, el("summary", {}, "The other text"), el("pre", {}, record.others)),
      );
    forget();
    return () => {
      const { problem } = read();
      if (document.activeElement !== sentence) sentence.value = taught();
      putRate(state.rate);
      go.textContent = isTeaching() ? "Stop" : `Teach it, ${STEPS} steps`;
      go.disabled = Boolean(problem);
      back.disabled = !learned.length;
      words.textContent = problem || inWords();
      plot.replaceChildren(...(learned.length > 1 ? [curves()] : []));
      written.replaceChildren(...(recitals.length ? [recited()] : []));
    };
  },
};

function forget() {
  const matrices = Object.keys(record.weights).filter((n) => record.weights[n].shape.length > 1);
  optimizer = new AdamW(model.weights, new Set(matrices), record.optimizer);
  [learned, lost, recitals, left] = [[], [], [], 0];
}

function taught() {
  if (state.sentence) return state.sentence;
  return tokenizer.known && tokenizer.readable(EXAMPLE) !== EXAMPLE ? record.prompt : EXAMPLE;
}

// The tokens of the sentence, or the problem with it.
function read() {
  try {
    const ids = tokenizer.encode(taught());
    if (ids.length < 2) return { problem: "A loss needs two tokens: type another." };
    const most = record.window;
    if (ids.length <= most) return { ids };
    return { problem: `The sentence has ${ids.length} tokens: leave ${most} of them.` };
  } catch (error) {
    if (!(error instanceof UnknownCharacter)) throw error;
    return { problem: error.message };
  }
}

function isTeaching() {
  return left > 0 && teaching.current;
}

// It goes on in other views, which follow it.
const teaching = new Task(
  () => [taught(), state.rate],
  async (pause) => {
    const { ids } = read(),
      others = record.others ? tokenizer.encode(record.others).slice(0, record.window) : [];
    if (recitals.at(-1)?.of !== taught()) await recite(ids, pause);
    for (let i = 0; ; i++) {
      const ends = i === STEPS || !left;
      if (others.length > 1 && (i % EVERY === 0 || ends))
        lost.push([optimizer.steps, lossOf(others)]);
      learned.push([optimizer.steps, lossOf(ids)]);
      await pause();
      if (ends) break;
      optimizer.step(backward(model, trace, [...ids.slice(1), -1]).grads, 10 ** state.rate);
      weightsChanged();
    }
    left = 0;
    await recite(ids, pause);
  },
);

function lossOf(ids) {
  trace.ids = [];
  model.forward(ids, trace);
  return mean(losses(logitsOf(trace), ids, V));
}

// Writes on after the first quarter of the sentence, the likeliest token each time.
async function recite(sentence, pause) {
  const given = Math.max(1, sentence.length >> 2),
    ids = sentence.slice(0, given);
  const own = new Trace();
  recitals.push({ step: optimizer.steps, of: taught(), ids, given });
  while (ids.length < Math.min(record.window, sentence.length + BEYOND)) {
    ids.push(likeliestNext(model, ids, own));
    await pause();
  }
}

function inWords() {
  if (!learned.length) return "Its weights are the run's own.";
  const say = (points) =>
    `${points.at(-1)[1].toFixed(4)} nats per token, ${points[0][1].toFixed(4)} before`;
  const others = lost.length ? ` Loss of other text: ${say(lost)}.` : "";
  return `Step ${learned.at(-1)[0]}. Loss of the sentence: ${say(learned)}.${others}`;
}

function curves() {
  return chart(
    "losses by taught step",
    [
      { name: "the sentence", points: learned, style: "line" },
      { name: "other text", points: lost, style: "line faint" },
    ],
    { unit: "step", counted: true },
  );
}

function recited() {
  const text = ({ ids, given }) =>
    el(
      "td",
      { class: "recital" },
      el("b", {}, tokenizer.decode(ids.slice(0, given))),
      tokenizer.decode(ids.slice(given)),
    );
  return table(
    ["after step", "it goes on"],
    recitals.map((recital) => [el("th", { scope: "row" }, recital.step), text(recital)]),
    { "aria-label": "what it writes" },
  );
}
