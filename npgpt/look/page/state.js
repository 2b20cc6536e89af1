// The state of the page: the record that Python wrote, the reader's choices, which are in the
// address too, and the pass of the text. Views read it, and change it by `set`.

import { END, nextCharacters, nextWords } from "./grammar.js";
import { GPT, length, losses, Trace, readsFar } from "./model.js";
import { attention, layerNorm, softmax } from "./ops.js";
import { FAULTS } from "./rules.js";
import { Tokenizer } from "./tokenizer.js";

export const record = JSON.parse(document.getElementById("record").textContent);
export const live = record.kind !== null;
export const tokenizer = new Tokenizer(record.tokenizer);
export const model = new GPT(record.config, live ? unpacked(record.weights) : {});
export const L = model.L;
export const H = model.H;
export const D = model.D;
export const C = model.C;
export const V = model.V;
export const FAR = tokenizer.kind === "words" ? 3 : 8; // tokens back

const DEFAULTS = {
  text: record.prompt,
  view: "overview",
  t: -1,
  s: -1,
  layer: -1, // below 0 for the head that reads most from far away: `chosenHead`
  head: -1,
  temperature: 1,
  topK: V,
  topP: 1,
  seed: 1,
  heads: "",
  mlps: "",
  positions: "",
  weight: "",
  at: -1,
  fault: "",
  only: 0, // 1 in a page of the book: the view alone
  kept: -1,
  sentence: "",
  rate: -3,
  other: "",
  point: -1,
  alpha: 1,
};
// Of sliders: from, to, in steps of.
export const BOUNDS = {
  temperature: [0, 2, 0.05],
  topK: [1, V, 1],
  topP: [0.01, 1, 0.01],
  rate: [-5, -2, 0.25],
  alpha: [-2, 4, 0.25],
};
const LONGEST = 1024; // above the number of positions of a page
export const state = { ...DEFAULTS };

// The pass of the text: the arrays of a forward. `note` says what is wrong with the text, if
// anything; then the pass is from the last valid text. `version` counts the changes of the weights,
// `taught` says that they are the reader's. The grammar's odds take longer than a pass, and are
// computed for the views that read them.
export const pass = {
  ids: [],
  T: 0,
  trace: new Trace(),
  lens: new Map(),
  note: "",
  cut: 0,
  version: 0,
  taught: false,
  get grammar() {
    return (pass.odds ??= record.grammar && odds(pass.read, pass.cut));
  },
};

let listener = () => {},
  views = []; // ids

export function onChange(function_, ids) {
  listener = function_;
  views = ids;
}

export function set(changes) {
  Object.assign(state, changes);
  if ("kept" in changes) useKept();
  if ("text" in changes) {
    readText();
    if (!("t" in changes)) state.t = pass.T - 1;
  }
  state.t = within(state.t, pass.T);
  if (state.s >= pass.T) state.s = -1;
  listener();
}

// An index from 0 to below count; below 0 stands for the last.
function within(number, count) {
  const index = Math.trunc(number);
  return index < 0 || index >= count ? Math.max(0, count - 1) : index;
}

function readText() {
  const { ids, problem } = live ? tokenizer.read(state.text) : record;
  const wrong = problem ?? (ids.length ? "" : "Type a text.");
  pass.note = wrong && `${wrong} Below is the last text that the model could read.`;
  if (wrong) return;
  pass.cut = windowStart(ids.length);
  pass.ids = ids.slice(pass.cut);
  pass.T = pass.ids.length;
  compute();
  pass.labels = pass.ids.map((id) => tokenizer.label(id));
  pass.texts = pass.ids.map((id) => tokenizer.written(id));
  Object.assign(pass, { read: ids, odds: null });
}

// The grammar's odds after each token that is read; what stands before the story of the first one
// does not matter.
export function odds(ids, cut) {
  const { kind, known } = tokenizer,
    end = Array.from(END, (character) => known.get(character));
  let begin = cut;
  while (begin && end.some((id, i) => ids[begin - end.length + i] !== id)) begin--;
  const tokens = ids.slice(begin).map((id) => tokenizer.decode([id])),
    next = kind === "words" ? nextWords : nextCharacters;
  return next(record.grammar, kind === "words" ? tokens : tokens.join(""), known).slice(
    cut - begin + 1,
  );
}

