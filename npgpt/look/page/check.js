// Any weight's gradient, by the rules of rules.js, beside a finite difference, which is two forwards
// in this page, and beside what the engine in Python recorded.

import { button, el, range, short, table, whole } from "./elements.js";
import { length, losses, mean, Trace } from "./model.js";
import { backward as gradients, FAULTS } from "./rules.js";
import { C, isRecorded, model, pass, record, set, state, V } from "./state.js";
import { taskOnText } from "./task.js";

const LIMIT = 1e-4; // of the entry; of FLOOR times the weight's largest entry, if that is more, as
const FLOOR = 2e-4; // the rounding of a finite difference does not shrink with the entry
const STEP = 1e-5; // of a finite difference: larger is no derivative yet, smaller drowns in rounding

const own = new Trace();

// By rules.js, with the planted fault: each weight's gradient, its length and its largest entry, and
// the length of the gradient of each token's embedding.
export const computed = { loss: 0 };

export const gradientsOfText = taskOnText(
  () => [state.fault],
  async (pause) => {
    await pause(computed.loss ? 150 : 0);
    const { trace, T, ids } = pass,
      { loss, grads, d_x } = gradients(model, trace, [...ids.slice(1), -1], state.fault);
    const ofEach = (f) =>
      Object.fromEntries(Object.entries(grads).map(([name, d]) => [name, f(d)]));
    Object.assign(computed, {
      loss,
      grads,
      norms: ofEach(length),
      largest: ofEach((d) => d.reduce((max, value) => Math.max(max, Math.abs(value)), 0)),
      saliency: range(T).map((t) => length(d_x.subarray(t * C, t * C + C))),
    });
  },
);

function finiteDifference(name, at) {
  const weight = model.weights[name],
    before = weight[at];
  const lossWith = (value) => {
    weight[at] = value;
    own.ids = []; // nothing of before may be used again
    return mean(losses(model.forward(pass.ids, own), pass.ids, V));
  };
  const slope = (lossWith(before + STEP) - lossWith(before - STEP)) / (2 * STEP);
  weight[at] = before;
  return slope;
}

function errorOf(name, at, other) {
  const rule = computed.grads[name][at],
    least = FLOOR * computed.largest[name];
  return Math.abs(other - rule) / (Math.max(Math.abs(rule), Math.abs(other), least) || 1);
}

// Returns the controls with the verdict below, the function that updates them, and the verdict.
export function checkPanel() {
  const names = Object.keys(model.weights),
    options = (all) => all.map((each) => el("option", each)),
    [numbers, fault] = [el("div", { "aria-live": "polite" }), el("p")],
    which = el("select", { onchange: () => set({ weight: which.value, at: -1 }) }, options(names)),
    at = el("input", {
      type: "number",
      min: 0,
      onchange: () => set({ at: Math.trunc(Number(at.value)) || 0 }),
    }),
    rule = el("select", options(Object.keys(FAULTS))),
    plant = button("", () => set({ fault: state.fault ? "" : rule.value }));
  const root = el(
    "div",
    el("div.controls", el("label", "weight ", which), el("label", "entry ", at)),
    numbers,
    el("div.controls", plant, el("label", "in the rule of ", rule)),
    fault,
  );
  const chosen = () => {
    const first = names.find((name) => name.includes("c_attn")),
      name = names.includes(state.weight) ? state.weight : first,
      entry = state.at < 0 ? largestRecorded(name) : state.at;
    return [name, Math.min(model.weights[name].length - 1, entry)];
  };
  let difference;
  const nudging = taskOnText(chosen, async (pause) => {
    await pause();
    difference = finiteDifference(...chosen());
  });
  const update = () => {
    const [name, entry] = chosen();
    which.value = name;
    if (document.activeElement !== at) at.value = entry;
    at.max = model.weights[name].length - 1;
    if (state.fault) rule.value = state.fault;
    rule.disabled = Boolean(state.fault);
    plant.textContent = state.fault ? "Take the fault out" : "Plant a fault";
    fault.textContent = state.fault
      ? `Planted in ${state.fault}: ${FAULTS[state.fault]}. It shows in the ` +
        "gradients that have passed through that rule, not in Teach it."
      : "";
    if (!nudging.current) nudging.start();
    const found = nudging.done
      ? verdict(name, entry, difference)
      : el("p", "Computing two forwards ...");
    if (!numbers.firstChild?.isEqualNode(found)) numbers.replaceChildren(found); // it is read aloud
  };
  return [root, update, numbers];
}

function largestRecorded(name) {
  const { at, values } = record.gradient.weights[name],
    sizes = values.map(Math.abs);
  return at[sizes.indexOf(Math.max(...sizes))];
}

// The largest error of the page's rules in all entries that the engine recorded.
function besideEngine() {
  if (!isRecorded()) return "The engine's record is of a different text or of other weights.";
  const errors = Object.entries(record.gradient.weights).flatMap(([name, { at, values }]) =>
    at.map((i, j) => errorOf(name, i, values[j])),
  );
  return (
    `Over the ${whole(errors.length)} entries that the engine recorded, the rules of this page ` +
    `differ from it by at most ${Math.max(...errors).toExponential(0)}.`
  );
}

function verdict(name, at, difference) {
  const error = errorOf(name, at, difference),
    good = error <= LIMIT,
    entries = record.gradient.weights[name],
    engine = isRecorded() ? entries.values[entries.at.indexOf(at)] : undefined;
  const rows = [
    ["by the rules of this page, rules.js", computed.grads[name][at]],
    [`by finite differences, (loss(w + h) − loss(w − h)) / 2h, h = ${short(STEP)}`, difference],
    ["by the engine in Python, as recorded", engine],
  ].map(([how, value]) => [
    el("td", how),
    value?.toPrecision(10) ?? "not recorded for this entry and text",
  ]);
  return el(
    good ? "div.verdict.good" : "div.verdict.bad",
    { "data-mark": !good && "fault" },
    table("three gradients of one weight", ["gradient of the loss", "value"], rows),
    el(
      "p",
      el("b", good ? "✓ They agree" : "✗ They differ"),
      `: by ${error.toExponential(1)} of the larger one; the limit is ${LIMIT.toExponential(0)} ` +
        `of it, for rounding. (A gradient below ${FLOOR} of the largest in its weight is compared ` +
        "with that.) ",
      state.fault
        ? "This page has planted a fault in its own rule, so that you see it found."
        : besideEngine(),
    ),
  );
}
