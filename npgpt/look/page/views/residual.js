// The residual stream: the output of each branch, the logit lens, and each branch's share in the
// difference of two logits.

import { LEFT, cellAt, cells, wide, zoom } from "../charts.js";
import { palette } from "../colours.js";
import { bar, el, percent, range, short, table, tokenStrip } from "../elements.js";
import { branchName } from "../model.js";
import { meanAndRstd } from "../ops.js";
import {
  branchesAt,
  C,
  D,
  H,
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

const LETTERS = tokenizer.kind === "char" ? 2 : 9; // of a token in the lens; more are cut
let columns = 20; // as many as fit

export const residual = {
  id: "residual",
  title: "Residual stream",
  about: "What each branch adds to the stream, the token's vector, and the answer it gives there.",
  section: "Transformer Architecture, Looking Inside",
  words: ["stream", "MLP", "logit"],
  build(root) {
    const [strip, updateStrip] = tokenStrip("Choose a token"),
      stream = el("div");
    const [answer, rival] = ["answer", "rival"].map((name) =>
      el("select", {
        "aria-label": name,
        onchange: (event) => set({ [name]: Number(event.target.value) }),
      }),
    );
    const pair = live
      ? el(
          "div",
          { class: "controls" },
          "Direct contribution to the logit of ",
          answer,
          " against that of ",
          rival,
        )
      : null;
    const ofEach = el("details", {}, el("summary", {}, "The contribution of each head"), el("div"));
    const check = el("p"),
      lens = el("canvas", {
        role: "img",
        "aria-label": "the likeliest token after each branch, at each position",
      });
    lens.onclick = (event) => set({ t: firstColumn() + cellAt(lens, LETTERS, event)[1] });
    root.append(
      strip,
      ...(pair ? [pair] : []),
      stream,
      check,
      ofEach,
      el("h3", {}, "The logit lens over the text"),
      el(
        "p",
        { class: "legend" },
        "unsure",
        el("span", { class: "ramp" }),
        "sure; from the embeddings, below, to the answer, on top",
      ),
      el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "logit lens" }, lens),
    );
    return () => {
      updateStrip(() => ({}));
      const [a, b = 0] = contenders(); // of one token there is no other
      if (pair) pair.hidden = check.hidden = V < 2;
      offer(answer, a);
      offer(rival, b);
      const { rows, heads, total, real } = parts(a, b);
      stream.replaceChildren(
        table(
          [
            "after",
            "adds, length",
            "stream, length",
            "logit lens",
            ...(live ? ["contribution"] : []),
          ],
          rows,
          { "aria-label": "the stream at the chosen token" },
        ),
      );
      ofEach.hidden = !heads;
      if (heads) {
        const head = ["block", ...range(H).map((h) => `head ${h}`)];
        ofEach.lastChild.replaceWith(
          table(head, heads, { "aria-label": "contributions of heads" }),
        );
      }
      check.textContent = live
        ? `Together ${short(total)}: the difference of the two logits, ${short(real)}. Positive ` +
          `numbers speak for ${tokenizer.label(a)}, negative ones for ${tokenizer.label(b)}.`
        : "";
      columns = Math.min(
        pass.T,
        Math.max(2, Math.floor((root.clientWidth / zoom() - LEFT) / wide(LETTERS))),
      );
      drawLens(lens);
    };
  },
};

// The two compared tokens: as chosen, or the next token of the text (else the likeliest) and the
// likeliest of the remaining ones.
function contenders() {
  const order = likeliest(2 * L, state.t, 3).map(([id]) => id);
  const follows = state.t + 1 < pass.T ? pass.ids[state.t + 1] : order[0];
  const a = state.answer >= 0 && state.answer < V ? state.answer : follows;
  return [a, state.rival >= 0 && state.rival < V ? state.rival : order.find((id) => id !== a)];
}

