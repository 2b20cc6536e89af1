// The text with the probability of each token, the distribution of the next, and draws from it.

import { palette } from "../colours.js";
import {
  bar,
  button,
  el,
  keep,
  legend,
  percent,
  setting,
  short,
  table,
  tokenStrip,
} from "../elements.js";
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

const STRANGE = "The grammar never writes such a text, so there are no exact odds here.";

export const tokens = {
  id: "tokens",
  title: "Tokens",
  about: "How likely the model found each token, and what it expects next.",
  words: ["token", "nats", "perplexity"].concat(
    record.kind === "int8" ? "int8" : [],
    record.grammar ? "grammar" : [],
  ),
  build(root) {
    const [strip, updateStrip] = tokenStrip("The text, token by token"),
      summary = el("p", { "data-mark": "loss" }),
      words = el("p", { "aria-live": "polite" }),
      [next, strange] = [el("div"), el("p", STRANGE)],
      [controls, updateControls] = live ? sampling() : [""],
      about = el("div", el("h3", "What may follow the chosen token"), next, strange),
      surprise = "a surprise of 6 nats or more (-ln of the probability)";
    root.append(strip, legend("expected", surprise), summary, words);
    root.append(el("div.wide", about, controls));
    return () => {
      const { share } = palette(),
        exact = pass.grammar?.[state.t];
      updateStrip((t) => ({ rgb: t && share(pass.losses[t - 1] / 6), title: expected(t) }));
      summary.textContent = summed();
      words.textContent = expected(state.t);
      keep(next, distribution(exact));
      strange.hidden = !record.grammar || exact;
      updateControls?.();
    };
  },
};

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
  const loss = mean(pass.losses),
    sum =
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

// The likeliest tokens, with those that the grammar allows.  exact: its odds, if there are any
function distribution(exact) {
  const likely = likeliest(2 * L, state.t, 12).filter(([, p], i) => i < 6 || p > 0.0005),
    known = new Map(likely);
  if (live && exact) {
    const all = readOut(2 * L, state.t),
      ids = Array.from(exact.keys(), (text) => tokenizer.known.get(text)),
      others = ids.filter((id) => id !== undefined && !known.has(id)).slice(0, 4);
    for (const id of others) known.set(id, all[id]);
  }
  const drawn = live && probabilities(nextLogits(state.t), state);
  const rows = Array.from(known, ([id, p], i) => {
    const cells = [bar(p, percent(p))];
    if (i < 2) cells[0].dataset.mark = "likeliest";
    if (drawn && !drawn[id]) cells.push(el("td.gone", "falls away"));
    else if (drawn) cells.push(bar(drawn[id], percent(drawn[id]), "drawn"));
    const odds = exact?.get(tokenizer.decode([id])) ?? 0;
    if (exact) cells.push(bar(odds, percent(odds), "exact"));
    return [tokenizer.label(id), ...cells];
  });
  const head = ["token", "the model"].concat(
    drawn ? "as it is drawn" : [],
    exact ? "the grammar" : [],
  );
  return table("distribution of the next token", head, rows);
}

// ---- drawing

const draws = { count: 0, text: null }; // tokens since the text was typed, and the text with them

function sampling() {
  const sliders = [
    setting("temperature", "temperature"),
    setting("top-k", "topK", (k) => (k === V ? "all" : k)),
    setting("top-p", "topP"),
  ];
  const onchange = () => set({ seed: Math.trunc(Number(seed.value)) || 0 }),
    seed = el("input", { type: "number", min: 0, step: 1, onchange }),
    label = el("label", "seed (the same seed draws the same tokens) ", seed);
  const box = el(
    "div",
    el("h3", "Draw the next tokens"),
    el("div.controls", ...sliders.map(([slider]) => slider)),
    el("div.controls", button("Draw one token", step), label),
  );
  const update = () => {
    for (const [, put] of sliders) put();
    seed.value = state.seed;
  };
  return [box, update];
}

// Draws a token by the settings, and adds it to the text.
function step() {
  if (pass.note) return; // the text is not the one that was read
  if (state.text !== draws.text) draws.count = 0;
  const probs = probabilities(nextLogits(pass.T - 1), state),
    id = draw(probs, random(state.seed, draws.count++));
  draws.text = state.text + tokenizer.decode([id]);
  set({ text: draws.text });
}

// Draws so many tokens, until the text is changed by something else.
export function writeOn(count) {
  step();
  if (count > 1) setTimeout((text) => state.text === text && writeOn(count - 1), 60, state.text);
}
