// The button that copies a link to the view, and what is said of it; none on the reader's own disk,
// whose files are of no use to others.

import { button, el } from "./elements.js";
import { writeNow } from "./state.js";

export function shareButtons() {
  const published = document.querySelector("link[rel=canonical]")?.href,
    said = el("output");
  const copy = () => {
    writeNow();
    const link = (published ?? location.href).split("#")[0] + location.hash;
    navigator.clipboard.writeText(link).then(
      () => {
        said.textContent = "Copied";
        setTimeout(() => (said.textContent = ""), 8000);
      },
      () => prompt("The link:", link), // where a page may not write to the clipboard
    );
  };
  return published || location.protocol !== "file:" ? [button("Copy link", copy), said] : [];
}
