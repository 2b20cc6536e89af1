// The whole model at one token: what its stream reads, block by block, what each branch adds to it,
// and the answer on top.

import { picture, zoom } from "../charts.js";
import { css, inkOn, palette } from "../colours.js";
import { button, el, onArrows, percent, position, range, short, svg } from "../elements.js";
import { branchName, weightsOf, readsFar } from "../model.js";
import { FAR, H, L, lengthsAt, likeliest, pass, set, state, textOf, tokenizer } from "../state.js";
import { spoken } from "../tokenizer.js";

const LETTER = 8.6; // pixels of a character of the text
const GAP = 36; // between the streams and the cells
const MORE = 12; // for what stands before the shown tokens
const ANSWERS = 44; // the height of the answers
const TOP = 64; // below them, where the last branch joins
const FOOT = 56; // the embeddings
const ROW = 40; // of heads
const WIDE = 24; // the height of an MLP's cell
const LEAST = 0.1; // of the weights that are drawn
const MUCH = 0.3; // of those whose words are written
const LEGEND =
  "The wider a line, the longer its vector. The stronger a head's colour, the more it reads from a " +
  "single token. Press a part to open its view.";

export const overview = {
  id: "overview",
  title: "Overview",
  about: "The whole model at one token: what it reads, what each part adds, and the answer.",
  words: ["stream", "head", "MLP", "block", "embeddings", "✓"],
  build(root) {
    const words = el("p", { "aria-live": "polite" }),
      frame = el("div.overview");
    const move = (name, by) => button(name, () => set({ t: position(state.t + by) })),
      moves = [move("← the token before", -1), move("the token after →", 1)];
    root.append(words, el("p.legend", LEGEND), frame, el("div.controls", ...moves));
    onArrows(frame, (down, right) => focusPart(frame, down + right));
    let flowed; // the tokens that have gone through the picture
    return () => {
      const far = readsFar(pass.trace, L, H, [state.t], FAR);
      words.textContent = inWords(far);
      frame.replaceChildren(draw(Math.max(300, frame.clientWidth / zoom()), far));
      if (pass.ids !== flowed && document.activeElement.id !== "prompt") flow(frame);
      flowed = pass.ids;
    };
  },
};

// Shows the stages of a picture one after the other; not at each key that is typed.
function flow(frame) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const [k, stage] of frame.querySelectorAll("g").entries())
    stage.animate({ opacity: [0.1, 1] }, { duration: 400, delay: 80 * k, fill: "backwards" });
}

// One part at a time is in the order of the Tab key; the arrow keys go on to the others.
function focusPart(frame, by) {
  const parts = Array.from(frame.querySelectorAll(".part")),
    now = parts.findIndex(({ tabIndex }) => tabIndex === 0),
    next = parts.at((now + by) % parts.length);
  parts[now].setAttribute("tabindex", -1);
  next.setAttribute("tabindex", 0);
  next.focus();
}

function inWords({ weight, layer, head, t, s }) {
  const answers = likeliest(2 * L, state.t, 2),
    likely = answers.map(([id, p]) => `“${tokenizer.label(id)}” (${percent(p)})`).join(", or "),
    way = `from ${near(t, t)} back to ${near(s, t)} (${percent(weight)})`,
    far = weight > LEAST ? `To answer, head ${layer}.${head} looks ${way}. ` : "",
    where = `At token ${state.t + 1} of ${pass.T}, after “${endOf(state.t)}”,`;
  return `${far}${where} the model expects ${likely}.`;
}

// The last of what the model has read at a token.
export function endOf(t) {
  return textOf(Math.max(0, t - (tokenizer.kind === "words" ? 5 : 15)), t + 1).trimStart();
}

// The word of which a letter is a part, as far as it is read at token t, or "".
export function wordAt(s, t) {
  if (tokenizer.kind !== "char") return "";
  const [before, rest] = [pass.labels.slice(0, s + 1), pass.labels.slice(s + 1, t + 1)],
    [start] = /\p{L}*$/u.exec(before.join(""));
  return start && start + /^\p{L}*/u.exec(rest.join(""))[0];
}

