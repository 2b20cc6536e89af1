// Elements, pictures and numbers. Text reaches the page as text only, never as markup.

import { pass, set, state, tokenizer } from "./state.js";

// An element: attributes, with functions for events such as onclick, and then its children.
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element[name] = value;
    else if (name.startsWith("aria-")) element.setAttribute(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null));
  return element;
}

export function percent(p) {
  if (p < 0.0005) return p ? "< 0.1 %" : "0";
  if (p > 0.9995) return p < 1 ? "> 99.9 %" : "100 %";
  return `${(100 * p).toFixed(p < 0.0995 || p > 0.9905 ? 1 : 0)} %`;
}

export function short(x) {
  if (x === 0 || !Number.isFinite(x)) return String(x);
  const size = Math.abs(x);
  return size >= 1e4 || size < 1e-3 ? x.toExponential(2) : x.toPrecision(3);
}

// ---- colours, which the style sheet names; they differ in lightness too

export function colour(name) {
  document.getElementById("probe").style.color = `var(${name})`;
  return getComputedStyle(document.getElementById("probe"))
    .color.match(/\d+/g)
    .slice(0, 3)
    .map(Number);
}

export function palette() {
  const [paper, strong, less, more] = ["--paper", "--strong", "--less", "--more"].map(colour);
  const mix = (to, share) => paper.map((from, i) => from + (to[i] - from) * Math.min(1, share));
  return {
    share: (p) => mix(strong, p), // of 0 to 1
    change: (x) => mix(x < 0 ? less : more, Math.abs(x)), // of -1 to 1
  };
}

export function css([red, green, blue]) {
  return `rgb(${Math.round(red)} ${Math.round(green)} ${Math.round(blue)})`;
}

// Sets an element's background, and a text colour that can be read on it.
export function paint(element, rgb) {
  element.style.backgroundColor = css(rgb);
  element.style.color = inkOn(rgb);
}

// Black or white, whichever has the larger contrast: at least 4.5 on every colour (WCAG 2).
export function inkOn(rgb) {
  const [red, green, blue] = rgb.map((value) => ((value / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000000" : "#ffffff";
}

// A canvas of this size in the page's pixels, sharp on screens that have more.
export function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return context;
}

// A square matrix of shares, from 0 to 1, as a picture; below 0 nothing is drawn. There is room for
// labels to its right and below it.
export function matrix(canvas, count, size, shareOf, right = 0, below = 0) {
  const image = new ImageData(count, count),
    pixels = new Uint32Array(image.data.buffer);
  const { share } = palette(),
    shades = new Uint32Array(256).map((_, i) => {
      const [red, green, blue] = share(i / 255).map(Math.round);
      return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0; // bytes, the lowest first
    });
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < count; j++) {
      const value = shareOf(i, j);
      if (value >= 0) pixels[i * count + j] = shades[Math.round(255 * Math.min(1, value))];
    }
  }
  const small = el("canvas", { width: count, height: count });
  small.getContext("2d").putImageData(image, 0, 0);
  const context = sized(canvas, size + right, size + below);
  context.imageSmoothingEnabled = count > size;
  context.drawImage(small, 0, 0, size, size);
  return context;
}

export const LEFT = 104; // pixels of the names of rows of cells
const HIGH = 24; // of a row

// The pixels of a column of cells that have room for so many letters.
export function wide(letters) {
  return 8 * letters + 8;
}

// Rows of cells with words in them.  names: of the rows; cell(row, i) -> [words, rgb or none]
// marked: [row, column, how many rows]
export function cells(canvas, letters, names, columns, cell, [row, column, rows = 1]) {
  const w = wide(letters),
    context = sized(canvas, LEFT + columns * w, names.length * HIGH),
    [ink, mark] = ["--ink", "--mark"].map((name) => css(colour(name)));
  const write = (words, x, y, rgb) => {
    context.fillStyle = rgb ? inkOn(rgb) : ink;
    context.fillText(words, x, (y + 0.5) * HIGH);
  };
  context.font = "13px ui-monospace, monospace";
  context.textBaseline = "middle";
  names.forEach((name, y) => {
    write(name.replace("block ", "").replace("attention", "attn"), 2, y);
    for (let i = 0; i < columns; i++) {
      const [words, rgb] = cell(y, i),
        all = Array.from(words);
      if (rgb) context.fillStyle = css(rgb);
      if (rgb) context.fillRect(LEFT + i * w, y * HIGH, w - 1, HIGH - 1);
      const cut = all.length > letters ? `${all.slice(0, letters - 1).join("")}…` : words;
      write(cut, LEFT + i * w + 3, y, rgb);
    }
  });
  context.strokeStyle = mark;
  context.lineWidth = 2;
  context.strokeRect(LEFT + column * w, row * HIGH + 1, w - 1, rows * HIGH - 2);
}