// The element stays, as replacing it would take the keyboard's focus away.
function offer(select, chosen) {
  const ids = [...new Set([chosen, ...likeliest(2 * L, state.t, 12).map(([id]) => id)])];
  select.replaceChildren(...ids.map((id) => el("option", { value: id }, tokenizer.label(id))));
  select.value = chosen;
}

// A row for each branch. The last norm divides by one number, so that its result is a sum
// over the branches; a logit is a product with a token's vector, so two differ by such a sum too.
function parts(a, b) {
  const { t } = state,
    [lengths, added] = lengthsAt(t),
    longest = Math.max(...added);
  const toLogits = live ? contribution(pass.trace.arrays.get(`x.${2 * L}`), t, a, b) : null,
    shares = live ? branchesAt(t).map(toLogits) : [];
  const largest = Math.max(...shares.map(Math.abs)) || 1;
  const rows = added.map((size, k) => {
    const likely = likeliest(k, t, 3).map(([id, p]) => `${tokenizer.label(id)} ${percent(p)}`);
    const row = [
      el("th", { scope: "row" }, branchName(k)),
      bar(size / longest, short(size)),
      short(lengths[k]),
      list(likely, `lens-${k}`),
    ];
    if (live) row.push(bar(shares[k] / largest, short(shares[k]), "bar signed"));
    return row;
  });
  if (!live) return { rows };
  const { "ln_f.bias": bias } = model.weights,
    z = nextLogits(t);
  const ofBias = bias ? difference(bias, a, b) : 0;
  if (bias)
    rows.push([
      el("th", { scope: "row" }, "the last norm's bias"),
      "",
      "",
      "",
      bar(ofBias / largest, short(ofBias), "bar signed"),
    ]);
  const heads = range(L).map((l) => [
    el("th", { scope: "row" }, l),
    ...ofHeads(l, t).map((y) => short(toLogits(y))),
  ]);
  const total = shares.reduce((sum, share) => sum + share, ofBias);
  return { rows, heads, total, real: z[a] - z[b] };
}

function list(texts, mark) {
  return el(
    "td",
    { "data-mark": mark },
    texts.flatMap((text) => [el("span", { class: "whole" }, text), " "]),
  );
}

// The share of a vector that was added to row t of the stream in the logit of a minus that of b.
function contribution(x, t, a, b) {
  const [, rstd] = meanAndRstd(x, t * C, C),
    weight = model.weights["ln_f.weight"];
  return (part) => {
    const mean = part.reduce((sum, value) => sum + value / C, 0);
    return difference(
      part.map((value, c) => (value - mean) * rstd * weight[c]),
      a,
      b,
    );
  };
}

function difference(y, a, b) {
  const { "wte.weight": wte, "lm_head.weight": head } = model.weights;
  const out = (id, c) => (model.tied ? wte[id * C + c] : head[c * V + id]);
  return y.reduce((sum, value, c) => sum + value * (out(a, c) - out(b, c)), 0);
}

// The output of each head of a block to the stream; c_proj's bias belongs to no head.
function ofHeads(l, t) {
  const weight = model.weights[`h.${l}.attn.c_proj.weight`];
  const y = pass.trace.arrays.get(`h.${l}.attn.y`);
  return Array.from({ length: H }, (_, h) => {
    const own = new Float64Array(C);
    for (let i = h * D; i < h * D + D; i++) {
      for (let c = 0; c < C; c++) own[c] += y[t * C + i] * weight[i * C + c];
    }
    return own;
  });
}

function firstColumn() {
  return Math.max(0, Math.min(state.t - columns + 3, pass.T - columns));
}

function drawLens(canvas) {
  const first = firstColumn(),
    { share } = palette();
  const names = [...range(2 * L + 1).map((k) => branchName(2 * L - k)), "the text"];
  const cell = (row, i) => {
    if (row > 2 * L) return [pass.labels[first + i]];
    const [[id, p]] = likeliest(2 * L - row, first + i, 1);
    return [tokenizer.label(id), share(p)];
  };
  cells(canvas, LETTERS, names, columns, cell, [0, state.t - first, names.length]);
}
