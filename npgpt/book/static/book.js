// Frames as high as the views in them; the keyboard scrolls what is wider than the page; a screen
// reader tells the two sidebars apart, and has a heading where words are searched.

window.onmessage = ({ source, data }) => {
  for (const frame of document.querySelectorAll("iframe"))
    if (frame.contentWindow === source && data?.height > 0) frame.style.height = `${data.height}px`;
};

onload = () => {
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", "On this page");
  const heading = Object.assign(document.createElement("h1"), { textContent: "Search" });
  document.getElementById("search-results")?.before(heading);
  for (const box of document.querySelectorAll("pre, .table-wrapper, math"))
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
};
