// The training of the run, from its folder: how the loss fell, beside simpler models and the least
// possible, and what was written. Returns what unfolds, and the function that updates it.

import { chart } from "./charts.js";
import { el, slider, whole } from "./elements.js";
import { record } from "./state.js";

export function runHistory() {
  const history = record.training,
    root = el("details", { hidden: !history }, el("summary", "How the run was trained"));
  if (!history) return [root, () => {}];
  const { step, loss, val, levels, samples } = history,
    plot = el("div.scroll"),
    points = step.map((each, i) => [each, loss[i]]);
  root.append(el("h3", "Loss, nats per token"), plot, ...(samples.length ? written(samples) : []));
  const update = () => {
    if (!root.open) return;
    const training = { name: "training", points, style: "line faint" },
      validation = { name: "validation", points: val, style: "line" };
    plot.replaceChildren(chart("loss by step", [training, validation], levels));
  };
  root.ontoggle = update;
  return [root, update];
}

function written(samples) {
  const text = el("pre"),
    heading = el("h3");
  const show = (i) => {
    put(i);
    heading.textContent = `What the model wrote after step ${whole(samples[i][0])}`;
    text.textContent = samples[i][1];
  };
  const [choice, put] = slider("sample", [0, samples.length - 1, 1], show, (i) => i + 1);
  show(samples.length - 1);
  return [heading, el("div.controls", choice), text];
}
