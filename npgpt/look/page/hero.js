// The sentence: the text in large type, the model's answer after the chosen token, and the box that
// takes its place while one writes. A word that can be changed is marked, and a press changes it.

import { paint, palette } from "./colours.js";
import { button, el, percent, range, tokenStrip } from "./elements.js";
import { DURATION, flash, moves } from "./motion.js";
import { readMost } from "./model.js";
import { H, L, likeliest, live, pass, record, set, state, tokenizer } from "./state.js";
import { writeOn } from "./views/tokens.js";

const WRITTEN = 40; // tokens
// Words that take each other's place.
export const SWAPS = [
  ["tired", "hungry", "noisy"],
  ["Velaria", "Rosania"],
]
  .map((words) => words.filter((word) => !tokenizer.known || tokenizer.readable(word) === word))
  .filter((words) => live && words.length > 1);

const box = document.getElementById("prompt");
const [strip, updateStrip] = tokenStrip("The text that it reads", press, (t) => pass.texts[t]);
let swaps = new Map(), // of positions: the word there, and the next one
  shown = { texts: [], answer: "" };

// What stands above the text, and the function that updates it.
export function hero() {
  const own = button("Write your own", () => box.focus()),
    on = button("Write on", () => writeOn(WRITTEN)),
    again = button("The first text again", () => set({ text: record.prompt }));
  box.before(strip); // so that the Tab key comes to it before it is hidden
  box.oninput = () => set({ text: box.value });
  strip.ondblclick = () => box.focus();
  box.parentNode.onclick = ({ target }) => target === strip && box.focus();
  const update = (reads) => {
    if (box.value !== state.text) box.value = state.text;
    again.hidden = state.text === record.prompt;
    draw(reads);
  };
  return [live ? [own, on, again] : [], update];
}

function press(t) {
  const [word, next] = swaps.get(t) ?? [];
  set(word ? { text: state.text.replaceAll(word, next) } : { t });
}

// Once, for a reader who has touched nothing: a word is changed, and changed back.
export function demonstrate() {
  const words = SWAPS.find(([word]) => record.prompt.includes(word)),
    touches = ["pointerdown", "keydown", "wheel", "touchstart", "focusin", "hashchange"],
    stop = new AbortController();
  if (!words || !moves()) return;
  const change = (from, to) => {
    if (!stop.signal.aborted) set({ text: state.text.replaceAll(from, to) });
  };
  for (const name of touches)
    addEventListener(name, () => stop.abort(), { signal: stop.signal, passive: true });
  setTimeout(change, 2000, ...words);
  setTimeout(change, 5000, words[1], words[0]);
}

// The middle of a token of the text, and its lower edge, in pixels of the window.
export function placeOf(t) {
  const token = strip.querySelector(`[data-t="${t}"]`),
    { left, right, bottom } = Array.from(token.getClientRects()).at(-1),
    around = strip.getBoundingClientRect();
  return [(left + right) / 2, Math.max(around.top, Math.min(around.bottom, bottom))];
}

function draw(reads) {
  const { t } = state,
    [id, p] = likeliest(2 * L, t, 1)[0],
    answer = tokenizer.label(id),
    most = reads ? readMost(pass.trace, L, H, t) : () => 0,
    chip = el("b.chip", { "aria-hidden": "true", "data-mark": "answer" }, answer, " ");
  swaps = new Map(SWAPS.flatMap(places));
  chip.append(el("span", percent(p)));
  paint(chip, palette().share(0.35 + 0.65 * p));
  updateStrip((i) => ({
    after: i === t && chip,
    rgb: i < t && most(i) >= 0.1 && palette().share(0.4 * most(i)),
    style: [swaps.has(i) && "swap", i > t && "later"].filter(Boolean).join(" "),
    title: swaps.has(i) ? `Press for “${swaps.get(i)[1]}”` : "",
  }));
  const token = strip.querySelector(`[data-t="${t}"]`);
  if (strip.scrollHeight > strip.clientHeight) strip.scrollTop = token.offsetTop - 90;
  const isNew = shown.texts.length && pass.texts !== shown.texts;
  if (isNew) for (const motion of document.getAnimations()) motion.finish();
  if (isNew && moves()) {
    flash(changed(shown.texts, pass.texts).map((i) => strip.querySelector(`[data-t="${i}"]`)));
    if (answer !== shown.answer) passOn(strip.querySelector(".chip"), shown.answer);
  }
  shown = { texts: pass.texts, answer };
}

// The answer of before stays beside the new one, struck out, until that has come.
function passOn(chip, before) {
  const old = el("s.chip", { "aria-hidden": "true" }, before),
    timing = { duration: 300, delay: DURATION - 300, fill: "backwards" };
  chip.before(old);
  chip.animate({ opacity: [0, 1] }, timing);
  old.animate({ opacity: [1, 1, 0] }, DURATION).onfinish = () => old.remove();
}

// The positions of the letters of words that can be changed: [t, [the word, the next one]].
function places(words) {
  const texts = pass.ids.map((id) => tokenizer.decode([id])),
    text = texts.join("");
  let end = 0;
  const ends = texts.map((each) => (end += each.length));
  return words.flatMap((word, i) =>
    Array.from(text.matchAll(RegExp(`\\b${word}\\b`, "g"))).flatMap(({ index }) =>
      range(pass.T)
        .filter(
          (t) => ends[t] > index && ends[t] - texts[t].trimStart().length < index + word.length,
        )
        .map((t) => [t, [word, words[(i + 1) % words.length]]]),
    ),
  );
}

// The positions between what two texts have in common at the beginning and at the end.
function changed(before, now) {
  const last = before.length - now.length;
  let [from, to] = [0, now.length];
  while (from < to && before[from] === now[from]) from++;
  while (to > from && to + last > from && before[to - 1 + last] === now[to - 1]) to--;
  return range(to).slice(from);
}