// The [row, column] of a picture by `cells` that was clicked.
export function cellAt(canvas, letters, event) {
  const { left, top } = canvas.getBoundingClientRect();
  const column = Math.floor((event.clientX - left - LEFT) / wide(letters));
  return [Math.floor((event.clientY - top) / HIGH), Math.max(0, column)];
}

// move(down, right) at an arrow key
export function onArrows(element, move) {
  const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  element.onkeydown = (event) => {
    if (!by[event.key]) return;
    event.preventDefault();
    move(...by[event.key]);
  };
}

// ---- parts that several views have

// The position next to t that the text has.
export function position(t) {
  return Math.max(0, Math.min(pass.T - 1, t));
}

// The numbers from 0 to below count.
export function range(count) {
  return Array.from({ length: count }, (_, i) => i);
}

// The text as tokens to choose from, by mouse, or by the arrow keys and Enter.
// look(t) -> { rgb, title, off }
export function tokenStrip(label, choose = (t) => set({ t })) {
  const strip = el("div", {
    class: `tokens ${tokenizer.kind}`,
    role: "listbox",
    tabindex: 0,
    "aria-label": label,
  });
  strip.onkeydown = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    if (by) set({ t: position(state.t + by) });
    else choose(state.t);
  };
  strip.onclick = (event) => {
    const token = event.target.closest("[data-t]");
    if (token) choose(Number(token.dataset.t));
  };
  const update = (look) => {
    strip.replaceChildren(
      ...pass.labels.flatMap((text, t) => {
        const { rgb, title, off } = look(t),
          chosen = t === state.t;
        const token = el(
          "span",
          {
            role: "option",
            id: `${label}-${t}`.replace(/\W/g, "-"),
            title,
            "data-t": t,
            "aria-selected": chosen,
            class: off ? "off" : null,
          },
          text,
        );
        if (rgb) paint(token, rgb);
        if (chosen) strip.setAttribute("aria-activedescendant", token.id);
        return text.endsWith("⏎")
          ? [token, el("br")]
          : text.includes("␣")
            ? [token, el("wbr")]
            : [token];
      }),
    );
  };
  return [strip, update];
}

export function slider(label, attributes, oninput, show = String) {
  const value = el("output"),
    input = el("input", { type: "range", ...attributes });
  input.oninput = () => oninput(Number(input.value));
  const put = (number) => {
    input.value = number;
    value.textContent = show(number);
  };
  return [el("label", { class: "slider" }, el("span", {}, label, " ", value), input), put];
}

// A line to type in, which changes a field of the state.
export function textLine(label, field) {
  const input = el("input", { class: "long", spellcheck: "false", autocomplete: "off" });
  input.oninput = () => set({ [field]: input.value });
  const put = (text) => {
    if (document.activeElement !== input) input.value = text;
  };
  return [el("label", {}, `${label} `, input), put];
}

export function button(text, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, text);
}

export function table(head, rows, attributes = {}) {
  const isCell = (value) => value instanceof HTMLTableCellElement;
  const cells = (tag, values) => values.map((v) => (isCell(v) ? v : el(tag, {}, v)));
  return el(
    "div",
    {
      class: "scroll",
      tabindex: 0,
      role: "region",
      "aria-label": attributes["aria-label"] ?? "table",
    },
    el(
      "table",
      attributes,
      el("thead", {}, el("tr", {}, cells("th", head))),
      el(
        "tbody",
        {},
        rows.map((row) => el("tr", {}, cells("td", row))),
      ),
    ),
  );
}