// A token that is read at t: a letter with its word.
export function near(s, t) {
  const word = wordAt(s, t);
  return `“${cut(pass.labels[s])}”${word && ` of “${word}”`}`;
}

export function cut(label) {
  return Array.from(label).slice(0, 10).join("");
}

// The middles of the tokens around the chosen one that fit to the right of MORE, by position.
function columns(width) {
  const wide = pass.labels.map((label) => (cut(label).length + (label.length > 1)) * LETTER),
    middles = new Map();
  let [first, last, used] = [state.t, state.t, wide[state.t]];
  const fits = (i) => used + wide[i] <= width && (used += wide[i]); // not where there is no token
  while (last < state.t + 3 && fits(last + 1)) last++;
  while (fits(first - 1)) first--;
  while (fits(last + 1)) last++;
  const stretch = Math.min(1.7, width / used);
  let x = MORE + width - used * stretch;
  for (let i = first; i <= last; x += wide[i++] * stretch)
    middles.set(i, x + (wide[i] * stretch) / 2);
  return middles;
}

// The colour of a share, so light (or dark) that all have the same colour of text.
function tint(p) {
  return palette().share(p / 2);
}

// A part of the picture, as a link to its view: a cell with lines of text, and other shapes.
function part([x, y, width, height], rgb, lines, about, changes, more = {}, shapes = []) {
  const onclick = (event) => {
    event.preventDefault();
    set(changes);
  };
  const name = spoken(`${lines.join(" ")}, ${about}`),
    fill = inkOn(rgb),
    at = (i) => y + height / 2 + 5 + 17 * (i - (lines.length - 1) / 2),
    box = { x, y, width, height, rx: 4, fill: css(rgb) };
  return svg(
    "a",
    { href: "#", class: "part", tabindex: -1, "aria-label": name, onclick, ...more },
    ...shapes,
    svg("rect", box, svg("title", about)),
    ...lines.map((line, i) => svg("text", { x: x + width / 2, y: at(i), fill }, `${line} `)),
  );
}

function line(d, width, look, opacity) {
  return svg("path", { d, class: look, "stroke-width": width, "stroke-opacity": opacity });
}

