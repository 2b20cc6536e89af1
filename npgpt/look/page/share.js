// What a reader passes on: a link to the view, or the file that opens on it.

import { button, el } from "./elements.js";
import { pass, record, state, writeNow } from "./state.js";

const SOURCE = document.documentElement.outerHTML; // before the page changes it

// Returns the button and what is said of it. A link to a file on the reader's own disk is of no use
// to others: they get the file, which opens on the same view.
export function shareButtons() {
  const published = document.querySelector("link[rel=canonical]")?.href,
    said = el("output");
  const say = (words) => {
    said.textContent = words;
    setTimeout(() => said.textContent === words && say(""), 8000);
  };
  const copy = () => {
    writeNow();
    const link = (published ?? location.href).split("#")[0] + location.hash;
    navigator.clipboard.writeText(link).then(
      () => say("Copied"),
      () => prompt("The link:", link), // where a page may not write to the clipboard
    );
  };
  const send = () => {
    writeNow();
    const opens = `<html data-opens="${location.hash.slice(1)}"`,
      html = SOURCE.replace(/^<html( data-opens="[^"]*")?/, opens),
      file = new Blob([`<!DOCTYPE html>\n${html}`], { type: "text/html" }),
      download = `${record.name}-${state.view}.html`,
      taught = pass.taught ? " What you taught the model is not in it." : "";
    el("a", { href: URL.createObjectURL(file), download }).click();
    say(`Saved ${download}, which opens on this view.${taught}`);
  };
  const isLink = published || location.protocol !== "file:";
  return [isLink ? button("Copy link", copy) : button("Save to send", send), said];
}
