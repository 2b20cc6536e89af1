// Frames as high as the views in them, contents that are a menu on a phone, keys to what scrolls.

window.onmessage = ({ source, data }) => {
  for (const frame of document.querySelectorAll("iframe"))
    if (frame.contentWindow === source && data?.height > 0) frame.style.height = `${data.height}px`;
};

const menu = document.getElementById("contents");
const wide = matchMedia("(min-width: 1100px)");
wide.onchange = () => (menu.open = wide.matches);
wide.onchange();
menu.onclick = ({ target }) => {
  if (target.closest("a") && !wide.matches) menu.open = false;
};

for (const box of document.querySelectorAll("pre, table, math, figure"))
  if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
