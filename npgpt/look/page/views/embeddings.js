// The table of tokens: its first two principal components, and nearest neighbours.

import { bar, el, percent, short, svg, table } from "../draw.js";
import { bytes, C, model, pass, record, set, state, tokenizer, V } from "../state.js";

export const embeddings = {
  id: "embeddings", title: "Embeddings", needsModel: true,
  about: "The vectors of the tokens, in the plane in which they differ most, and who is near whom.",
  section: "Embeddings",
  build(root) {
    const xy = new Float32Array(bytes(record.plane.xy).buffer);
    const [first, second = 0] = record.plane.shares;
    const map = el("div", { class: "scroll", tabindex: 0, role: "region",
      "aria-label": "the plane of the embeddings" }), near = el("div"), chosen = tokenList();
    root.append(el("p", {}, `The plane shows ${percent(first + second)} of the spread: ` +
      `${percent(first)} from left to right, ${percent(second)} from bottom to top. Two tokens ` +
      "that look near may be far apart in the other directions."),
    el("div", { class: "controls" }, el("label", {}, "token ", chosen)),
      el("div", { class: "wide" }, map, near));
    return () => {
      const token = state.token in tokenizer.tokens ? state.token : pass.ids[state.t];
      chosen.value = token;
      const neighbours = nearest(token);
      map.replaceChildren(plane(xy, token, neighbours.map(([id]) => id), map.clientWidth));
      near.replaceChildren(el("h2", {}, `Nearest to ${tokenizer.label(token)}`),
        table(["token", "cosine"],
        neighbours.map(([id, cosine]) => [el("th", { scope: "row" }, tokenizer.label(id)),
          bar(cosine, short(cosine), "bar signed")]),
        { "aria-label": "nearest tokens" }));
    };
  },
};

function tokenList() {
  return el("select", { onchange: (event) => set({ token: Number(event.target.value) }) },
    Array.from({ length: V }, (_, id) => el("option", { value: id },
      `${tokenizer.label(id)} (${id})`)));
}

function nearest(token, count = 10) {
  const table = model.weights["wte.weight"], row = (id) => table.subarray(id * C, id * C + C);
  const dot = (a, b) => a.reduce((sum, value, c) => sum + value * b[c], 0), own = row(token);
  const cosine = (id) => dot(own, row(id)) / (
    Math.sqrt(dot(own, own) * dot(row(id), row(id))) || 1);
  return Array.from({ length: V }, (_, id) => [id, cosine(id)]).filter(([id]) => id !== token)
    .sort((a, b) => b[1] - a[1]).slice(0, count);
}

function plane(xy, token, neighbours, width) {
  const W = Math.max(340, Math.min(700, width)), height = W * 0.75;
  const xs = xy.filter((_, i) => i % 2 === 0), ys = xy.filter((_, i) => i % 2 === 1);
  const scaled = (values, size) => {
    const low = values.reduce((a, b) => Math.min(a, b));
    const high = values.reduce((a, b) => Math.max(a, b));
    return (v) => 20 + ((v - low) / (high - low || 1)) * (size - 40);
  };
  const px = scaled(xs, W), py = scaled(ys, height);
  const root = svg("svg", { width: W, height, class: "plane", role: "img",
    "aria-label": "tokens by their embedding" });
  const order = Array.from(xs.keys()).sort((a, b) => rank(a) - rank(
    b)); // what is chosen is drawn last
  function rank(id) {
    return id === token ? 2 : neighbours.includes(id) ? 1 : 0;
  }
  for (const id of order) {
    const x = px(xs[id]), y = height - py(ys[id]);
    const named = V <= 400 || rank(id);
    root.append(named ? svg("text", { x, y, class: ["", "near", "chosen"][rank(id)],
      "text-anchor": "middle", onclick: () => set({ token: id }) }, tokenizer.label(id))
      : svg("circle", { cx: x, cy: y, r: 2, onclick: () => set({ token: id }) },
        svg("title", {}, tokenizer.label(id))));
  }
  return root;
}
