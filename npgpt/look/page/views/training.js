// The training of the run, from its folder.

import { chart, el, slider } from "../draw.js";
import { record, state } from "../state.js";

export const training = {
  id: "training",
  title: "Training",
  about: "How the loss fell, beside simpler models and the least possible, and what was written.",
  section: "Training Process",
  build(root) {
    const history = record.training;
    if (!history) {
      root.append(
        el("p", {}, "The folder that this page was made from does not tell of training."),
      );
      return () => {};
    }
    const points = (name) => history.step.map((step, i) => [step, history[name][i]]);
    const text = el("pre", {}),
      heading = el("h2");
    const [choice, put] = slider(
      "sample",
      { min: 0, max: Math.max(0, history.samples.length - 1), step: 1 },
      (i) => show(i),
      (i) => Number(i) + 1,
    );
    const show = (i) => {
      put(i);
      heading.textContent = `What the model wrote after step ${history.samples[i][0]}`;
      text.textContent = history.samples[i][1];
    };
    const loss = el("div", { class: "scroll" }),
      norm = el("div", { class: "scroll" });
    root.append(
      el("h2", {}, "Loss, nats per token"),
      loss,
      el("h2", {}, "Length of the gradient"),
      norm,
    );
    if (history.samples.length) {
      root.append(heading, el("div", { class: "controls" }, choice), text);
      show(history.samples.length - 1);
    }
    return () => {
      const mark = record.kept[state.kept]?.[0] || null;
      loss.replaceChildren(
        chart(
          "loss by step",
          [
            { name: "training", points: points("loss"), style: "line faint" },
            { name: "validation", points: history.val, style: "line" },
          ],
          { levels: history.levels, unit: "step", mark },
        ),
      );
      norm.replaceChildren(
        chart(
          "gradient norm by step",
          [{ name: "all weights", points: points("grad_norm"), style: "line" }],
          { unit: "step" },
        ),
      );
    };
  },
};
