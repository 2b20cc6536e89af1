// The exact distribution of the next character of a tale: npgpt/tales/grammar.py read character by
// character. A reading is the rest to write, the choices so far, and their probability.

export const END = ".\n\n";

// For each beginning of a text, the empty one first: a Map from each character that may follow to
// its probability, or null if the story so far is none of the grammar's. A text begins with a
// story, or with empty lines before one.
export function nextCharacters(grammar, text) {
  let readings = begin(grammar),
    inStory = false;
  const found = [distribution(readings)],
    characters = Array.from(text);
  for (let i = 0; i < characters.length; i++) {
    inStory ||= characters[i] !== "\n";
    if (inStory) readings = readings.flatMap((reading) => read(grammar, reading, characters[i]));
    const total = sum(readings);
    for (const reading of readings) reading.p /= total;
    if (!total && characters.slice(i - 2, i + 1).join("") === END) readings = begin(grammar);
    found.push(readings.length ? distribution(readings) : null);
  }
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
