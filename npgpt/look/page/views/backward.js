// The backward pass: the graph that the engine recorded, the gradients, and their check by finite
// differences, which are two forwards in this page.

import { bar, button, chart, el, palette, short, slider, table, tokenStrip } from "../draw.js";
import { losses, mean, Trace } from "../model.js";
import { backward as gradients, FAULTS } from "../rules.js";
import { live, logitsOf, model, pass, record, set, state, V } from "../state.js";

const LIMIT = 1e-4; // of the largest entry of a weight's gradient
const STEPS = Array.from({ length: 17 }, (_, i) => 10 ** (-1 - i / 2));

let found = null, foundFor = ""; // what rules.js gives for the text, with the fault that is planted
let asked = "", difference = null, curve = [], curveOf = "", checks = [], checksOf = "";
const own = new Trace();

export const backward = {
  id: "backward", title: "Backward pass",
  about: "How much each weight and each token moves the loss, and a check of it.",
  section: "Training Process: Gradients",
  build(root) {
    const [strip, updateStrip] = tokenStrip(
      "Saliency: the length of the gradient of each token's embedding");
    const summary = el("p"), norms = el("div"), check = live ? checkPanel() : null;
    root.append(summary, strip, ...(check ? [el("h3", {}, "Check any weight"), check.root] : []),
      el("h3", {}, "Length of the gradient, by layer and kind"), norms,
      el("h3", {}, `The graph of the loss, as the engine recorded it (${record.gradient.dtype})`),
      el("p", {}, "Of the text that the page was made with: every op that was called, where its " +
        "inputs come from, what it kept for backward, and the length of the gradient at its " +
        "output. Backward visits them from the last to the first."), ...graph());
    const render = () => {
      const now = live ? found : { loss: record.gradient.loss, saliency: record.gradient.saliency };
      const { share } = palette(), largest = Math.max(...now.saliency);
      summary.textContent = `The loss is ${now.loss.toFixed(4)}, the mean over the ${pass.T - 1} ` +
        "tokens that are predicted. The darker a token, the more its embedding moves it.";
      updateStrip((t) => ({ rgb: share((now.saliency[t] ?? 0) / largest),
        title: short(now.saliency[t] ?? 0) }));
      norms.replaceChildren(byLayer(live ? normsOf(found.grads) : recordedNorms()));
      check?.update();
    };
    return () => {
      if (pass.T < 2) {
        summary.textContent = "A loss needs two tokens: type another.";
        return;
      }
      const key = wanted();
      if (!live || key === foundFor) {
        render();
        return;
      }
      summary.textContent = "Computing the gradients ...";
      setTimeout(() => key === wanted() && (compute(key), render()), found ? 150 : 0);
    };
  },
};

// What gradients depend on, and what a finite difference and its curve do.
function wanted() {
  return JSON.stringify([pass.ids, state.fault]);
}

function keyOf(name, at) {
  return JSON.stringify([pass.ids, name, at]);
}

function compute(key) {
  if (key === foundFor) return;
  const { trace, T, ids } = pass, C = model.C;
  found = gradients(model, trace, [...ids.slice(1), -1], state.fault);
  found.saliency = Array.from({ length: T }, (_, t) => length(
    found.d_x.subarray(t * C, t * C + C)));
  foundFor = key;
}

function length(x) {
  return Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
}

function normsOf(grads) {
  return Object.fromEntries(Object.entries(grads).map(([name, d]) => [name, length(d)]));
}

function recordedNorms() {
  return Object.fromEntries(Object.entries(record.gradient.weights).map(
    ([name, { norm }]) => [name, norm]));
}

function byLayer(norms) {
  const split = (name) => /^h\.(\d+)\.(.*)$/.exec(name)?.slice(1) ?? ["", name];
  const layers = [...new Set(Object.keys(norms).map((name) => split(name)[0]))];
  const largest = Math.max(...Object.values(norms));
  const kinds = [...new Set(Object.keys(norms).filter((name) => split(name)[0]).map(
    (name) => split(name)[1]))];
  const cell = (norm) => (norm === undefined ? "" : bar(norm / largest, short(norm)));
  const outside = Object.keys(norms).filter((name) => !split(name)[0]);
  return el("div", {}, table(["block", ...kinds], layers.filter(Boolean).map(
    (l) => [el("th", { scope: "row" }, l), ...kinds.map((kind) => cell(norms[`h.${l}.${kind}`]))]),
    { "aria-label": "gradients by block" }),
      table(outside, [outside.map((name) => cell(norms[name]))],
      { "aria-label": "gradients outside of the blocks" }));
}

// ---- the recorded graph

