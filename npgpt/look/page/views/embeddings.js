// The table of tokens: its first two principal components, and nearest neighbours.

import { bar, el, percent, range, short, slider, svg, table } from "../draw.js";
import { bytes, C, model, pass, record, set, state, tokenizer, V } from "../state.js";

export const embeddings = {
  id: "embeddings",
  title: "Embeddings",
  needsModel: true,
  about: "The vectors of the tokens, in the plane in which they differ most, and who is near whom.",
  section: "Embeddings",
  build(root) {
    const axes = new Float32Array(bytes(record.plane.axes).buffer);
    const [first, second = 0] = record.plane.shares;
    const map = el("div", {
        class: "scroll",
        tabindex: 0,
        role: "region",
        "aria-label": "the plane of the embeddings",
      }),
      near = el("div"),
      chosen = tokenList();
    const [zoom, putZoom] = slider("zoom", { min: 1, max: 16, step: 0.5 }, (by) =>
      set({ zoom: by }),
    );
    root.append(
      el(
        "p",
        {},
        `The plane shows ${percent(first + second)} of the spread: ` +
          `${percent(first)} from left to right, ${percent(second)} from bottom to top. Two tokens ` +
          "that look near may be far apart in the other directions.",
      ),
      el("div", { class: "controls" }, el("label", {}, "token ", chosen), zoom),
      el("div", { class: "wide" }, map, near),
    );
    return () => {
      const token = state.token in tokenizer.tokens ? state.token : pass.ids[state.t];
      chosen.value = token;
      putZoom(state.zoom);
      const neighbours = nearest(token);
      map.replaceChildren(
        plane(
          coordinates(axes),
          token,
          neighbours.map(([id]) => id),
          map.clientWidth,
        ),
      );
      near.replaceChildren(
        el("h2", {}, `Nearest to ${tokenizer.label(token)}`),
        table(
          ["token", "cosine"],
          neighbours.map(([id, cosine]) => [
            el("th", { scope: "row" }, tokenizer.label(id)),
            bar(cosine, short(cosine), "bar signed likeness"),
          ]),
          { "aria-label": "nearest tokens" },
        ),
      );
    };
  },
};

function tokenList() {
  return el(
    "select",
    { onchange: (event) => set({ token: Number(event.target.value) }) },
    Array.from({ length: V }, (_, id) =>
      el("option", { value: id }, `${tokenizer.label(id)} (${id})`),
    ),
  );
}

function nearest(token, count = 10) {
  const table = model.weights["wte.weight"],
    row = (id) => table.subarray(id * C, id * C + C);
  const dot = (a, b) => a.reduce((sum, value, c) => sum + value * b[c], 0),
    own = row(token);
  const cosine = (id) =>
    dot(own, row(id)) / (Math.sqrt(dot(own, own) * dot(row(id), row(id))) || 1);
  return Array.from({ length: V }, (_, id) => [id, cosine(id)])
    .filter(([id]) => id !== token)
    .sort((a, b) => b[1] - a[1])
    .slice(0, count);
}

// Of each token in turn, along both axes.
function coordinates(axes) {
  const table = model.weights["wte.weight"];
  return Float64Array.from({ length: 2 * V }, (_, i) => {
    const [at, axis] = [(i >> 1) * C, (i % 2) * C];
    return range(C).reduce((sum, c) => sum + table[at + c] * axes[axis + c], 0);
  });
}

// Names where there is room for them, the chosen token's and its neighbours' first; else points.
function plane(xy, token, neighbours, width) {
  const W = Math.max(320, Math.min(1000, width)),
    height = W * 0.75;
  const middle = state.zoom > 1 ? [xy[2 * token], xy[2 * token + 1]] : null;
  const scaled = (axis, size) => {
    const values = xy.filter((_, i) => i % 2 === axis);
    const low = values.reduce((a, b) => Math.min(a, b));
    const high = values.reduce((a, b) => Math.max(a, b));
    const scale = ((size - 40) / (high - low || 1)) * state.zoom;
    return (v) => size / 2 + (v - (middle?.[axis] ?? (low + high) / 2)) * scale;
  };
  const px = scaled(0, W),
    py = scaled(1, height),
    taken = [];
  const root = svg("svg", {
    width: W,
    height,
    class: "plane",
    role: "img",
    "aria-label": "tokens by their embedding",
  });
  for (const id of new Set([token, ...neighbours, ...range(V)])) {
    const x = px(xy[2 * id]),
      y = height - py(xy[2 * id + 1]),
      label = tokenizer.label(id);
    const half = Array.from(label).length * 4.5 + 2;
    if (x < 0 || x > W || y < 0 || y > height) continue;
    const free =
      x > half &&
      x < W - half &&
      y > 12 &&
      taken.every(([x2, y2, half2]) => Math.abs(x - x2) > half + half2 || Math.abs(y - y2) > 16);
    const kind = id === token ? "chosen" : neighbours.includes(id) ? "near" : "";
    if (free) taken.push([x, y, half]);
    root.append(
      free
        ? svg(
            "text",
            { x, y, class: kind, "text-anchor": "middle", onclick: () => set({ token: id }) },
            label,
          )
        : svg(
            "circle",
            { cx: x, cy: y - 5, r: 2, class: kind, onclick: () => set({ token: id }) },
            svg("title", {}, label),
          ),
    );
  }
  return root;
}
