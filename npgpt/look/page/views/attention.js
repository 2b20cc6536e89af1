// Attention weights: every head, one of them large, and the arithmetic of one weight.

import { matrix, onArrows, wide, zoom } from "../charts.js";
import { colour, css, paint, palette } from "../colours.js";
import { button, counted, el, percent, position, range, short, svg, table } from "../elements.js";
import { weightsOf } from "../model.js";
import { headName, NAMED } from "../heads.js";
import { C, chosenHead, D, H, L, live, pass, record, set, state, textOf } from "../state.js";

const POWER = 0.6; // of a weight, for its shade: below 1 it shows the small ones
const SHOWN = 10, // characters of the text in a label
  RIGHT = 96,
  BELOW = 24; // pixels beside and below the large picture, for labels
let size = 0, // of the large picture without its labels, in pixels
  layer = 0, // of the chosen head
  head = 0;

export const attention = {
  id: "attention",
  title: "Attention",
  about: "What each position (a row) reads from those before it (columns), head by head.",
  section: "Attention Mechanism",
  words: ["head", "channel", "token"],
  build(root) {
    const heads = allHeads(),
      large = el("canvas", { tabindex: 0, role: "img" });
    const words = el("p", { "aria-live": "polite" }),
      under = el("p", { class: "legend under" });
    const arcs = el("div", {
      class: "scroll arcs",
      tabindex: 0,
      role: "region",
      "aria-label": "arcs over the text",
    });
    const title = el("h3"),
      question = el("summary"),
      numbers = el("details", { ontoggle: () => set({}) }, question);
    onArrows(large, (dt, ds) => set({ t: position(state.t + dt), s: position(column() + ds) }));
    const cellAt = (event) => {
      const box = large.getBoundingClientRect();
      return [event.clientY - box.top, event.clientX - box.left].map((at) =>
        position(Math.floor((at / zoom() / size) * pass.T)),
      );
    };
    large.onclick = (event) => {
      const [t, s] = cellAt(event);
      set({ t, s });
    };
    large.onmousemove = (event) => {
      under.textContent = `Under the pointer: ${reads(...cellAt(event))}`;
    };
    large.onmouseleave = () => (under.textContent = "");
    const swatches = [0, 0.03, 0.1, 0.3, 1].map((p) => [
      el("span", { class: "swatch" }, percent(p)),
      p,
    ]);
    root.append(
      el(
        "p",
        { class: "legend" },
        "weights: ",
        swatches.map(([swatch]) => swatch),
        `; a head has a name, such as “same token”, if it reads ${percent(NAMED)} or more there`,
      ),
      el(
        "div",
        { class: "wide" },
        heads.root,
        el("div", { class: "one" }, title, large, under, words),
      ),
      el("h3", {}, "What the chosen position reads"),
      arcs,
      numbers,
    );
    return () => {
      ({ layer, head } = chosenHead());
      heads.update();
      for (const [swatch, p] of swatches) paint(swatch, palette().share(p ** POWER));
      title.textContent = `Block ${layer}, head ${head}: click, or use the arrow keys`;
      drawLarge(large, large.parentElement.clientWidth);
      words.textContent = inWords();
      arcs.replaceChildren(...drawArcs(arcs));
      question.textContent = `How much ${place(state.t)} reads from ${place(column())}: the arithmetic`;
      numbers.replaceChildren(question, ...(numbers.open ? arithmetic() : []));
    };
  },
};

// What position t reads from s in the chosen head.
function weightOf(t, s) {
  return s > t ? 0 : weightsOf(pass.trace, H, layer, head)(t, s);
}

function shade(l, h) {
  const weight = weightsOf(pass.trace, H, l, h);
  return (t, s) => (s > t ? -1 : weight(t, s) ** POWER);
}

