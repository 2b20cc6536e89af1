// The whole model at one token: what its stream reads, block by block, what each branch adds to it,
// and the answer on top.

import { onArrows } from "../charts.js";
import { css, inkOn, palette } from "../colours.js";
import { button, el, percent, position, range, svg } from "../elements.js";
import { weightsOf } from "../model.js";
import { FAR, readsFar } from "../opening.js";
import {
  C,
  H,
  L,
  lengthsAt,
  likeliest,
  live,
  model,
  pass,
  record,
  set,
  state,
  tokenizer,
  V,
} from "../state.js";
import { spoken } from "../tokenizer.js";
import { terms } from "../words.js";

const LETTER = 8.6; // pixels of a character of the text
const GAP = 44; // between the streams and the cells
const ROWS = [34, 40]; // of heads
const TOPS = [80, 84]; // the answers, and the lines to them, on a narrow screen or a wide one
const LEAST = 0.04; // of the weights that are drawn
const STAGE = 450; // milliseconds of a branch, when the token goes through
const LEGEND =
  "The wider a line, the longer its vector. The stronger a head's colour, the more it reads from a " +
  "single token. Press a part to open its view.";
const SEND = "Send the token through";
const sizes = {}; // found by `size`

let stages = []; // [group, height] of the embeddings, each branch, and the answer
let dot = null,
  frame = 0;

