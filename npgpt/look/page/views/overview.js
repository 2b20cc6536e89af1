// The whole model at one token: what its stream reads, block by block, what each branch adds to it,
// and the answer on top.

import { button, css, el, inkOn, palette, percent, position, range, svg } from "../draw.js";
import { length } from "../model.js";
import { readsFar, weightOf } from "../opening.js";
import { C, H, L, likeliest, pass, record, set, state, tokenizer, V } from "../state.js";

const LETTER = 8.5; // pixels of a character of the text
const GAP = 44; // between the streams and the cells
const ROW = 40; // of heads
const TOP = 112; // the answers, and the lines to them
const LEAST = 0.04; // of the weights that are drawn
const STAGE = 450; // milliseconds of a branch, when the token goes through
const SEND = "Send the token through";

let stages = []; // [group, height]: the embeddings, each branch and the answer
let dot = null,
  frame = 0;

export const overview = {
  id: "overview",
  title: "Overview",
  about: "The whole model at one token: what it reads, what each part adds, and the answer.",
  section: "Transformer Architecture",
  build(root) {
    const words = el("p", { "aria-live": "polite" }),
      picture = el("div", { class: "overview" });
    const play = button(SEND, () => (frame ? stop() : send(performance.now())));
    const stop = () => {
      frame = cancelAnimationFrame(frame) ?? 0;
      play.textContent = SEND;
      for (const [group] of stages) group.style.opacity = 1;
      dot?.setAttribute("opacity", 0);
    };
    const send = (began) => {
      play.textContent = "Stop";
      const show = (now) => {
        const at = Math.max(0, (now - began) / STAGE),
          i = Math.trunc(at);
        if (state.view !== "overview" || i >= stages.length) return stop();
        stages.forEach(([group], k) => (group.style.opacity = Math.min(1, Math.max(0.1, at - k))));
        const [from, to] = [i, i + 1].map((k) => stages[Math.min(k, stages.length - 1)][1]);
        dot.setAttribute("cy", from + (to - from) * (at - i));
        dot.setAttribute("opacity", 1);
        frame = requestAnimationFrame(show);
      };
      frame = requestAnimationFrame(show);
    };
    root.append(el("div", { class: "controls" }, words, play), picture, legend());
    return () => {
      stop();
      play.hidden = matchMedia("(prefers-reduced-motion: reduce)").matches;
      const controls = () => Array.from(picture.querySelectorAll("[tabindex]"));
      const focused = controls().indexOf(document.activeElement);
      const far = readsFar(pass.trace, L, H, [state.t]);
      words.textContent = inWords(far);
      picture.replaceChildren(draw(Math.max(300, picture.clientWidth), far));
      controls()[focused]?.focus();
    };
  },
};

function inWords({ weight, layer, head, t, s }) {
  const likely = likeliest(2 * L, state.t, 2).map(
    ([id, p]) => `“${tokenizer.label(id)}” (${percent(p)})`,
  );
  const before = pass.labels.slice(Math.max(0, state.t - 15), state.t + 1).join("");
  const far = ` Head ${layer}.${head} reads ${percent(weight)} from “${pass.labels[s]}”, ${t - s} back.`;
  return `After “${before}” the model expects ${likely.join(", or ")}.${weight > LEAST ? far : ""}`;
}

// Parameters, as npgpt/families/gpt.py counts them.
function sizes() {
  const { bias, block_size, tie_weights } = record.config,
    b = Number(bias);
  return {
    embeddings: (V + block_size) * C,
    attention: 4 * C * (C + b),
    mlp: (8 * C + 5 * b) * C,
    norms: (2 * L + 1) * C * (1 + b),
    logits: tie_weights ? 0 : C * V,
  };
}

function legend() {
  const [embeddings, attention, mlp, norms, logits] = Object.values(sizes()).map(grouped);
  return el(
    "p",
    { class: "legend" },
    "A line is as wide as its vector is long; a percentage is that length, of the stream's after " +
      "it. A head is as dark as its largest weight. Each part leads to its view. Parameters: " +
      `embeddings ${embeddings}, attention ${L} × ${attention}, MLPs ${L} × ${mlp}, norms ` +
      `${norms}, logits ${logits === "0" ? "those of the embeddings" : logits}; together ` +
      `${grouped(record.parameters)}.`,
  );
}

