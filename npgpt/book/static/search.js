// Search over search-index.js: sections, ranked by the words in them, rare words first (BM25).

const [found, field] = ["found", "search"].map((id) => document.getElementById(id));
const { up } = document.body.dataset;
const LONG = 100; // tokens: a shorter section is no better than one of so many
let sections; // of INDEX, with how often each word is in them
const tokens = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}\p{P}]/gu) ?? [];

const read = ([page, title, parts]) =>
  parts.map(([anchor, heading, text]) => {
    const words = new Map();
    const all = tokens(`${heading} ${heading} ${heading} ${title} ${text}`);
    for (const word of all) words.set(word, (words.get(word) ?? 0) + 1);
    const norm = Math.max(all.length, LONG) / LONG;
    const weight = /^[\w-]+\.html$/.test(page) ? 1 : 0.5; // reports and code come after chapters
    return { href: `${up}${page}#${anchor}`, title, heading, text, words, norm, weight };
  });

// How often a word is in a section; a longer word that begins with it counts a third.
function count({ words }, word) {
  const stem = word.length > 3 ? word.replace(/(?<!s)s$/, "") : word;
  let times = words.get(word) ?? 0;
  for (const [other, n] of stem.length > 1 ? words : [])
    if (other !== word && other.startsWith(stem)) times += n / 3;
  return times;
}

function ranked(words) {
  const scores = sections.map((section) => ({ section, score: 0 }));
  for (const word of new Set(words)) {
    const counts = sections.map((section) => count(section, word));
    const rare = Math.log(1 + sections.length / (1 + counts.filter(Boolean).length));
    for (const [i, { weight, norm }] of sections.entries())
      scores[i].score += (weight * rare * counts[i]) / (counts[i] + norm);
  }
  return scores.filter(({ score }) => score).sort((a, b) => b.score - a.score);
}

function entry({ href, title, heading, text }, words) {
  const made = (tag, more) => Object.assign(document.createElement(tag), more);
  const ends = (word) => (word.length > 1 ? "" : "(?![\\p{L}\\p{N}])");
  const any = words.map((word) => word.replace(/[+|^$]/, "\\$&") + ends(word)).join("|");
  const seek = new RegExp(`(?<![\\p{L}\\p{N}])(${any})`, "giu");
  const at = Math.max(0, text.search(seek) - 60);
  const shown = `${at ? "... " : ""}${text.slice(at, at + 180)}`.split(seek);
  const marked = (part, i) => (i % 2 ? made("mark", { textContent: part }) : part);
  const name = heading === title ? title : `${title}: ${heading}`;
  const item = made("li");
  item.append(made("a", { href, textContent: name }), " ", ...shown.map(marked));
  return item;
}

field.oninput = () => {
  sections ??= INDEX.flatMap(read);
  const words = tokens(field.value);
  const hits = ranked(words).slice(0, 12);
  found.replaceChildren(...hits.map(({ section }) => entry(section, words)));
  if (words.length && !hits.length) found.textContent = "Nothing found.";
  found.hidden = !words.length;
};
