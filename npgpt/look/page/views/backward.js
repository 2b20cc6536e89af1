// The backward pass: the gradients, and a check of any of them. See check.js for that.

import { checkPanel, computed, gradientsOfText } from "../check.js";
import { palette } from "../colours.js";
import { bar, el, keep, short, table, tokenStrip } from "../elements.js";
import { live, pass, record } from "../state.js";

export const backward = {
  id: "backward",
  title: "Backward pass",
  about: "How much each weight and each token moves the loss, and a check of it.",
  words: ["gradient", "GELU"],
  build(root) {
    const about = "Saliency: the length of the gradient of each token's embedding",
      [strip, updateStrip] = tokenStrip(about),
      [check, updateCheck, verdict] = live ? checkPanel() : [""],
      [summary, rest, norms] = [el("p"), el("div"), el("div")],
      results = [strip, norms, ...(live ? [verdict] : [])];
    rest.append(
      strip,
      ...(live ? [el("h3", "Check any weight"), check] : []),
      el("h3", "Length of the gradient, by layer and kind"),
      norms,
    );
    root.append(summary, rest);
    const render = () => {
      const { loss, saliency, norms: found = recordedNorms() } = live ? computed : record.gradient,
        { share } = palette(),
        largest = Math.max(...saliency) || 1;
      summary.textContent =
        `The loss is ${loss.toFixed(4)}, the mean over the ${pass.T - 1} tokens that are ` +
        "predicted. The stronger a token's colour, the more its embedding moves it.";
      updateStrip((t) => ({
        rgb: share((saliency[t] ?? 0) / largest),
        title: short(saliency[t] ?? 0),
      }));
      keep(norms, ...byLayer(found));
      updateCheck?.();
    };
    return () => {
      rest.hidden = pass.T < 2;
      summary.textContent = rest.hidden
        ? "A loss needs two tokens: type another."
        : "Computing the gradients ...";
      if (rest.hidden) return;
      if (live && !gradientsOfText.current) gradientsOfText.start();
      const done = !live || gradientsOfText.done;
      for (const part of results) part.hidden = !done; // they are of the text before
      if (done) render();
    };
  },
};

function recordedNorms() {
  const weights = Object.entries(record.gradient.weights);
  return Object.fromEntries(weights.map(([name, { norm }]) => [name, norm]));
}

// A table of the weights of each block, and one of the weights outside of the blocks.
function byLayer(norms) {
  const largest = Math.max(...Object.values(norms)),
    cell = (name) => (name in norms ? bar(norms[name] / largest, short(norms[name])) : ""),
    blocks = Map.groupBy(Object.keys(norms), (name) => /^h\.(\d+)|$/.exec(name)[1]),
    outside = blocks.get(undefined),
    kinds = new Set(
      Object.keys(norms).flatMap((name) => /^h\.\d+\.(.*)/.exec(name)?.slice(1) ?? []),
    );
  blocks.delete(undefined);
  const rows = Array.from(blocks.keys(), (l) => [
    l,
    ...Array.from(kinds, (kind) => cell(`h.${l}.${kind}`)),
  ]);
  return [
    table("gradients by block", ["block", ...kinds], rows),
    table("gradients outside of the blocks", outside, [outside.map(cell)]),
  ];
}
