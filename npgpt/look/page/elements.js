// Elements and parts that several views have. Text reaches the page as text only, never as markup.

import { paint } from "./colours.js";
import { BOUNDS, pass, set, state, tokenizer } from "./state.js";
import { spoken } from "./tokenizer.js";

// el("p.legend", { title: "a" }, "text"): a tag and its class, attributes, if there are any, with
// functions for events such as onclick, and children.
export const el = maker((tag) => document.createElement(tag));
export const svg = maker((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));

function maker(make) {
  return (name, ...children) => {
    const [tag, ...classes] = name.split("."),
      element = make(tag),
      attributes = children[0]?.constructor === Object ? children.shift() : {};
    if (classes.length) element.setAttribute("class", classes.join(" "));
    for (const [key, value] of Object.entries(attributes)) {
      if (typeof value === "function") element[key] = value;
      else if (value || value === 0 || key.startsWith("aria-")) element.setAttribute(key, value);
    }
    element.append(...children.flat());
    return element;
  };
}

// A whole number, such as 1,234.
export function whole(number) {
  return number.toLocaleString("en");
}

// A number of things.
export function counted(count, one) {
  return `${whole(count)} ${one}${count === 1 ? "" : "s"}`;
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

// The position next to t that the text has.
export function position(t) {
  return Math.max(0, Math.min(pass.T - 1, t));
}

// The numbers from 0 to below count.
export function range(count) {
  return Array.from({ length: count }, (_, i) => i);
}

// Calls actions[key]() at a key of these, in place of what the browser does.
export function onKeys(element, actions) {
  element.onkeydown = (event) => {
    if (!Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    actions[event.key]();
  };
}

// move(down, right) at an arrow key
export function onArrows(element, move) {
  onKeys(element, {
    ArrowUp: () => move(-1, 0),
    ArrowDown: () => move(1, 0),
    ArrowLeft: () => move(0, -1),
    ArrowRight: () => move(0, 1),
  });
}

// Makes the children of an element those given, and keeps each node that has the same tag, so that
// what is the same does not move and what has changed can be seen to.
export function keep(parent, ...children) {
  children.forEach((child, i) => {
    const old = parent.childNodes[i];
    if (!old) parent.append(child);
    else if (old.nodeName !== child.nodeName) old.replaceWith(child);
    else if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== child.data) old.data = child.data;
    } else become(old, child);
  });
  while (parent.childNodes.length > children.length) parent.lastChild.remove();
  return parent;
}

function become(old, now) {
  for (const { name } of Array.from(old.attributes))
    if (!now.hasAttribute(name) && name !== "style") old.removeAttribute(name);
  for (const { name, value } of now.attributes)
    if (name !== "style" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  if (old.style.cssText !== now.style.cssText) old.style.cssText = now.style.cssText;
  old.onclick = now.onclick;
  keep(old, ...now.childNodes);
}

// The text as tokens to choose from, by mouse, or by the arrow keys and Enter.
// look(t) -> { rgb, title, style: a class, mark, after: an element }; of(t): what is written of it
export function tokenStrip(label, choose = (t) => set({ t }), of = (t) => pass.labels[t]) {
  const about = { role: "listbox", tabindex: 0, "aria-label": label },
    strip = el(`div.tokens.${tokenizer.kind}`, about),
    move = (by) => () => set({ t: position(state.t + by) }),
    press = () => choose(state.t);
  const [ArrowLeft, ArrowRight, Home, End] = [-1, 1, -Infinity, Infinity].map(move);
  onKeys(strip, { ArrowLeft, ArrowRight, Home, End, Enter: press, " ": press });
  strip.onclick = ({ target }) => {
    const token = target.closest("[data-t]");
    if (token) choose(Number(token.dataset.t));
  };
  const tokenOf = (text, t, { rgb, title, style, mark }) => {
    const token = el("span", {
      role: "option",
      id: `${label}-${t}`.replace(/\W/g, "-"),
      title,
      class: style || (tokenizer.special.has(text) && "role"),
      "data-t": t,
      "data-mark": mark,
      "aria-selected": t === state.t,
    });
    token.append(text);
    if (/[␣⏎]|^\s*$/.test(text)) token.ariaLabel = spoken(pass.labels[t]);
    if (rgb) paint(token, rgb);
    if (t === state.t) strip.setAttribute("aria-activedescendant", token.id);
    return token;
  };
  const update = (look) => {
    const parts = range(pass.T).flatMap((t) => {
      const text = of(t),
        looks = look(t),
        [before, word] = / ./.test(text) ? [new Text(" "), text.slice(1)] : [[], text],
        gap = text.endsWith("⏎") ? el("br") : text.includes("␣") ? el("wbr") : [];
      return [before, tokenOf(word, t, looks), looks.after || [], gap].flat();
    });
    keep(strip, ...parts);
  };
  return [strip, update];
}

export function slider(label, [min, max, step], oninput, show = String) {
  const value = el("b"),
    input = el("input", { type: "range", min, max, step });
  input.oninput = () => oninput(Number(input.value));
  const put = (number) => {
    input.value = number;
    value.textContent = input.ariaValueText = show(number);
  };
  return [el("label.slider", el("span", label, " ", value), input), put];
}

// A slider for a field of the state, and the function that updates it.
export function setting(label, field, show) {
  const [box, put] = slider(label, BOUNDS[field], (value) => set({ [field]: value }), show);
  return [box, () => put(state[field])];
}

// A line to type in, which changes a field of the state.
export function textLine(label, field) {
  const input = el("textarea", { rows: 1, spellcheck: "false", autocomplete: "off" });
  input.oninput = () => set({ [field]: input.value });
  const put = (text) => {
    if (document.activeElement !== input) input.value = text;
  };
  return [el("label", label, " ", input), put];
}

export function button(text, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, text);
}

// A table of texts, elements and cells; the first of each row is its head.
export function table(label, head, rows, look) {
  const made = (tag, value, more = {}) =>
    value instanceof HTMLTableCellElement ? value : el(tag, more, value);
  const row = ([name, ...values]) =>
    el("tr", made("th", name, { scope: "row" }), ...values.map((value) => made("td", value)));
  const heads = el("tr", ...head.map((name) => made("th", name)));
  return el(
    "div.scroll",
    { tabindex: 0, role: "region", "aria-label": label },
    el(
      "table",
      { "aria-label": label, class: look },
      el("thead", heads),
      el("tbody", rows.map(row)),
    ),
  );
}

// A cell of a table with a bar below its number, from the middle on if it is "signed".
export function bar(share, text, look = "") {
  const fill = el("i"),
    signed = look === "signed";
  fill.style.width = `${Math.min(1, Math.abs(share)) * (signed ? 48 : 96)}%`;
  return el("td", { class: `bar ${look} ${share < 0 ? "negative" : ""}` }, fill, text);
}

// What the colours between two ends mean; both: they are of two hues.
export function legend(from, to, both = "") {
  return el("p.legend", from, el("span", { class: `ramp ${both}` }), to);
}
