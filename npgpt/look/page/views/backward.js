// The backward pass: the gradients, and the graph of the loss that the engine recorded. The check of
// a gradient is in check.js.

import { palette } from "../colours.js";
import { bar, el, short, svg, table, tokenStrip } from "../elements.js";
import { live, pass, record } from "../state.js";
import { checkPanel, computed, gradientsOfText } from "../check.js";

export const backward = {
  id: "backward",
  title: "Backward pass",
  about: "How much each weight and each token moves the loss, and a check of it.",
  section: "Training Process: Gradients",
  build(root) {
    const [strip, updateStrip] = tokenStrip(
      "Saliency: the length of the gradient of each token's embedding",
    );
    const summary = el("p"),
      rest = el("div"),
      norms = el("div"),
      check = live ? checkPanel() : null;
    root.append(summary, rest);
    rest.append(
      strip,
      ...(check ? [el("h2", {}, "Check any weight"), check.root] : []),
      el("h2", {}, "Length of the gradient, by layer and kind"),
      norms,
      el("h2", {}, `The graph of the loss, as the engine recorded it (${record.gradient.dtype})`),
      el(
        "p",
        {},
        "Of the text that the page was made with: every op that was called, where its " +
          "inputs come from, what it kept for backward, and the length of the gradient at its " +
          "output. Backward visits them from the last to the first.",
      ),
      ...graph(),
    );
    const results = [strip, norms, ...(check?.results ?? [])];
    const render = () => {
      const now = live ? computed : record.gradient;
      const { share } = palette(),
        largest = Math.max(...now.saliency) || 1;
      summary.textContent =
        `The loss is ${now.loss.toFixed(4)}, the mean over the ${pass.T - 1} ` +
        "tokens that are predicted. The stronger a token's colour, the more its embedding moves " +
        "it.";
      updateStrip((t) => ({
        rgb: share((now.saliency[t] ?? 0) / largest),
        title: short(now.saliency[t] ?? 0),
      }));
      norms.replaceChildren(byLayer(now.norms ?? recordedNorms()));
      check?.update();
    };
    return () => {
      rest.hidden = pass.T < 2;
      if (pass.T < 2) {
        summary.textContent = "A loss needs two tokens: type another.";
        return;
      }
      if (live && !gradientsOfText.current) gradientsOfText.start();
      const done = !live || gradientsOfText.done;
      for (const part of results) part.hidden = !done; // they are of the text before
      if (done) render();
      else summary.textContent = "Computing the gradients ...";
    };
  },
};

function recordedNorms() {
  return Object.fromEntries(
    Object.entries(record.gradient.weights).map(([name, { norm }]) => [name, norm]),
  );
}

function byLayer(norms) {
  const split = (name) => /^h\.(\d+)\.(.*)$/.exec(name)?.slice(1) ?? ["", name];
  const layers = [...new Set(Object.keys(norms).map((name) => split(name)[0]))];
  const largest = Math.max(...Object.values(norms));
  const kinds = [
    ...new Set(
      Object.keys(norms)
        .filter((name) => split(name)[0])
        .map((name) => split(name)[1]),
    ),
  ];
  const cell = (norm) => (norm === undefined ? "" : bar(norm / largest, short(norm)));
  const outside = Object.keys(norms).filter((name) => !split(name)[0]);
  return el(
    "div",
    {},
    table(
      ["block", ...kinds],
      layers
        .filter(Boolean)
        .map((l) => [
          el("th", { scope: "row" }, l),
          ...kinds.map((kind) => cell(norms[`h.${l}.${kind}`])),
        ]),
      { "aria-label": "gradients by block" },
    ),
    table(outside, [outside.map((name) => cell(norms[name]))], {
      "aria-label": "gradients outside of the blocks",
    }),
  );
}

// ---- the recorded graph

function graph() {
  const groups = new Map(),
    { ops } = record.gradient;
  const first = ops.findIndex(({ where }) => where.startsWith("h."));
  ops.forEach((op, i) => {
    const block = /^h\.\d+/.exec(op.where)?.[0].replace("h.", "block ");
    const group = block ?? (i < first ? "embeddings" : "output and loss");
    groups.set(group, [...(groups.get(group) ?? []), [i, op]]);
  });
  return Array.from(groups, ([group, members]) =>
    el(
      "details",
      {},
      el("summary", {}, `${group}: ${members.length} ops`),
      drawn(members),
      table(
        ["#", "op", "in", "inputs", "output", "saved for backward", "gradient at the output"],
        members.map(([i, op]) => [
          `#${i}`,
          el("th", { scope: "row" }, op.op),
          op.where || "the model",
          op.inputs.map((from, j) => `${source(from)} ${shape(op.shapes[j])}`).join("; "),
          op.outputs.map(shape).join(", "),
          op.saved.join("; ") || "nothing",
          short(op.norm ?? 0),
        ]),
        { "aria-label": group },
      ),
    ),
  );
}

// Ops from top to bottom, each joined with those whose outputs it reads; a line from above comes
// from an op before this group.
function drawn(members) {
  const rows = new Map(members.map(([i], row) => [i, row])),
    y = (row) => 20 + 24 * row;
  const left = 9 * (members.length + 1);
  const label = `the graph of ${members.length} ops`,
    root = svg("svg", {
      role: "img",
      width: left + 420,
      height: y(members.length) - 8,
      "aria-label": label,
    });
  members.forEach(([i, { op, where, inputs }], row) => {
    for (const from of inputs.filter(Number.isInteger)) {
      const start = rows.get(from) ?? -1,
        jump = row - start;
      const aside = left - (jump > 1 ? 10 * jump : 0);
      root.append(
        svg(
          "path",
          {
            class: "arc",
            d:
              `M ${left} ${y(start)} C ${aside} ${y(start)} ` +
              `${aside} ${y(row)} ${left} ${y(row)}`,
          },
          svg("title", {}, `#${from} to #${i}`),
        ),
      );
    }
    const weights = inputs.filter((from) => typeof from === "string").map((name) => ` ← ${name}`);
    root.append(
      svg("circle", { cx: left, cy: y(row), r: 4, class: "op" }),
      svg("text", { x: left + 10, y: y(row) + 4 }, `#${i} ${op} ${weights.join("") || where}`),
    );
  });
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, root);
}

function source(from) {
  if (from === null) return "data";
  return typeof from === "number" ? `#${from}` : from;
}

function shape(sizes) {
  return sizes ? `(${sizes.join(", ")})` : "";
}
