// The text with the probability of each token, the distribution of the next, and draws from it.

import { palette } from "../colours.js";
import { bar, button, el, percent, short, slider, table, tokenStrip } from "../elements.js";
import { mean } from "../model.js";
import { draw, probabilities, random } from "../sampling.js";
import {
  isRecorded,
  L,
  likeliest,
  live,
  nextLogits,
  pass,
  readOut,
  record,
  set,
  state,
  tokenizer,
  V,
} from "../state.js";

export const tokens = {
  id: "tokens",
  title: "Tokens",
  about: "How likely the model found each token, and what it expects next.",
  section: "What is a Language Model?, Text Generation",
  words: ["token", "nats", "perplexity"].concat(
    record.kind === "int8" ? "int8" : [],
    record.grammar ? "grammar" : [],
  ),
  build(root) {
    const [strip, updateStrip] = tokenStrip("The text, token by token");
    const summary = el("p", { "data-mark": "loss" }),
      words = el("p", { "aria-live": "polite" }),
      next = el("div");
    const divergence = el("p");
    const [controls, updateControls] = sampling();
    root.append(
      strip,
      legend(),
      summary,
      words,
      el(
        "div",
        { class: "wide" },
        el("div", {}, el("h3", {}, "What may follow the chosen token"), next, divergence),
        controls,
      ),
    );
    return () => {
      const { share } = palette();
      updateStrip((t) => ({ rgb: t ? share(pass.losses[t - 1] / 6) : null, title: expected(t) }));
      summary.textContent = summed();
      words.textContent = expected(state.t);
      const model = likeliest(2 * L, state.t, 12).filter(([, p], i) => i < 6 || p > 0.0005);
      const exact = pass.grammar?.[state.t];
      const drawn = live ? probabilities(nextLogits(state.t), state) : null;
      next.replaceChildren(distribution(model, drawn, exact));
      divergence.textContent = record.grammar ? aboutGrammar(exact) : "";
      if (live) updateControls();
    };
  },
};

function legend() {
  const ramp = el("span", { class: "ramp" }),
    words = "a surprise of 6 nats or more (-ln of the probability)";
  return el("p", { class: "legend" }, "expected", ramp, words);
}

function expected(t) {
  if (!t) return `The text begins with “${pass.labels[0]}”, for which the model was not asked.`;
  const nats = pass.losses[t - 1];
  return (
    `“${pass.labels[t]}” had a probability of ${percent(Math.exp(-nats))}, ` +
    `${nats.toFixed(2)} nats (token ${t + 1} of ${pass.T}, id ${pass.ids[t]}).`
  );
}

function summed() {
  if (!pass.losses.length) return "";
  const loss = mean(pass.losses);
  const sum =
    `Loss of this text: ${loss.toFixed(4)} nats per token, a perplexity of ` +
    `${short(Math.exp(loss))}.${rounding()}`;
  const exact = pass.ids.slice(1).map((id, t) => pass.grammar?.[t]?.get(tokenizer.decode([id])));
  if (!exact.every((p) => p > 0)) return sum;
  return `${sum} The grammar loses ${mean(exact.map((p) => -Math.log(p))).toFixed(4)} on it.`;
}

// What the text loses with the weights before they were rounded.
function rounding() {
  if (!live || !isRecorded()) return "";
  const { loss, moved } = record.rounding;
  return (
    ` Before its weights were rounded to ${record.kind}, the model had ${loss.toFixed(4)}, and ` +
    `every probability here within ${short(moved)} of what it is now.`
  );
}

function distribution(model, drawn, exact) {
  const ids = model.map(([id]) => id);
  const more = exact ? Array.from(exact.keys(), (c) => tokenizer.known.get(c)) : [];
  const others = more.filter((id) => id !== undefined && !ids.includes(id)).slice(0, 4);
  const all = live ? readOut(2 * L, state.t) : null;
  const rows = [...ids, ...others].map((id, i) => {
    const p = all ? all[id] : model.find(([v]) => v === id)[1];
    const cells = [el("th", { scope: "row" }, tokenizer.label(id)), bar(p, percent(p))];
    if (i < 2) for (const cell of cells) cell.dataset.mark = "likeliest";
    if (drawn)
      cells.push(
        drawn[id]
          ? bar(drawn[id], percent(drawn[id]), "bar drawn")
          : el("td", { class: "gone" }, "falls away"),
      );
    if (exact)
      cells.push(
        bar(
          exact.get(tokenizer.decode([id])) ?? 0,
          percent(exact.get(tokenizer.decode([id])) ?? 0),
          "bar exact",
        ),
      );
    return cells;
  });
  const head = [
    "token",
    "the model",
    ...(drawn ? ["as it is drawn"] : []),
    ...(exact ? ["the grammar"] : []),
  ];
  return table(head, rows, { "aria-label": "distribution of the next token" });
}

// KL(grammar || model): the loss above the grammar's to expect here, in nats.
function klDivergence(exact, probs) {
  const given = (c) => probs[tokenizer.known.get(c)] ?? 0; // a character that it may not know
  return Array.from(exact).reduce((sum, [c, p]) => sum + p * Math.log(p / given(c)), 0);
}

function aboutGrammar(exact) {
  if (!exact) return "The grammar never writes such a text, so there are no exact odds here.";
  const here = klDivergence(exact, readOut(2 * L, state.t));
  const known = pass.ids.map((_, t) => t).filter((t) => pass.grammar[t]);
  const all = mean(known.map((t) => klDivergence(pass.grammar[t], readOut(2 * L, t))));
  return (
    `Divergence from the grammar: ${short(here)} nats here, ${short(all)} on average over ` +
    "the text. It is the loss above the grammar's to expect there; of the grammar itself, 0."
  );
}

// ---- drawing

let drawn = 0, // tokens since the text was typed
  drawnText = null;

function sampling() {
  const [heat, putHeat] = slider("temperature", { min: 0, max: 2, step: 0.05 }, (temperature) =>
    set({ temperature }),
  );
  const [topK, putK] = slider(
    "top-k",
    { min: 1, max: V, step: 1 },
    (k) => set({ topK: k }),
    (k) => (k === V ? "all" : k),
  );
  const [topP, putP] = slider("top-p", { min: 0.01, max: 1, step: 0.01 }, (p) => set({ topP: p }));
  const seed = el("input", {
    type: "number",
    min: 0,
    step: 1,
    onchange: () => set({ seed: Math.trunc(Number(seed.value)) || 0 }),
  });
  const box = el(
    "div",
    { hidden: !live },
    el("h3", {}, "Draw the next tokens"),
    el("div", { class: "controls" }, heat, topK, topP),
    el(
      "div",
      { class: "controls" },
      button("Draw one token", step),
      el("label", {}, "seed (the same seed draws the same tokens) ", seed),
    ),
  );
  const update = () => {
    putHeat(state.temperature);
    putK(state.topK);
    putP(state.topP);
    seed.value = state.seed;
  };
  return [box, update];
}

// Draws a token by the settings, and adds it to the text.
function step() {
  if (pass.note) return; // the text is not the one that was read
  if (state.text !== drawnText) drawn = 0;
  const probs = probabilities(nextLogits(pass.T - 1), state),
    id = draw(probs, random(state.seed, drawn++));
  drawnText = state.text + tokenizer.decode([id]);
  set({ text: drawnText });
}

// Draws so many tokens, until the text is changed by something else.
export function writeOn(count) {
  step();
  if (count > 1) setTimeout((text) => state.text === text && writeOn(count - 1), 60, state.text);
}
