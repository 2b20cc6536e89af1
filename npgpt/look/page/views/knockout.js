// What the loss does, token by token, if a head, an MLP or a position is taken out.

import { button, el, paint, palette, percent, short, table, tokenStrip } from "../draw.js";
import { losses, mean, Trace } from "../model.js";
import { H, L, logitsOf, model, pass, set, state, V } from "../state.js";

let measured = new Map(), measuredText = null, trace = new Trace(), traceOf = "";

export const knockout = {
  id: "knockout", title: "Knock-out", needsModel: true,
  about: "Take out heads, MLPs or positions: which tokens can the model no longer predict?",
  section: "Attention Mechanism, Transformer Architecture",
  build(root) {
    const parts = el("div"), result = el("p", { "aria-live": "polite" });
    const [strip, updateStrip] = tokenStrip(
      "Positions: choose one to hide it, or to show it again",
      (t) => toggle("positions", t, { t }));
    const [effect, updateEffect] = tokenStrip("What each token loses");
    const all = button("Take out each alone, and measure", () => measure(0));
    root.append(el("h2", {}, "Heads and MLPs"), parts, el("div", { class: "controls" }, all,
      button("Put everything back", () => set({ heads: "", mlps: "", positions: "" }))),
    el("h2", {}, "Positions"), strip, el("h2", {}, "What it does to each token"),
    el("p", { class: "legend" }, "easier to predict", el("span", { class: "ramp both" }),
      "harder, by 3 nats or more"), effect, result);
    return () => {
      if (measuredText !== state.text) measured = new Map();
      measuredText = state.text;
      const { change } = palette(), now = knockedOut(chosen());
      const by = pass.losses.map((loss, t) => now[t] - loss);
      parts.replaceChildren(grid());
      updateStrip((t) => ({ off: chosen().positions.has(t), title: `token ${t + 1}` }));
      updateEffect((t) => ({ rgb: t ? change(by[t - 1] / 3) : null,
        title: t ? `${odds(pass.losses[t - 1])} before, ${odds(now[t - 1])} now` : "" }));
      const none = pass.T < 2 ? "A loss needs two tokens: type another." : "Nothing is taken out.";
      result.textContent = pass.T < 2 || !(state.heads || state.mlps || state.positions) ? none
        : `Loss ${mean(pass.losses).toFixed(4)} before, ${mean(now).toFixed(4)} now. ${worst(by)}`;
    };
  },
};

function odds(nats) {
  return percent(Math.exp(-nats));
}

function worst(by) {
  const t = by.indexOf(Math.max(...by)), where = `“${pass.labels[t + 1]}” (token ${t + 2})`;
  return by[t] > 0 ? `It costs most at ${where}: ${by[t].toFixed(2)} nats.` : "No token is harder.";
}

function chosen() {
  const list = (text) => text.split(",").filter(Boolean);
  return { heads: new Set(list(state.heads)), mlps: new Set(list(state.mlps).map(Number)),
    positions: new Set(list(state.positions).map(Number)) };
}

function toggle(kind, which, more = {}) {
  const parts = chosen()[kind];
  if (!parts.delete(which)) parts.add(which);
  set({ [kind]: [...parts].join(","), ...more });
}

// The losses with some parts taken out; a trace is kept for those that were taken out last.
function knockedOut(off) {
  if (!state.heads && !state.mlps && !state.positions) return pass.losses;
  const key = JSON.stringify([state.heads, state.mlps, state.positions]);
  if (key !== traceOf) trace = new Trace();
  traceOf = key;
  return losses(model.forward(pass.ids, trace, off) && logitsOf(trace), pass.ids, V);
}

function grid() {
  const cell = (kind, which, name) => {
    const by = measured.get(`${kind} ${which}`), off = chosen()[kind].has(which);
    const cost = by === undefined ? "" : ` ${by < 0 ? "−" : "+"}${short(Math.abs(by))}`;
    const where = off ? "taken out" : "in place", alone = cost && `, alone it costs${cost}`;
    const cell = button((off ? "out" : "in") + cost, () => toggle(kind, which),
      { "aria-pressed": off, "aria-label": `${name}: ${where}${alone}` });
    if (by !== undefined) paint(cell, palette().change(by / 1.5));
    return cell;
  };
  const rows = Array.from({ length: L }, (_, l) => [el("th", { scope: "row" }, String(l)),
    ...Array.from({ length: H }, (_, h) => cell("heads", `${l}.${h}`, `block ${l}, head ${h}`)),
      cell("mlps", l, `block ${l}, MLP`)]);
  return table(["block", ...Array.from({ length: H }, (_, h) => `head ${h}`), "MLP"], rows,
    { "aria-label": "parts of the model" });
}

// One part after another, without keeping the page from answering.
function measure(i) {
  const parts = Array.from({ length: L }, (_, l) => [...Array.from(
    { length: H }, (_, h) => ["heads", `${l}.${h}`]), ["mlps", l]]).flat();
  if (i === parts.length || state.view !== "knockout") return;
  const [kind, which] = parts[i], off = { heads: new Set(), mlps: new Set(), positions: new Set() };
  off[kind].add(which);
  const own = new Trace();
  model.forward(pass.ids, own, off);
  measured.set(`${kind} ${which}`, mean(losses(logitsOf(own), pass.ids, V)) - mean(pass.losses));
  set({});
  setTimeout(() => measure(i + 1));
}