function grouped(count) {
  return count.toLocaleString("en");
}

// A part of the picture that leads to a view.
function part(name, changes, ...children) {
  const onclick = () => set(changes);
  const onkeydown = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    onclick();
  };
  const control = { class: "part", role: "button", tabindex: 0, onclick, onkeydown };
  return svg("g", { ...control, "aria-label": name }, svg("title", {}, name), ...children);
}

function cell(x, y, width, height, rgb, ...lines) {
  const at = (i) => y + height / 2 + 4 + 15 * (i - (lines.length - 1) / 2);
  const text = (line, i) => svg("text", { x: x + width / 2, y: at(i), fill: inkOn(rgb) }, line);
  return [svg("rect", { x, y, width, height, rx: 5, fill: css(rgb) }), ...lines.map(text)];
}

function line(d, width, className = null, opacity = null) {
  return svg("path", { d, class: className, "stroke-width": width, "stroke-opacity": opacity });
}

// The middles of the tokens around the chosen one that fit into a width, by position.
function columns(width) {
  const wide = pass.labels.map((label) => cut(label).length * LETTER + 1);
  let [first, last, used] = [state.t, state.t, wide[state.t]];
  const fits = (i) => used + wide[i] <= width && (used += wide[i]); // not where there is no token
  while (last < state.t + 3 && fits(last + 1)) last++;
  while (fits(first - 1)) first--;
  while (fits(last + 1)) last++;
  const stretch = Math.min(1.7, width / used);
  let x = width - used * stretch;
  return new Map(
    range(last - first + 1).map((i) => {
      x += wide[first + i] * stretch;
      return [first + i, x - (wide[first + i] * stretch) / 2];
    }),
  );
}

function cut(label) {
  return Array.from(label).slice(0, 10).join("");
}

