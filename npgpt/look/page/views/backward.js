// The backward pass: the gradients. The check of one is in check.js.

import { palette } from "../colours.js";
import { bar, el, short, table, tokenStrip } from "../elements.js";
import { live, pass, record } from "../state.js";
import { checkPanel, computed, gradientsOfText } from "../check.js";

export const backward = {
  id: "backward",
  title: "Backward pass",
  about: "How much each weight and each token moves the loss, and a check of it.",
  section: "Training Process: Gradients",
  words: ["gradient", "GELU"],
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
      ...(check ? [el("h3", {}, "Check any weight"), check.root] : []),
      el("h3", {}, "Length of the gradient, by layer and kind"),
      norms,
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
