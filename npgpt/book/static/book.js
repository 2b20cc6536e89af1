// Search over search-index.js, frames as high as the views in them, and keys to what scrolls.
const found = document.getElementById("found");
const field = document.getElementById("search");
const up = document.body.dataset.up;

field.oninput = () => {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = INDEX.filter(([, title, text]) =>
    words.every((word) => `${title} ${text}`.toLowerCase().includes(word)),
  );
  found.replaceChildren(...(words.length ? hits.slice(0, 12).map((hit) => entry(hit, words)) : []));
  if (words.length && !hits.length) found.textContent = "Nothing found.";
  found.hidden = !words.length;
};

function entry([page, title, text], words) {
  const at = Math.max(0, text.toLowerCase().indexOf(words[0]) - 60);
  const link = document.createElement("a");
  link.href = up + page;
  link.textContent = title;
  const item = document.createElement("li");
  item.append(link, ` ... ${text.slice(at, at + 160)} ...`);
  return item;
}

window.onmessage = ({ source, data }) => {
  for (const frame of document.querySelectorAll("iframe"))
    if (frame.contentWindow === source && data?.height > 0)
      frame.style.height = `${Math.min(data.height, 900)}px`;
};

for (const box of document.querySelectorAll("pre, table, math"))
  if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
