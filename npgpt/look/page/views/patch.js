// Patching: the stream of one text, at one point and position, put into the pass of a second text.
// Steering: only a multiple of the difference.

import { bar, colour, css, el, inkOn, palette, percent, position, range } from "../draw.js";
import { sized, slider, table } from "../draw.js";
import { branchName, NOTHING, Trace } from "../model.js";
import { softmax } from "../ops.js";
import { likeliestFirst, likeliestNext } from "../sampling.js";
import { C, L, likeliest, model, pass, record, set, state, tokenizer, V } from "../state.js";
import { taskOnText } from "../task.js";
import { UnknownCharacter } from "../tokenizer.js";

const LEFT = 104, // pixels of the names of points
  HIGH = 24; // of a row
const LETTERS = tokenizer.kind === "char" ? 4 : 9; // of a token; more are cut
const WIDE = 8 * LETTERS + 4;
const FAR = 40, // tokens from the end, among which one is changed for a second text
  BEYOND = 30; // tokens that are written after the texts
const own = new Trace(); // of the second text, patched or not
let found = { problem: "" }; // of the second text

export const patch = {
  id: "patch",
  title: "Patching",
  needsModel: true,
  about: "Put the stream of the text above into the pass of a second text: where is the answer?",
  section: "Transformer Architecture",
  build(root) {
    const other = el("input", { class: "long", spellcheck: "false", autocomplete: "off" });
    other.oninput = () => set({ other: other.value });
    const canvas = el("canvas", { tabindex: 0, role: "img" }),
      box = el("div", { class: "scroll one" }, canvas);
    const status = el("p", { role: "status" }),
      words = el("p", { "aria-live": "polite" }),
      answers = el("div");
    const [alpha, putAlpha] = slider("factor", { min: -2, max: 4, step: 0.25 }, (by) =>
      set({ alpha: by }),
    );
    const rest = el(
      "div",
      {},
      legend(),
      box,
      words,
      el("h2", {}, "Steering: the chosen difference, times a factor, added to the second text"),
      el("div", { class: "controls" }, alpha),
      answers,
    );
    canvas.onclick = (event) => {
      const { left, top } = canvas.getBoundingClientRect();
      choose(
        found.first + Math.floor((event.clientX - left - LEFT) / WIDE),
        2 * L - Math.floor((event.clientY - top) / HIGH),
      );
    };
    canvas.onkeydown = (event) => {
      const by = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
      const [dt, dk] = by[event.key] ?? [0, 0];
      if (!dt && !dk) return;
      event.preventDefault();
      choose(state.t + dt, point() + dk);
    };
    root.append(el("label", {}, "The second text, of as many tokens ", other), status, rest);
    return () => {
      if (!patching.current) patching.start();
      if (patching.done && !found.problem && !steering.current) steering.start();
      if (document.activeElement !== other) other.value = state.other || (found.text ?? "");
      status.textContent = found.problem || about();
      rest.hidden = !found.shares;
      if (rest.hidden) return;
      putAlpha(state.alpha);
      draw(canvas);
      words.textContent = inWords();
      canvas.setAttribute("aria-label", `how much of the answer comes back; ${inWords()}`);
      answers.replaceChildren(...(found.steered ? [compared()] : []));
    };
  },
};

function choose(t, k) {
  set({ t: position(Math.max(found.first, t)), point: Math.max(0, Math.min(2 * L, k)) });
}

function point() {
  return state.point < 0 || state.point > 2 * L ? L : state.point;
}

function legend() {
  return el(
    "p",
    { class: "legend" },
    "away from the answer of the text above",
    el("span", { class: "ramp both" }),
    "all of it comes back; in percent of the difference of the two answers' logits",
  );
}

const patching = taskOnText(
  () => [state.other],
  async (pause) => {
    found = { problem: "Computing ..." };
    await pause(150);
    found = second(state.other || pair());
    if (found.problem) return;
    found.shares = range(2 * L + 1).map(() => []);
    const { ids, first, shares, before, gap } = found;
    // From the last position to the first: rows before a patched one are then as they were.
    for (let t = pass.T - 1; t >= first; t--) {
      for (let k = 0; k <= 2 * L; k++) shares[k][t] = (gapOf(patched(k, t, 1)) - before) / gap;
      await pause();
    }
    found.written = [await goOn(pass.ids, pause), await goOn(ids, pause)];
  },
);

// The second text's tokens, and its answer b beside the answer a of the text above; or the problem.
function second(text) {
  try {
    const ids = tokenizer.encode(text).slice(pass.cut),
      T = pass.T;
    const first = ids.findIndex((id, t) => id !== pass.ids[t]);
    if (ids.length !== T) {
      const counts = `The second text has ${ids.length} tokens, the text above ${T}`;
      return { text, problem: `${counts}: make them equal, so that positions correspond.` };
    }
    if (first < 0) return { text, problem: "They are the same text: change a token of it." };
    own.ids = [];
    const logits = rows(model.forward(ids, own)),
      given = rows(pass.trace.arrays.get("logits"));
    const [[a], [b]] = [given, logits].map(likeliestFirst);
    if (a === b)
      return { text, problem: `Both go on with ${tokenizer.label(a)}: change more of it.` };
    const stream = range(2 * L + 1).map((k) => own.arrays.get(`x.${k}`).slice());
    Object.assign(found, { a, b });
    const before = gapOf(logits);
    return { text, ids, first, a, b, stream, before, gap: gapOf(given) - before, given, logits };
  } catch (error) {
    if (!(error instanceof UnknownCharacter)) throw error;
    return { text, problem: error.message };
  }
}

