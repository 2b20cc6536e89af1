// The page: the text, the groups of views, and the view that is shown.

import { prefersDark, scheme } from "./colours.js";
import { button, counted, el, onKeys, whole } from "./elements.js";
import { nextCharacters } from "./grammar.js";
import { demonstrate, hero } from "./hero.js";
import { keptWeights } from "./kept.js";
import { backward as gradients } from "./rules.js";
import { probabilities } from "./sampling.js";
import {
  L,
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
import { knockout } from "./views/knockout.js";
import { figure, inWords, overview } from "./views/overview.js";
import { patch } from "./views/patch.js";
import { residual } from "./views/residual.js";
import { teach } from "./views/teach.js";
import { tokens } from "./views/tokens.js";
import { explained } from "./words.js";

// Each group begins with one question; its first view opens with it.
const READ = {
  title: "Read",
  ask: (answer) => `Why does it answer “${answer}”?`,
  views: [overview, attention, residual, tokens],
};
const GROUPS = [
  READ,
  {
    title: "Change",
    ask: (answer) => `Which part decides for “${answer}”?`,
    views: [knockout, patch],
  },
  { title: "Learn", ask: () => "How does it learn a sentence?", views: [teach, backward] },
];
const VIEWS = GROUPS.flatMap(({ views }) => views),
  groupOf = (id) => GROUPS.find(({ views }) => views.some((view) => view.id === id));
const updates = new Map(); // of views that were opened
const [question, said, note, tabs, parts, main, theme, stage] = [
  "question",
  "said",
  "note",
  "groups",
  "parts",
  "view",
  "theme",
  "stage",
].map((id) => document.getElementById(id));

document.getElementById("pitch").append(...pitch());
document.getElementById("holds").textContent = holds();
document.getElementById("prompt").readOnly = !live;
const characters = Array.from(tokenizer.known?.keys() ?? [], visible).slice(0, 300),
  leaveOut = () => set({ text: tokenizer.readable(state.text) }),
  leaving = button("Leave out what it does not know", leaveOut),
  known = el("p", { id: "known" }, leaving, " It knows: ", el("code", characters.join(" ")));
const [kept, updateKept] = keptWeights(),
  [tools, updateHero] = hero(),
  [drawing, updateDrawing] = figure(),
  [begin, guide, follow] = tour();
let first, // the view of a frame in the book
  shown;
const back = button("", () => set({ view: first.id }));
note.after(...tools);
note.parentNode.after(known, kept);
stage.append(drawing);
main.before(back);
main.after(guide);
theme.before(begin, ...shareButtons());
theme.onclick = () => {
  document.documentElement.dataset.theme = theme.textContent.toLowerCase();
  set({});
};

const heads = GROUPS.map(({ title, views: [{ id }] }) =>
    button(title, () => set({ view: id }), { role: "tab", "aria-controls": "view" }),
  ),
  choose = VIEWS.map(({ id, title }) =>
    button(title, () => set({ view: id }), { id: `tab-${id}` }),
  );
tabs.append(...heads);
parts.append(...choose);
const go = (to) => () => {
  const at = to(GROUPS.indexOf(groupOf(state.view))) % GROUPS.length;
  stayWith(GROUPS.at(at).views[0].id);
  heads.at(at).focus();
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
  const view = VIEWS.find(({ id }) => id === state.view),
    group = groupOf(view.id),
    isWhole = view === overview,
    cut = pass.cut ? `; the ${whole(pass.cut)} before them are not read` : "",
    taught = pass.taught ? ", its weights as you taught them" : "";
  note.textContent =
    pass.note || `${pass.cut ? "The last " : ""}${counted(pass.T, "token")}${cut}${taught}`;
  note.classList.toggle("bad", Boolean(pass.note));
  theme.textContent = scheme() === "dark" ? "Light" : "Dark";
  updateKept();
  known.hidden = !pass.note || !state.text || !tokenizer.known;
  const turned = view !== shown;
  if (turned) turnTo(view, group);
  question.textContent = group.ask(tokenizer.label(likeliest(2 * L, state.t, 1)[0][0]));
  said.hidden = !isWhole;
  if (isWhole && said.textContent !== inWords()) said.textContent = inWords();
  drawing.hidden = group !== READ || (state.only && !isWhole);
  updateHero(!drawing.hidden);
  if (!drawing.hidden) updateDrawing();
  updates.get(view.id).update();
  if (turned && group === READ && !isWhole) main.scrollIntoView({ block: "nearest" });
  follow();
  writeAddress();
}

function turnTo(view, group) {
  first ??= view;
  shown = view;
  back.textContent = `Back to ${first.title}`;
  back.hidden = !state.only || view === first;
  GROUPS.forEach((each, i) => {
    heads[i].setAttribute("aria-selected", each === group);
    heads[i].tabIndex = each === group ? 0 : -1;
  });
  VIEWS.forEach((each, i) => {
    choose[i].hidden = groupOf(each.id) !== group;
    choose[i].ariaPressed = each === view;
  });
  if (!updates.has(view.id)) open(view);
  for (const [id, { root }] of updates) root.hidden = id !== view.id;
  main.ariaLabel = view.title;
}

function open(view) {
  const root = el("section");
  main.append(root);
  root.append(el("div.about", el("p", view.about), explained(view)));
  let update = () => {};
  if (view.needsModel && !live) {
    const words = "This needs the model itself; the page holds what it computed for one text.";
    root.append(el("p", words));
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
if (!location.hash) demonstrate();
readAddress();
if (state.only) {
  document.documentElement.classList.add("only");
  set({});
  const tell = () => parent.postMessage({ height: document.body.scrollHeight + 4 }, "*");
  new ResizeObserver(tell).observe(document.body);
}
