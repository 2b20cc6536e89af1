// The words that a reader may not know, and what they mean.

import { el } from "./elements.js";
import { record, tokenizer } from "./state.js";

const KINDS = { char: "one letter, space or mark", words: "a word, or a letter of a rare one" };
const ONE = KINDS[tokenizer.kind] ?? "a piece of a word";
const AND = record.llama ? "" : " and each position";

const MEANINGS = {
  token: `What the model reads and writes one at a time, in this model ${ONE}.`,
  grammar: "The rules by which a small program writes the tales; from them the true odds follow.",
  stream:
    "The vector of the chosen token. It begins as its embedding; each part reads it " +
    "and adds to it, and in the end it is read out as the answer.",
  head:
    "Head 1.3 is head 3 of block 1, both counted from 0. A head lets a token read earlier tokens, " +
    "each with a share of 100 %.",
  MLP:
    "A small network of two layers (multilayer perceptron), in every block after its heads: it " +
    "works on the vector of one token alone, and reads no other token.",
  block: "One storey of the model: heads, which read other tokens, and then an MLP.",
  embeddings: `The vectors that the model has learned for each token${AND}.`,
  "✓": "The text goes on with this answer.",
  nats: "What a guess costs: -ln of the probability it gave to what came. Sure and right costs 0.",
  perplexity: "e to the power of the loss: a guess among so many equal choices would cost as much.",
  int8: "A weight stored as a whole number from -127 to 127, times a factor for its row.",
  logit:
    "The model's score for a token. Softmax turns the scores of all tokens into probabilities.",
  gradient: "For each weight, how fast the loss rises when this weight grows a little.",
  GELU: "The bend inside an MLP: it lets large numbers pass, and takes negative ones close to 0.",
  "bigram model": "It knows only how often each token follows each other token in the tales.",
  channel: "One of the numbers of a vector, counted from 0.",
};

// What unfolds under the heading of a view.
export function explained({ words }) {
  const meanings = words.map((word) => el("p", el("b", word), `: ${MEANINGS[word]}`));
  return el("details.concept", el("summary", "Words"), ...meanings);
}