// The last row of the logits.
function rows(logits) {
  return logits.slice((pass.T - 1) * V, pass.T * V);
}

function gapOf(logits) {
  return logits[found.a] - logits[found.b];
}

// Moves the second text's stream at (k, t) by alpha of the way to the first's.
function moved(k, t, alpha) {
  const x = pass.trace.arrays.get(`x.${k}`).subarray(t * C, t * C + C);
  const from = found.stream[k].subarray(t * C, t * C + C);
  return { k, t, row: from.map((value, c) => value + alpha * (x[c] - value)) };
}

function patched(k, t, alpha) {
  own.ids = found.ids.slice(0, t);
  return rows(model.forward(found.ids, own, { ...NOTHING, patch: moved(k, t, alpha) }));
}

// A text of as many tokens with another answer: the tales' own, or with one token changed to the
// model's next guess.
function pair() {
  const text = tokenizer.decode(pass.ids);
  const later = range(Math.min(FAR, pass.T - 3)).map((i) => pass.T - 3 - i);
  const candidates = later.map((t) => {
    const id = likeliest(2 * L, t - 1, 2).find(([v]) => v !== pass.ids[t])[0];
    return tokenizer.decode(pass.ids.with(t, id));
  });
  return (
    [text.replace("tired", "noisy"), ...candidates].find((each) => !second(each).problem) ?? text
  );
}

const steering = taskOnText(
  () => [state.other, state.t, point(), state.alpha],
  async (pause) => {
    const off = { ...NOTHING, patch: moved(point(), state.t, state.alpha) };
    await pause();
    found.steered = patched(point(), state.t, state.alpha);
    found.goesOn = await goOn(found.ids, pause, off);
  },
);

async function goOn(ids, pause, off = NOTHING) {
  const trace = new Trace(),
    longer = [...ids];
  while (longer.length < Math.min(record.window, ids.length + BEYOND)) {
    longer.push(likeliestNext(model, longer, trace, off));
    if (longer.length % 8 === 0) await pause();
  }
  return tokenizer.decode(longer.slice(ids.length));
}

function about() {
  const { a, b } = found;
  return (
    `Here the text above goes on with ${tokenizer.label(a)}, the second text with ` +
    `${tokenizer.label(b)}. They differ from token ${found.first + 1} on.`
  );
}

function inWords() {
  const share = found.shares[point()][state.t];
  const where = `token ${state.t + 1}, “${pass.labels[state.t]}”, after the ${branchName(point())}`;
  if (state.t < found.first) return `At ${where}, the two streams are the same.`;
  if (share === undefined) return "";
  return `The stream at ${where}, brings back ${(100 * share).toFixed(1)} % of the answer.`;
}

function draw(canvas) {
  const { first, shares, ids } = found,
    columns = pass.T - first;
  const context = sized(canvas, LEFT + columns * WIDE, (2 * L + 3) * HIGH),
    { change } = palette();
  const write = (text, x, y, ink = css(colour("--ink"))) => {
    context.fillStyle = ink;
    context.fillText(Array.from(text).slice(0, LETTERS).join(""), x, y + HIGH / 2);
  };
  context.font = "13px ui-monospace, monospace";
  context.textBaseline = "middle";
  const names = [...range(2 * L + 1).map((k) => branchName(2 * L - k)), "text above", "second"];
  names.forEach((name, i) => {
    context.fillStyle = css(colour("--ink"));
    context.fillText(
      name.replace("block ", "").replace("attention", "attn"),
      2,
      i * HIGH + HIGH / 2,
    );
  });
  for (let t = first; t < pass.T; t++) {
    const x = LEFT + (t - first) * WIDE;
    for (let k = 0; k <= 2 * L; k++) {
      if (shares[k][t] === undefined) continue;
      const y = (2 * L - k) * HIGH,
        rgb = change(shares[k][t]);
      context.fillStyle = css(rgb);
      context.fillRect(x, y, WIDE - 1, HIGH - 1);
      write(String(Math.round(100 * shares[k][t]) || 0), x + 3, y, inkOn(rgb));
    }
    write(pass.labels[t], x + 3, (2 * L + 1) * HIGH);
    write(tokenizer.label(ids[t]), x + 3, (2 * L + 2) * HIGH);
  }
  if (state.t < first) return;
  context.strokeStyle = css(colour("--mark"));
  context.lineWidth = 2;
  context.strokeRect(LEFT + (state.t - first) * WIDE, (2 * L - point()) * HIGH, WIDE - 1, HIGH - 1);
}

// The three distributions of the next token, and how each text goes on.
function compared() {
  const all = [found.given, found.logits, found.steered].map((logits) => {
    const probs = logits.slice();
    softmax(probs, 0, V);
    return probs;
  });
  const ids = new Set(all.flatMap((probs) => likeliestFirst(probs).slice(0, 3)));
  const head = ["token", "text above", "second text", "second, steered"];
  const written = [...(found.written ?? ["", ""]), found.goesOn ?? ""];
  return el(
    "div",
    {},
    table(
      head,
      Array.from(ids, (id) => [
        el("th", { scope: "row" }, tokenizer.label(id)),
        ...all.map((probs) => bar(probs[id], percent(probs[id]))),
      ]),
      { "aria-label": "the next token, steered" },
    ),
    table(
      ["text", "goes on"],
      written.map((text, i) => [
        el("th", { scope: "row" }, head[i + 1]),
        el("td", { class: "recital" }, text),
      ]),
      { "aria-label": "how they go on" },
    ),
  );
}
