// Elements and parts that several views have. Text reaches the page as text only, never as markup.

import { paint } from "./colours.js";
import { pass, set, state, tokenizer } from "./state.js";
import { spoken } from "./tokenizer.js";

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
    else if (![null, undefined, false].includes(value)) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null));
  return element;
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
            "data-mark": chosen && "token",
            class: off ? "off" : tokenizer.special.has(text) ? "role" : null,
            ...(/[␣⏎]/.test(text) ? { "aria-label": spoken(text) } : {}),
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
  const value = el("b"),
    input = el("input", { type: "range", ...attributes });
  input.oninput = () => oninput(Number(input.value));
  const put = (number) => {
    input.value = number;
    value.textContent = show(number);
    input.setAttribute("aria-valuetext", value.textContent);
  };
  return [el("label", { class: "slider" }, el("span", {}, label, " ", value), input), put];
}

// A line to type in, which changes a field of the state.
export function textLine(label, field) {
  const input = el("textarea", { rows: 1, spellcheck: "false", autocomplete: "off" });
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

// A cell of a table with a bar below its number, from the middle on if it is "signed".
export function bar(share, text, className = "bar") {
  const cell = el("td", { class: className }, el("i"), text);
  const longest = className.includes("signed") ? 48 : 96;
  cell.firstChild.style.width = `${Math.min(1, Math.abs(share)) * longest}%`;
  cell.classList.toggle("negative", share < 0);
  return cell;
}
