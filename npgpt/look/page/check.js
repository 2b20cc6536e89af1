// Any weight's gradient, by the rules of rules.js, beside a finite difference, which is two forwards
// in this page, and beside what the engine in Python recorded.

import { button, el, short, table, whole } from "./elements.js";
import { length, losses, mean, Trace } from "./model.js";
import { backward as gradients, FAULTS } from "./rules.js";
import { isRecorded, logitsOf, model, pass, record, set, state, V } from "./state.js";
import { taskOnText } from "./task.js";

const LIMIT = 1e-4; // of the entry; of FLOOR times the weight's largest entry, if that is more, as
const FLOOR = 2e-4; // the rounding of a finite difference does not shrink with the entry
const STEP = 1e-5; // of a finite difference: larger is no derivative yet, smaller drowns in rounding

const PLANTED = "This page has planted a fault in its own rule, so that you see it found.";
const own = new Trace();

// By rules.js, with the planted fault: each weight's gradient, its length and its largest entry, and
// the length of the gradient of each token's embedding.
export const computed = { loss: 0 };

export const gradientsOfText = taskOnText(
  () => [state.fault],
  async (pause) => {
    await pause(computed.loss ? 150 : 0);
    const { trace, T, ids } = pass,
      C = model.C;
    const { loss, grads, d_x } = gradients(model, trace, [...ids.slice(1), -1], state.fault);
    const ofEach = (f) =>
      Object.fromEntries(Object.entries(grads).map(([name, d]) => [name, f(d)]));
    Object.assign(computed, {
      loss,
      grads,
      norms: ofEach(length),
      largest: ofEach((d) => d.reduce((max, value) => Math.max(max, Math.abs(value)), 0)),
      saliency: Array.from({ length: T }, (_, t) => length(d_x.subarray(t * C, t * C + C))),
    });
  },
);

export function finiteDifference(name, at) {
  const weight = model.weights[name],
    before = weight[at];
  const lossWith = (value) => {
    weight[at] = value;
    own.ids = []; // nothing of before may be used again
    model.forward(pass.ids, own);
    return mean(losses(logitsOf(own), pass.ids, V));
  };
  try {
    return (lossWith(before + STEP) - lossWith(before - STEP)) / (2 * STEP);
  } finally {
    weight[at] = before;
  }
}

function errorOf(name, at, other) {
  const rule = computed.grads[name][at],
    least = FLOOR * computed.largest[name];
  return Math.abs(other - rule) / (Math.max(Math.abs(rule), Math.abs(other), least) || 1);
}

function engines(name, at) {
  if (!isRecorded()) return null;
  const entry = record.gradient.weights[name],
    i = entry.at.indexOf(at);
  return i < 0 ? null : entry.values[i];
}

export function checkPanel() {
  const names = Object.keys(model.weights),
    numbers = el("div", { "aria-live": "polite" });
  const list = el("div"),
    fault = el("p");
  const which = el(
    "select",
    { onchange: () => set({ weight: which.value, at: -1 }) },
    names.map((name) => el("option", {}, name)),
  );
  const at = el("input", {
    type: "number",
    min: 0,
    onchange: () => set({ at: Math.trunc(Number(at.value)) || 0 }),
  });
  const rule = el(
    "select",
    {},
    Object.keys(FAULTS).map((name) => el("option", {}, name)),
  );
  const plant = button("", () => set({ fault: state.fault ? "" : rule.value }));
  const root = el(
    "div",
    {},
    el(
      "div",
      { class: "controls" },
      el("label", {}, "weight ", which),
      el("label", {}, "entry ", at),
    ),
    numbers,
    el(
      "div",
      { class: "controls" },
      plant,
      el("label", {}, "in the rule of ", rule),
      button("Check one entry of every weight", () => ofAll.start()),
    ),
    fault,
    list,
  );
  let name,
    entry,
    difference = 0,
    checks = []; // [name, entry, finite difference]
  const one = taskOnText(
    () => [name, entry],
    async (pause) => {
      await pause();
      difference = finiteDifference(name, entry);
    },
  );
  const ofAll = taskOnText(
    () => [state.fault],
    async (pause) => {
      checks = [];
      for (const each of names) {
        const i = randomEntry(each);
        checks.push([each, i, finiteDifference(each, i)]);
        await pause();
      }
    },
  );
  const update = () => {
    name = names.includes(state.weight)
      ? state.weight
      : names.find((other) => other.includes("c_attn"));
    const size = model.weights[name].length;
    entry = state.at < 0 ? largestRecorded(name) : Math.min(size - 1, state.at);
    which.value = name;
    if (document.activeElement !== at) at.value = entry;
    at.max = size - 1;
    if (state.fault) rule.value = state.fault;
    rule.disabled = Boolean(state.fault);
    plant.textContent = state.fault ? "Take the fault out" : "Plant a fault";
    fault.textContent = state.fault
      ? `Planted in ${state.fault}: ${FAULTS[state.fault]}. It shows in the ` +
        "gradients that have passed through that rule, not in Teach it."
      : "";
    if (!one.current) one.start();
    const found = one.done
      ? verdict(name, entry, difference)
      : el("p", {}, "Computing two forwards ...");
    if (!numbers.firstChild?.isEqualNode(found)) numbers.replaceChildren(found); // it is read aloud
    list.replaceChildren(...(ofAll.current && checks.length ? [results(checks)] : []));
  };
  return { root, update, results: [numbers, list] };
}

