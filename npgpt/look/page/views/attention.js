// Attention weights: every head, one of them large, and the arithmetic of one weight.

import { matrix, zoom } from "../charts.js";
import { colour, css, paint, palette } from "../colours.js";
import {
  button,
  counted,
  el,
  onArrows,
  percent,
  position,
  range,
  short,
  table,
  tokenStrip,
} from "../elements.js";
import { weightsOf } from "../model.js";
import { cut } from "../views/overview.js";
import { C, chosenHead, D, H, L, live, pass, record, set, state, textOf } from "../state.js";

const SHOWN = 10, // characters of the text in a label
  RIGHT = 96,
  BELOW = 24; // pixels beside and below the large picture, for labels

export const attention = {
  id: "attention",
  title: "Attention",
  about: "What each position (a row) reads from those before it (columns), head by head.",
  words: ["head", "channel", "token"],
  build(root) {
    const [heads, updateHeads] = allHeads(),
      [strip, updateStrip] = tokenStrip("What the chosen position reads", (i) =>
        set(i > state.t ? { t: i } : { s: i }),
      ),
      large = el("canvas", { tabindex: 0, role: "img", "data-mark": "reads" }),
      words = el("p", { "aria-live": "polite", "data-mark": "reads" }),
      question = el("summary"),
      numbers = el("details", { ontoggle: () => set({}) }, question),
      swatches = [0, 0.03, 0.1, 0.3, 1].map((p) => [el("span.swatch", percent(p)), p]);
    onArrows(large, (down, right) =>
      set({ t: position(state.t + down), s: position(choice().s + right) }),
    );
    large.onclick = ({ offsetX, offsetY }) => {
      const cell = (large.clientWidth - RIGHT * zoom()) / pass.T,
        [t, s] = [offsetY, offsetX].map((at) => position(Math.floor(at / cell)));
      set({ t, s });
    };
    root.append(
      el("p.legend", "weights: ", ...swatches.map(([swatch]) => swatch)),
      el("div.wide", heads, el("div.one", words, large)),
      el("h3", "What the chosen position reads"),
      strip,
      numbers,
    );
    return () => {
      const now = choice(),
        { layer, head, t, s, weight } = now,
        { share } = palette();
      updateHeads(now);
      for (const [swatch, p] of swatches) paint(swatch, share(shade(p)));
      words.textContent = `Block ${layer}, head ${head}. ${inWords(now)} Click, or use the arrow keys.`;
      drawLarge(large, now);
      updateStrip((i) => ({
        rgb: i <= t && share(shade(weight(t, i))),
        title: i <= t && `${place(i)}: ${percent(weight(t, i))}`,
        style: i === s && "read",
      }));
      question.textContent = `How much ${place(t)} reads from ${place(s)}: the arithmetic`;
      numbers.replaceChildren(question, ...(numbers.open ? arithmetic(now) : []));
    };
  },
};

// The chosen head, its weights (t, s), the chosen position t and the one that it reads, s: as
// chosen, or the one that it reads most.
function choice() {
  const { layer, head } = chosenHead(),
    { t } = state,
    read = weightsOf(pass.trace, H, layer, head),
    weight = (i, j) => (j > i ? 0 : read(i, j)),
    most = range(t + 1).reduce((best, i) => (weight(t, i) > weight(t, best) ? i : best), 0);
  return { layer, head, t, s: state.s < 0 ? most : state.s, most, weight };
}

// A weight's share of the strongest colour: the power shows the small ones.
function shade(weight) {
  return weight ** 0.6;
}

function shares(weight) {
  return (t, s) => (s > t ? -1 : shade(weight(t, s)));
}

function allHeads() {
  const root = el(L > 6 ? "div.heads.many" : "div.heads"),
    pictures = range(L * H).map((i) => {
      const [layer, head] = [Math.floor(i / H), i % H],
        about = { "aria-label": `${layer}.${head}: block ${layer}, head ${head}` },
        choose = button(`${layer}.${head}`, () => set({ layer, head }), about),
        canvas = el("canvas");
      choose.prepend(canvas);
      root.append(choose);
      return { layer, head, canvas, choose };
    });
  root.style.setProperty("--columns", H);
  const update = (now) => {
    for (const { layer, head, canvas, choose } of pictures) {
      choose.ariaPressed = layer === now.layer && head === now.head;
      matrix(canvas, pass.T, 72, shares(weightsOf(pass.trace, H, layer, head)));
    }
  };
  return [root, update];
}

