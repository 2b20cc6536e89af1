// GPT: from token ids to the logits of the next token. Read it beside npgpt/gpt.py, which has the
// same functions under the same names.

import { add, attention, gelu, layerNorm, matmul } from "./ops.js";

// All rows that a forward computes, by name: a cache like npgpt.generate.KVCache, but of every row.
// So a longer text costs only its new positions, and views can show every number.
export class Trace {
  constructor() {
    this.ids = [];
    this.capacity = 0; // rows that there is room for
  }

  // The first row of `ids` that has to be computed; rows start..T are new.
  begin(ids) {
    if (ids.length > this.capacity) {
      this.capacity = 64;
      while (this.capacity < ids.length) this.capacity *= 2;
      this.arrays = new Map();
      this.ids = [];
    }
    this.start = ids.findIndex((id, t) => id !== this.ids[t]);
    if (this.start < 0) this.start = ids.length;
    this.T = ids.length;
    this.ids = Array.from(ids);
  }

  rows(name, width) {
    if (!this.arrays.has(name)) this.arrays.set(name, new Float64Array(this.capacity * width));
    return this.arrays.get(name);
  }
}

export const NOTHING = { heads: new Set(), mlps: new Set(), positions: new Set() };

// The weights are Float64Arrays by name, with the names of npgpt.gpt.
export class GPT {
  constructor(config, weights) {
    this.weights = weights;
    this.C = config.n_embd;
    this.H = config.n_head;
    this.D = this.C / this.H;
    this.L = config.n_layer;
    this.V = config.vocab_size;
    this.tied = config.tie_weights;
  }

  // The logits of each position, (T, V).  off: heads "layer.head", mlps (layers) and positions that
  // are knocked out, as sets; patch { k, t, row }: row t of the stream after k branches is replaced.
  // A trace belongs to one choice of them.
  forward(ids, trace = new Trace(), off = NOTHING) {
    trace.begin(ids);
    return this.head(this.hidden(ids, trace, off), trace, trace.rows("logits", this.V));
  }

  hidden(ids, trace, off) {
    let x = this.embeddings(ids, trace, off);
    for (let l = 0; l < this.L; l++) x = this.block(l, x, trace, off);
    return this.norm("ln_f", x, trace);
  }

  embeddings(ids, trace, off) {
    const { "wte.weight": wte, "wpe.weight": wpe } = this.weights,
      C = this.C;
    const x = trace.rows("x.0", C);
    for (let t = trace.start; t < trace.T; t++) {
      for (let c = 0; c < C; c++) x[t * C + c] = wte[ids[t] * C + c] + wpe[t * C + c];
    }
    return this.patched(0, x, off);
  }

  // x = x + attn(ln_1(x));  x + mlp(ln_2(x))
  block(l, x, trace, off) {
    const at = `h.${l}`,
      k = 2 * l + 1;
    x = this.plus(k, x, this.attn(l, this.norm(`${at}.ln_1`, x, trace), trace, off), trace, off);
    const y = this.mlp(l, this.norm(`${at}.ln_2`, x, trace), trace, off);
    return this.plus(k + 1, x, y, trace, off);
  }

  attn(l, x, trace, off) {
    const { C, H, D } = this,
      path = `h.${l}.attn`,
      { start, T, capacity } = trace;
    const qkv = this.linear(`${path}.c_attn`, x, C, 3 * C, trace);
    const weights = trace.rows(path, H * capacity);
    const y = attention(
      qkv,
      weights,
      trace.rows(`${path}.y`, C),
      start,
      T,
      H,
      D,
      capacity,
      off.positions,
    );
    for (let h = 0; h < H; h++) {
      if (!off.heads.has(`${l}.${h}`)) continue;
      for (let t = start; t < T; t++) y.fill(0, t * C + h * D, t * C + h * D + D);
    }
    return this.linear(`${path}.c_proj`, y, C, C, trace);
  }

  mlp(l, x, trace, off) {
    const C = this.C,
      F = 4 * C,
      path = `h.${l}.mlp`;
    const hidden = this.linear(`${path}.c_fc`, x, C, F, trace);
    const active = gelu(hidden, trace.rows(`${path}.gelu`, F), trace.start, trace.T, F);
    const y = this.linear(`${path}.c_proj`, active, F, C, trace);
    if (off.mlps.has(l)) y.fill(0, trace.start * C, trace.T * C);
    return y;
  }

  head(x, { start, T }, y) {
    const { C, V } = this,
      { "wte.weight": wte, "lm_head.weight": weight } = this.weights;
    if (this.tied) return matmul(x, wte, null, y, start, T, C, V, 1, C);
    return matmul(x, weight, null, y, start, T, C, V);
  }

  linear(path, x, I, O, trace) {
    const weight = this.weights[`${path}.weight`],
      bias = this.weights[`${path}.bias`];
    return matmul(x, weight, bias, trace.rows(path, O), trace.start, trace.T, I, O);
  }

  norm(path, x, trace) {
    const weight = this.weights[`${path}.weight`],
      bias = this.weights[`${path}.bias`];
    return layerNorm(x, weight, bias, trace.rows(path, this.C), trace.start, trace.T, this.C);
  }

  // The residual stream after k branches.
  plus(k, x, branch, trace, off) {
    add(x, branch, trace.rows(`x.${k}`, this.C), trace.start, trace.T, this.C);
    return this.patched(k, trace.rows(`x.${k}`), off);
  }

  patched(k, x, { patch }) {
    if (patch?.k === k) x.set(patch.row, patch.t * this.C);
    return x;
  }
}

// The name of a branch that adds to the stream: 0 the embeddings, then attention and MLP of each
// block in turn.
export function branchName(k) {
  if (k === 0) return "embeddings";
  return `block ${(k - 1) >> 1} ${k % 2 ? "attention" : "MLP"}`;
}

// -ln of the probability that each position gives the token after it, in nats; T - 1 of them.
export function losses(logits, ids, V) {
  return Array.from(ids.slice(1), (next, t) => {
    let max = -Infinity,
      sum = 0;
    for (let v = 0; v < V; v++) max = Math.max(max, logits[t * V + v]);
    for (let v = 0; v < V; v++) sum += Math.exp(logits[t * V + v] - max);
    return Math.log(sum) + max - logits[t * V + next];
  });
}

export function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

// What positions t read from s in head h of block l, as a function of t and s.
export function weightsOf(trace, H, l, h) {
  const weights = trace.arrays.get(`h.${l}.attn`);
  return (t, s) => weights[(t * H + h) * trace.capacity + s];
}

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

// The largest weight of any head of t on an earlier token, as a function of that.
export function readMost(trace, L, H, t) {
  const heads = Array.from({ length: L * H }, (_, i) =>
    weightsOf(trace, H, Math.floor(i / H), i % H),
  );
  return (s) => Math.max(...heads.map((weightAt) => weightAt(t, s)));
}

// The position of the last third of a text, where there is something to read, at which the likeliest
// token is the least likely.  sure(t): its probability
export function leastCertain(T, sure) {
  let best = T - 1;
  for (let t = T - 1; t >= (2 * T) / 3; t--) if (sure(t) < sure(best)) best = t;
  return best;
}

// Of a vector.
export function length(x) {
  return Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
}
