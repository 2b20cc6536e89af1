// What to look at first in a text: the head that reads from far away, and where little is certain.

import { weightsOf } from "./model.js";

// The largest weight of these readers on a token that is so far back; the first token does not count, as heads
// that have nothing to read rest on it.
export function readsFar(trace, L, H, readers, far) {
  const best = { weight: 0, layer: 0, head: 0, t: 0, s: 0 };
  for (let layer = 0; layer < L; layer++) {
    for (let head = 0; head < H; head++) {
      const weightAt = weightsOf(trace, H, layer, head);
      for (const t of readers) {
        for (let s = 1; s <= t - far; s++) {
          const weight = weightAt(t, s);
          if (weight > best.weight) Object.assign(best, { weight, layer, head, t, s });
        }
      }
    }
  }
  return best;
}

// The position of the last third of a text, where there is something to read, at which the likeliest
// token is the least likely.  sure(t): its probability
export function leastCertain(T, sure) {
  let best = T - 1;
  for (let t = T - 1; t >= (2 * T) / 3; t--) if (sure(t) < sure(best)) best = t;
  return best;
}
