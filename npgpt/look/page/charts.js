// Pictures: matrices and rows of cells on canvases, and charts.

import { colour, css, inkOn, palette } from "./colours.js";
import { el, range, svg, whole } from "./elements.js";

// By what pictures are larger than drawn, as the text of the page is on a large screen.
export function zoom() {
  return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
}

// A drawing of this size, as large as the text.
export function picture(width, height, attributes, ...children) {
  const size = { width: width * zoom(), height: height * zoom() };
  return svg("svg", { ...size, viewBox: `0 0 ${width} ${height}`, ...attributes }, ...children);
}

// A canvas of this size, sharp on screens that have more pixels than the page.
export function sized(canvas, width, height) {
  const ratio = (window.devicePixelRatio || 1) * zoom(),
    context = canvas.getContext("2d");
  for (const [side, length] of Object.entries({ width, height })) {
    canvas[side] = Math.round(length * ratio);
    canvas.style[side] = `${length * zoom()}px`;
  }
  context.scale(ratio, ratio);
  context.font = "14px ui-monospace, monospace";
  return context;
}

// A square matrix of shares, from 0 to 1, as a picture; below 0 nothing is drawn. There is room for
// labels to its right and below it.
export function matrix(canvas, count, size, shareOf, right = 0, below = 0) {
  const image = new ImageData(count, count),
    { share } = palette(),
    shades = range(256).map((i) => [...share(i / 255).map(Math.round), 255]);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < count; j++) {
      const value = shareOf(i, j);
      if (value >= 0)
        image.data.set(shades[Math.round(255 * Math.min(1, value))], 4 * (i * count + j));
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
  context.textBaseline = "middle";
  names.forEach((name, y) => {
    write(name.replace("block ", "").replace("attention", "attn"), 2, y);
    for (let i = 0; i < columns; i++) {
      const [words, rgb] = cell(y, i),
        all = Array.from(words);
      if (rgb) {
        context.fillStyle = css(rgb);
        context.fillRect(LEFT + i * w, y * HIGH, w - 1, HIGH - 1);
      }
      const cut = all.length > letters ? `${all.slice(0, letters - 1).join("")}…` : words;
      write(cut, LEFT + i * w + 3, y, rgb);
    }
  });
  context.strokeStyle = mark;
  context.lineWidth = 2;
  context.strokeRect(LEFT + column * w, row * HIGH + 1, w - 1, rows * HIGH - 2);
}

// The [row, column] of a picture by `cells` that was clicked.
export function cellAt(letters, { offsetX, offsetY }) {
  const [x, y] = [offsetX, offsetY].map((at) => at / zoom());
  return [Math.floor(y / HIGH), Math.max(0, Math.floor((x - LEFT) / wide(letters)))];
}

// Lines by step, from 0 on: curves [{ name, points: [[step, value]], style }]; the values are in a
// logarithmic scale.
export function chart(label, curves) {
  const W = Math.max(320, document.getElementById("view").clientWidth / zoom()),
    [height, left, top, right, bottom] = [300, 56, 16, W - 16, 270],
    seen = curves.map(({ points }) => points.filter(([, value]) => value > 0)),
    [all, values] = [0, 1].map((at) => seen.flat().map((point) => point[at])),
    x = steps(all, left, right),
    y = axis(values, bottom, top),
    names = [];
  const line = (x1, x2, y1, y2, look) => svg(`line.${look}`, { x1, x2, y1, y2 });
  const text = (at, y, anchor, words, look) =>
    svg("text", { x: at, y, "text-anchor": anchor, class: look }, words);
  const parts = y.ticks.flatMap(([at, words]) => [
    line(left, right, at, at, "grid"),
    text(left - 6, at + 4, "end", words),
  ]);
  parts.push(...x.ticks.map(([at, words]) => text(at, height - 10, "middle", words)));
  parts.push(text(8, height - 10, "start", "step", "unit"));
  curves.forEach(({ name, style }, i) => {
    if (seen[i].length < 2) return;
    const at = seen[i].map(([step, value]) => [x.of(step), y.of(value)]);
    parts.push(svg("polyline", { points: at.join(" "), class: style }));
    names.push([at.at(-1)[1], name, style]);
  });
  let free = bottom; // names stand above their lines and do not overlap
  names.sort((a, b) => b[0] - a[0]);
  for (const [i, [at, words, style]] of names.entries()) {
    free = Math.max(Math.min(at, free) - 4, 14 * (names.length - i));
    parts.push(text(right - 4, free, "end", words, `name ${style}`));
    free -= 10;
  }
  return picture(W, height, { role: "img", "aria-label": label }, ...parts);
}

// The logarithmic scale of a chart's axis, and its round values with their names.
function axis(values, from, to) {
  const [least, most] = values.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, 0],
  );
  const marks = range(3 * Math.ceil(Math.log10(most / least)) + 9).map(
    (i) => [1, 2, 5][i % 3] * 10 ** (Math.floor(Math.log10(least)) + Math.floor(i / 3)),
  );
  const low = marks.findLast((mark) => mark <= least * 1.0001),
    high = marks.find((mark) => mark >= most * 0.9999 && mark > low),
    of = (value) => from + (Math.log(value / low) / Math.log(high / low)) * (to - from),
    ticks = marks.filter((mark) => mark >= low && mark <= high),
    every = Math.ceil(ticks.length / 10),
    name = (value) => (value < 1e-3 ? value.toExponential(0) : whole(Number(value.toPrecision(1))));
  const named = ticks.filter((_, i) => i % every === 0).map((value) => [of(value), name(value)]);
  return { of, ticks: named };
}

// The linear scale of an axis of whole numbers from 0 on.
function steps(values, from, to) {
  const high = Math.max(1, ...values),
    every = Math.ceil(high / 10),
    of = (value) => from + (value / high) * (to - from);
  const ticks = range(Math.floor(high / every) + 1).map((i) => [of(i * every), whole(i * every)]);
  return { of, ticks };
}