function largestRecorded(name) {
  const { at, values } = record.gradient.weights[name];
  return at[
    values.reduce((best, value, i) => (Math.abs(value) > Math.abs(values[best]) ? i : best), 0)
  ];
}

// The largest error of the page's rules in all entries that the engine recorded.
function besideEngine() {
  if (!isRecorded()) return "The engine's record is of a different text or of other weights.";
  const entries = Object.entries(record.gradient.weights).flatMap(([name, { at, values }]) =>
    at.map((i, j) => errorOf(name, i, values[j])),
  );
  return (
    `Over the ${whole(entries.length)} entries that the engine recorded, the rules of this page ` +
    `differ from it by at most ${Math.max(...entries).toExponential(0)}.`
  );
}

// One that is not 0, if there is one: 0 beside 0 would check nothing.
function randomEntry(name) {
  const moved = Array.from(model.weights[name].keys()).filter((i) => computed.grads[name]?.[i]);
  return moved[Math.floor(Math.random() * moved.length)] ?? 0;
}

function verdict(name, at, difference) {
  const error = errorOf(name, at, difference),
    good = error <= LIMIT,
    engine = engines(name, at);
  const rows = [
    ["by the rules of this page, rules.js", computed.grads[name][at].toPrecision(10)],
    [
      `by finite differences, (loss(w + h) − loss(w − h)) / 2h, h = ${short(STEP)}`,
      difference.toPrecision(10),
    ],
    [
      "by the engine in Python, as recorded",
      engine === null ? "not recorded for this entry and text" : engine.toPrecision(10),
    ],
  ];
  return el(
    "div",
    { class: good ? "verdict good" : "verdict bad", "data-mark": good ? null : "fault" },
    table(["gradient of the loss", "value"], rows, {
      "aria-label": "three gradients of one weight",
    }),
    el(
      "p",
      {},
      el("b", {}, good ? "✓ They agree" : "✗ They differ"),
      `: by ${error.toExponential(1)} of the larger one; the limit is ${LIMIT.toExponential(0)} ` +
        `of it, for rounding. (A gradient below ${FLOOR} of the largest in its weight is compared ` +
        `with that.) ${state.fault ? PLANTED : besideEngine()}`,
    ),
  );
}

function results(checks) {
  const wrong = checks.filter(
    ([name, at, difference]) => errorOf(name, at, difference) > LIMIT,
  ).length;
  return el(
    "div",
    { class: wrong ? "verdict bad" : "verdict good" },
    el(
      "p",
      {},
      el("b", {}, wrong ? `✗ ${wrong} of ${checks.length} differ` : `✓ all ${checks.length} agree`),
    ),
    table(
      ["weight", "entry", "rule", "finite difference", "error", "right?"],
      checks.map(([name, at, difference]) => {
        const error = errorOf(name, at, difference);
        return [
          el("th", { scope: "row" }, name),
          at,
          short(computed.grads[name][at]),
          short(difference),
          error.toExponential(1),
          error > LIMIT ? "✗" : "✓",
        ];
      }),
      { "aria-label": "one entry of every weight" },
    ),
  );
}
