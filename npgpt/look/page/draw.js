// Elements, pictures and numbers. Text reaches the page as text only, never as markup.

import { pass, set, state } from "./state.js";

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
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null));
  return element;
}

export function percent(p) {
  if (p > 0 && p < 0.0005) return "< 0.1 %";
  return `${(100 * p).toFixed(p < 0.0995 ? 1 : 0)} %`;
}

export function short(x) {
  if (x === 0 || !Number.isFinite(x)) return String(x);
  const size = Math.abs(x);
  return size >= 1e4 || size < 1e-3 ? x.toExponential(2) : x.toPrecision(3);
}

// ---- colours, which the style sheet names; they differ in lightness too

function colour(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
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
  element.style.color = rgb[0] * 0.3 + rgb[1] * 0.59 + rgb[2] * 0.11 > 140 ? "#111111" : "#ffffff";
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

// A matrix (rows, columns) as a picture: colour(row, column) -> [r, g, b] or null.
export function matrix(canvas, rows, columns, width, height, colourOf) {
  const image = new ImageData(columns, rows);
  for (let i = 0; i < rows * columns; i++) {
    const rgb = colourOf(Math.floor(i / columns), i % columns);
    if (rgb) image.data.set([...rgb, 255], 4 * i);
  }
  const small = el("canvas", { width: columns, height: rows });
  small.getContext("2d").putImageData(image, 0, 0);
  const context = sized(canvas, width, height);
  context.imageSmoothingEnabled = rows > height;
  context.drawImage(small, 0, 0, width, height);
  return context;
}

// ---- parts that several views have

// The text as tokens to choose from, by mouse or by the arrow keys.  look(t) -> { rgb, title, off }
export function tokenStrip(label, choose = (t) => set({ t })) {
  const strip = el("div", { class: "tokens", role: "listbox", tabindex: 0, "aria-label": label });
  const go = (t) => t >= 0 && t < pass.T && choose(t);
  strip.onkeydown = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    go(Math.max(0, Math.min(pass.T - 1, state.t + by)));
  };
  strip.onclick = (event) => {
    const token = event.target.closest("[data-t]");
    if (token) go(Number(token.dataset.t));
  };
  const update = (look) => {
    strip.replaceChildren(...pass.labels.flatMap((text, t) => {
      const { rgb, title, off } = look(t), chosen = t === state.t;
      const token = el("span", { role: "option", id: `${label}-${t}`.replace(/\W/g, "-"), "data-t": t,
        "aria-selected": chosen, title, class: off ? "off" : null }, text);
      if (rgb) paint(token, rgb);
      if (chosen) strip.setAttribute("aria-activedescendant", token.id);
      return text.endsWith("⏎") ? [token, el("br")] : [token];
    }));
  };
  return [strip, update];
}

export function slider(label, attributes, oninput, show = String) {
  const value = el("output"), input = el("input", { type: "range", ...attributes });
  input.oninput = () => oninput(Number(input.value));
  const put = (number) => {
    input.value = number;
    value.textContent = show(number);
  };
  return [el("label", { class: "slider" }, el("span", {}, label, " ", value), input), put];
}

export function button(text, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, text);
}

export function table(head, rows, attributes = {}) {
  const cells = (tag, values) => values.map((value) => value instanceof Element && /^T[DH]$/i.test(value.tagName)
    ? value : el(tag, {}, value));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": attributes["aria-label"] ?? "table" },
    el("table", attributes, el("thead", {}, el("tr", {}, cells("th", head))),
      el("tbody", {}, rows.map((row) => el("tr", {}, cells("td", row))))));
}

// A cell of a table with a bar behind its number, from 0 or, of changes, to both sides.
export function bar(share, text, className = "bar") {
  const cell = el("td", { class: className }, el("i"), el("span", {}, text));
  cell.firstChild.style.width = `${Math.min(100, Math.abs(share) * 100)}%`;
  cell.classList.toggle("negative", share < 0);
  return cell;
}

// Lines over steps: curves [{ name, points: [[x, y]], style }], levels [[name, y]].
export function chart(label, curves, { levels = [], log = false, unit = "", mark = null, square = false }) {
  const W = 720, height = 260, left = 56, right = 150, top = 12, bottom = 30;
  const points = curves.flatMap((curve) => curve.points).filter(([, y]) => !log || y > 0);
  const fx = square ? Math.log10 : (x) => x, fy = log ? Math.log10 : (y) => y;
  const xs = points.map(([x]) => fx(x)), ys = [...points.map(([, y]) => fy(y)), ...levels.map(([, y]) => fy(y))];
  const x0 = Math.min(...xs), x1 = Math.max(...xs), y0 = log ? Math.min(...ys) : Math.min(0, ...ys), y1 = Math.max(...ys);
  const px = (x) => left + ((fx(x) - x0) / (x1 - x0 || 1)) * (W - left - right);
  const py = (y) => top + (1 - (fy(y) - y0) / (y1 - y0 || 1)) * (height - top - bottom);
  const root = svg("svg", { viewBox: `0 0 ${W} ${height}`, role: "img", "aria-label": label });
  for (let i = 0; i <= 4; i++) {
    const y = y0 + ((y1 - y0) * i) / 4, x = x0 + ((x1 - x0) * i) / 4;
    const [vx, vy] = [square ? 10 ** x : x, log ? 10 ** y : y];
    root.append(svg("line", { x1: left, x2: W - right, y1: py(vy), y2: py(vy), class: "grid" }),
      svg("text", { x: left - 6, y: py(vy) + 4, "text-anchor": "end" }, short(vy)),
      svg("text", { x: px(vx), y: height - 10, "text-anchor": "middle" }, square ? vx.toExponential(0) : Math.round(vx)));
  }
  root.append(svg("text", { x: W - right, y: height - 10, class: "unit", dx: 14 }, unit));
  const names = [];
  const name = (text, y, className) => {
    while (names.some((other) => Math.abs(other - y) < 13)) y += 13;
    names.push(y);
    root.append(svg("text", { x: W - right + 8, y: y + 4, class: className }, text));
  };
  for (const [text, y] of levels.toSorted((a, b) => b[1] - a[1])) {
    root.append(svg("line", { x1: left, x2: W - right, y1: py(y), y2: py(y), class: "level" }));
    name(`${text} ${short(y)}`, py(y), "");
  }
  for (const { name: text, points: line, style } of curves) {
    const shown = line.filter(([, y]) => !log || y > 0);
    if (!shown.length) continue;
    root.append(svg("polyline", { points: shown.map(([x, y]) => `${px(x)},${py(y)}`).join(" "), class: style }));
    if (text) name(text, py(shown.at(-1)[1]), style);
  }
  if (mark !== null) root.append(svg("line", { x1: px(mark), x2: px(mark), y1: top, y2: height - bottom, class: "mark" }));
  return root;
}
