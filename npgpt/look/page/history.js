// The training of the run, from its folder: how the loss fell, beside simpler models and the least
// possible, and what was written. Returns what unfolds, and the function that updates it.

import { chart } from "./charts.js";
import { el, slider, whole } from "./elements.js";
import { record, state } from "./state.js";

export function runHistory() {
  const history = record.training,
    root = el("details", { hidden: !history }, el("summary", {}, "How the run was trained"));
  if (!history) return [root, () => {}];
  const points = (name) => history.step.map((step, i) => [step, history[name][i]]),
    [loss, norm] = ["Loss, nats per token", "Length of the gradient"].map((title) => {
      const plot = el("div", { class: "scroll" });
      root.append(el("h3", {}, title), plot);
      return plot;
    });
  if (history.samples.length) root.append(...samples(history.samples));
  const update = () => {
    if (!root.open) return;
    const curves = [
      { name: "training", points: points("loss"), style: "line faint" },
      { name: "validation", points: history.val, style: "line" },
    ];
    const mark = record.kept[state.kept]?.[0] || null,
      all = { name: "all weights", points: points("grad_norm"), style: "line" };
    loss.replaceChildren(
      chart("loss by step", curves, { levels: history.levels, unit: "step", mark }),
    );
    norm.replaceChildren(chart("gradient norm by step", [all], { unit: "step" }));
  };
  root.ontoggle = update;
  return [root, update];
}

function samples(found) {
  const text = el("pre"),
    heading = el("h3"),
    range = { min: 0, max: found.length - 1, step: 1 };
  const show = (i) => {
    put(i);
    heading.textContent = `What the model wrote after step ${whole(found[i][0])}`;
    text.textContent = found[i][1];
  };
  const [choice, put] = slider("sample", range, show, (i) => Number(i) + 1);
  show(found.length - 1);
  return [heading, el("div", { class: "controls" }, choice), text];
}
