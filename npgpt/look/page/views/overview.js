// The whole model at one token, below the text: what its heads read of it, what each branch adds to
// its stream, and the answer.

import { picture, zoom } from "../charts.js";
import { css, inkOn, palette } from "../colours.js";
import { button, el, keep, onArrows, percent, position, range, short, svg } from "../elements.js";
import { placeOf } from "../hero.js";
import { branchName, weightsOf, readsFar } from "../model.js";
import { flow, moves } from "../motion.js";
import { FAR, H, L, lengthsAt, likeliest, pass, set, state, textOf, tokenizer } from "../state.js";
import { spoken } from "../tokenizer.js";

const TOP = 72; // between the text and the embeddings
const GAP = 24; // between rows of cells
const ROW = 40; // the height of a head's cell
const WIDE = 24; // and of a part that reads the token alone
const RIGHT = 48; // of the cells, for the stream
const ANSWERS = 44; // the height of the answers
const LEAST = 0.1; // of the weights that are drawn
const CAPTION =
  "A line from a word to a head: the head reads it. The wider, the more. On the right is the stream, " +
  "the vector of the chosen token, to which each part adds. Press a part to open it below.";

export const overview = {
  id: "overview",
  title: "Overview",
  about: "The whole model at one token: what it reads, what each part adds, and the answer.",
  words: ["stream", "head", "MLP", "block", "embeddings", "✓"],
  build(root) {
    const move = (name, by) => button(name, () => set({ t: position(state.t + by) })),
      moves = [move("← the token before", -1), move("the token after →", 1)];
    root.append(el("div.controls", ...moves));
    return () => {};
  },
};