function allHeads() {
  const pictures = [],
    root = el("div", { class: L > 6 ? "heads many" : "heads" });
  root.style.setProperty("--columns", H);
  for (let l = 0; l < L; l++) {
    for (let h = 0; h < H; h++) {
      const canvas = el("canvas"),
        role = el("span"),
        choose = button("", () => set({ layer: l, head: h }));
      choose.append(canvas, el("span", {}, `${l}.${h} `), role);
      pictures.push([l, h, canvas, choose, role]);
      root.append(choose);
    }
  }
  const update = () => {
    for (const [l, h, canvas, choose, role] of pictures) {
      const name = headName(l, h);
      role.textContent = name;
      choose.setAttribute("aria-label", `${l}.${h}${name && ` ${name}`}: block ${l}, head ${h}`);
      matrix(canvas, pass.T, 72, shade(l, h));
      choose.setAttribute("aria-pressed", l === layer && h === head);
    }
    // The chosen one in sight, among the many of a large model.
    const [box, at] = [root, pictures[layer * H + head][3]].map((e) => e.getBoundingClientRect());
    if (at.top < box.top || at.bottom > box.bottom) root.scrollTop += at.top - box.top;
    if (at.left < box.left || at.right > box.right) root.scrollLeft += at.left - box.left;
  };
  return { root, update };
}

function drawLarge(canvas, width) {
  const { t } = state,
    s = column(),
    T = pass.T;
  size = Math.max(T, Math.min(width / zoom() - 4 - RIGHT, 560));
  const cell = size / T,
    context = matrix(canvas, T, size, shade(layer, head), RIGHT, BELOW);
  context.strokeStyle = css(colour("--mark"));
  context.lineWidth = 2;
  context.strokeRect(s * cell - 1, t * cell - 1, cell + 2, cell + 2);
  context.lineWidth = 1;
  context.strokeRect(0, t * cell, size, cell);
  // The row is named beside the diagonal, the column above and below it, by what is read up to there.
  const write = (i, x, y, ink) => {
    context.fillStyle = css(colour(ink));
    context.fillText(upTo(i), x, y);
  };
  context.font = "14px ui-monospace, monospace";
  context.textAlign = (t + 1) * cell + wide(SHOWN) < size + RIGHT ? "left" : "right";
  write(
    t,
    context.textAlign === "left" ? (t + 1) * cell + 8 : t * cell - 8,
    (t + 1) * cell - 2,
    "--accent",
  );
  context.textAlign = s * cell < size / 2 ? "left" : "right";
  write(s, s * cell, size + 16, "--more");
  canvas.setAttribute("aria-label", `weights of block ${layer}, head ${head}; ${inWords()}`);
}

// The position that the chosen one reads: as chosen, or the one with the largest weight.
function column() {
  return state.s < 0 ? mostRead() : state.s;
}

function mostRead() {
  const { t } = state;
  return pass.ids.reduce((best, _, s) => (weightOf(t, s) > weightOf(t, best) ? s : best), 0);
}

// The end of the text up to a token.
function upTo(i) {
  return Array.from(textOf(0, i + 1))
    .slice(-SHOWN)
    .join("");
}

function place(i) {
  return `“${pass.labels[i]}” (token ${i + 1})`;
}

function inWords() {
  const { t } = state,
    s = column(),
    most = mostRead();
  const first = `Most of all, ${place(t)} reads ${percent(weightOf(t, most))} from ${place(most)}.`;
  return s === most ? first : `${first} Chosen: ${reads(t, s)}`;
}

function reads(t, s) {
  if (s > t) return `${place(t)} reads nothing from ${place(s)}, which comes later.`;
  return `${place(t)} reads ${percent(weightOf(t, s))} from ${place(s)}.`;
}