function draw(width, far) {
  const { t } = state,
    { share } = palette(),
    panel = Math.max(156, Math.min(480, width * 0.38)),
    edge = width - panel - GAP,
    left = edge + GAP;
  const middles = columns(edge),
    x = (s) => middles.get(s) ?? 2;
  const across = Math.min(H, Math.floor(panel / 38)),
    rows = ROW * Math.ceil(H / across),
    block = rows + 76,
    text = TOP + L * block + 60;
  // Where each branch joins the stream; 0 is the embeddings.
  const joins = range(2 * L + 1).map((k) => {
    const base = text - 60 - ((k - 1) >> 1) * block;
    return k === 0 ? text - 30 : base - (k % 2 ? 10 + rows / 2 : block - 26);
  });
  const stream = (k) => pass.trace.arrays.get(`x.${k}`).subarray(t * C, t * C + C);
  const added = (k) => length(k ? stream(k).map((v, c) => v - stream(k - 1)[c]) : stream(0));
  const longest = Math.max(...joins.map((_, k) => length(stream(k)))),
    thick = (size) => 1.5 + (12 * size) / longest;
  const trunk = (k) =>
    line(`M ${x(t)} ${joins[k]} V ${joins[k + 1] ?? TOP - 20}`, thick(length(stream(k))), "trunk");
  const ribbon = (k, y = joins[k]) =>
    line(
      `M ${left} ${y} H ${x(t) + 16} Q ${x(t)} ${y} ${x(t)} ${y - 16}`,
      thick(added(k)),
      "ribbon",
    );
  const adds = (k) => `adds ${percent(added(k) / length(stream(k)))}`;
  const count = (number) => (panel > 300 ? `, ${grouped(number)} parameters` : "");
  const wide = (name, changes, y, words) =>
    part(name, changes, ...cell(left, y - 14, panel - 4, 28, share(0), words));

  const head = (l, h) => {
    const weight = (s) => weightOf(pass.trace, H, l, h, t, s),
      [from, to] = [joins[2 * l], joins[2 * l + 1]],
      middle = (from + to) / 2;
    const curves = range(t)
      .filter((s) => weight(s) >= LEAST)
      .map((s) => {
        const d = `M ${x(s)} ${from} C ${x(s)} ${middle} ${x(t)} ${middle} ${x(t)} ${to}`;
        return line(d, 1 + 6 * weight(s), null, 0.2 + 0.8 * weight(s));
      });
    const most = range(t + 1).reduce((best, s) => (weight(s) > weight(best) ? s : best), 0),
      reads = percent(weight(most)),
      size = panel / across,
      y = to - rows / 2 + ROW * Math.floor(h / across);
    const name = `Block ${l}, head ${h}: ${reads} from “${pass.labels[most]}”, ${t - most} back`;
    const words = size > 90 ? `${reads} of “${cut(pass.labels[most])}”` : reads;
    const box = [left + (h % across) * size, y, size - 4, ROW - 4, share(weight(most))];
    const found = part(
      name,
      { view: "attention", layer: l, head: h, s: -1 },
      ...curves,
      ...cell(...box, `${l}.${h}`, words),
    );
    found.classList.toggle("chosen", far.weight > LEAST && l === far.layer && h === far.head);
    return found;
  };
  const attention = (l, k = 2 * l + 1) => [
    ribbon(k),
    svg(
      "text",
      { x: left, y: joins[k] - rows / 2 - 6 },
      `${panel > 300 ? `block ${l}: ` : ""}attention ${adds(k)}${count(sizes().attention)}`,
    ),
    ...range(H).map((h) => head(l, h)),
    trunk(k),
  ];
  const mlp = (l, k = 2 * l + 2) => [
    ribbon(k),
    wide(
      `Block ${l}, MLP, ${C} to ${4 * C} to ${C} numbers: ${adds(k)}`,
      { view: "residual" },
      joins[k],
      `MLP ${adds(k)}${count(sizes().mlp)}`,
    ),
    trunk(k),
  ];
  const embeddings = wide(
    `Embeddings, ${V} tokens and ${record.config.block_size} positions, ${C} numbers each`,
    { view: "embeddings", token: pass.ids[t] },
    joins[0],
    `embeddings${count(sizes().embeddings)}`,
  );
  const parts = [
    [ribbon(0), embeddings, trunk(0)],
    ...range(L).flatMap((l) => [attention(l), mlp(l)]),
    answers(x(t), edge + GAP / 2, width < 600 ? 3 : 5, share),
  ];
  stages = parts.map((children, k) => [svg("g", {}, ...children), joins[k] ?? TOP - 20]);
  dot = svg("circle", { cx: x(t), r: 9, class: "dot", opacity: 0 });
  const read = Array.from(middles.keys()).filter((s) => s < t);
  return svg(
    "svg",
    { width, height: text + 14, role: "group", "aria-label": "the model, upwards from the text" },
    ...read.map((s) => line(`M ${x(s)} ${text - 18} V ${TOP}`, 1, "thread")),
    ...stages.map(([group]) => group),
    dot,
    theText(middles, text),
  );
}

function answers(from, width, count, share) {
  const y = TOP - 20,
    wide = width / count;
  return likeliest(2 * L, state.t, count).flatMap(([id, p], i) => {
    const middle = (i + 0.5) * wide,
      comes = id === pass.ids[state.t + 1];
    const name = `“${tokenizer.label(id)}”, ${percent(p)}${comes ? ", as in the text" : ""}`;
    const label = `${cut(tokenizer.label(id))}${comes ? " ✓" : ""}`;
    const box = [i * wide, 2, wide - 6, 44, share(p)];
    return [
      line(
        `M ${from} ${y} C ${from} ${y - 30} ${middle} ${y - 15} ${middle} 46`,
        1 + 13 * p,
        "ribbon",
      ),
      part(`Answer ${i + 1}: ${name}`, { view: "tokens" }, ...cell(...box, label, percent(p))),
    ];
  });
}

// The text, one control for mouse and arrow keys.
function theText(middles, y) {
  const { t } = state;
  const onkeydown = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!by) return;
    event.preventDefault();
    set({ t: position(t + by) });
  };
  const value = { "aria-valuemin": 1, "aria-valuemax": pass.T, "aria-valuenow": t + 1 };
  const text = ([i, x]) => {
    const look = i === t ? "chosen" : i > t ? "unit" : "";
    return svg("text", { x, y, class: look, onclick: () => set({ t: i }) }, cut(pass.labels[i]));
  };
  return svg(
    "g",
    {
      role: "slider",
      tabindex: 0,
      onkeydown,
      ...value,
      "aria-label": "the chosen token",
      "aria-valuetext": pass.labels[t],
    },
    ...Array.from(middles, text),
  );
}
