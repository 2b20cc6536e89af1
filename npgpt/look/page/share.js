// What a reader passes on: a link to the view, or the file that opens on it.

import { button, el } from "./elements.js";
import { pass, record, state, writeNow } from "./state.js";

const SOURCE = document.documentElement.outerHTML; // before the page changes it

let timer; // of what is said about the last of them

// Returns the button and what is said of it. A link to a file on the reader's own disk is of no use
// to others: they get the file, which opens on the same view.
export function shareButtons() {
  const said = el("output"),
    say = (words) => {
      said.textContent = words;
      clearTimeout(timer);
      timer = setTimeout(() => (said.textContent = ""), 8000);
    },
    published = document.querySelector("link[rel=canonical]")?.href;
  const copy = button("Copy link", () => {
    writeNow();
    const link = (published ?? location.href).split("#")[0] + location.hash;
    navigator.clipboard.writeText(link).then(
      () => say("Copied"),
      () => prompt("The link:", link), // where a page may not write to the clipboard
    );
  });
  const send = button("Save to send", () => {
    writeNow();
    const opens = `<html data-opens="${location.hash.slice(1)}"`,
      html = SOURCE.replace(/^<html( data-opens="[^"]*")?/, opens),
      taught = pass.taught ? " What you taught the model is not in it." : "",
      file = new Blob([`<!DOCTYPE html>\n${html}`], { type: "text/html" }),
      download = `${record.name}-${state.view}.html`;
    el("a", { href: URL.createObjectURL(file), download }).click();
    say(`Saved ${download}, which opens on this view.${taught}`);
  });
  return [published || location.protocol !== "file:" ? copy : send, said];
}