function compute() {
  if (live) model.forward(pass.ids, pass.trace);
  else if (!pass.trace.arrays) playRecorded();
  const { start } = pass.trace;
  for (const key of pass.lens.keys()) if (key % LONGEST >= start) pass.lens.delete(key);
  pass.losses = live
    ? losses(logitsOf(pass.trace), pass.ids, V)
    : record.pass.given.map((p) => -Math.log(p));
}

// Computes the pass anew. To be called after every change of the weights.
export function weightsChanged() {
  newWeights(true);
  compute();
}

export function putWeightsBack() {
  load();
  compute();
}

// The first position that is read, as in npgpt.generate: a full window moves on by half its length.
export function windowStart(length) {
  const step = Math.max(1, record.window >> 1);
  return Math.ceil(Math.max(0, length - record.window) / step) * step;
}

// Returns whether text and weights are those whose gradient Python recorded.
export function isRecorded() {
  return !pass.taught && used < 0 && pass.ids.join() === record.ids.join();
}

// The { layer, head } of the view Attention: as chosen, or the one that Overview marks.
export function chosenHead() {
  const { layer, head, t } = state;
  return layer < 0 || head < 0 ? readsFar(pass.trace, L, H, [t], FAR) : { layer, head };
}

export function logitsOf(trace) {
  return trace.arrays.get("logits");
}

// A trace with the queries, keys and values that Python recorded, from which attention is computed.
function playRecorded() {
  const { trace, ids, T } = pass;
  trace.begin(ids);
  for (const [name, text] of Object.entries(record.pass.arrays))
    trace.arrays.set(name, ungrouped(halves(text), T));
  for (let l = 0; l < L; l++) {
    const weights = trace.rows(`h.${l}.attn`, H * trace.capacity);
    const y = trace.rows(`h.${l}.attn.y`, C);
    attention(
      trace.arrays.get(`h.${l}.attn.c_attn`),
      weights,
      y,
      0,
      T,
      H,
      D,
      trace.capacity,
      new Set(),
    );
  }
}

// Rows (T, 3 C): a copy of shared keys and values for each head of queries.
function ungrouped(qkv, T) {
  const G = record.llama?.kv_heads ?? H,
    all = new Float64Array(T * 3 * C);
  for (let i = 0; i < T * 3 * H; i++) {
    const [t, part, h] = [Math.floor(i / (3 * H)), Math.floor(i / H) % 3, i % H],
      head = part ? H + (part - 1) * G + Math.floor((h * G) / H) : h,
      at = (t * (H + 2 * G) + head) * D;
    all.set(qkv.subarray(at, at + D), i * D);
  }
  return all;
}

// What each branch adds to the stream at position t, the embeddings first; not on a recorded page.
export function branchesAt(t) {
  const at = (k) => pass.trace.arrays.get(`x.${k}`).subarray(t * C, t * C + C);
  return Array.from({ length: 2 * L + 1 }, (_, k) =>
    k ? at(k).map((value, c) => value - at(k - 1)[c]) : at(0),
  );
}

// The length of the stream after each branch at position t, and of what the branch added.
export function lengthsAt(t) {
  if (!live) return [record.pass.stream, record.pass.added].map((all) => all.map((row) => row[t]));
  const stream = (_, k) => length(pass.trace.arrays.get(`x.${k}`).subarray(t * C, t * C + C));
  return [Array.from({ length: 2 * L + 1 }, stream), branchesAt(t).map(length)];
}

// The n likeliest next tokens [id, probability] of position t, if the stream were read out after k
// branches (the logit lens); after all 2 L branches it is the model's prediction.
export function likeliest(k, t, n) {
  if (!live) return record.pass.lens[k][t].slice(0, n);
  const key = k * LONGEST + t;
  if (!pass.lens.has(key)) {
    const probs = readOut(k, t);
    const order = Array.from(probs.keys()).sort((a, b) => probs[b] - probs[a]);
    pass.lens.set(
      key,
      order.slice(0, 12).map((id) => [id, probs[id]]),
    );
  }
  return pass.lens.get(key).slice(0, n);
}

