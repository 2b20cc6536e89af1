// Drawing the next token: npgpt/sampling.py. The order is temperature, top-k, top-p.

// Probabilities (V,) with which each token is drawn, 0 for removed tokens.
export function probabilities(logits, { temperature, topK, topP }) {
  const order = likeliestFirst(logits),
    largest = logits[order[0]];
  const probs = new Float64Array(logits.length);
  if (temperature === 0) {
    probs[order[0]] = 1;
    return probs;
  }
  let kept = order.slice(0, topK).map((v) => [v, Math.exp((logits[v] - largest) / temperature)]);
  const total = kept.reduce((sum, [, e]) => sum + e, 0);
  let reached = 0;
  if (topP < 1) {
    // of 0.5, 0.3, 0.2, two reach 0.8: rounding must not ask for a third
    const enough = (topP - kept.length * Number.EPSILON) * total;
    kept = kept.filter(([, e]) => reached < enough && ((reached += e), true));
  } else reached = total;
  for (const [v, e] of kept) probs[v] = e / reached;
  return probs;
}

// Token ids by falling logit or probability, ties by id.
export function likeliestFirst(numbers) {
  return Array.from(numbers.keys()).sort((a, b) => numbers[b] - numbers[a] || a - b);
}

// The likeliest token after those of a text; arguments as for GPT.forward.
export function likeliestNext(model, ids, trace, off) {
  const logits = model.forward(ids, trace, off);
  return likeliestFirst(logits.slice((ids.length - 1) * model.V, ids.length * model.V))[0];
}

// A token for the point u in [0, 1) of the cumulative distribution.
export function draw(probs, u) {
  let total = 0,
    last = 0;
  for (let v = 0; v < probs.length; v++) {
    if (!probs[v]) continue;
    total += probs[v];
    last = v;
    if (u < total) return v;
  }
  return last;
}

// A number in [0, 1) that depends on seed and step alone, so that a step can be taken again.
export function random(seed, step) {
  let z = (seed + Math.imul(step + 1, 0x9e3779b9)) | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
}