function graph() {
  const groups = new Map(), { ops } = record.gradient;
  const first = ops.findIndex(({ where }) => where.startsWith("h."));
  ops.forEach((op, i) => {
    const block = /^h\.\d+/.exec(op.where)?.[0].replace("h.", "block ");
    const group = block ?? (i < first ? "embeddings" : "output and loss");
    groups.set(group, [...(groups.get(group) ?? []), [i, op]]);
  });
  return Array.from(groups, ([group, members]) => el("details", {},
    el("summary", {}, `${group}: ${members.length} ops`),
    table(["", "op", "in", "inputs", "output", "saved for backward", "gradient at the output"],
      members.map(([i, op]) => [
      `#${i}`, el("th", { scope: "row" }, op.op), op.where || "the model",
      op.inputs.map((from, j) =>
        `${source(from)} ${shape(op.shapes[j])}`).join("; "),
      op.outputs.map(shape).join(", "), op.saved.join("; ") || "nothing", short(op.norm ?? 0)]),
        { "aria-label": group })));
}

function source(from) {
  if (from === null) return "data";
  return typeof from === "number" ? `#${from}` : from;
}

function shape(sizes) {
  return sizes ? `(${sizes.join(", ")})` : "";
}

// ---- the check

export function finiteDifference(name, at, step) {
  const weight = model.weights[name], before = weight[at];
  const lossWith = (value) => {
    weight[at] = value;
    own.ids = []; // nothing of before may be used again
    model.forward(pass.ids, own);
    return mean(losses(logitsOf(own), pass.ids, V));
  };
  try {
    return (lossWith(before + step) - lossWith(before - step)) / (2 * step);
  } finally {
    weight[at] = before;
  }
}

function errorOf(name, at, difference) {
  const largest = found.grads[name].reduce((max, d) => Math.max(max, Math.abs(d)), 0);
  return Math.abs(difference - found.grads[name][at]) / (largest || 1);
}

function engines(name, at) {
  if (pass.ids.join() !== record.ids.join()) return null;
  const entry = record.gradient.weights[name], i = entry.at.indexOf(at);
  return i < 0 ? null : entry.values[i];
}

function checkPanel() {
  const names = Object.keys(model.weights), numbers = el("div", { "aria-live": "polite" });
  const plot = el("div", { class: "scroll" }), list = el("div"), fault = el("p");
  const which = el("select", { onchange: () => set({ weight: which.value, at: -1 }) },
    names.map((name) => el("option", {}, name)));
  const at = el("input", { type: "number", min: 0,
    onchange: () => set({ at: Math.trunc(Number(at.value)) || 0 }) });
  const [step, putStep] = slider("step", { min: -9, max: -1, step: 0.5 },
    (log) => set({ step: log }), (log) => (10 ** log).toExponential(1));
  const rule = el("select", {}, Object.keys(FAULTS).map((name) => el("option", {}, name)));
  const plant = button("", () => set({ fault: state.fault ? "" : rule.value }));
  const root = el("div", {},
    el("div", { class: "controls" }, el("label", {}, "weight ", which),
      el("label", {}, "entry ", at), button("A random one", () => any(names)),
      button("One that the engine's record has", () => recorded(names)), step),
    numbers, plot, el("div", { class: "controls" }, plant,
      el("label", {}, "in the rule of ", rule),
      button("Check one entry of every weight", () => checkAll(names))), fault, list);
  const update = () => {
    const name = names.includes(state.weight) ? state.weight
      : names.find((other) => other.includes("c_attn")), size = model.weights[name].length;
    const entry = state.at < 0 ? largestRecorded(name) : Math.min(size - 1, state.at);
    const key = keyOf(name, entry);
    which.value = name;
    if (document.activeElement !== at) at.value = entry;
    at.max = size - 1;
    putStep(state.step);
    if (state.fault) rule.value = state.fault;
    rule.disabled = Boolean(state.fault);
    plant.textContent = state.fault ? "Take the fault out" : "Plant a fault";
    fault.textContent = state.fault
      ? `Planted in ${state.fault}: ${FAULTS[state.fault] ?? "nothing"}. It shows in every ` +
        "gradient that has passed through that rule." : "";
    if (curveOf !== key) curve = [];
    curveOf = key;
    const question = key + state.step;
    if (asked !== question) {
      [asked, difference] = [question, null];
      numbers.textContent = "Computing two forwards ...";
      setTimeout(() => answer(question, name, entry, numbers, plot));
    } else if (difference !== null) numbers.replaceChildren(verdict(name, entry, difference));
    drawCurve(name, entry, plot);
    if (checksOf !== foundFor) checks = [];
    list.replaceChildren(...(checks.length ? [results()] : []));
  };
  return { root, update };
}