function draw(width, far) {
  const { t } = state,
    panel = Math.max(176, Math.min(560, width * 0.34)),
    left = width - panel,
    middles = columns(left - GAP - MORE),
    x = (s) => middles.get(s) ?? MORE / 2,
    shown = Array.from(middles.keys()),
    across = Math.min(H, Math.floor(panel / 42)),
    rows = ROW * Math.ceil(H / across),
    block = rows + WIDE + 16,
    text = TOP + L * block + FOOT;
  // The heights at which the embeddings and each branch join the stream.
  const joins = range(2 * L + 1).map((k) => {
    const base = text - FOOT - ((k - 1) >> 1) * block;
    return k === 0 ? text - 32 : base - (k % 2 ? rows / 2 : rows + 8 + WIDE / 2);
  });
  const [lengths, added] = lengthsAt(t),
    thick = (size) => 1.5 + (12 * size) / Math.max(...lengths);
  const branch = (k, ...parts) => {
    const bend = `M ${left} ${joins[k]} H ${x(t) + 16} q -16 0 -16 -16`,
      rise = `M ${x(t)} ${joins[k]} V ${joins[k + 1] ?? ANSWERS + 8}`,
      into = line(bend, thick(added[k]), "ribbon");
    return [into, ...parts, line(rise, thick(lengths[k]), "trunk")];
  };
  // A part that computes on the token alone.
  const wide = (k) => {
    const about = `adds a vector of length ${short(added[k])}`,
      box = [left, joins[k] - WIDE / 2, panel - 4, WIDE];
    return branch(k, part(box, tint(0), [branchName(k)], about, { view: "residual" }));
  };

  const weights = range(L).map((l) => range(H).map((h) => weightsOf(pass.trace, H, l, h)));
  const head = (l, h) => {
    const weight = (s) => weights[l][h](t, s),
      most = range(t + 1).reduce((best, s) => (weight(s) > weight(best) ? s : best), 0),
      [from, to] = [joins[2 * l], joins[2 * l + 1]],
      middle = (from + to) / 2,
      read = range(t).filter((s) => weight(s) >= LEAST);
    const curves = read.map((s) => {
      const d = `M ${x(s)} ${from} C ${x(s)} ${middle} ${x(t)} ${middle} ${x(t)} ${to}`;
      return line(d, 1 + 6 * weight(s), null, 0.2 + 0.8 * weight(s));
    });
    const size = panel / across,
      y = to - rows / 2 + ROW * Math.floor(h / across),
      box = [left + (h % across) * size, y, size - 4, ROW - 4],
      word = size > 96 ? ` “${cut(pass.labels[most])}”` : "",
      lines = [`${l}.${h}`, `${percent(weight(most))}${word}`],
      about = `block ${l}, head ${h}: ${near(most, t)}, is ${t - most} back`,
      isFar = far.weight > LEAST && l === far.layer && h === far.head,
      changes = { view: "attention", layer: l, head: h, s: -1 },
      look = isFar ? { class: "part chosen" } : {};
    return part(box, tint(weight(most)), lines, about, changes, look, curves);
  };
  // What is read much in a block has a word there.
  const words = (l) => {
    const most = (s) => Math.max(...weights[l].map((weightAt) => weightAt(t, s))),
      much = shown.filter((s) => s < t && most(s) >= MUCH),
      known = (s) => `“${cut(wordAt(s, t) || pass.labels[s])}”`,
      y = joins[2 * l] + 14,
      free = [];
    for (const s of much.sort((a, b) => most(b) - most(a)))
      if (free.every((other) => Math.abs(x(s) - x(other)) > 6 * LETTER)) free.push(s);
    return free.map((s) => svg("text.read-word", { x: Math.max(x(s), 24), y }, known(s)));
  };
  const attention = (l) => branch(2 * l + 1, ...range(H).map((h) => head(l, h)), ...words(l));

  const stages = [wide(0), ...range(L).flatMap((l) => [attention(l), wide(2 * l + 2)])].map(
    (children) => svg("g", ...children),
  );
  stages.push(svg("g.answers", ...answers(x(t), width)));
  const token = (i) => {
    const look = i === t ? "token chosen" : i > t ? "token unit" : "token",
      at = { x: x(i), y: text, class: look, onclick: () => set({ t: i }) };
    return svg("text", at, cut(pass.labels[i]));
  };
  const about = { role: "group", "aria-label": "the model, upwards from the text" };
  const before = shown[0] ? [svg("text", { x: MORE / 2, y: text }, "…")] : [];
  return picture(width, text + 12, about, ...stages, ...before, ...shown.map(token));
}

// The likeliest answer above the stream, and others to its right.
function answers(from, width) {
  const best = width < 600 ? 96 : 160,
    left = Math.max(0, Math.min(from - best / 2, width - 2 * best)),
    rest = width - left - best,
    count = Math.max(1, Math.min(4, Math.floor(rest / 72)));
  return likeliest(2 * L, state.t, 1 + count).flatMap(([id, p], i) => {
    const first = { tabindex: 0, "data-mark": "answer" },
      [x, wide] = i
        ? [left + best + ((i - 1) * rest) / count + 8, rest / count - 12]
        : [left, best],
      to = i ? x + wide / 2 : from,
      d = `M ${from} ${TOP} C ${from} ${ANSWERS + 8} ${to} ${TOP - 8} ${to} ${ANSWERS}`,
      comes = id === pass.ids[state.t + 1],
      lines = [`${cut(tokenizer.label(id))}${comes ? " ✓" : ""}`, percent(p)],
      about = `answer ${i + 1}${comes ? ", as in the text" : ""}`,
      box = [x, 2, wide, ANSWERS - 2];
    return [
      line(d, 1 + 13 * p, "ribbon"),
      part(box, tint(p), lines, about, { view: "tokens" }, i ? {} : first),
    ];
  });
}
