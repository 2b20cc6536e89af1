// Things to try with the text: buttons above it.

import { button, el } from "./elements.js";
import { live, pass, record, set, state, tokenizer } from "./state.js";
import { writeOn } from "./views/tokens.js";

const WRITTEN = 40; // tokens
export const SWAPS = [
  ["tired", "hungry"],
  ["Velaria", "Rosania"],
].filter((pair) => pair.every((word) => !tokenizer.known || tokenizer.readable(word) === word));

// Each gives [its name, the text that it makes], or null where it makes no sense.
const IDEAS = [
  ...SWAPS.map((pair) => (text) => swapped(text, pair) ?? swapped(text, pair.toReversed())),
  nonsense,
  (text) => (2 * pass.T < record.window ? ["say it twice", `${text.trimEnd()} ${text}`] : null),
  (text) => (text === record.prompt ? null : ["the first text again", record.prompt]),
];

export function chips() {
  const root = el("p", { class: "chips", hidden: !live }, el("span", {}, "Try: "));
  const all = IDEAS.map((idea) => button("", () => set({ text: idea(state.text)[1] })));
  root.append(
    ...all.slice(0, -1),
    button("write on", () => writeOn(WRITTEN)),
    ...all.slice(-1),
  );
  const update = () =>
    all.forEach((chip, i) => {
      const found = IDEAS[i](state.text);
      chip.hidden = !(live && found) || Boolean(tokenizer.read(found[1]).problem);
      if (found && chip.textContent !== found[0]) chip.textContent = found[0];
    });
  return [root, update];
}

function swapped(text, [from, to]) {
  return text.includes(from) ? [`${from} → ${to}`, text.replaceAll(from, to)] : null;
}

// The longest word, read backwards: the model knows its letters.
function nonsense(text) {
  const words = text.match(/\p{Ll}{4,}/gu) ?? [];
  const word = words.reduce((a, b) => (b.length > a.length ? b : a), "");
  return word && swapped(text, [word, Array.from(word).toReversed().join("")]);
}