// The finite difference, once the page has shown what was quick, and then those of the curve.
function answer(question, name, at, numbers, plot) {
  const key = keyOf(name, at);
  if (asked !== question || question !== key + state.step || state.view !== "backward") {
    if (asked === question) asked = ""; // it is asked again if it is wanted again
    return;
  }
  difference = finiteDifference(name, at, 10 ** state.step);
  numbers.replaceChildren(verdict(name, at, difference));
  setTimeout(() => extend(key, name, at, plot));
}

function largestRecorded(name) {
  const { at, values } = record.gradient.weights[name];
  return at[values.reduce((best, value, i) =>
    (Math.abs(value) > Math.abs(values[best]) ? i : best), 0)];
}

// How far the rules of this page are from the engine, in all entries that it recorded.
function besideEngine() {
  if (pass.ids.join() !== record.ids.join()) return "The engine's record is of another text.";
  const entries = Object.entries(record.gradient.weights).flatMap(
    ([name, { at, values, largest }]) =>
    at.map((i, j) => Math.abs(found.grads[name][i] - values[j]) / (largest || 1)));
  return `Over the ${entries.length} entries that the engine recorded, the rules of this page ` +
    `differ from it by at most ${Math.max(...entries).toExponential(0)}.`;
}

function any(names) {
  const name = names[Math.floor(Math.random() * names.length)];
  set({ weight: name, at: Math.floor(Math.random() * model.weights[name].length) });
}

function recorded(names) {
  const name = names[Math.floor(Math.random() * names.length)];
  const { at } = record.gradient.weights[name];
  set({ text: record.prompt, weight: name, at: at[Math.floor(Math.random() * at.length)] });
}

function verdict(name, at, difference) {
  const error = errorOf(name, at, difference), good = error <= LIMIT, engine = engines(name, at);
  const rows = [["by the rules of this page, rules.js", found.grads[name][at].toPrecision(10)],
    [`by finite differences, (loss(w + h) − loss(w − h)) / 2h, h = ${short(10 ** state.step)}`,
      difference.toPrecision(10)],
    ["by the engine in Python, as recorded",
      engine === null ? "not recorded for this entry and text" : engine.toPrecision(10)]];
  return el("div", { class: good ? "verdict good" : "verdict bad" },
    table(["gradient of the loss", ""], rows, { "aria-label": "three gradients of one weight" }),
    el("p", {}, el("b", {}, good ? "✓ They agree" : "✗ They differ"),
      `: by ${error.toExponential(1)} of the weight's largest entry; the limit is `,
      `${LIMIT.toExponential(0)}. ${besideEngine()}`));
}

// The error by step: too large a step is not yet a derivative, too small a one drowns in rounding.
function extend(key, name, at, plot) {
  if (curveOf !== key || key !== keyOf(name, at) || state.view !== "backward"
    || curve.length === STEPS.length) return;
  const step = STEPS[curve.length];
  curve.push([step, finiteDifference(name, at, step)]);
  drawCurve(name, at, plot);
  setTimeout(() => extend(key, name, at, plot));
}

function drawCurve(name, at, plot) {
  const points = curve.map(([step, difference]) => [step, Math.max(
    1e-14, errorOf(name, at, difference))]);
  if (points.length < 2) return;
  plot.replaceChildren(chart("error of the finite difference by step",
    [{ name: "the error", points, style: "line" }],
    { levels: [["the limit", LIMIT]], log: "xy", unit: "step", mark: 10 ** state.step }));
}

function checkAll(names) {
  checks = [];
  checksOf = foundFor;
  const next = () => {
    if (checks.length === names.length || checksOf !== foundFor || foundFor !== wanted()
      || state.view !== "backward") return;
    const name = names[checks.length], at = Math.floor(Math.random() * model.weights[name].length);
    checks.push([name, at, finiteDifference(name, at, 1e-5)]);
    set({});
    setTimeout(next);
  };
  next();
}

function results() {
  const wrong = checks.filter(([name, at, difference]) => errorOf(
    name, at, difference) > LIMIT).length;
  return el("div", { class: wrong ? "verdict bad" : "verdict good" },
    el("p", {}, el("b", {}, wrong ? `✗ ${wrong} of ${checks.length} differ`
      : `✓ all ${checks.length} agree`)),
    table(["weight", "entry", "rule", "finite difference", "error", ""],
      checks.map(([name, at, difference]) => {
      const error = errorOf(name, at, difference);
      return [el("th", { scope: "row" }, name), at, short(found.grads[name][at]),
        short(difference), error.toExponential(1), error > LIMIT ? "✗" : "✓"];
    }), { "aria-label": "one entry of every weight" }));
}
