"""What the lists of the page read in a browser: how it looks, and what its controls do."""

# arguments: the style sheet, if it is a file, which scripts may not read
# Returns [[a kind of element and its looks, how many, the shapes of the first and the
# last], ...] in the page's order.
# Looks are what differs from a bare element of its tag or, where they are inherited, from its
# parent: sizes as they are set, not as fonts make them.
SEEN = r"""
const OWN = ["display", "position", "background-color", "background-image", "border", "border-top",
  "border-right", "border-bottom", "border-left", "border-radius", "box-shadow", "outline",
  "opacity", "overflow", "margin", "padding", "gap", "grid-template-columns", "flex-grow",
  "flex-basis", "flex-wrap", "justify-content", "justify-items", "align-items", "align-content",
  "min-width", "max-width", "min-height", "max-height", "width", "height", "vertical-align",
  "text-decoration-line", "left", "right", "top", "bottom", "z-index", "resize", "field-sizing",
  "mask-image", "break-inside", "break-after", "unicode-bidi", "scroll-margin-top", "grid-column"];
const INHERITED = ["color", "fill", "font-family", "font-size", "font-weight", "line-height",
  "text-align", "white-space", "cursor", "overflow-wrap", "font-variant-numeric", "text-anchor",
  "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity", "paint-order", "accent-color",
  "border-collapse", "list-style-type", "print-color-adjust", "color-scheme"];
const UNSEEN = "script, style, wbr, br, math, math *"; // formulas look as each browser has them
const AS_SET = /^(min-|max-|line-)?(width|height)$|^(left|right|top|bottom|margin)|columns$/;
const read = (e, name) => {
  if (name === "height" && e.localName === "iframe") return ""; // it comes from within, later
  const style = getComputedStyle(e), typed = e.computedStyleMap();
  if (name === "margin") return ["top", "right", "bottom", "left"].map((side) =>
    typed.get(`margin-${side}`)).join(" ").replace(/^(\S+) (\S+) \1 \2$/, "$1 $2");
  if (AS_SET.test(name))
    return e.ownerSVGElement && name !== "line-height" ? "" : typed.getAll(name).join(" ");
  return style.getPropertyValue(name).replace(/^.*\bnone\b.*px$|^0px none .*/, "none");
};
const host = document.body.appendChild(document.createElement("div"));
host.style.all = "initial"; // the style sheet does not reach into a shadow
host.style.colorScheme = getComputedStyle(document.documentElement).colorScheme;
const shadow = host.attachShadow({ mode: "open" }), bare = {}, colours = {};
const probe = shadow.appendChild(document.createElement("b"));
const root = getComputedStyle(document.documentElement);
const rules = arguments[0] ?? [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules])
  .map((rule) => rule.cssText).join("\n");
for (const [, name] of rules.matchAll(/--([a-z]+): light/g)) {
  probe.style.color = root.getPropertyValue(`--${name}`);
  const rgb = getComputedStyle(probe).color;
  colours[rgb] = colours[rgb] ? `${colours[rgb]}/${name}` : `--${name}`;
}
const named = (value) => value.replace(/rgba?\([^)]*\)/g, (rgb) => colours[rgb] ?? rgb);
const rounded = (value) => value.replace(/\d+\.\d+/g, (x) => +(+x).toPrecision(3));
const naked = (e) => {
  if (bare[e.localName]) return bare[e.localName];
  const one = shadow.appendChild(document.createElementNS(e.namespaceURI, e.localName));
  return bare[e.localName] = Object.fromEntries(OWN.map((name) => [name, read(one, name)]));
};
const kind = (e) => e.localName + (e.id && !e.closest("main, nav button") ? `#${e.id}` : "")
  + [...e.classList].map((name) => `.${name}`).join("") + (e.disabled ? ":disabled" : "")
  + ["pressed", "selected"].filter((n) => e.getAttribute(`aria-${n}`) === "true")
    .map((n) => `:${n}`).join("") + (e.type === "range" ? ":range" : "");
const of = Object.entries(colours).map(([rgb, name]) => `${name} ${rgb}`).join(", ");
const found = new Map([[`colours: ${of}`, [""]]]);
for (const rule of rules.split("\n")) if (/:(hover|focus)/.test(rule)) found.set(rule, [""]);
for (const e of document.querySelectorAll("html, body, body *")) {
  if (e === host || !e.checkVisibility() || e.matches(UNSEEN)) continue;
  const up = e.parentElement, within = up && up !== document.body ? `${kind(up)} > ` : "",
    key = within + kind(e), plain = naked(e),
    painted = e.style.backgroundColor ? ["background-color", "color"] : [];
  const own = OWN.map((name) => [name, read(e, name)]).filter(([name, value]) => value &&
    value !== plain[name] && !e.style.getPropertyValue(name) && !painted.includes(name)
    && !e.style.getPropertyValue(`${name}-bottom`)); // below a tour, whose lines fonts make
  const whole = own.some(([name]) => name === "border") ? /^border-[trbl][a-z]+$/ : /^border$/;
  const inherited = INHERITED.map((name) => [name, read(e, name)]).filter(([name, value]) =>
    !painted.includes(name) && !e.hasAttribute(name)
    && (up ? value !== read(up, name) : name === "color-scheme"));
  const looks = [...own.filter(([name]) => !whole.test(name) || name === "border-radius"),
    ...inherited].map(([name, value]) => `${name} ${named(value)}`);
  if (painted.length) looks.push("painted");
  const after = getComputedStyle(e, "::after").content;
  if (after !== "none" && after !== "normal") looks.push(`after ${after}`);
  const { font, strokeStyle, lineWidth, textBaseline, imageSmoothingEnabled: smooth } =
    e.getContext?.("2d") ?? {};
  if (font) looks.push(`drawn last ${font} ${textBaseline} ${strokeStyle} ${lineWidth} ${smooth}`);
  const line = `${key}: ${looks.join("; ")}`;
  const shape = [...e.attributes].filter(({ name }) => e.ownerSVGElement
    ? !/^(class|id|tabindex|aria-.*|href)$/.test(name)
    : name === "style" && up?.parentElement && !painted.length)
    .map(({ name, value }) => `${name} ${rounded(value).slice(0, 70)}`).join(" ");
  if (!looks.length && !shape) continue;
  found.set(line, [...(found.get(line) ?? []), shape]);
}
host.remove();
const shown = (shapes) => [...new Set([shapes[0], shapes.at(-1)])].filter(Boolean).map(
  (shape) => ` | ${shape}`).join("");
return [...found].map(([line, shapes]) => [line, shapes.length, shown(shapes)]);
"""

