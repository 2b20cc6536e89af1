// A game: the reader bets on the next characters of a story, beside the three that also read it.

import { nextCharacters } from "../grammar.js";
import { button, el, percent, slider, table } from "../elements.js";
import { mean } from "../model.js";
import { probabilities } from "../sampling.js";
import { bytes, model, pass, record, set, tokenizer, V } from "../state.js";
import { visible } from "../tokenizer.js";

const GIVEN = 30; // characters of the story that are given at least
const SHOWN = 3; // of them, on which the others have bet already
const BETS = 12;

export const bet = {
  id: "bet",
  title: "Bet",
  needsModel: true,
  about: "Guess the next characters of a story that the model did not learn, and say how sure.",
  section: "What is a Language Model?",
  words: ["nats", "bigram model"],
  build(root) {
    const characters = Array.from(record.bet.story);
    // It begins where several characters may follow.
    const odds = nextCharacters(record.grammar, record.bet.story);
    const first = odds.findIndex((o, t) => t >= GIVEN && o && Math.max(...o.values()) < 0.5);
    const yours = []; // probabilities that the reader gave to what came
    let sure = 0.7,
      others = [], // the probabilities of the three others, from SHOWN characters before the first
      version; // of the weights then
    const so = el("p", { class: "tokens" }),
      board = el("div"),
      said = el("p", { role: "status" });
    const guess = el("input", { size: 2, maxlength: 2, "aria-label": "the next character" });
    guess.onkeydown = (event) => {
      if (event.key === "Enter") place();
    };
    const [slide, putSure] = slider(
      "sure",
      { min: 0.05, max: 0.99, step: 0.01 },
      (p) => {
        sure = p;
        putSure(p);
      },
      percent,
    );
    const placing = button("Bet", place, { class: "begin" });
    const starting = button("From the beginning", () => {
      yours.length = 0;
      set({});
    });
    const next = el("label", {}, "the next character ", guess);
    root.append(
      so,
      el("div", { class: "controls" }, next, slide, placing, starting),
      said,
      board,
      el(
        "p",
        { class: "legend" },
        "A bet costs -ln of the probability that you gave to what came, in nats: less is better.",
      ),
    );

    function place() {
      if (!guess.value || over()) return guess.focus();
      const right = guess.value === characters[first + yours.length];
      yours.push(right ? sure : (1 - sure) / (V - 1));
      guess.value = "";
      set({});
      guess.focus();
    }

    const over = () => yours.length === BETS;
    return () => {
      so.textContent = `${characters.slice(0, first + yours.length).join("")}…`;
      placing.disabled = over();
      starting.disabled = !yours.length;
      putSure(sure);
      if (version !== pass.version) others = betsOfOthers(characters, odds, first);
      version = pass.version;
      const rows = Array.from({ length: SHOWN + yours.length }, (_, i) => {
        return [visible(characters[first - SHOWN + i]), yours[i - SHOWN], ...others[i]];
      }).map(([c, ...given]) => [c, ...given.map((p) => (p ? -Math.log(p) : null))]);
      const bets = rows.slice(SHOWN),
        means = [1, 2, 3, 4].map((who) => mean(bets.map((row) => row[who] ?? 0)));
      said.textContent = bets.length
        ? verdict(bets.at(-1), means, over())
        : `Type what comes next, say how sure you are, and press Bet: ${BETS} bets. On the ` +
          `${SHOWN} characters in the table only the others have bet, so that you see how.`;
      if (bets.length) rows.push(["mean", ...means]);
      const cells = ([name, ...nats]) => [
        el("th", { scope: "row" }, name),
        ...nats.map((loss) => el("td", {}, loss === null ? "" : loss.toFixed(2))),
      ];
      const head = ["character", "you", "bigram model", "the model", "exact odds"];
      board.replaceChildren(table(head, rows.map(cells), { "aria-label": "losses in nats" }));
    };
  },
};

// What a bigram model, the model and the grammar gave to each character that is shown.
function betsOfOthers(characters, odds, first) {
  const start = Math.max(0, first + BETS - record.window),
    ids = tokenizer.encode(characters.slice(start, first + BETS).join("")),
    table_VV = new Float32Array(bytes(record.bet.bigrams).buffer),
    logits = model.forward(ids);
  return Array.from({ length: SHOWN + BETS }, (_, i) => {
    const t = first - SHOWN + i,
      [before, id] = ids.slice(t - start - 1, t - start + 1),
      row = logits.subarray((t - start - 1) * V, (t - start) * V),
      plain = probabilities(row, { temperature: 1, topK: V, topP: 1 });
    return [table_VV[before * V + id], plain[id], odds[t]?.get(characters[t])];
  });
}

function verdict([truth, yours], [you, bigram, own, exact], over) {
  const last = `It was “${truth}”: that cost you ${yours.toFixed(2)} nats.`;
  if (!over) return last;
  const better = [you < bigram && "the bigram model", you < own && "the model"].filter(Boolean);
  return (
    `${last} Your mean is ${you.toFixed(2)} nats; ` +
    (better.length ? `you beat ${better.join(" and ")}.` : "all three others have lost less.") +
    ` Whoever knows the grammar loses ${exact.toFixed(2)}` +
    (Math.min(you, bigram, own) < exact ? `; in ${BETS} bets, luck can beat that.` : ".")
  );
}