// A cell of a table with a bar behind its number, or, if it is "signed", to one side of it.
export function bar(share, text, className = "bar") {
  const cell = el("td", { class: className }, el("i"), el("span", {}, text));
  const longest = className.includes("signed") ? 35 : 94;
  cell.firstChild.style.width = `${Math.min(1, Math.abs(share)) * longest}%`;
  cell.classList.toggle("negative", share < 0);
  return cell;
}

// Lines in logarithmic scales: curves [{ name, points: [[x, y]], style }], levels [[name, y]].
// counted: x is linear, from 0
export function chart(label, curves, { levels = [], unit = "", mark = null, counted = false }) {
  const W = Math.max(320, document.getElementById("view").clientWidth);
  const height = 300,
    left = 56,
    top = 16,
    bottom = 30,
    edge = W - 16;
  const seen = curves.map(({ points }) => points.filter(([x, y]) => (counted || x > 0) && y > 0));
  const x = (counted ? steps : axis)(
    seen.flat().map(([x]) => x),
    left,
    edge,
  );
  const y = axis(
    [...seen.flat(), ...levels.map(([, y]) => [1, y])].map(([, y]) => y),
    height - bottom,
    top,
  );
  const root = svg("svg", { width: W, height, role: "img", "aria-label": label });
  const line = (x1, x2, y1, y2, className) =>
    root.append(svg("line", { x1, x2, y1, y2, class: className }));
  const text = (x, y, anchor, words, className = "") =>
    root.append(svg("text", { x, y, "text-anchor": anchor, class: className }, words));
  for (const [at, words] of y.ticks) {
    line(left, edge, at, at, "grid");
    text(left - 6, at + 4, "end", words);
  }
  for (const [at, words] of x.ticks) text(at, height - 10, "middle", words);
  text(8, height - 10, "start", unit, "unit");
  const names = levels.map(([words, value]) => [y.of(value), `${words} ${short(value)}`, ""]);
  for (const [at] of names) line(left, edge, at, at, "level");
  curves.forEach(({ name, style }, i) => {
    if (!seen[i].length) return;
    const at = seen[i].map(([vx, vy]) => [x.of(vx), y.of(vy)]);
    root.append(svg("polyline", { points: at.join(" "), class: style }));
    names.push([at.at(-1)[1], name, style]);
  });
  if (mark !== null) line(x.of(mark), x.of(mark), top, height - bottom, "mark");
  let free = height - bottom; // names stand above their lines and do not overlap
  names
    .toSorted((a, b) => b[0] - a[0])
    .forEach(([at, words, style], i) => {
      free = Math.max(Math.min(at, free) - 4, 14 * (names.length - i));
      text(edge - 4, free, "end", words, `name ${style}`);
      free -= 10;
    });
  return root;
}

// The logarithmic scale of a chart's axis, and its round values with their names.
function axis(values, from, to) {
  const bound = (f, start) => values.reduce((a, b) => f(a, b), start);
  let low = Math.log10(bound(Math.min, Infinity)),
    high = Math.log10(bound(Math.max, 0));
  const digits = high - low > 3 ? [1] : [1, 2, 5];
  const marks = range(Math.ceil(high - low) + 3).flatMap((i) =>
    digits.map((digit) => Math.floor(low) + i + Math.log10(digit)),
  );
  low = marks.findLast((mark) => mark <= low + 1e-9);
  high = marks.find((mark) => mark >= high - 1e-9 && mark > low);
  const of = (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from);
  const ticks = marks.filter((mark) => mark >= low && mark <= high).map((mark) => 10 ** mark);
  const every = Math.ceil(ticks.length / 10);
  const name = (value) =>
    value < 1e-3 || value > 1e5 ? value.toExponential(0) : String(Number(value.toPrecision(1)));
  return {
    of,
    ticks: ticks.filter((_, i) => i % every === 0).map((value) => [of(value), name(value)]),
  };
}

// The linear scale of an axis of whole numbers from 0 on.
function steps(values, from, to) {
  const high = Math.max(1, ...values),
    every = Math.ceil(high / 10);
  const of = (value) => from + (value / high) * (to - from);
  const ticks = range(Math.floor(high / every) + 1).map((i) => i * every);
  return { of, ticks: ticks.map((value) => [of(value), String(value)]) };
}
