// Colours, which the style sheet names; they differ in lightness too.

export const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const known = {}; // by scheme and name: for each that is asked, the browser computes styles

export function scheme() {
  if (matchMedia("print").matches) return "light";
  return document.documentElement.dataset.theme ?? (prefersDark.matches ? "dark" : "light");
}

export function colour(name) {
  return (known[`${scheme()} ${name}`] ??= asked(name));
}

function asked(name) {
  document.getElementById("probe").style.color = `var(${name})`;
  return getComputedStyle(document.getElementById("probe"))
    .color.match(/\d+/g)
    .slice(0, 3)
    .map(Number);
}

export function palette() {
  const [paper, strong, less, more] = ["--paper", "--strong", "--less", "--more"].map(colour);
  const mix = (to, share) => paper.map((from, i) => from + (to[i] - from) * Math.min(1, share));
  return {
    share: (p) => mix(strong, p), // of 0 to 1
    change: (x) => mix(x < 0 ? less : more, Math.abs(x)), // of -1 to 1
  };
}

export function css([red, green, blue]) {
  return `rgb(${Math.round(red)} ${Math.round(green)} ${Math.round(blue)})`;
}

// Sets an element's background, and a text colour that can be read on it.
export function paint(element, rgb) {
  element.style.backgroundColor = css(rgb);
  element.style.color = inkOn(rgb);
}

// Black or white, whichever has the larger contrast: at least 4.5 on every colour (WCAG 2).
export function inkOn(rgb) {
  const [red, green, blue] = rgb.map((value) => ((value / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000000" : "#ffffff";
}
