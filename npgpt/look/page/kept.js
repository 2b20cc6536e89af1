// A slider over training: the same text, read with the weights that the run kept at each step.

import { el, slider, whole } from "./elements.js";
import { record, set, state } from "./state.js";

// Returns the slider, hidden if the run kept none, and the function that updates it.
export function keptWeights() {
  const count = record.kept.length,
    choose = (i) => set({ kept: i < count ? i : -1, text: state.text, t: state.t }),
    show = (i) => (i < count ? `after step ${whole(record.kept[i][0])}, int8` : "the model's own"),
    [choice, put] = slider("Weights", [0, count, 1], choose, show);
  return [
    el("div", { id: "kept", hidden: !count }, choice),
    () => put(state.kept < 0 ? count : state.kept),
  ];
}
