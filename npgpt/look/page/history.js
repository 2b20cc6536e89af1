// The training of the run, from its folder: how the loss fell, beside simpler models and the least
// possible. Returns what unfolds, and the function that updates it.

import { chart } from "./charts.js";
import { el } from "./elements.js";
import { record } from "./state.js";

export function runHistory() {
  const history = record.training,
    root = el("details", { hidden: !history }, el("summary", "How the run was trained"));
  if (!history) return [root, () => {}];
  const { step, loss, val, levels } = history,
    plot = el("div.scroll"),
    points = step.map((each, i) => [each, loss[i]]);
  root.append(el("h3", "Loss, nats per token"), plot);
  const update = () => {
    if (!root.open) return;
    const training = { name: "training", points, style: "line faint" },
      validation = { name: "validation", points: val, style: "line" };
    plot.replaceChildren(chart("loss by step", [training, validation], levels));
  };
  root.ontoggle = update;
  return [root, update];
}
