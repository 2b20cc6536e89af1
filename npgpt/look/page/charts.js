// Pictures: matrices and rows of cells on canvases, and charts.

import { colour, css, inkOn, palette } from "./colours.js";
import { el, range, short, svg, whole } from "./elements.js";

// By what pictures are larger than drawn, as the text of the page is on a large screen.
export function zoom() {
  return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
}

// A canvas of this size, sharp on screens that have more pixels than the page.
export function sized(canvas, width, height) {
  const ratio = (window.devicePixelRatio || 1) * zoom();
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width * zoom()}px`;
  canvas.style.height = `${height * zoom()}px`;
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
  context.font = "14px ui-monospace, monospace";
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
  const { left, top } = canvas.getBoundingClientRect(),
    [x, y] = [event.clientX - left, event.clientY - top].map((at) => at / zoom());
  return [Math.floor(y / HIGH), Math.max(0, Math.floor((x - LEFT) / wide(letters)))];
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

// Lines in logarithmic scales: curves [{ name, points: [[x, y]], style }], levels [[name, y]].
// counted: x is linear, from 0
export function chart(label, curves, { levels = [], unit = "", mark = null, counted = false }) {
  const W = Math.max(320, document.getElementById("view").clientWidth / zoom());
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
  const size = { width: W * zoom(), height: height * zoom(), viewBox: `0 0 ${W} ${height}` },
    root = svg("svg", { ...size, role: "img", "aria-label": label });
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
    if (seen[i].length < 2) return;
    const at = seen[i].map(([vx, vy]) => [x.of(vx), y.of(vy)]);
    root.append(svg("polyline", { points: at.join(" "), class: style }));
    const below = at.filter(([px], i) => px > edge - 8 * name.length || i === at.length - 1);
    names.push([Math.min(...below.map(([, py]) => py)), name, style]);
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
    value < 1e-3 || value > 1e5 ? value.toExponential(0) : whole(Number(value.toPrecision(1)));
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
  return { of, ticks: ticks.map((value) => [of(value), whole(value)]) };
}
