// What a reader passes on: a link to the view, and a picture of it as an SVG file.

import { button, el, svg } from "./draw.js";
import { record, state, writeNow } from "./state.js";

const FONT = ["font-family", "font-size", "font-weight"];
const LOOK = [...FONT, "fill", "stroke", "stroke-width", "stroke-dasharray", "text-anchor"];

// Returns the buttons; `shown` returns the element of the current view.
export function shareButtons(shown) {
  const said = el("output");
  const copy = button("Copy link", () => {
    writeNow();
    navigator.clipboard.writeText(location.href).then(
      () => (said.textContent = "Copied"),
      () => prompt("The link:", location.href), // where a page may not write to the clipboard
    );
  });
  const save = button("Save picture", () => {
    const href = URL.createObjectURL(new Blob([picture(shown())], { type: "image/svg+xml" }));
    const link = el("a", { href, download: `${record.name}-${state.view}.svg` });
    link.click();
  });
  return [said, copy, save];
}

// The text of an SVG file: backgrounds, lines of text, canvases and SVGs where they are on screen,
// below a line that names the view and the text.
function picture(root) {
  const from = root.getBoundingClientRect(),
    parts = [];
  let width = from.width + 24,
    height = from.height + 40;
  const place = (tag, box, attributes, ...children) => {
    const [x, y] = [box.left - from.left + 12, box.top - from.top + 36];
    width = Math.max(width, x + box.width + 12);
    height = Math.max(height, y + box.height);
    parts.push(
      svg(tag, { ...attributes, x, y, width: box.width, height: box.height }, ...children),
    );
  };
  for (const element of [root, ...root.querySelectorAll("*")]) {
    if (!element.checkVisibility() || element.ownerSVGElement || element.closest(".controls"))
      continue;
    const box = element.getBoundingClientRect(),
      style = getComputedStyle(element);
    if (element instanceof HTMLCanvasElement) place("image", box, { later: element.toDataURL() });
    else if (element instanceof SVGElement) place("svg", box, {}, styled(element));
    else if (style.backgroundColor !== "rgba(0, 0, 0, 0)")
      place("rect", box, { fill: style.backgroundColor, opacity: style.opacity });
    for (const line of element instanceof SVGElement ? [] : lines(element.childNodes)) {
      const baseline = { ...line, top: line.top + 0.79 * line.height };
      const look = { fill: style.color, textLength: line.width, ...values(style, FONT) };
      place("text", baseline, look, line.words);
    }
  }
  const { backgroundColor, color } = getComputedStyle(document.body);
  const head = `${record.name}, ${state.view}: ${state.text.slice(-150)}`;
  const sheet = svg("rect", { width, height, fill: backgroundColor });
  const title = svg("text", { x: 12, y: 22, fill: color, "font-family": "sans-serif" }, head);
  const whole = svg(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}` },
    sheet,
    title,
    ...parts,
  );
  // An image with its href would be loaded at once, which the page's policy forbids.
  return new XMLSerializer().serializeToString(whole).replaceAll("<image later=", "<image href=");
}

function values(style, names) {
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(name)]));
}

// A copy of an SVG element whose parts have the style that they have on the page.
function styled(element) {
  const copy = element.cloneNode(true),
    copies = [copy, ...copy.querySelectorAll("*")];
  for (const part of [element, ...element.querySelectorAll("*")]) {
    const of = copies.shift();
    for (const [name, value] of Object.entries(values(getComputedStyle(part), LOOK)))
      of.setAttribute(name, value);
  }
  return copy;
}

// Yields the lines of the text in some nodes, rectangles with words.
function* lines(nodes) {
  const range = document.createRange();
  for (const node of nodes) {
    let line = null;
    for (let i = 0; i < (node.nodeType === Node.TEXT_NODE ? node.length : 0); i++) {
      range.setStart(node, i);
      range.setEnd(node, i + 1);
      const { left, right, top, width, height } = range.getBoundingClientRect();
      if (!width) continue;
      if (line && line.top !== top) yield line;
      if (line?.top !== top) line = { left, top, height, words: "" };
      line.words += node.data[i];
      line.width = right - line.left;
    }
    if (line) yield line;
  }
}
