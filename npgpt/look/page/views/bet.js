// A game: the reader bets on the next characters of a story, beside the three that also read it.

import { button, el, percent, slider, table } from "../draw.js";
import { nextCharacters } from "../grammar.js";
import { mean } from "../model.js";
import { bytes, L, pass, readOut, record, set, state, tokenizer, V } from "../state.js";
import { visible } from "../tokenizer.js";

const GIVEN = 30; // characters of the story that are given at least
const BETS = 12;

export const bet = {
  id: "bet",
  title: "Bet",
  needsModel: true,
  about: "Guess the next characters of a story that the model did not learn, and say how sure.",
  section: "What is a Language Model?",
  build(root) {
    const { story, bigrams } = record.bet;
    const characters = Array.from(story);
    // It begins where several characters may follow.
    const odds = nextCharacters(record.grammar, story);
    const first = odds.findIndex((o, t) => t >= GIVEN && o && Math.max(...o.values()) < 0.5);
    const told = () => characters.slice(0, first + losses.length).join("");
    let before = record.prompt; // the reader's own text
    const table_VV = new Float32Array(bytes(bigrams).buffer);
    const losses = []; // [character, yours, bigram's, the model's, the grammar's], in nats
    let sure = 0.7;
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
    const placing = button("Bet", place);
    const start = () => {
      if (state.text !== told()) before = state.text;
      losses.length = 0;
      set({ text: told() });
    };
    const starting = button("", start);
    const leave = button("Back to my text", () => set({ text: before }));
    const game = el("div");
    game.append(
      so,
      el(
        "div",
        { class: "controls" },
        el("label", {}, "the next character ", guess),
        slide,
        placing,
      ),
      said,
      board,
    );
    root.append(
      game,
      el(
        "p",
        {},
        "A bet costs -ln of the probability that you gave to what came, in nats: less is better.",
      ),
      el("div", { class: "controls" }, starting, leave),
    );

    function place() {
      const truth = characters[first + losses.length];
      if (!guess.value || over()) return guess.focus();
      const yours = guess.value === truth ? sure : (1 - sure) / (V - 1);
      const [last, id] = [pass.ids.at(-1), tokenizer.known.get(truth)];
      const exact = pass.grammar?.[pass.T - 1]?.get(truth);
      const given = [yours, table_VV[last * V + id], readOut(2 * L, pass.T - 1)[id]];
      losses.push([truth, ...given.map((p) => -Math.log(p)), exact ? -Math.log(exact) : null]);
      guess.value = "";
      set({ text: told() });
      guess.focus();
    }

    const over = () => losses.length === BETS;
    return () => {
      const plays = state.text === told();
      game.hidden = leave.hidden = !plays;
      starting.textContent = plays ? "From the beginning" : "Begin";
      if (!plays) return;
      so.textContent = `${state.text}…`;
      placing.disabled = over();
      putSure(sure);
      const means = [1, 2, 3, 4].map((who) => mean(losses.map((row) => row[who] ?? 0)));
      said.textContent = losses.length ? verdict(losses.at(-1), means, over()) : "";
      const cells = (row) => row.map((nats) => el("td", {}, nats === null ? "" : nats.toFixed(2)));
      const rows = losses.map(([c, ...row]) => [
        el("th", { scope: "row" }, visible(c)),
        ...cells(row),
      ]);
      if (losses.length) rows.push([el("th", { scope: "row" }, "mean"), ...cells(means)]);
      const head = ["character", "you", "bigram model", "the model", "exact odds"];
      board.replaceChildren(table(head, rows, { "aria-label": "losses in nats" }));
    };
  },
};

function verdict([truth, yours], [you, bigram, model, exact], over) {
  const last = `It was “${visible(truth)}”: that cost you ${yours.toFixed(2)} nats.`;
  if (!over) return last;
  const better = [you < bigram && "the bigram model", you < model && "the model"].filter(Boolean);
  return (
    `${last} Your mean is ${you.toFixed(2)} nats; ` +
    (better.length ? `you beat ${better.join(" and ")}.` : "all three others have lost less.") +
    ` Whoever knows the grammar loses ${exact.toFixed(2)}.`
  );
}
