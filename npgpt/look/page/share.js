// What a reader passes on: a link to the view, and a picture of it as an SVG file.

import { button, el, svg } from "./elements.js";
import { pass, record, state, writeNow } from "./state.js";

const FONT = ["font-family", "font-size", "font-weight"];
const STROKE = ["stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "paint-order"];
const LOOK = [...FONT, ...STROKE, "fill", "text-anchor"];

const SOURCE = document.documentElement.outerHTML; // before the page changes it

let timer; // of what is said about the last of them

// Returns the buttons; `shown` returns the element of the current view. A link to a file on the
// reader's own disk is of no use to others: they get the file, which opens on the same view.
export function shareButtons(shown) {
  const said = el("output"),
    say = (words) => {
      said.textContent = words;
      clearTimeout(timer);
      timer = setTimeout(() => (said.textContent = ""), 8000);
    },
    published = document.querySelector("link[rel=canonical]")?.href;
  const copy = button("Copy link", () => {
    writeNow();
    const link = (published ?? location.href).split("#")[0] + location.hash;
    navigator.clipboard.writeText(link).then(
      () => say("Copied"),
      () => prompt("The link:", link), // where a page may not write to the clipboard
    );
  });
  const send = button("Save to send", () => {
    writeNow();
    const opens = `<html data-opens="${location.hash.slice(1)}"`;
    const html = SOURCE.replace(/^<html( data-opens="[^"]*")?/, opens),
      taught = pass.weights > 0 ? " What you taught the model is not in it." : "";
    say(`${download(`<!DOCTYPE html>\n${html}`, "html")}, which opens on this view.${taught}`);
  });
  const save = button("Save picture", () => {
    shown().classList.add("still");
    say(download(picture(shown()), "svg"));
    shown().classList.remove("still");
  });
  return [published || location.protocol !== "file:" ? copy : send, save, said];
}

function download(text, ending) {
  const type = { html: "text/html", svg: "image/svg+xml" }[ending],
    href = URL.createObjectURL(new Blob([text], { type })),
    name = `${record.name}-${state.view}.${ending}`;
  el("a", { href, download: name }).click();
  return `Saved ${name}`;
}

// The text of an SVG file: backgrounds, lines of text, canvases and SVGs where they are on screen,
// below a line that names the view and the text.
function picture(root) {
  const { left, top, height } = root.getBoundingClientRect(),
    { backgroundColor, color } = getComputedStyle(document.body);
  const title = `${record.name}, ${state.view}: ${state.text}`.slice(0, root.clientWidth >> 3),
    whole = svg("svg", { width: root.clientWidth + 24, height: height + 48 });
  const place = (tag, box, attributes, ...children) => {
    const [x, y] = [box.left - left + 12, box.top - top + 36];
    const at = { x, y, width: box.width, height: box.height };
    if (x + box.width > whole.getAttribute("width")) whole.setAttribute("width", x + box.width);
    whole.append(svg(tag, { ...attributes, ...at }, ...children));
  };
  whole.append(svg("rect", { width: "100%", height: "100%", fill: backgroundColor }));
  whole.append(svg("text", { x: 12, y: 22, fill: color, "font-family": "sans-serif" }, title));
  for (const element of [root, ...root.querySelectorAll("*")]) {
    if (!element.checkVisibility() || element.ownerSVGElement) continue;
    const box = element.getBoundingClientRect(),
      style = getComputedStyle(element);
    if (element instanceof HTMLCanvasElement) place("image", box, { later: element.toDataURL() });
    else if (element instanceof SVGElement) place("svg", box, {}, styled(element));
    else if (style.backgroundColor !== "rgba(0, 0, 0, 0)")
      place("rect", box, { fill: style.backgroundColor, opacity: style.opacity });
    for (const line of element instanceof SVGElement ? [] : lines(element.childNodes)) {
      const look = { fill: style.color, textLength: line.width, ...values(style, FONT) };
      place("text", { ...line, top: line.top + 0.79 * line.height }, look, line.words);
    }
  }
  // An image with its href would be loaded at once, which the page's policy forbids.
  return new XMLSerializer().serializeToString(whole).replaceAll("<image later=", "<image href=");
}

function values(style, names) {
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(name)]));
}

// A copy of an SVG element whose parts have the style that they have on the page.
function styled(element) {
  const style = Object.entries(values(getComputedStyle(element), LOOK)),
    copy = element.cloneNode();
  for (const [name, value] of style) copy.setAttribute(name, value);
  copy.append(
    ...Array.from(element.childNodes, (node) => (node.tagName ? styled(node) : node.data)),
  );
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
