// Things to try with the text: buttons above it.

import { button, el } from "./elements.js";
import { live, record, set, state, tokenizer } from "./state.js";
import { writeOn } from "./views/tokens.js";

const WRITTEN = 40; // tokens
export const SWAPS = [
  ["tired", "hungry"],
  ["Velaria", "Rosania"],
].filter((pair) => pair.every((word) => !tokenizer.known || tokenizer.readable(word) === word));

// Each gives [its name, the text that it makes], or undefined where it makes no sense.
const IDEAS = [
  ...SWAPS.map((pair) => (text) => swapped(text, pair) ?? swapped(text, pair.toReversed())),
  (text) => {
    if (text !== record.prompt) return ["the first text again", record.prompt];
  },
];

export function chips() {
  const all = IDEAS.map((idea) => button("", () => set({ text: idea(state.text)[1] }))),
    write = button("write on", () => writeOn(WRITTEN));
  const update = () =>
    all.forEach((chip, i) => {
      const [name, text] = IDEAS[i](state.text) ?? [];
      chip.hidden = !name || Boolean(tokenizer.read(text).problem);
      if (name && chip.textContent !== name) chip.textContent = name;
    });
  if (!live) return [el("p.chips", { hidden: true }), () => {}];
  return [el("p.chips", el("span", "Try: "), ...all.slice(0, -1), write, all.at(-1)), update];
}

function swapped(text, [from, to]) {
  if (text.includes(from)) return [`${from} → ${to}`, text.replaceAll(from, to)];
}