function drawLarge(canvas, now) {
  const { layer, head, t, s, weight } = now,
    room = canvas.parentElement.clientWidth / zoom() - 4 - RIGHT,
    size = Math.max(pass.T, Math.min(room, 380)),
    cell = size / pass.T,
    context = matrix(canvas, pass.T, size, shares(weight), RIGHT, BELOW);
  context.strokeStyle = css(colour("--mark"));
  context.lineWidth = 2;
  context.strokeRect(s * cell - 1, t * cell - 1, cell + 2, cell + 2);
  context.lineWidth = 1;
  context.strokeRect(0, t * cell, size, cell);
  // Rows are named beside the diagonal, where their columns begin; the chosen column below, too.
  const isWide = cell >= 13;
  const write = (i, align, x, y, ink) => {
    context.textAlign = align;
    context.fillStyle = css(colour(ink));
    const read = Array.from(textOf(0, i + 1)).slice(-SHOWN);
    context.fillText(isWide ? cut(pass.labels[i]) : read.join(""), x, y);
  };
  for (const i of isWide ? range(pass.T) : [t])
    write(i, "left", (i + 1) * cell + 8, (i + 1) * cell - 2, i === t ? "--accent" : "--faint");
  write(s, s * cell < size / 2 ? "left" : "right", s * cell, size + 16, "--more");
  canvas.ariaLabel = `weights of block ${layer}, head ${head}; ${inWords(now)}`;
}

function place(i) {
  return `“${pass.labels[i]}” (token ${i + 1})`;
}

function inWords({ t, s, most, weight }) {
  const first = `Most of all, ${place(t)} reads ${percent(weight(t, most))} from ${place(most)}.`;
  if (s === most) return first;
  const reads = s > t ? "nothing" : percent(weight(t, s)),
    later = s > t ? ", which comes later" : "";
  return `${first} Chosen: ${place(t)} reads ${reads} from ${place(s)}${later}.`;
}

// softmax over s of (q_t . k_s / sqrt(D)) and the weighted values, with every number.
function arithmetic({ layer, head, t, s, weight }) {
  if (s > t) return [el("p", "It comes later: the mask makes its score −∞, and its weight 0.")];
  const path = `h.${layer}.attn`,
    vector = (name, at) => pass.trace.arrays.get(name).slice(at, at + D),
    part = (i, which) => vector(`${path}.c_attn`, (3 * i + which) * C + head * D),
    [q, k, v] = [part(t, 0), part(s, 1), part(s, 2)],
    y = vector(`${path}.y`, t * C + head * D),
    dot = (i) => part(i, 1).reduce((sum, value, d) => sum + value * q[d], 0),
    scores = range(t + 1).map((i) => dot(i) / Math.sqrt(D)),
    max = Math.max(...scores),
    total = scores.reduce((sum, score) => sum + Math.exp(score - max), 0),
    score = dot(s) / Math.sqrt(D),
    share = weight(t, s),
    shared = record.llama && H / record.llama.kv_heads;
  const steps = [
    ["the sum of the products", short(dot(s))],
    [`divided by √${D}`, short(score)],
    [`e to the power of that minus ${short(max)}, the row's largest`, short(Math.exp(score - max))],
    [
      `divided by the sum of the row's ${t + 1}, ${short(total)}`,
      `${short(share)}, or ${percent(share)}`,
    ],
  ].map(([step, result]) => [el("td", step), result]);
  const rows = (...columns) =>
    range(D).map((d) => [d, ...columns.map((values) => short(values[d]))]);
  const products = q.map((value, d) => value * k[d]),
    weighted = v.map((value) => value * share),
    [own, read] = [t, s].map((i) => pass.labels[i]),
    keys = [...rows(q, k, products), ["sum", "", "", short(dot(s))]];
  const rotated = shared
    ? " Queries and keys are rotated by their positions; k and v serve " +
      `${counted(shared, "head")} of queries.`
    : "";
  return [
    table("from products to a weight", ["step", "result"], steps),
    el(
      "div.wide",
      table(
        "queries and keys",
        ["channel", `q of “${own}”`, `k of “${read}”`, "q × k"],
        keys,
        "numbers keys",
      ),
      table(
        "values",
        ["channel", `v of “${read}”`, "weight × v", "sum over the row"],
        rows(v, weighted, y),
        "numbers values",
      ),
    ),
    el(
      "p",
      `With what the other heads read, it goes through ${shared ? "o" : "c_proj"} into the stream.`,
      rotated,
      live ? "" : " The numbers here are rounded to float16.",
    ),
  ];
}
