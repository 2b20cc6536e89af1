// Motion that shows what a changed word changes: first the word, then what is computed from it, stage
// by stage, and last the answer. Nothing moves while one types, or for who wants less motion.

export const DURATION = 900; // milliseconds from the word to the answer

export function moves() {
  return (
    document.activeElement.id !== "prompt" &&
    !matchMedia("(prefers-reduced-motion: reduce), print").matches
  );
}

export function flash(elements) {
  const colour = getComputedStyle(document.documentElement).getPropertyValue("--mark");
  for (const element of elements)
    element.animate({ backgroundColor: [colour, getComputedStyle(element).backgroundColor] }, 600);
}

// Shows stages of a picture one after the other: lines are drawn, and the rest appears.
export function flow(stages) {
  const step = (DURATION - 400) / stages.length;
  for (const [k, stage] of stages.entries()) {
    const timing = { duration: 300, delay: 100 + step * k, easing: "ease-out", fill: "backwards" };
    for (const part of stage.querySelectorAll("path"))
      part.animate({ strokeDasharray: ["0 1", "1 0"] }, timing);
    stage.animate({ opacity: [0.15, 1] }, timing);
  }
}
