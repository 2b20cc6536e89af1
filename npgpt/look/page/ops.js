// The ops of a GPT, as in autograd/reference.py. Arrays are flat, in rows; each function fills rows
// `from` to `to` of `y`, one for each position of the text.

const sums = new Float64Array(8);

// y = x w + bias.  w is read as w[i * byRow + o * byColumn]: (I, O), or its transpose.
export function matmul(x, w, bias, y, from, to, I, O, byRow = O, byColumn = 1) {
  const panel = new Float64Array(4 * I); // four columns of w side by side, for eight sums at a time
  for (let o = 0; o < O; o += 4) {
    const columns = Math.min(4, O - o);
    for (let i = 0; i < I; i++) {
      for (let c = 0; c < columns; c++) panel[4 * i + c] = w[i * byRow + (o + c) * byColumn];
    }
    for (let n = from; n < to; n += 2) {
      const m = Math.min(n + 1, to - 1); // a last row without a partner is its own
      let [n0, n1, n2, n3, m0, m1, m2, m3] = [0, 0, 0, 0, 0, 0, 0, 0];
      for (let i = 0, p = 0, a = n * I, b = m * I; i < I; i++, p += 4) {
        const w0 = panel[p],
          w1 = panel[p + 1],
          w2 = panel[p + 2],
          w3 = panel[p + 3];
        const xn = x[a + i],
          xm = x[b + i];
        n0 += xn * w0;
        n1 += xn * w1;
        n2 += xn * w2;
        n3 += xn * w3;
        m0 += xm * w0;
        m1 += xm * w1;
        m2 += xm * w2;
        m3 += xm * w3;
      }
      sums.set([n0, n1, n2, n3, m0, m1, m2, m3]);
      for (let c = 0; c < columns; c++) {
        const b = bias ? bias[o + c] : 0;
        y[n * O + o + c] = sums[c] + b;
        y[m * O + o + c] = sums[4 + c] + b;
      }
    }
  }
  return y;
}

// y = (x - mean) / sqrt(var + eps) weight + bias, over the C channels of a row.
export function layerNorm(x, weight, bias, y, from, to, C) {
  for (let n = from; n < to; n++) {
    const [mean, rstd] = meanAndRstd(x, n * C, C);
    for (let c = 0; c < C; c++) {
      y[n * C + c] = (x[n * C + c] - mean) * rstd * weight[c] + (bias ? bias[c] : 0);
    }
  }
  return y;
}

export function meanAndRstd(x, at, C, eps = 1e-5) {
  let mean = 0,
    variance = 0;
  for (let c = 0; c < C; c++) mean += x[at + c] / C;
  for (let c = 0; c < C; c++) variance += (x[at + c] - mean) ** 2 / C;
  return [mean, 1 / Math.sqrt(variance + eps)];
}

// y = x sigmoid(2u),  u = sqrt(2/pi) (x + 0.044715 x^3)
export function gelu(x, y, from, to, F) {
  for (let i = from * F; i < to * F; i++) y[i] = x[i] * geluGate(x[i]);
  return y;
}

export function geluGate(x) {
  return 1 / (1 + Math.exp(-2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
}

export function add(a, b, y, from, to, C) {
  for (let i = from * C; i < to * C; i++) y[i] = a[i] + b[i];
  return y;
}

// In place, of `count` numbers from `at` on: e^(x - max) / sum.  Returns ln sum e^x.
export function softmax(x, at, count) {
  let max = -Infinity,
    sum = 0;
  for (let i = at; i < at + count; i++) if (x[i] > max) max = x[i];
  for (let i = at; i < at + count; i++) sum += x[i] = Math.exp(x[i] - max);
  for (let i = at; i < at + count; i++) x[i] /= sum;
  return max + Math.log(sum);
}

// Queries, keys and values lie side by side in a row of qkv, each as H heads of D channels.
// Of position t and head h, the weights of positions 0..t begin at weights[(t H + h) S].
// hidden: a set of positions that no other position reads.
export function attention(qkv, weights, y, from, to, H, D, S, hidden) {
  const C = H * D,
    scale = 1 / Math.sqrt(D);
  for (let t = from; t < to; t++) {
    for (let h = 0; h < H; h++) {
      const q = t * 3 * C + h * D,
        row = (t * H + h) * S;
      for (let s = 0; s <= t; s++) {
        const k = s * 3 * C + C + h * D;
        let score = 0;
        for (let d = 0; d < D; d++) score += qkv[q + d] * qkv[k + d];
        weights[row + s] = hidden.has(s) && s !== t ? -Infinity : score * scale;
      }
      softmax(weights, row, t + 1);
      const out = t * C + h * D;
      y.fill(0, out, out + D);
      for (let s = 0; s <= t; s++) {
        const weight = weights[row + s],
          v = s * 3 * C + 2 * C + h * D;
        for (let d = 0; d < D; d++) y[out + d] += weight * qkv[v + d];
      }
    }
  }
  return y;
}
