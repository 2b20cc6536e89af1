// Attention weights: every head, one of them large, and the arithmetic of one weight.

import { button, colour, css, el, matrix, percent, position, short, svg, table } from "../draw.js";
import { C, D, H, L, live, pass, set, state } from "../state.js";

export const attention = {
  id: "attention", title: "Attention",
  about: "What each position (a row) reads from those before it (columns), head by head.",
  section: "Attention Mechanism",
  build(root) {
    const heads = allHeads(), large = el("canvas", { tabindex: 0, role: "img" });
    const words = el("p", { "aria-live": "polite" });
    const arcs = el("div", { class: "scroll arcs", tabindex: 0, role: "region",
      "aria-label": "arcs over the text" });
    const numbers = el("div"), title = el("h2");
    large.onkeydown = (event) => {
      const [dt, ds] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1],
        ArrowRight: [0, 1] }[event.key] ?? [0, 0];
      if (!dt && !ds) return;
      event.preventDefault();
      set({ t: position(state.t + dt), s: position(column() + ds) });
    };
    large.onclick = (event) => {
      const box = large.getBoundingClientRect();
      const cell = (at, size) => position(Math.floor((at / size) * pass.T));
      set({ t: cell(event.clientY - box.top, box.height),
        s: cell(event.clientX - box.left, box.width) });
    };
    root.append(el("p", { class: "legend" }, "no weight", el("span", { class: "ramp" }),
      "all the weight"),
      el("div", { class: "wide" }, heads.root, el("div", { class: "one" }, title, large, words)),
      el("h2", {}, "What the chosen position reads"), arcs, numbers);
    return () => {
      heads.update();
      title.textContent = `Block ${state.layer}, head ${state.head}: click, or use the arrow keys`;
      drawLarge(large, large.parentElement.clientWidth);
      words.textContent = inWords();
      arcs.replaceChildren(...drawArcs(arcs));
      numbers.replaceChildren(...arithmetic());
    };
  },
};

function weightOf(l, h, t, s) {
  const { arrays, capacity } = pass.trace;
  return s > t ? 0 : arrays.get(`h.${l}.attn`)[(t * H + h) * capacity + s];
}

// Weights are spread over many positions: a power below 1 shows the small ones.
function shade(l, h) {
  const { arrays, capacity } = pass.trace, weights = arrays.get(`h.${l}.attn`);
  return (t, s) => (s > t ? -1 : weights[(t * H + h) * capacity + s] ** 0.6);
}

function allHeads() {
  const pictures = [], root = el("div", { class: "heads" });
  root.style.setProperty("--columns", H);
  for (let l = 0; l < L; l++) {
    for (let h = 0; h < H; h++) {
      const canvas = el("canvas"), name = `${l}.${h}: block ${l}, head ${h}`;
      const choose = button("", () => set({ layer: l, head: h }), { "aria-label": name });
      choose.append(canvas, el("span", {}, `${l}.${h}`));
      pictures.push([l, h, canvas, choose]);
      root.append(choose);
    }
  }
  const update = () => {
    for (const [l, h, canvas, choose] of pictures) {
      matrix(canvas, pass.T, 72, shade(l, h));
      choose.setAttribute("aria-pressed", l === state.layer && h === state.head);
    }
  };
  return { root, update };
}

function drawLarge(canvas, width) {
  const { layer, head, t } = state, s = column(), T = pass.T;
  const size = Math.max(T, Math.min(width - 4, 720)), cell = size / T;
  const context = matrix(canvas, T, size, shade(layer, head));
  context.strokeStyle = css(colour("--mark"));
  context.lineWidth = 2;
  context.strokeRect(s * cell - 1, t * cell - 1, cell + 2, cell + 2);
  context.lineWidth = 1;
  context.strokeRect(0, t * cell, size, cell);
  if (cell >= 14) {
    context.font = `${Math.min(13, cell - 3)}px ui-monospace, monospace`;
    context.fillStyle = css(colour("--ink"));
    pass.labels.forEach((label, i) => i + 1 < T
      && context.fillText(label.slice(0, 12), (i + 1) * cell + 4, i * cell + cell * 0.75));
  }
  canvas.setAttribute("aria-label", `weights of block ${layer}, head ${head}; ${inWords()}`);
}

// The position that the chosen one reads: as chosen, or the one with the largest weight.
function column() {
  return state.s < 0 ? mostRead() : state.s;
}

function mostRead() {
  const { layer, head, t } = state;
  return pass.ids.reduce((best, _, s) => (weightOf(layer, head, t, s) > weightOf(
    layer, head, t, best) ? s : best), 0);
}