export const overview = {
  id: "overview",
  title: "Overview",
  about: "The whole model at one token: what it reads, what each part adds, and the answer.",
  section: "Transformer Architecture",
  words: ["stream", "adds 50 %", "head 1.3", "MLP", "block", "embeddings", "✓"],
  build(root) {
    const words = el("p", { "aria-live": "polite" }),
      picture = el("div", { class: "overview" });
    const play = button(SEND, () => (frame ? stop() : send(performance.now())));
    const stop = () => {
      cancelAnimationFrame(frame);
      frame = 0;
      play.textContent = SEND;
      for (const [group] of stages) group.style.opacity = 1;
      dot?.setAttribute("opacity", 0);
    };
    const send = (began) => {
      play.textContent = "Stop";
      if (picture.getBoundingClientRect().top < 0) picture.scrollIntoView();
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
    const move = (name, by, words) =>
      button(name, () => set({ t: position(state.t + by) }), { "aria-label": words });
    const moves = [move("←", -1, "the token before"), move("→", 1, "the token after")];
    root.append(terms(overview), picture);
    root.append(el("div", { class: "controls" }, ...moves, play), words);
    root.append(el("p", { class: "legend" }, LEGEND));
    onArrows(picture, (down, right) => focusPart(picture, down + right));
    return () => {
      stop();
      play.hidden = matchMedia("(prefers-reduced-motion: reduce)").matches;
      const far = readsFar(pass.trace, L, H, [state.t]);
      words.textContent = inWords(far);
      picture.replaceChildren(draw(Math.max(300, picture.clientWidth), far));
    };
  },
};

// One part at a time is in the order of the Tab key; the arrow keys go on to the others.
function focusPart(picture, by) {
  const parts = Array.from(picture.querySelectorAll(".part")),
    now = parts.findIndex((each) => each.getAttribute("tabindex") === "0"),
    next = (now + by + parts.length) % parts.length;
  parts[now].setAttribute("tabindex", -1);
  parts[next].setAttribute("tabindex", 0);
  parts[next].focus();
}

function inWords({ weight, layer, head, t, s }) {
  const answers = likeliest(2 * L, state.t, 2);
  const likely = answers.map(([id, p]) => `“${tokenizer.label(id)}” (${percent(p)})`);
  const read = ` Most is read from ${FAR} or more back by head ${layer}.${head}:`,
    far = `${read} ${percent(weight)}, from ${near(s)}, ${t - s} back.`;
  const where = `At token ${state.t + 1} of ${pass.T}, after “${endOf(state.t)}”,`;
  return `${where} the model expects ${likely.join(", or ")}.${weight > LEAST ? far : ""}`;
}

// The last of what the model has read at a token.
export function endOf(t) {
  return pass.labels.slice(Math.max(0, t - 15), t + 1).join("");
}

// The number of parameters in the weights with such names; a page without weights has none to count.
function size(names) {
  const found = () => Object.keys(model.weights).filter((name) => RegExp(names).test(name));
  return (sizes[names] ??= found().reduce((sum, name) => sum + model.weights[name].length, 0));
}

// A token and, if it is a character, where it stands.
function near(s) {
  const end = pass.labels.slice(Math.max(0, s - 3), s + 1).join("");
  return `“${cut(pass.labels[s])}”${tokenizer.kind === "char" ? `, the end of “${end}”` : ""}`;
}

function cut(label) {
  return Array.from(label).slice(0, 10).join("");
}

// The middles of the tokens around the chosen one that fit into a width, by position.
function columns(width) {
  const wide = pass.labels.map((label) => cut(label).length * LETTER),
    middles = new Map();
  let [first, last, used] = [state.t, state.t, wide[state.t]];
  const fits = (i) => used + wide[i] <= width && (used += wide[i]); // not where there is no token
  while (last < state.t + 3 && fits(last + 1)) last++;
  while (fits(first - 1)) first--;
  while (fits(last + 1)) last++;
  const stretch = Math.min(1.7, width / used);
  let x = width - used * stretch;
  for (let i = first; i <= last; x += wide[i++] * stretch) {
    middles.set(i, x + (wide[i] * stretch) / 2);
  }
  return middles;
}

// A part of the picture, as a link to its view: a cell with lines of text, and other shapes.
function part([x, y, width, height], rgb, lines, about, changes, shapes = []) {
  const onclick = (event) => {
    event.preventDefault();
    set(changes);
  };
  const name = spoken(`${lines.join(" ")}, ${about}`),
    link = { href: "#", class: "part", tabindex: -1, "aria-label": name, onclick };
  const at = (i) => y + height / 2 + 4 + 15 * (i - (lines.length - 1) / 2);
  const fill = inkOn(rgb);
  const text = (line, i) => svg("text", { x: x + width / 2, y: at(i), fill }, `${line} `);
  const box = svg("rect", { x, y, width, height, rx: 5, fill: css(rgb) }, svg("title", {}, about));
  return svg("a", link, ...shapes, box, ...lines.map(text));
}

function line(d, width, className = null, opacity = null) {
  return svg("path", { d, class: className, "stroke-width": width, "stroke-opacity": opacity });
}

function draw(width, far) {
  const { t } = state,
    { share } = palette(),
    panel = Math.max(156, Math.min(480, width * 0.34)),
    edge = width - panel - GAP,
    left = edge + GAP,
    roomy = panel > 300,
    [TOP, ROW] = [TOPS, ROWS].map((sizes) => sizes[Number(roomy)]);
  const middles = columns(edge),
    x = (s) => middles.get(s) ?? 2,
    [first] = middles.keys();
  let beyond = 0; // reads of tokens that are further left
  const across = Math.min(H, Math.floor(panel / 38)),
    rows = ROW * Math.ceil(H / across),
    block = rows + (roomy ? 58 : 52),
    text = TOP + L * block + (roomy ? 56 : 52);
  // The heights at which the embeddings and each branch join the stream.
  const joins = range(2 * L + 1).map((k) => {
    const base = text - (roomy ? 56 : 52) - ((k - 1) >> 1) * block;
    return k === 0 ? text - 32 : base - (k % 2 ? 6 + rows / 2 : block - 15);
  });
  const [lengths, added] = lengthsAt(t);
  const thick = (size) => 1.5 + (12 * size) / Math.max(...lengths);
  const branch = (k, ...parts) => {
    const bend = `M ${left} ${joins[k]} H ${x(t) + 16} q -16 0 -16 -16`,
      rise = `M ${x(t)} ${joins[k]} V ${joins[k + 1] ?? TOP - 20}`;
    const trunk = line(rise, thick(lengths[k]), "trunk");
    return [line(bend, thick(added[k]), "ribbon"), ...parts, trunk];
  };
  const adds = (k) => `adds ${Math.round((100 * added[k]) / lengths[k])} %`;
  const count = (names) =>
    roomy && live ? `, ${size(names).toLocaleString("en")} parameters` : "";
  const wide = (k, words, about, changes) =>
    part([left, joins[k] - 12, panel - 4, 24], share(0), [words], about, changes);

  const head = (l, h) => {
    const weightAt = weightsOf(pass.trace, H, l, h),
      weight = (s) => weightAt(t, s),
      most = range(t + 1).reduce((best, s) => (weight(s) > weight(best) ? s : best), 0);
    const [from, to] = [joins[2 * l], joins[2 * l + 1]],
      middle = (from + to) / 2;
    const read = range(t).filter((s) => weight(s) >= LEAST);
    beyond += read.filter((s) => s < first).length;
    const curves = read.map((s) => {
      const d = `M ${x(s)} ${from} C ${x(s)} ${middle} ${x(t)} ${middle} ${x(t)} ${to}`;
      return line(d, 1 + 6 * weight(s), s < first ? "beyond" : null, 0.2 + 0.8 * weight(s));
    });
    const size = panel / across,
      y = to - rows / 2 + ROW * Math.floor(h / across);
    const box = [left + (h % across) * size, y, size - 4, ROW - 4];
    const reads = `${percent(weight(most))}${size > 90 ? ` “${cut(pass.labels[most])}”` : ""}`;
    const about = `block ${l}, head ${h}: ${near(most)}, is ${t - most} back`;
    const changes = { view: "attention", layer: l, head: h, s: -1 };
    const found = part(box, share(weight(most)), [`${l}.${h}`, reads], about, changes, curves);
    found.classList.toggle("chosen", far.weight > LEAST && l === far.layer && h === far.head);
    return found;
  };
  const attention = (l, k = 2 * l + 1) => {
    const words = `${roomy ? `block ${l}: ` : ""}attention ${adds(k)}${count(`^h.${l}.attn`)}`;
    const caption = svg("text", { x: left, y: joins[k] - rows / 2 - 6 }, words);
    return branch(k, caption, ...range(H).map((h) => head(l, h)));
  };
  const mlp = (l, k = 2 * l + 2) => {
    const words = `MLP ${adds(k)}${count(`^h.${l}.mlp`)}`;
    const about = `block ${l}: ${C} to ${record.llama?.inner ?? 4 * C} to ${C} numbers`;
    return branch(k, wide(k, words, about, { view: "residual" }));
  };
  const learned = `and ${record.config.block_size} positions, ${C} numbers each`,
    rotated = `of ${C} numbers; positions rotate queries and keys`,
    tables = `${V} tokens ${record.llama ? rotated : learned}`,
    words = `embeddings${count("wte|wpe")}`;
  const embeddings = wide(0, words, tables, { view: "residual" });

  const parts = [
    branch(0, embeddings),
    ...range(L).flatMap((l) => [attention(l), mlp(l)]),
    answers([x(t), TOP], edge + GAP / 2, width < 370 ? 2 : width < 600 ? 3 : 5, share),
  ];
  stages = parts.map((children, k) => [svg("g", {}, ...children), joins[k] ?? TOP - 20]);
  stages.at(-1)[0].classList.add("answers");
  const further =
    beyond && svg("text", { x: left, y: text, class: "unit" }, `‹ ${beyond} reads further left`);
  stages.at(-1)[0].querySelector(".part").setAttribute("tabindex", 0);
  dot = svg("circle", { cx: x(t), r: 9, class: "dot", opacity: 0 });
  const shown = Array.from(middles.keys());
  const token = (i) => {
    const look = i === t ? "token chosen" : i > t ? "token unit" : "token";
    const at = { x: x(i), y: text, class: look, onclick: () => set({ t: i }) };
    return svg("text", at, cut(pass.labels[i]));
  };
  return svg(
    "svg",
    { width, height: text + 12, role: "group", "aria-label": "the model, upwards from the text" },
    ...shown.filter((s) => s < t).map((s) => line(`M ${x(s)} ${text - 18} V ${TOP}`, 1, "thread")),
    ...stages.map(([group]) => group),
    dot,
    further || null,
    svg("text", { x: left, y: 20, class: "unit" }, "← what may come next,"),
    svg("text", { x: left, y: 36, class: "unit" }, `after token ${t + 1} of ${pass.T}`),
    svg("text", { x: left, y: 70, class: "unit" }, "↓ adds: % of the stream"),
    ...shown.map(token),
  );
}

function answers([from, TOP], width, count, share) {
  const wide = width / count,
    [top, middle, bottom] = [46, TOP / 2 + 13, TOP - 20];
  return likeliest(2 * L, state.t, count).flatMap(([id, p], i) => {
    const to = (i + 0.5) * wide,
      comes = id === pass.ids[state.t + 1];
    const d = `M ${from} ${bottom} C ${from} ${middle} ${to} ${middle} ${to} ${top}`;
    const lines = [`${cut(tokenizer.label(id))}${comes ? " ✓" : ""}`, percent(p)];
    const about = `answer ${i + 1}${comes ? ", as in the text" : ""}`;
    const box = [i * wide, 2, wide - 6, top - 2];
    return [line(d, 1 + 13 * p, "ribbon"), part(box, share(p), lines, about, { view: "tokens" })];
  });
}
