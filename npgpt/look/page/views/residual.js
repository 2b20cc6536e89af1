// The residual stream: the output of each branch, the logit lens, and each branch's share in the
// difference of two logits.

import { LEFT, cellAt, cells, wide, zoom } from "../charts.js";
import { palette } from "../colours.js";
import { bar, el, keep, legend, percent, range, short, table, tokenStrip } from "../elements.js";
import { branchName } from "../model.js";
import { meanAndRstd } from "../ops.js";
import {
  branchesAt,
  C,
  L,
  lengthsAt,
  likeliest,
  live,
  model,
  nextLogits,
  pass,
  set,
  state,
  tokenizer,
  V,
} from "../state.js";

const LETTERS = tokenizer.kind === "char" ? 2 : 8; // of a token in the lens; more are cut

export const residual = {
  id: "residual",
  title: "Residual stream",
  about: "What each branch adds to the stream, the token's vector, and the answer it gives there.",
  words: ["stream", "MLP", "logit"],
  build(root) {
    const [strip, updateStrip] = tokenStrip("Choose a token"),
      [stream, check] = [el("div"), el("p")],
      lens = el("canvas", {
        role: "img",
        "aria-label": "the likeliest token after each branch, at each position",
      }),
      ends = ["unsure", "sure; from the embeddings, below, to the answer, on top"];
    lens.onclick = (event) => set({ t: seen(root)[0] + cellAt(LETTERS, event)[1] });
    root.append(
      strip,
      stream,
      check,
      el("h3", "The logit lens over the text"),
      legend(...ends),
      el("div.scroll", { tabindex: 0, role: "region", "aria-label": "logit lens" }, lens),
    );
    return () => {
      updateStrip(() => ({}));
      const [a, b] = contenders();
      const { rows, together } = branches(a, b),
        head = ["after", "adds, length", "stream, length", "logit lens"];
      if (live) head.push("contribution");
      keep(stream, table("the stream at the chosen token", head, rows));
      check.textContent = together;
      drawLens(lens, ...seen(root));
    };
  },
};

// The first position that the lens shows, and how many fit.
function seen(root) {
  const fit = Math.floor((root.clientWidth / zoom() - LEFT) / wide(LETTERS)),
    columns = Math.min(pass.T, Math.max(2, fit));
  return [Math.max(0, Math.min(state.t - columns + 3, pass.T - columns)), columns];
}

// The two compared tokens: the next one of the text (else the likeliest) and the likeliest of the
// remaining ones; of one token there is no other.
function contenders() {
  const order = likeliest(2 * L, state.t, 3).map(([id]) => id),
    a = pass.ids[state.t + 1] ?? order[0];
  return [a, order.find((id) => id !== a) ?? a];
}

// A row for each branch. The last norm divides by one number, so that its result is a sum
// over the branches; a logit is a product with a token's vector, so two differ by such a sum too.
function branches(a, b) {
  const { t } = state,
    [lengths, added] = lengthsAt(t),
    longest = Math.max(...added);
  const rows = added.map((size, k) => {
    const likely = likeliest(k, t, 3).flatMap(([id, p]) => [
      el("span.whole", `${tokenizer.label(id)} ${percent(p)}`),
      " ",
    ]);
    const lens = el("td", { "data-mark": `lens-${k}` }, ...likely);
    return [branchName(k), bar(size / longest, short(size)), short(lengths[k]), lens];
  });
  if (!live) return { rows, together: "" };
  const shares = contributions(t, a, b),
    largest = Math.max(...shares.map(Math.abs)) || 1;
  if (shares.length > rows.length) rows.push(["the last norm's bias", "", "", ""]);
  rows.forEach((row, k) => row.push(bar(shares[k] / largest, short(shares[k]), "signed")));
  const logits = nextLogits(t),
    total = shares.reduce((sum, share) => sum + share, 0);
  const together =
    `Contributions above 0 speak for ${tokenizer.label(a)}, below 0 for ${tokenizer.label(b)}. ` +
    `Together ${short(total)}: the difference of the two logits, ${short(logits[a] - logits[b])}.`;
  return { rows, together };
}

// What each branch, and last the bias of the last norm, adds to the logit of a minus that of b.
function contributions(t, a, b) {
  const { "ln_f.weight": weight, "ln_f.bias": bias, "wte.weight": wte } = model.weights,
    { "lm_head.weight": head } = model.weights,
    [, rstd] = meanAndRstd(pass.trace.arrays.get(`x.${2 * L}`), t * C, C);
  const out = (id, c) => (model.tied ? wte[id * C + c] : head[c * V + id]),
    difference = (y) => y.reduce((sum, value, c) => sum + value * (out(a, c) - out(b, c)), 0);
  const vectors = branchesAt(t).map((part) => {
    const mean = part.reduce((sum, value) => sum + value / C, 0);
    return part.map((value, c) => (value - mean) * rstd * weight[c]);
  });
  return [...vectors, ...(bias ? [bias] : [])].map(difference);
}

function drawLens(canvas, first, columns) {
  const { share } = palette(),
    names = [...range(2 * L + 1).map((k) => branchName(2 * L - k)), "the text"];
  const cell = (row, i) => {
    if (row > 2 * L) return [pass.labels[first + i]];
    const [[id, p]] = likeliest(2 * L - row, first + i, 1);
    return [tokenizer.label(id), share(p)];
  };
  cells(canvas, LETTERS, names, columns, cell, [0, state.t - first, names.length]);
}
