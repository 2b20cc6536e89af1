// Backward: the vector-Jacobian products of autograd/ops/, in the reverse order of the forward.
// d_y is the gradient of the loss with respect to y.

import { geluGate, matmul, meanAndRstd, softmax } from "./ops.js";

// The faults that can be planted in a rule.
export const FAULTS = {
  layer_norm: "the mean of the gradient is not taken out",
  gelu: "the gate's own slope is forgotten",
  scaled_dot_product_attention: "softmax's rule without its sum",
  linear: "the gradient of the weight is 1 % too large",
  cross_entropy: "the target's 1 is not subtracted",
};

// The loss, the mean over positions of -ln p(target), and its gradients: of each weight, by name,
// and of the stream at the bottom, `d_x`.  trace: of a forward.  targets[t]: -1 where there is none
export function backward(model, trace, targets, fault = null) {
  const { C, D, H, L, V, weights } = model,
    { T, capacity: S } = trace,
    F = 4 * C;
  const grads = {},
    at = (name) => trace.arrays.get(name);
  for (const name in weights) grads[name] = new Float64Array(weights[name].length);

  const [loss, dlogits] = crossEntropy(at("logits"), targets, T, V, fault);
  const dhead = model.tied ? "wte.weight" : "lm_head.weight";
  const d_y = new Float64Array(T * C);
  if (model.tied) {
    matmul(dlogits, weights[dhead], null, d_y, 0, T, V, C);
    outer(grads[dhead], dlogits, at("ln_f"), T, V, C, fault);
  } else {
    matmul(dlogits, weights[dhead], null, d_y, 0, T, V, C, 1, V);
    outer(grads[dhead], at("ln_f"), dlogits, T, C, V, fault);
  }
  let d_x = norm("ln_f", d_y, at(`x.${2 * L}`));
  for (let l = L - 1; l >= 0; l--) {
    const p = `h.${l}`;
    let d = linear(`${p}.mlp.c_proj`, d_x, at(`${p}.mlp.gelu`), F, C);
    d = gelu(d, at(`${p}.mlp.c_fc`), fault);
    d = linear(`${p}.mlp.c_fc`, d, at(`${p}.ln_2`), C, F);
    d_x = sum(d_x, norm(`${p}.ln_2`, d, at(`x.${2 * l + 1}`)));
    d = linear(`${p}.attn.c_proj`, d_x, at(`${p}.attn.y`), C, C);
    d = attention(d, at(`${p}.attn.c_attn`), at(`${p}.attn`), T, H, D, S, fault);
    d = linear(`${p}.attn.c_attn`, d, at(`${p}.ln_1`), C, 3 * C);
    d_x = sum(d_x, norm(`${p}.ln_1`, d, at(`x.${2 * l}`)));
  }
  for (let t = 0; t < T; t++) {
    for (let c = 0; c < C; c++) {
      grads["wte.weight"][trace.ids[t] * C + c] += d_x[t * C + c];
      grads["wpe.weight"][t * C + c] += d_x[t * C + c];
    }
  }
  return { loss, grads, d_x };

  // d_x = d_y w^T,  d_w = x^T d_y,  d_bias = sum of d_y
  function linear(path, d_y, x, I, O) {
    outer(grads[`${path}.weight`], x, d_y, T, I, O, fault);
    const d_bias = grads[`${path}.bias`];
    if (d_bias) for (let i = 0; i < T * O; i++) d_bias[i % O] += d_y[i];
    return matmul(d_y, weights[`${path}.weight`], null, new Float64Array(T * I), 0, T, O, I, 1, O);
  }

  // d_x = (g - mean(g) - n mean(g n)) rstd,  g = d_y weight,  n = (x - mean) rstd
  function norm(path, d_y, x) {
    const weight = weights[`${path}.weight`],
      d_weight = grads[`${path}.weight`];
    const d_bias = grads[`${path}.bias`],
      d_x = new Float64Array(T * C);
    for (let t = 0; t < T; t++) {
      const [mean, rstd] = meanAndRstd(x, t * C, C);
      let mean_g = 0,
        mean_gn = 0;
      for (let c = 0, i = t * C; c < C; c++, i++) {
        const n = (x[i] - mean) * rstd,
          g = d_y[i] * weight[c];
        mean_g += g / C;
        mean_gn += (g * n) / C;
        d_weight[c] += d_y[i] * n;
        if (d_bias) d_bias[c] += d_y[i];
      }
      if (fault === "layer_norm") mean_g = 0;
      for (let c = 0, i = t * C; c < C; c++, i++) {
        d_x[i] = (d_y[i] * weight[c] - mean_g - (x[i] - mean) * rstd * mean_gn) * rstd;
      }
    }
    return d_x;
  }
}

