// The page: the text, the views to choose from, and the view that is shown.

import { chips } from "./chips.js";
import { prefersDark, scheme } from "./colours.js";
import { button, counted, el, onKeys, whole } from "./elements.js";
import { nextCharacters } from "./grammar.js";
import { keptWeights } from "./kept.js";
import { backward as gradients } from "./rules.js";
import { probabilities } from "./sampling.js";
import {
  likeliest,
  live,
  model,
  onChange,
  pass,
  record,
  set,
  state,
  tokenizer,
  readAddress,
  stayWith,
  writeAddress,
} from "./state.js";
import { shareButtons } from "./share.js";
import { visible } from "./tokenizer.js";
import { tour } from "./tour.js";
import { attention } from "./views/attention.js";
import { backward } from "./views/backward.js";
import { bet } from "./views/bet.js";
import { knockout } from "./views/knockout.js";
import { overview } from "./views/overview.js";
import { patch } from "./views/patch.js";
import { residual } from "./views/residual.js";
import { teach } from "./views/teach.js";
import { tokens } from "./views/tokens.js";
import { explained } from "./words.js";

const ALL = [overview, teach, patch, knockout, bet, tokens, attention, residual, backward];
const VIEWS = ALL.filter((view) => view !== bet || (record.bet && record.window > 15));
const updates = new Map(); // of views that were opened
const [prompt, note, tabs, main, theme] = ["prompt", "note", "views", "view", "theme"].map((id) =>
  document.getElementById(id),
);

document.getElementById("pitch").append(...pitch());
document.getElementById("holds").textContent = holds();
prompt.readOnly = !live;
const characters = Array.from(tokenizer.known?.keys() ?? [], visible).slice(0, 300),
  leaveOut = () => set({ text: tokenizer.readable(state.text) }),
  leaving = button("Leave out what it does not know", leaveOut),
  known = el("p", leaving, " It knows: ", el("code", characters.join(" ")));
const [kept, updateKept] = keptWeights();
prompt.after(known, kept);
const [ideas, updateIdeas] = chips();
document.getElementById("reads").append(ideas);
const [begin, guide, follow] = tour();
let first, // the view of a frame in the book
  shown;
const back = button("", () => set({ view: first.id }));
main.before(back);
main.after(guide);
theme.before(...shareButtons());
const lesson = button("Teach it a sentence", () => {
  set({ view: teach.id });
  main.querySelector("section:not([hidden]) textarea").focus();
});
document.getElementById("pitch").before(begin, ...(live ? [lesson] : []));
prompt.oninput = () => set({ text: prompt.value });
theme.onclick = () => {
  document.documentElement.dataset.theme = theme.textContent.toLowerCase();
  set({});
};

const choose = VIEWS.map((view) =>
  button(view.title, () => set({ view: view.id }), {
    role: "tab",
    id: `tab-${view.id}`,
    "aria-controls": "view",
  }),
);
tabs.append(...choose);
const go = (to) => () => {
  const at = to(VIEWS.findIndex(({ id }) => id === state.view));
  stayWith(VIEWS.at(at % VIEWS.length).id);
  choose.at(at % VIEWS.length).focus();
};
onKeys(tabs, {
  ArrowLeft: go((at) => at - 1),
  ArrowRight: go((at) => at + 1),
  Home: go(() => 0),
  End: go(() => -1),
});

// Which run this is, and by whom.
function pitch() {
  const home = document.querySelector("link[rel=canonical]"),
    npgpt = home ? el("a", { href: home.href }, "npgpt") : el("b", "npgpt");
  return [`The model ${record.name}: ${counted(record.parameters, "parameter")}, by `, npgpt];
}

function holds() {
  const { n_layer, n_head, n_embd, vocab_size } = record.config,
    megabytes = (document.documentElement.outerHTML.length / 1e6).toFixed(1);
  const model =
    `A ${record.arch} of ${counted(record.parameters, "parameter")}: ${counted(n_layer, "block")}, ` +
    `${counted(n_head, "head")}, ${counted(n_embd, "channel")}, a vocabulary of ${counted(vocab_size, "token")}`;
  const what = live
    ? `the model itself, its weights rounded to ${record.kind}, and runs it on what you type`
    : "what the model computed for this text, which cannot be changed: " +
      (record.llama ? "a page runs GPTs alone" : "it is too large for a page");
  const tales = record.grammar
    ? " It has read fairy tales by a grammar, so the true odds of each token are known."
    : "";
  return `${model}.${tales} This file of ${megabytes} MB holds ${what}. It asks no network for anything.`;
}

function render() {
  const view = VIEWS.find(({ id }) => id === state.view);
  if (prompt.value !== state.text) prompt.value = state.text;
  const cut = pass.cut ? `; the ${whole(pass.cut)} before them are not read` : "";
  const taught = pass.taught ? ", its weights as you taught them" : "";
  note.textContent =
    pass.note || `${pass.cut ? "The last " : ""}${counted(pass.T, "token")}${cut}${taught}`;
  note.classList.toggle("bad", Boolean(pass.note));
  theme.textContent = scheme() === "dark" ? "Light" : "Dark";
  updateKept();
  known.hidden = !pass.note || !state.text || !tokenizer.known;
  updateIdeas();
  if (view !== shown) turnTo(view);
  updates.get(view.id).update();
  follow();
  writeAddress();
}

function turnTo(view) {
  first ??= view;
  shown = view;
  back.textContent = `Back to ${first.title}`;
  back.hidden = !state.only || view === first;
  VIEWS.forEach(({ id }, i) => {
    choose[i].setAttribute("aria-selected", id === view.id);
    choose[i].tabIndex = id === view.id ? 0 : -1;
  });
  tabs.scrollLeft = choose[VIEWS.indexOf(view)].offsetLeft - 60;
  if (!updates.has(view.id)) open(view);
  for (const [id, { root }] of updates) root.hidden = id !== view.id;
  main.setAttribute("aria-labelledby", `tab-${view.id}`);
}

function open(view) {
  const root = el("section");
  main.append(root);
  root.append(el("div.about", el("h2", view.about), explained(view)));
  let update = () => {};
  if (view.needsModel && !live) {
    const words = "This needs the model itself; the page holds what it computed for one text.";
    root.append(el("p", words));
    update = view.rest?.(root) ?? update;
  } else update = view.build(root);
  updates.set(view.id, { root, update });
}

onChange(
  render,
  VIEWS.map(({ id }) => id),
);
window.onhashchange = readAddress;
window.onresize = () => set({});
prefersDark.onchange = () => set({});
matchMedia("print").onchange = () => set({});
window.npgpt = {
  record,
  state,
  set,
  pass,
  model,
  tokenizer,
  gradients,
  likeliest,
  nextCharacters,
  probabilities,
}; // for the console
const { theme: chosen } = history.state ?? {};
if (chosen) document.documentElement.dataset.theme = chosen;
readAddress();
if (state.only) {
  document.documentElement.classList.add("only");
  const tell = () => parent.postMessage({ height: document.body.scrollHeight + 4 }, "*");
  new ResizeObserver(tell).observe(document.body);
}