function drawArcs(box) {
  const { t } = state,
    s = column(),
    step = 9,
    at = [];
  const chars = pass.labels.map((label) => Array.from(label).length);
  let x = 8;
  for (const n of chars) {
    at.push(x + (n * step) / 2);
    x += n * step + 3;
  }
  const height = 150,
    base = height - 26;
  const size = {
      width: (x + 8) * zoom(),
      height: height * zoom(),
      viewBox: `0 0 ${x + 8} ${height}`,
    },
    root = svg("svg", { ...size, role: "img", "aria-label": inWords() });
  for (let i = 0; i <= t; i++) {
    const weight = weightOf(t, i);
    if (weight < 0.01 && i !== s) continue;
    const middle = (at[i] + at[t]) / 2,
      rise = Math.min(base * 1.9, Math.abs(at[t] - at[i]) * 0.7 + 14);
    root.append(
      svg(
        "path",
        {
          d: `M ${at[t]} ${base} Q ${middle} ${base - rise} ${at[i]} ${base}`,
          class: i === s ? "arc chosen" : "arc",
          "data-mark": i === s && "reads",
          "stroke-width": 1 + 7 * weight,
          "stroke-opacity": 0.25 + 0.75 * weight,
        },
        svg("title", {}, `${place(i)}: ${percent(weight)}`),
      ),
    );
  }
  pass.labels.forEach((label, i) =>
    root.append(
      svg(
        "text",
        {
          x: at[i],
          y: base + 16,
          "text-anchor": "middle",
          class: i === t ? "reader" : i === s ? "read" : "",
          "data-mark": [s, t].includes(i) && "reads",
          onclick: () => set(i > t ? { t: i } : { s: i }),
        },
        label,
      ),
    ),
  );
  // Both ends in sight, or else the one that is read.
  requestAnimationFrame(
    () => (box.scrollLeft = Math.min(at[s] * zoom() - 24, at[t] * zoom() - box.clientWidth * 0.7)),
  );
  return [root];
}

// softmax over s of (q_t . k_s / sqrt(D)) and the weighted values, with every number.
function arithmetic() {
  const [l, h, t, s] = [layer, head, state.t, column()];
  const qkv = pass.trace.arrays.get(`h.${l}.attn.c_attn`);
  const part = (i, which) =>
    qkv.slice(i * 3 * C + which * C + h * D, i * 3 * C + which * C + h * D + D);
  const q = part(t, 0),
    k = part(s, 1),
    v = part(s, 2);
  const y = pass.trace.arrays.get(`h.${l}.attn.y`).slice(t * C + h * D, t * C + h * D + D);
  const dot = (i) => part(i, 1).reduce((sum, value, d) => sum + value * q[d], 0);
  const scores = pass.ids.slice(0, t + 1).map((_, i) => dot(i) / Math.sqrt(D));
  const max = Math.max(...scores);
  const total = scores.reduce((sum, score) => sum + Math.exp(score - max), 0);
  const score = dot(s) / Math.sqrt(D),
    weight = weightOf(t, s);
  const rows = (...columns) =>
    range(D).map((d) => [
      el("th", { scope: "row" }, d),
      ...columns.map((values) => short(values[d])),
    ]);
  const masked = s > t,
    shared = record.llama && H / record.llama.kv_heads;
  const steps = [
    ["the sum of the products", short(dot(s))],
    [`divided by √${D}`, short(score)],
    [
      "the mask",
      masked
        ? "the position comes later, so the score becomes −∞"
        : "the position is not later, so the score stays",
    ],
    [
      `e to the power of the score minus ${short(max)}, the row's largest score`,
      masked ? "0" : short(Math.exp(score - max)),
    ],
    [
      `divided by the sum of the row's ${t + 1}, ${short(total)}`,
      `${short(weight)}, or ${percent(weight)}`,
    ],
  ];
  return [
    table(["step", "result"], steps, { "aria-label": "from products to a weight" }),
    el(
      "div",
      { class: "wide" },
      table(
        ["channel", `q of “${pass.labels[t]}”`, `k of “${pass.labels[s]}”`, "q × k"],
        [
          ...rows(
            q,
            k,
            q.map((value, d) => value * k[d]),
          ),
          [el("th", { scope: "row" }, "sum"), "", "", short(dot(s))],
        ],
        { class: "numbers keys", "aria-label": "queries and keys" },
      ),
      table(
        ["channel", `v of “${pass.labels[s]}”`, "weight × v", "sum over the row"],
        rows(
          v,
          v.map((value) => value * weight),
          y,
        ),
        { class: "numbers values", "aria-label": "values" },
      ),
    ),
    el(
      "p",
      {},
      `With what the other heads read, it goes through ${shared ? "o" : "c_proj"} into the stream.` +
        (shared ? ` Queries and keys are rotated by their positions; ` : "") +
        (shared ? `k and v serve ${counted(shared, "head")} of queries.` : "") +
        (live ? "" : " The numbers here are rounded to float16."),
    ),
  ];
}
