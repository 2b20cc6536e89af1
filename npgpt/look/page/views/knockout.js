// The change of the loss, token by token, if a head, an MLP or a position is knocked out.

import { paint, palette } from "../colours.js";
import { button, el, percent, range, table, tokenStrip } from "../elements.js";
import { losses, mean, NOTHING, Trace } from "../model.js";
import { H, L, logitsOf, model, pass, set, state, V } from "../state.js";
import { taskOnText } from "../task.js";

// [kind, index, name] of the parts that can be knocked out, by block.
const PARTS = range(L).map((l) => [
  ...range(H).map((h) => ["heads", `${l}.${h}`, `block ${l}, head ${h}`]),
  ["mlps", l, `block ${l}, MLP`],
]);

const COST = 1.5,
  HARDER = 3; // nats of the darkest shade, of a part and of a token

const PAUSE = 200; // milliseconds after a change of the text, so that typing stays quick

let measured = new Map(),
  trace = new Trace(),
  traceOf = "";

export const knockout = {
  id: "knockout",
  title: "Knock-out",
  needsModel: true,
  about: "Take out heads, MLPs or positions: which tokens can the model no longer predict?",
  section: "Looking Inside",
  words: ["head", "MLP", "nats"],
  build(root) {
    const [parts, updateParts] = grid(),
      result = el("p", { "aria-live": "polite", "data-mark": "loss" });
    const [strip, updateStrip] = tokenStrip(
      "Positions: a click or Enter hides the chosen one, or shows it again",
      (t) => toggle("positions", t, { t }),
    );
    const [effect, updateEffect] = tokenStrip("What each token loses");
    root.append(
      el(
        "div",
        { class: "wide" },
        el(
          "div",
          {},
          el("h3", {}, "Heads and MLPs: press one to take it out"),
          el("details", { class: "digits" }, el("summary", {}, "The change of the loss, in nats")),
          parts,
          result,
          el(
            "div",
            { class: "controls" },
            button("Put everything back", () => set({ heads: "", mlps: "", positions: "" })),
          ),
          el(
            "p",
            { class: "legend" },
            "the loss falls",
            el("span", { class: "ramp both" }),
            `rises, by ${COST} nats or more (-ln of the probability)`,
          ),
        ),
        el(
          "div",
          {},
          el("h3", {}, "Positions"),
          strip,
          el("h3", {}, "What it does to each token"),
          el(
            "p",
            { class: "legend" },
            "easier to predict",
            el("span", { class: "ramp both" }),
            `harder, by ${HARDER} nats or more`,
          ),
          effect,
        ),
      ),
    );
    return () => {
      if (!measuring.current) {
        measured = new Map();
        measuring.start();
      }
      const { change } = palette(),
        out = chosen(),
        now = knockedOut(out);
      const by = pass.losses.map((loss, t) => now[t] - loss);
      updateParts(out, change);
      updateStrip((t) => ({ off: out.positions.has(t), title: `token ${t + 1}` }));
      updateEffect((t) => ({
        rgb: t ? change(by[t - 1] / HARDER) : null,
        title: t ? `${odds(pass.losses[t - 1])} before, ${odds(now[t - 1])} now` : "",
      }));
      const none = pass.T < 2 ? "A loss needs two tokens: type another." : "Nothing is taken out.";
      result.textContent =
        pass.T < 2 || !(state.heads || state.mlps || state.positions)
          ? none
          : `Loss ${mean(pass.losses).toFixed(4)} before, ${mean(now).toFixed(4)} now. ${worst(by)}`;
    };
  },
};

function odds(nats) {
  return percent(Math.exp(-nats));
}

function worst(by) {
  const t = by.indexOf(Math.max(...by)),
    where = `“${pass.labels[t + 1]}” (token ${t + 2})`;
  return by[t] > 0 ? `It costs most at ${where}: ${by[t].toFixed(2)} nats.` : "No token is harder.";
}

function chosen() {
  const list = (text) => text.split(",").filter(Boolean);
  return {
    heads: new Set(list(state.heads)),
    mlps: new Set(list(state.mlps).map(Number)),
    positions: new Set(list(state.positions).map(Number)),
  };
}

function toggle(kind, which, more = {}) {
  const parts = chosen()[kind];
  if (!parts.delete(which)) parts.add(which);
  set({ [kind]: [...parts].join(","), ...more });
}

// The losses with some parts knocked out; the last trace is cached.
function knockedOut(off) {
  if (!state.heads && !state.mlps && !state.positions) return pass.losses;
  const key = JSON.stringify([state.heads, state.mlps, state.positions, pass.version]);
  if (key !== traceOf) trace = new Trace();
  traceOf = key;
  return losses(model.forward(pass.ids, trace, off) && logitsOf(trace), pass.ids, V);
}

function grid() {
  const buttons = PARTS.map((parts) =>
    parts.map(([kind, which]) => button("", () => toggle(kind, which))),
  );
  const head = ["block", ...range(H).map((h) => `head ${h}`), "MLP"];
  const rows = buttons.map((row, l) => [el("th", { scope: "row" }, l), ...row]);
  const update = (out, change) =>
    PARTS.flat().forEach(([kind, which, name], i) => {
      const by = measured.get(`${kind} ${which}`),
        off = out[kind].has(which);
      const cost = by === undefined ? "" : `${by < 0 ? "−" : "+"}${Math.abs(by).toFixed(2)}`;
      const cell = buttons.flat()[i],
        label = `${off ? "out" : "in"}${cost && " "}${cost}, ${name}`;
      if (by === undefined) cell.removeAttribute("style");
      else paint(cell, change(by / COST));
      if (cell.getAttribute("aria-label") === label) return;
      cell.replaceChildren(off ? "out" : "in", cost && " ", el("span", { class: "cost" }, cost));
      cell.setAttribute("aria-pressed", off);
      cell.dataset.mark = off ? "out" : "";
      cell.setAttribute("aria-label", label);
    });
  return [table(head, rows, { "aria-label": "parts of the model" }), update];
}

// Each part alone, one after another.
const measuring = taskOnText(
  () => [],
  async (pause) => {
    await pause(PAUSE);
    for (const [kind, which] of pass.T < 2 ? [] : PARTS.flat()) {
      const own = new Trace();
      model.forward(pass.ids, own, { ...NOTHING, [kind]: new Set([which]) });
      const loss = mean(losses(logitsOf(own), pass.ids, V));
      measured.set(`${kind} ${which}`, loss - mean(pass.losses));
      await pause();
    }
  },
);
