// The change of the loss, token by token, if a head, an MLP or a position is knocked out.

import { paint, palette } from "../colours.js";
import { button, el, legend, percent, range, table, tokenStrip } from "../elements.js";
import { losses, mean, NOTHING, Trace } from "../model.js";
import { H, L, model, pass, set, state, V } from "../state.js";
import { taskOnText } from "../task.js";

// [kind, index, name] of the parts that can be knocked out, by block.
const PARTS = range(L).map((l) => [
  ...range(H).map((h) => ["heads", `${l}.${h}`, `block ${l}, head ${h}`]),
  ["mlps", l, `block ${l}, MLP`],
]);

const COST = 1.5,
  HARDER = 3; // nats of the darkest shade, of a part and of a token

const PAUSE = 200; // milliseconds after a change of the text, so that typing stays quick

const costs = new Map(), // of each part alone, by kind and index
  together = { trace: new Trace(), key: "" }; // of what is knocked out now

export const knockout = {
  id: "knockout",
  title: "Knock-out",
  needsModel: true,
  about: "Take out heads, MLPs or positions: which tokens can the model no longer predict?",
  words: ["head", "MLP", "nats"],
  build(root) {
    const [parts, updateParts] = grid(),
      result = el("p", { "aria-live": "polite", "data-mark": "loss" });
    const [strip, updateStrip] = tokenStrip(
      "Positions: a click or Enter hides the chosen one, or shows it again",
      (t) => toggle("positions", t, { t }),
    );
    const all = button("Put everything back", () => set({ heads: "", mlps: "", positions: "" }));
    root.append(
      el(
        "div.wide",
        el(
          "div",
          el("h3", "Heads and MLPs: press one to take it out"),
          parts,
          legend(
            "the loss falls",
            `rises, by ${COST} nats or more (-ln of the probability)`,
            "both",
          ),
        ),
        el(
          "div",
          el("h3", "What each token loses: press one to hide it"),
          strip,
          legend("easier to predict", `harder, by ${HARDER} nats or more`, "both"),
          result,
          el("div.controls", all),
        ),
      ),
    );
    return () => {
      if (!measuring.current) {
        costs.clear();
        measuring.start();
      }
      const { change } = palette(),
        out = chosen(),
        now = knockedOut(out),
        by = pass.losses.map((loss, t) => now[t] - loss);
      updateParts(out, change);
      updateStrip((t) => ({
        style: out.positions.has(t) && "off",
        rgb: t && change(by[t - 1] / HARDER),
        title: t && `${odds(pass.losses[t - 1])} before, ${odds(now[t - 1])} now`,
      }));
      result.textContent =
        pass.T < 2 ? "A loss needs two tokens: type another." : inWords(out, now, by);
    };
  },
};

function odds(nats) {
  return percent(Math.exp(-nats));
}

function isNothing({ heads, mlps, positions }) {
  return !(heads.size + mlps.size + positions.size);
}

function inWords(out, now, by) {
  if (isNothing(out)) return "Nothing is taken out.";
  const t = by.indexOf(Math.max(...by)),
    where = `“${pass.labels[t + 1]}” (token ${t + 2})`,
    worst = by[t] > 0 ? `It costs most at ${where}: ${by[t].toFixed(2)} nats.` : "None is harder.";
  return `Loss ${mean(pass.losses).toFixed(4)} before, ${mean(now).toFixed(4)} now. ${worst}`;
}

function chosen() {
  const set = (text, of) => new Set(text.split(",").filter(Boolean).map(of)),
    { heads, mlps, positions } = state;
  return { heads: set(heads, String), mlps: set(mlps, Number), positions: set(positions, Number) };
}

function toggle(kind, which, more = {}) {
  const parts = chosen()[kind];
  if (!parts.delete(which)) parts.add(which);
  set({ [kind]: [...parts].join(","), ...more });
}

// The losses with some parts knocked out.
function knockedOut(out) {
  if (isNothing(out)) return pass.losses;
  const key = [state.heads, state.mlps, state.positions, pass.version].join(" ");
  if (key !== together.key) Object.assign(together, { key, trace: new Trace() });
  return losses(model.forward(pass.ids, together.trace, out), pass.ids, V);
}

function grid() {
  const cells = PARTS.map((parts) =>
    parts.map(([kind, which]) => button("", () => toggle(kind, which))),
  );
  const update = (out, change) =>
    PARTS.flat().forEach(([kind, which, name], i) => {
      const by = costs.get(`${kind} ${which}`),
        cell = cells.flat()[i],
        off = out[kind].has(which),
        is = off ? "out" : "in",
        cost = by === undefined ? "" : ` ${by < 0 ? "−" : "+"}${Math.abs(by).toFixed(2)}`,
        label = `${is}${cost}, ${name}`;
      if (cost) paint(cell, change(by / COST));
      else cell.removeAttribute("style");
      if (cell.ariaLabel === label) return;
      cell.replaceChildren(is, el("span.cost", cost));
      cell.ariaPressed = off;
      cell.ariaLabel = label;
      cell.dataset.mark = off ? "out" : "";
    });
  const head = ["block", ...range(H).map((h) => `head ${h}`), "MLP"];
  return [
    table(
      "parts of the model",
      head,
      cells.map((row, l) => [l, ...row]),
    ),
    update,
  ];
}

// Each part alone, one after another.
const measuring = taskOnText(
  () => [],
  async (pause) => {
    await pause(PAUSE);
    for (const [kind, which] of pass.T < 2 ? [] : PARTS.flat()) {
      const logits = model.forward(pass.ids, new Trace(), { ...NOTHING, [kind]: new Set([which]) });
      costs.set(`${kind} ${which}`, mean(losses(logits, pass.ids, V)) - mean(pass.losses));
      await pause();
    }
  },
);
