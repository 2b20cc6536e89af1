// A game: the reader bets on the next tokens of a story, beside the three that also read it.

import { button, el, percent, slider, table } from "../elements.js";
import { mean } from "../model.js";
import { probabilities } from "../sampling.js";
import { model, odds, pass, record, set, tokenizer, V } from "../state.js";

const [ONE, GIVEN] = tokenizer.kind === "words" ? ["word", 15] : ["character", 30]; // at least
const SHOWN = 3; // of the given ones, on which the others have bet already
const BETS = 12;

export const bet = {
  id: "bet",
  title: "Bet",
  needsModel: true,
  about: "Guess what comes next in a story that the model did not learn, and say how sure.",
  words: ["nats", "bigram model"],
  build(root) {
    const ids = tokenizer.encode(record.bet.story),
      texts = ids.map((id) => tokenizer.decode([id])),
      exact = odds(ids, 0),
      // It begins where several tokens may follow.
      first = texts.findIndex((_, t) => t >= GIVEN && Math.max(...exact[t - 1].values()) < 0.5),
      yours = [], // probabilities that the reader gave to what came
      isOver = () => yours.length === BETS;
    let sure = 0.7,
      others = [], // the probabilities of the three others, from SHOWN tokens before the first
      version; // of the weights then
    const [so, board, said] = [el("p.tokens"), el("div"), el("p", { role: "status" })],
      guess = el("input", { size: 8, "aria-label": `the next ${ONE}` });
    guess.onkeydown = ({ key }) => {
      if (key === "Enter") place();
    };
    const [slide, putSure] = slider(
        "sure",
        [0.05, 0.99, 0.01],
        (p) => putSure((sure = p)),
        percent,
      ),
      placing = button("Bet", place, { class: "begin" });
    const starting = button("From the beginning", () => {
      yours.length = 0;
      set({});
    });
    const next = el("label", `the next ${ONE} `, guess),
      cost =
        "A bet costs -ln of the probability that you gave to what came, in nats: less is better.";
    root.append(so, el("div.controls", next, slide, placing, starting));
    root.append(said, board, el("p.legend", cost));

    function place() {
      if (!guess.value || isOver()) return guess.focus();
      const text = texts[first + yours.length],
        isRight = [text, text.trimStart()].includes(guess.value);
      yours.push(isRight ? sure : (1 - sure) / (V - 1));
      guess.value = "";
      set({});
      guess.focus();
    }

    return () => {
      so.textContent = `${texts.slice(0, first + yours.length).join("")}…`;
      placing.disabled = isOver();
      starting.disabled = !yours.length;
      putSure(sure);
      if (version !== pass.version) others = betsOfOthers(ids, texts, exact, first - SHOWN);
      version = pass.version;
      const rows = others.slice(0, SHOWN + yours.length).map((bets, i) => {
        const name = tokenizer.label(ids[first - SHOWN + i]);
        return [name, ...[yours[i - SHOWN], ...bets].map((p) => p && -Math.log(p))];
      });
      const bets = rows.slice(SHOWN),
        means = [1, 2, 3, 4].map((who) => mean(bets.map((row) => row[who] ?? 0)));
      said.textContent = bets.length
        ? verdict(bets.at(-1), means, isOver())
        : `Type what comes next, say how sure you are, and press Bet: ${BETS} bets. On the ` +
          `${SHOWN} ${ONE}s in the table only the others have bet, so that you see how.`;
      if (bets.length) rows.push(["mean", ...means]);
      const cells = ([name, ...nats]) => [name, ...nats.map((loss) => loss?.toFixed(2) ?? "")],
        head = [ONE, "you", "bigram model", "the model", "exact odds"];
      board.replaceChildren(table("losses in nats", head, rows.map(cells)));
    };
  },
};

// What a bigram model, the model and the grammar gave to each token that is bet on.
function betsOfOthers(ids, texts, exact, from) {
  const end = from + SHOWN + BETS,
    start = Math.max(0, end - record.window),
    logits = model.forward(ids.slice(start, end));
  return texts.slice(from, end).map((text, i) => {
    const t = from + i,
      row = logits.slice((t - 1 - start) * V, (t - start) * V),
      own = probabilities(row, { temperature: 1, topK: V, topP: 1 });
    return [record.bet.bigrams[t - 1], own[ids[t]], exact[t - 1].get(text)];
  });
}

function verdict([truth, yours], [you, bigram, own, exact], isOver) {
  const last = `It was “${truth}”: that cost you ${yours.toFixed(2)} nats.`;
  if (!isOver) return last;
  const better = [you < bigram && "the bigram model", you < own && "the model"].filter(Boolean),
    lost = better.length ? `you beat ${better.join(" and ")}` : "all three others have lost less",
    luck = Math.min(you, bigram, own) < exact ? `; in ${BETS} bets, luck can beat that` : "";
  return (
    `${last} Your mean is ${you.toFixed(2)} nats; ${lost}. Whoever knows the grammar loses ` +
    `${exact.toFixed(2)}${luck}.`
  );
}