// The picture with its caption, and the function that updates it; and a sentence about it.
export function figure() {
  const frame = el("div.overview"),
    root = el("figure", frame, el("figcaption.legend", CAPTION));
  let flowed; // the tokens that have gone through the picture
  onArrows(frame, (down, right) => focusPart(frame, down + right));
  const update = () => {
    const far = readsFar(pass.trace, L, H, [state.t], FAR);
    keep(frame, draw(frame, far));
    if (pass.ids !== flowed && moves()) flow(Array.from(frame.querySelectorAll("g")).toReversed());
    flowed = pass.ids;
  };
  return [root, update];
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

export function inWords() {
  const { weight, layer, head, t, s } = readsFar(pass.trace, L, H, [state.t], FAR),
    answers = likeliest(2 * L, state.t, 2),
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
function wordAt(s, t) {
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
    box = { x, y, width, height, rx: 8, fill: css(rgb) };
  return svg(
    "a",
    { href: "#", class: "part", tabindex: -1, "aria-label": name, onclick, ...more },
    ...shapes,
    svg("rect", box, svg("title", about)),
    ...lines.map((line, i) => svg("text", { x: x + width / 2, y: at(i), fill }, `${line} `)),
  );
}

function line(d, width, look, opacity) {
  const about = { d, class: look, "stroke-width": width, "stroke-opacity": opacity };
  return svg("path", { pathLength: 1, ...about });
}

function draw(frame, far) {
  const width = Math.max(300, frame.clientWidth / zoom()),
    { t } = state,
    panel = width - RIGHT,
    stream = width - 16,
    across = Math.min(H, Math.floor(panel / 72)),
    rows = ROW * Math.ceil(H / across),
    block = rows + WIDE + 2 * GAP,
    origin = frame.getBoundingClientRect();
  const place = (s) => {
    const [x, y] = placeOf(s);
    return [(x - origin.left) / zoom(), (y - origin.top) / zoom()];
  };
  // The upper edges of the rows, and the heights at which the branches join the stream.
  const tops = range(2 * L + 1).map((k) =>
      k ? TOP + WIDE + GAP + ((k - 1) >> 1) * block + (k % 2 ? 0 : rows + GAP) : TOP,
    ),
    joins = tops.map((top, k) => top + (k % 2 ? rows : WIDE) / 2),
    foot = TOP + WIDE + L * block + GAP;
  const [lengths, added] = lengthsAt(t),
    thick = (size) => 1.5 + (12 * size) / Math.max(...lengths);
  const branch = (k, ...parts) => {
    const bend = `M ${panel} ${joins[k]} H ${stream - 12} q 12 0 12 12`,
      on = `M ${stream} ${joins[k] + 12} V ${(joins[k + 1] ?? foot - 12) + 12}`,
      into = line(bend, thick(added[k]), "ribbon");
    return [into, line(on, thick(lengths[k]), "trunk"), ...parts];
  };
  // A part that computes on the token alone.
  const wide = (k) => {
    const about = `adds a vector of length ${short(added[k])}`,
      box = [0, tops[k], panel, WIDE];
    return branch(k, part(box, tint(0), [branchName(k)], about, { view: "residual" }));
  };
  const stem = () => {
    const [x, y] = place(t),
      middle = (y + joins[0]) / 2;
    return line(
      `M ${x} ${y} C ${x} ${middle} ${stream} ${y} ${stream} ${joins[0] + 12}`,
      2,
      "stem",
    );
  };

  const head = (l, h) => {
    const weightAt = weightsOf(pass.trace, H, l, h),
      weight = (s) => weightAt(t, s),
      most = range(t + 1).reduce((best, s) => (weight(s) > weight(best) ? s : best), 0),
      size = panel / across,
      y = tops[2 * l + 1] + ROW * Math.floor(h / across),
      box = [(h % across) * size, y, size - (h % across < across - 1 ? 8 : 0), ROW - 4],
      middle = box[0] + box[2] / 2;
    const curves = range(t)
      .filter((s) => weight(s) >= LEAST)
      .map((s) => {
        const [x, from] = place(s),
          d = `M ${x} ${from} C ${x} ${(from + y) / 2} ${middle} ${(from + y) / 2} ${middle} ${y}`;
        return line(d, 1 + 6 * weight(s), null, 0.15 + 0.6 * weight(s));
      });
    const word = size > 96 ? ` “${cut(pass.labels[most])}”` : "",
      lines = [`${l}.${h}`, `${percent(weight(most))}${word}`],
      about = `block ${l}, head ${h}: ${near(most, t)}, is ${t - most} back`,
      isFar = far.weight > LEAST && l === far.layer && h === far.head,
      changes = { view: "attention", layer: l, head: h, s: -1 },
      look = isFar ? { class: "part chosen" } : {};
    return part(box, tint(weight(most)), lines, about, changes, look, curves);
  };
  const attention = (l) => branch(2 * l + 1, ...range(H).map((h) => head(l, h)));

  // Later stages are behind earlier ones, so that lines pass behind cells.
  const stages = [
    [stem(), ...wide(0)],
    ...range(L).flatMap((l) => [attention(l), wide(2 * l + 2)]),
  ].map((children) => svg("g", ...children));
  stages.push(svg("g.answers", ...answers(stream, foot, width)));
  const about = { role: "group", "aria-label": "the model, upwards from the answer" };
  return picture(width, foot + 24 + ANSWERS + 2, about, ...stages.toReversed());
}

// The likeliest answer below the stream, and others to its left.
function answers(stream, foot, width) {
  const [best, other, more] = width < 600 ? [112, 96, 2] : [176, 144, 4],
    y = foot + 24;
  return likeliest(2 * L, state.t, 1 + more).flatMap(([id, p], i) => {
    const wide = i ? other : best,
      x = i ? width - best - i * (other + 8) : width - best,
      to = x + wide / 2,
      d = `M ${stream} ${foot} C ${stream} ${y} ${to} ${foot} ${to} ${y}`,
      comes = id === pass.ids[state.t + 1],
      lines = [`${cut(tokenizer.label(id))}${comes ? " ✓" : ""}`, percent(p)],
      about = `answer ${i + 1}${comes ? ", as in the text" : ""}`,
      first = i ? {} : { tabindex: 0 };
    return [
      line(d, 1 + 13 * p, "ribbon"),
      part([x, y, wide, ANSWERS], tint(p), lines, about, { view: "tokens" }, first),
    ];
  });
}
