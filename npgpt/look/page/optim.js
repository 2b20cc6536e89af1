// AdamW: npgpt/optim.py, and adamw_ of autograd/reference.py.

import { length } from "./model.js";

export class AdamW {
  // weights: arrays by name, changed in place.  matrices: a set of the names that decay.
  // settings: beta1, beta2, weight_decay, grad_clip
  constructor(weights, matrices, settings) {
    const zeros = () =>
      Object.fromEntries(Object.entries(weights).map(([n, w]) => [n, new Float64Array(w.length)]));
    Object.assign(this, settings, { weights, matrices, steps: 0, m: zeros(), v: zeros() });
  }

  // m = mean of g,  v = mean of g^2, both running:  w -= lr (m / (sqrt(v) + eps) + decay w)
  step(grads, lr, eps = 1e-8) {
    const { beta1, beta2, grad_clip } = this,
      norm = length(Object.values(grads).map(length));
    const scale = grad_clip && norm ? Math.min(1, grad_clip / norm) : 1;
    this.steps++;
    const rate = lr / (1 - beta1 ** this.steps), // both means began at 0
      correction = 1 - beta2 ** this.steps;
    for (const [name, w] of Object.entries(this.weights)) {
      const d = grads[name],
        m = this.m[name],
        v = this.v[name];
      const rest = 1 - lr * (this.matrices.has(name) ? this.weight_decay : 0);
      for (let i = 0; i < w.length; i++) {
        const g = d[i] * scale;
        m[i] += (g - m[i]) * (1 - beta1);
        v[i] += (g * g - v[i]) * (1 - beta2);
        w[i] = w[i] * rest - (rate * m[i]) / (Math.sqrt(v[i] / correction) + eps);
      }
    }
  }
}
