// Text to token ids and back: npgpt/tokenizers/.

const PATTERNS = {
  gpt2: /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu,
};

export const LETTER = /[\p{L}\p{Nl}\p{No}]/u;
// A word, with the space before it, or a character.
const WORD = / ?[\p{L}\p{Nl}\p{No}]{1,1000}|[^]/gu;

export class UnknownCharacter extends Error {}

export class Tokenizer {
  constructor({ kind, tokens, pattern, merges, ids, special = {} }) {
    Object.assign(this, { kind, tokens, pattern, ids, labels: [] });
    this.special = new Map(Object.entries(special)); // roles of a conversation, and the like
    const isText = ["char", "words"].includes(kind);
    this.known = isText ? new Map(tokens.map((token, id) => [utf8(token), id])) : null;
    this.merged = new Map((merges ?? []).map(([a, b], i) => [pairKey(a, b), 256 + i]));
    if (kind === "bpe") {
      this.index = new Map(tokens.map((token, id) => [token, id])); // single bytes have ids of their own
      this.words = new Map();
    }
  }

  encode(text) {
    if (/\p{Surrogate}/u.test(text)) {
      throw new UnknownCharacter("The text holds half of a surrogate pair, which is no character.");
    }
    return this.parts(text).flatMap((part, i, parts) => {
      if (this.special.has(part)) return [this.special.get(part)];
      return this.plain(part, () => Array.from(parts.slice(0, i).join("")).length);
    });
  }

  // A text cut before and after special tokens.
  parts(text) {
    const longest = Array.from(this.special.keys()).sort((a, b) => b.length - a.length),
      escaped = longest.map((token) => token.replace(/\W/g, "\\$&"));
    return longest.length ? text.split(RegExp(`(${escaped.join("|")})`)) : [text];
  }

  // The ids of a text without special tokens.  before(): the number of characters before it
  plain(text, before) {
    if (this.kind === "char") return this.characters(text, before);
    if (this.kind === "words") return this.spelled(text, before);
    const words = this.pattern
      ? (text.match(PATTERNS[this.pattern]) ?? [])
      : [text].filter(Boolean);
    return words.flatMap((word) => this.bytePairs(word));
  }

  // { ids } of a text, or the { problem } with it.
  read(text) {
    try {
      return { ids: this.encode(text) };
    } catch (error) {
      if (!(error instanceof UnknownCharacter)) throw error;
      return { problem: error.message };
    }
  }

  characters(text, before) {
    return Array.from(text, (character, position) => {
      const id = this.known.get(character);
      if (id !== undefined) return id;
      const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      throw new UnknownCharacter(
        `${visible(character)} (U+${code}), as character ${(before() + position + 1).toLocaleString("en")}, is not among the ` +
          "characters that this model was trained on.",
      );
    });
  }

  // The ids of words, one by one; a word that has none is spelled.
  spelled(text, before) {
    return Array.from(text.matchAll(WORD), ({ 0: word, index }) => {
      const id = this.special.has(word) ? undefined : this.known.get(word);
      const at = () => before() + Array.from(text.slice(0, index)).length;
      return id === undefined ? this.characters(word, at) : id;
    }).flat();
  }

  // The text without the characters that the model does not know.
  readable(text) {
    return this.parts(text)
      .flatMap((part) => (this.special.has(part) ? [part] : Array.from(part)))
      .filter((token) => this.known.has(token))
      .join("");
  }

  // The merges inside a word, in the order in which they were learned.
  bytePairs(word) {
    if (this.words.has(word)) return this.words.get(word);
    let parts = Array.from(new TextEncoder().encode(word));
    for (;;) {
      let best = Infinity;
      for (let i = 0; i + 1 < parts.length; i++) {
        best = Math.min(best, this.merged.get(pairKey(parts[i], parts[i + 1])) ?? Infinity);
      }
      if (best === Infinity) break;
      const joined = [];
      for (let i = 0; i < parts.length; i++) {
        const pair =
          i + 1 < parts.length && this.merged.get(pairKey(parts[i], parts[i + 1])) === best;
        joined.push(pair ? best : parts[i]);
        if (pair) i++;
      }
      parts = joined;
    }
    const ids = parts.map((part) => this.ids[part]);
    this.words.set(word, ids);
    return ids;
  }

  decode(ids) {
    return utf8(ids.map((id) => this.tokens[id] ?? "").join(""));
  }

  // A token as a label: its text, or its bytes if it is not UTF-8.
  label(id) {
    return (this.labels[id] ??= this.labelOf(id));
  }

  // A token as it is written in a text, or its label if that cannot be seen.
  written(id) {
    const text = this.decode([id]);
    return /[\ufffd\p{Zl}\p{Zp}]|[^\P{C}\n\t]/u.test(text) ? this.label(id) : text;
  }

  labelOf(id) {
    const text = this.decode([id]);
    if (this.kind === "words" && text.length > 1) return text.trimStart();
    if (!text.includes("\ufffd")) return visible(text);
    const hex = Array.from(this.tokens[id], (byte) => byte.charCodeAt(0).toString(16));
    return `<${hex.join(" ")}>`;
  }
}

function pairKey(a, b) {
  return a * 1048576 + b;
}

// Text from a string with a character for each byte.
function utf8(bytes) {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(
    Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)),
  );
}

// Makes spaces, line ends and all unprintable characters visible.
export function visible(text) {
  const shapes = { " ": "␣", "\n": "⏎", "\t": "⇥" };
  return text
    .replace(/[ \n\t]/g, (c) => shapes[c])
    .replace(/[\p{C}\p{Z}]/gu, (c) => {
      return `\\u{${c.codePointAt(0).toString(16)}}`;
    });
}

// A label as a screen reader should say it.
export function spoken(label) {
  return label.replaceAll("␣", " space ").replaceAll("⏎", " line end ");
}