# Returns all that is shown, with every number, label, tip and state, line by line; places and sizes
# are left out, as fonts make them, and so are numbers that are only rounding.
WHOLE = r"""
const PLACES = /^(id|x|y|d|[xy][12]|c[xy]|points|width|height|transform)$/;
const value = (e) => (/^(input|textarea|select)$/.test(e.localName) ? [`= ${e.value}`] : []);
const lines = (e) => [[e.localName, ...[...e.attributes].filter(({ name }) =>
  !(e.ownerSVGElement || e.localName === "canvas" ? PLACES : /^id$/).test(name))
  .map(({ name, value }) => `${name}=${value}`), ...value(e), ...[...e.childNodes].filter(
  (node) => node.nodeType === 3).map((node) => node.textContent)].join(" "),
  ...(e.written ?? []).map(([text]) => `drawn ${text}`)];
return [...document.querySelectorAll("body *")].filter((e) => !e.closest(
  "[hidden], script, style, #probe, #holds, svg:not(section *)")).flatMap(lines).join("\n")
  .toWellFormed().replace(/\d\.?\d*e-1\d/g, "rounding");
"""

# Random choices are the same each time; what is saved is kept, not written.
STEADY = """
Math.random = () => 0.4;
window.entries = 0;
History.prototype.pushState = () => window.entries++;
const saved = window.saved = [];
URL.createObjectURL = () => "data:,";
window.Blob = class { constructor([text], { type }) { saved.push(`${type}: ${text}`); } };
HTMLAnchorElement.prototype.click = function () { saved.push(this.download); };
"""
# arguments: where to act (CSS), how often to press; returns [[a control, [what it does]], ...].
ACTS = r"""
const [where, often] = arguments;
const KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "Enter", " ",
  "Escape", "a"];
const css = "a[href], button, input, select, textarea, summary, [tabindex], #view svg *, "
  + "#view canvas, [role=option]";
const GIVEN = ["min", "max", "step", "size", "maxlength", "rows", "spellcheck", "autocomplete",
  "tabindex", "aria-controls", "href"];
const cut = (text) => text.replace(/\s+/g, " ").replace(/^(.{40}).+/, "$1…");
const named = (e) => e.labels?.[0]?.firstChild ?? (e.matches(".term") ? e.firstChild : e);
const called = (e) => cut((e.getAttribute("aria-label") ?? named(e).textContent)
  .replace(/[-+−]?\d+(\.\d+)?(e[-+]\d+)?( %)?/g, "#").trim());
const kind = (e) => e.localName + [...e.classList].map((name) => `.${name}`).join("")
  + (e.localName === "input" ? `:${e.type}` : "") + (e.role ? ` ${e.role}` : "");
const states = (e) => [
  ...["disabled", "readOnly"].filter((name) => e[name]),
  ...["pressed", "selected"].filter((name) => e.getAttribute(`aria-${name}`) === "true"),
  ...(e.localName === "select" ? [`= ${e.value} of ${e.length}`] : []),
  ...(e.matches("input, textarea") && e.value ? [`= ${cut(e.value)}`] : []),
  ...(e.localName === "summary" && e.parentElement.open ? ["open"] : [])];
const offered = (e) => [kind(e), `“${called(e)}”`, ...GIVEN.filter((n) => e.hasAttribute(n))
  .map((n) => `${n} ${e.getAttribute(n)}`), ...states(e)].join(" ");
const all = () => [...document.querySelectorAll(css)].filter((e) => e.checkVisibility()
  && (e.tabIndex >= 0 || e.onclick || e.role === "option" || e.disabled));
const now = () => {
  const list = all().filter((e) => !e.matches("#prompt, .part, svg *, [role=option]"));
  return { ...npgpt.state, entries: window.entries, theme: document.documentElement.dataset.theme,
    focus: `${kind(document.activeElement)} “${called(document.activeElement)}”`,
    marks: [...new Set([...document.querySelectorAll(".pointed")].map(kind))].join(" and "),
    list: list.map((e) => [e.localName, `“${called(e)}”`, ...states(e)].join(" ")) };
};
const changes = (before, after) => [
  ...Object.keys(after).filter((n) => n !== "list" && after[n] !== before[n]).map((n) =>
    n === "entries" ? "an entry" : `${n} ${cut(String(after[n]))}`),
  ...[["+", after, before], ["-", before, after]].flatMap(([sign, one, other]) =>
    [...new Set(one.list)].filter((line) => before.view === after.view && !other.list.includes(
      line) && (sign === "+" || !other.list.some((its) => its.startsWith(/.*”/.exec(line)[0]))))
      .slice(0, 5).map((line) => `${sign} ${line}`)),
  ...saved.splice(0).map((text) => `saves ${/^[^<]*(<!.*> <html.*?>|<\w+)?/.exec(
    text.slice(0, 200).replace("\n", " "))[0]}`),
].join(", ");
const of = (e) => kind(e) + kind(e.parentElement) + e.parentElement.id;
const groups = Map.groupBy(all(), of), first = { ...npgpt.state };
const found = [...groups.values()].flatMap((group) => group.length < 7 ? group
  : [group[0], group.at(-1)]).filter((e) => e.closest(where))
  .sort((a, b) => a.compareDocumentPosition(b) & 4 ? -1 : 1)
  .map((e) => ({ e, name: offered(e), group: of(e), at: groups.get(of(e)).indexOf(e), does: [] }));
const focus = document.activeElement,
  focused = focus === document.body ? [] : [[`focus on ${kind(focus)} “${called(focus)}”`, []]];
const tryAll = ({ e, group, at, does }) => {
  const act = (what, run, more) => {
    if (!e.isConnected) e = all().filter((other) => of(other) === group)[at] ?? e;
    if (!e.checkVisibility()) return;
    e.focus?.();
    const before = now(), taken = run() ? ["taken"] : [];
    if (more) npgpt.set({});
    const line = [...taken, changes(before, now())].filter(Boolean).join(", ");
    if (line) does.push(`${what}: ${line}`);
  };
  const send = (type, Kind = Event, more) => !e.dispatchEvent(
    new Kind(type, { bubbles: true, cancelable: true, ...more }));
  const put = (value) => act(`= ${value}`, () => {
    e.value = value, send("input"), send("change");
  });
  const back = () => npgpt.set({ ...first });
  const keys = e.tabIndex >= 0 && !e.matches("summary, .term, a:not(.part), .scroll") ? KEYS : [];
  for (const key of keys)
    act(key === " " ? "Space" : key, () => send("keydown", KeyboardEvent, { key })), back();
  const press = () => { // a canvas asks where
    const { left, top, width, height } = e.getBoundingClientRect();
    return send("click", MouseEvent, { clientX: left + 0.7 * width, clientY: top + 0.4 * height });
  };
  if (e.matches("[type=range], [type=number]"))
    for (const end of new Set([e.min, e.max, 0.4, ""])) put(end), back();
  else if (e.matches("select")) put(e.options[e.length - 1].value);
  else if (e.matches("textarea, input")) put("A hen");
  else if (!e.matches(".scroll, .term"))
    for (let i = 1; i <= (e.matches("summary") ? 1 : often); i++)
      if (!e.disabled && !/http/.test(e.href)) act(`press ${i}`, press, true);
  back();
};
const last = (e) => e.matches("textarea"); // after which much has to be computed
for (const late of [false, true]) found.filter(({ e }) => last(e) === late).forEach(tryAll);
return [...focused, ...found.map(({ name, does }) => [name, does])];
"""