function place(i) {
  return `“${pass.labels[i]}” (token ${i + 1})`;
}

function inWords() {
  const { layer, head, t } = state, s = column(), most = mostRead();
  const here = s > t ? `nothing from ${place(s)}, which comes later`
    : `${percent(weightOf(layer, head, t, s))} from ${place(s)}`;
  const largest = percent(weightOf(layer, head, t, most));
  const first = `Most of all, ${place(t)} reads ${largest} from ${place(most)}.`;
  return s === most ? first : `${first} Here it reads ${here}.`;
}

function drawArcs(box) {
  const { layer, head, t } = state, s = column(), step = 9, at = [];
  const chars = pass.labels.map((label) => Array.from(label).length);
  let x = 8;
  for (const n of chars) {
    at.push(x + (n * step) / 2);
    x += n * step + 3;
  }
  const height = 150, base = height - 26;
  const root = svg("svg", { width: x + 8, height, role: "img", "aria-label": inWords() });
  for (let i = 0; i <= t; i++) {
    const weight = weightOf(layer, head, t, i);
    if (weight < 0.01 && i !== s) continue;
    const middle = (at[i] + at[t]) / 2, rise = Math.min(base * 1.9,
      Math.abs(at[t] - at[i]) * 0.7 + 14);
    root.append(svg("path", { d: `M ${at[t]} ${base} Q ${middle} ${base - rise} ${at[i]} ${base}`,
      class: i === s ? "arc chosen" : "arc",
      "stroke-width": 1 + 7 * weight, "stroke-opacity": 0.25 + 0.75 * weight },
        svg("title", {}, `${place(i)}: ${percent(weight)}`)));
  }
  pass.labels.forEach((label, i) => root.append(svg("text", { x: at[i], y: base + 16,
    "text-anchor": "middle",
    class: i === t ? "reader" : i === s ? "read" : "",
      onclick: () => set(i > t ? { t: i } : { s: i }) }, label)));
  requestAnimationFrame(() => (box.scrollLeft = at[t] - box.clientWidth * 0.7));
  return [root];
}

// softmax over s of (q_t . k_s / sqrt(D)) and the weighted values, with every number.
function arithmetic() {
  const { layer: l, head: h, t } = state, s = column();
  const qkv = pass.trace.arrays.get(`h.${l}.attn.c_attn`);
  const part = (i, which) => qkv.slice(i * 3 * C + which * C + h * D,
    i * 3 * C + which * C + h * D + D);
  const q = part(t, 0), k = part(s, 1), v = part(s, 2);
  const y = pass.trace.arrays.get(`h.${l}.attn.y`).slice(t * C + h * D, t * C + h * D + D);
  const dot = (i) => part(i, 1).reduce((sum, value, d) => sum + value * q[d], 0);
  const scores = pass.ids.slice(0, t + 1).map((_, i) => dot(i) / Math.sqrt(D));
  const max = Math.max(...scores);
  const total = scores.reduce((sum, score) => sum + Math.exp(score - max), 0);
  const score = dot(s) / Math.sqrt(D), weight = weightOf(l, h, t, s);
  const row = (name, values) => [el("th", { scope: "row" }, name), ...Array.from(values, short)];
  const masked = s > t;
  const steps = [
    ["the sum of the products", short(dot(s))],
    [`divided by √${D}`, short(score)],
    ["the mask", masked ? "the position comes later, so the score becomes −∞"
      : "the position is not later, so the score stays"],
    [`e to the power of it, less the largest of the row, ${short(max)}`,
      masked ? "0" : short(Math.exp(score - max))],
    [`divided by the sum of the row's ${t + 1}, ${short(total)}`,
      `${short(weight)}, or ${percent(weight)}`],
  ];
  return [
    el("h2", {}, `How much ${place(t)} reads from ${place(s)}: the arithmetic`),
    table(["channel", ...Array.from({ length: D }, (_, d) => d)], [
      row(`q of “${pass.labels[t]}”`, q), row(`k of “${pass.labels[s]}”`, k),
        row("q × k", q.map((value, d) => value * k[d]))],
    { class: "numbers", "aria-label": "queries and keys" }),
    table(["step", "result"], steps, { "aria-label": "from products to a weight" }),
    table(["channel", ...Array.from({ length: D }, (_, d) => d)], [
      row(`v of “${pass.labels[s]}”`, v), row("weight × v", v.map((value) => value * weight)),
        row("sum over the row", y)],
    { class: "numbers", "aria-label": "values" }),
    el("p", {}, "With what the other heads read, it goes through c_proj into the stream." +
      (live ? "" : " The numbers here are rounded to float16.")),
  ];
}
