// The exact distribution of the next token of a tale: npgpt/tales/grammar.py read character by
// character. A reading is the rest to write, the choices so far, and their probability.

import { LETTER } from "./tokenizer.js";

export const END = ".\n\n";

// For each beginning of a text, the empty one first: a Map from each character that may follow to
// its probability, or null if the story so far is none of the grammar's. A text begins with a
// story, or with empty lines before one.
export function nextCharacters(grammar, text) {
  const all = readingsOf(grammar, Array.from(text));
  return all.map((some) => once(some, "", () => (some.length ? distribution(some) : null)));
}

// The same of the tokens of a tokenizer of words, after each of a text's.  known: has the words
export function nextWords(grammar, tokens, known) {
  const all = readingsOf(grammar, Array.from(tokens.join("")));
  let at = 0,
    begun = ""; // the word in which the token ends
  return ["", ...tokens].map((token) => {
    begun = goesOn(begun, token) ? begun + token : goesOn("", token[0] ?? "") ? token : "";
    const isOne = token.length > 1,
      readings = all[(at += Array.from(token).length)];
    return once(readings, `${begun} ${isOne}`, () => {
      const next = wordsAfter(grammar, readings, begun, isOne, known),
        total = Array.from(next.values()).reduce((a, b) => a + b, 0);
      return total ? new Map(Array.from(next, ([word, p]) => [word, p / total])) : null;
    });
  });
}

const computed = new WeakMap(); // by readings: what follows them

function once(readings, key, compute) {
  if (computed.get(readings)?.key !== key) computed.set(readings, { key, next: compute() });
  return computed.get(readings).next;
}

// Whether the beginning of a word, or nothing, and a character begin a word: letters, or a space and
// letters.
function goesOn(begun, character) {
  return LETTER.test(character) ? character.length === 1 : !begun && character === " ";
}

// The probability of each token that may follow, times that of the readings. A word that is known is
// one token, all others are spelled: so one that was begun in letters is none of the known.
// isOne: what was begun is one token
function wordsAfter(grammar, readings, begun, isOne, known) {
  const next = new Map(),
    isKnown = (word) => word.length > 1 && known.has(word);
  const add = (token, p) => next.set(token, (next.get(token) ?? 0) + p);
  const go = (some, word) => {
    for (const [c, p] of distribution(some)) {
      const on = some.filter(({ left }) => left[0][0] === c),
        after = () => on.flatMap((reading) => read(grammar, reading, c));
      if (goesOn(word, c)) go(after(), word + c);
      else if (!word) add(c, p);
      else if (word === begun && isOne === isKnown(word))
        wordsAfter(grammar, on, "", false, known).forEach((q, w) => add(w, q));
      else if (!begun && isKnown(word)) add(word, p);
      else if (word !== begun && !isOne && !isKnown(word)) add(word[begun.length], p);
    }
  };
  go(readings, begun);
  return next;
}

let before = { characters: [], found: [] }; // of the last text

// The readings of each beginning of a text; a beginning that the last text had keeps its own.
function readingsOf(grammar, characters) {
  if (!before.found.length) before.found.push(begin(grammar));
  const changed = characters.findIndex((character, i) => character !== before.characters[i]),
    same = changed < 0 ? characters.length : changed,
    found = before.found.slice(0, same + 1);
  let readings = found[same],
    inStory = characters.slice(0, same).some((character) => character !== "\n");
  for (let i = same; i < characters.length; i++) {
    inStory ||= characters[i] !== "\n";
    if (inStory) readings = readings.flatMap((reading) => read(grammar, reading, characters[i]));
    const total = sum(readings);
    for (const reading of readings) reading.p /= total;
    if (!total && characters.slice(i - 2, i + 1).join("") === END) readings = begin(grammar);
    found.push(readings);
  }
  before = { characters, found };
  return found;
}

function begin(grammar) {
  return open(grammar, { left: [{ choose: "story", slot: "" }], bound: {}, p: 1 });
}

// The readings that go on with a character.
function read(grammar, { left, bound, p }, character) {
  if (left[0][0] !== character) return [];
  return open(grammar, { left: [left[0].slice(1), ...left.slice(1)], bound, p });
}

// The same reading with all choices made that lead to its next literal character. After the end of
// a story the next one begins.
function open(grammar, { left, bound, p }) {
  for (;;) {
    if (!left.length) left = [{ choose: "story", slot: "" }];
    const [part, ...after] = left;
    if (part === "") left = after;
    else if (typeof part === "string") return [{ left, bound, p }];
    else if (part.say) left = [bound[part.say[0]][part.say[1]], ...after];
    else {
      const [slot, trait] = Array.isArray(part.choose) ? part.choose : [];
      const options = grammar[slot === undefined ? part.choose : bound[slot][trait]];
      return options.flatMap(([parts, traits]) => {
        const chosen = { ...bound, [part.slot]: traits };
        return open(grammar, { left: [...parts, ...after], bound: chosen, p: p / options.length });
      });
    }
  }
}

function distribution(readings) {
  const next = new Map();
  for (const { left, p } of readings) next.set(left[0][0], (next.get(left[0][0]) ?? 0) + p);
  return next;
}

function sum(readings) {
  return readings.reduce((total, { p }) => total + p, 0);
}