// loss = mean of -ln softmax(logits)[target];  dlogits = (softmax - 1 at the target) / count
function crossEntropy(logits, targets, T, V, fault) {
  const dlogits = logits.slice(0, T * V),
    count = targets.filter((v) => v >= 0).length;
  let loss = 0;
  for (let t = 0; t < T; t++) {
    if (targets[t] < 0) {
      dlogits.fill(0, t * V, t * V + V);
      continue;
    }
    loss += (softmax(dlogits, t * V, V) - logits[t * V + targets[t]]) / count;
    if (fault !== "cross_entropy") dlogits[t * V + targets[t]] -= 1;
    for (let v = 0; v < V; v++) dlogits[t * V + v] /= count;
  }
  return [loss, dlogits];
}

// d_w = a^T b: the sum over positions of all products.  a (T, I), b (T, O) -> (I, O)
function outer(d_w, a, b, T, I, O, fault) {
  const a_IT = new Float64Array(I * T),
    by = fault === "linear" ? 1.01 : 1;
  for (let t = 0; t < T; t++) for (let i = 0; i < I; i++) a_IT[i * T + t] = a[t * I + i] * by;
  matmul(a_IT, b, null, d_w, 0, I, T, O);
}

// y = x s, s = sigmoid(2u):  d_x = d_y (s + x s (1 - s) 2 du/dx)
function gelu(d_y, x, fault) {
  return d_y.map((d, i) => {
    const s = geluGate(x[i]),
      slope = 2 * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x[i] ** 2);
    return d * (s + (fault === "gelu" ? 0 : x[i] * s * (1 - s) * slope));
  });
}

// With a the weights and d_a_ts = d_y_t . v_s:  d_v_s = sum_t a_ts d_y_t,
// d_z_ts = a_ts (d_a_ts - sum_r a_tr d_a_tr),  d_q_t = sum_s d_z_ts k_s / sqrt(D),  d_k_s likewise
function attention(d_y, qkv, a, T, H, D, S, fault) {
  const C = H * D,
    scale = 1 / Math.sqrt(D),
    d_qkv = new Float64Array(T * 3 * C);
  const d_a = new Float64Array(T);
  for (let t = 0; t < T; t++) {
    for (let h = 0; h < H; h++) {
      const row = (t * H + h) * S,
        y = t * C + h * D,
        q = t * 3 * C + h * D;
      let total = 0;
      for (let s = 0; s <= t; s++) {
        const v = s * 3 * C + 2 * C + h * D,
          weight = a[row + s];
        d_a[s] = 0;
        for (let d = 0; d < D; d++) {
          d_a[s] += d_y[y + d] * qkv[v + d];
          d_qkv[v + d] += weight * d_y[y + d];
        }
        total += weight * d_a[s];
      }
      if (fault === "scaled_dot_product_attention") total = 0;
      for (let s = 0; s <= t; s++) {
        const k = s * 3 * C + C + h * D,
          d_score = a[row + s] * (d_a[s] - total) * scale;
        for (let d = 0; d < D; d++) {
          d_qkv[q + d] += d_score * qkv[k + d];
          d_qkv[k + d] += d_score * qkv[q + d];
        }
      }
    }
  }
  return d_qkv;
}

function sum(a, b) {
  return a.map((value, i) => value + b[i]);
}