// The probabilities (V,) of the lens.
export function readOut(k, t) {
  const { "ln_f.weight": weight, "ln_f.bias": bias } = model.weights,
    x = pass.trace.arrays.get(`x.${k}`).slice(t * C, t * C + C),
    y = layerNorm(x, weight, bias, new Float64Array(C), 0, 1, C),
    probs = model.head(y, { start: 0, T: 1 }, new Float64Array(V));
  softmax(probs, 0, V);
  return probs;
}

export function nextLogits(t) {
  return logitsOf(pass.trace).slice(t * V, t * V + V);
}

// The text of some tokens; their labels, but words have none of the spaces before them.
export function textOf(from, to) {
  if (tokenizer.kind !== "words") return pass.labels.slice(from, to).join("");
  return tokenizer.decode(pass.ids.slice(from, to)).replaceAll("\n", "⏎");
}

// ---- the address

export function readAddress() {
  if (!pass.T) readText(); // so that there is a pass, whatever the address has
  const given = new URLSearchParams(location.hash.slice(1)),
    changes = { ...DEFAULTS };
  for (const [name, value] of given) {
    if (!Object.hasOwn(DEFAULTS, name)) continue;
    if (typeof DEFAULTS[name] !== "number") changes[name] = value;
    else if (Number.isFinite(Number(value))) {
      const [low, high, step] = BOUNDS[name] ?? [-1, 2 ** 31, 1],
        number = step < 1 ? Number(value) : Math.trunc(value);
      changes[name] = Math.max(low, Math.min(high, number));
    }
  }
  if (!live) changes.text = record.prompt;
  if (!Object.hasOwn(FAULTS, changes.fault)) changes.fault = "";
  changes.layer = Math.min(L - 1, changes.layer);
  changes.head = Math.min(H - 1, changes.head);
  if (!views.includes(changes.view)) changes.view = DEFAULTS.view;
  entry = changes.view;
  set(changes);
}

// Shows a view in the browser's present entry: keys that go through the views must not fill Back.
export function stayWith(view) {
  entry = view;
  set({ view });
}

let writing = null,
  entry = null; // the view of the current entry of the browser's history

// Browsers refuse an address that changes with every key: it follows when the typing pauses. A
// view that is chosen is an entry of its own, so that Back returns to the one before.
export function writeAddress() {
  if (entry === state.view) {
    clearTimeout(writing);
    writing = setTimeout(writeNow, 300);
    return;
  }
  writeNow();
  entry = state.view;
  history.pushState(kept(), "", address(entry));
}

export function writeNow() {
  clearTimeout(writing);
  history.replaceState(kept(), "", address(entry));
}

// What the browser keeps beside the address until a reload.
function kept() {
  return { theme: document.documentElement.dataset.theme };
}

function address(view) {
  const changed = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...state, view })) {
    if (value !== DEFAULTS[name]) changed.set(name, value);
  }
  return `#${changed}`;
}

// ---- weights from text

let used = -1;

// Takes the weights that the run kept at a step, or its last; to be read by the next `readText`.
function useKept() {
  if (!(state.kept in record.kept)) state.kept = -1;
  if (state.kept === used) return;
  used = state.kept;
  load();
}

function newWeights(taught) {
  pass.version++;
  pass.taught = taught;
  pass.trace.ids = [];
}

function load() {
  const packed = used < 0 ? record.weights : record.kept[used][1];
  for (const [name, values] of Object.entries(unpacked(packed))) model.weights[name].set(values);
  newWeights(false);
}

function unpacked(packed) {
  return Object.fromEntries(
    Object.entries(packed).map(([name, { kind, data, scale, shape }]) => {
      if (kind === "fp16") return [name, halves(data)];
      if (kind === "fp32") return [name, Float64Array.from(new Float32Array(bytes(data).buffer))];
      const whole = new Int8Array(bytes(data).buffer),
        scales = new Float32Array(bytes(scale).buffer);
      return [
        name,
        Float64Array.from(whole, (value, i) => value * scales[Math.floor(i / shape[1])]),
      ];
    }),
  );
}

export function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

// float16: a sign, 5 bits of exponent, 10 of fraction.
function halves(base64) {
  return Float64Array.from(new Uint16Array(bytes(base64).buffer), (half) => {
    const sign = half & 0x8000 ? -1 : 1,
      exponent = (half >> 10) & 31,
      fraction = half & 1023;
    return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
  });
}
