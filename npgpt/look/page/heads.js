// Names of heads, by what share of their attention goes where.

import { range } from "./elements.js";
import { mean, Trace, weightsOf } from "./model.js";
import { random } from "./sampling.js";
import { H, live, model, pass, record, V } from "./state.js";

export const NAMED = 0.25; // the least share of a head that has a name
const shuffled = range(V).sort((a, b) => random(1, a) - random(1, b));
const once = shuffled.slice(0, Math.min(32, record.window >> 1)); // tokens in random order
const twice = new Trace(); // of them, said twice
let twiceWith; // the weights of that trace

// The mean shares { name: share } of one head on a text; `weight` (t, s) is what t reads from s.
export function shares(ids, weight) {
  const sums = [0, 0, 0];
  let repeated = 0; // positions whose token is there before
  for (let t = 2; t < ids.length; t++) {
    sums[0] += weight(t, t - 1);
    sums[1] += weight(t, 0);
    if (ids.indexOf(ids[t]) < t) repeated++;
    for (let s = 0; s < t; s++) if (ids[s] === ids[t]) sums[2] += weight(t, s);
  }
  const [previous, first, same] = sums.map(
    (sum, i) => sum / ((i < 2 ? ids.length - 2 : repeated) || 1),
  );
  return { "previous token": previous, "first token": first, "same token": same };
}

// In n tokens said twice, the mean share of the token that followed the present one before.
export function induction(n, weight) {
  return mean(range(n).map((i) => weight(n + i, i + 1)));
}

// The name and size of a head's largest share, if it is NAMED or more.
export function headName(l, h) {
  const found = shares(pass.ids, weightsOf(pass.trace, H, l, h));
  if (live) {
    if (twiceWith !== pass.version) {
      twice.ids = [];
      model.forward([...once, ...once], twice);
    }
    twiceWith = pass.version;
    found.induction = induction(once.length, weightsOf(twice, H, l, h));
  }
  const [name, share] = Object.entries(found).reduce((a, b) => (b[1] > a[1] ? b : a));
  return share < NAMED ? "" : `${name} ${Math.round(100 * share)} %`;
}
