// Long names, where there is little room: they break at the joints of their words, and the entry of
// this page is in sight in the sidebar.

const joints = /(?<=[a-z0-9])(?=[A-Z])|(?<=\()(?=\w)|(?<=[._/])(?=[A-Za-z]\w{2})/;
const narrow = ".bd-sidebar-primary a, .page-toc a, .prev-next-title, .bd-article :is(h1, h2, h3), .side-by-side code";

function soften(element) {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT), texts = [];
  while (walker.nextNode()) texts.push(walker.currentNode);
  for (const text of texts) {
    const words = text.data.split(/(\s+)/).map(word => word.length > 14 ? word.split(joints) : [word]);
    text.replaceWith(...words.flatMap(parts => parts.flatMap((part, i) => i ? [document.createElement("wbr"), part] : [part])));
  }
}

document.querySelectorAll(narrow).forEach(soften);
if (matchMedia("(max-width: 50rem)").matches) document.querySelectorAll(".bd-article code:not(.kept) .long").forEach(soften);
document.querySelectorAll("dt.sig").forEach(signature => {
  signature.querySelector(".descname")?.before(document.createElement("wbr"));
  signature.querySelector(".sig-paren")?.after(document.createElement("wbr"));
});
document.querySelectorAll("dt.sig em.sig-param").forEach(param => {
  if (param.textContent.length > 32) param.style.whiteSpace = "normal";
  if (param.textContent === "*" && param.previousSibling?.nodeType === Node.TEXT_NODE) param.previousSibling.data = ",\u00a0";
});
document.querySelectorAll("dt.sig .descname").forEach(name => { if (name.textContent.length > 22) soften(name); });

addEventListener("load", () => { // the theme scrolls it to where it was on the page before
  const sidebar = document.querySelector(".bd-sidebar-primary"), entry = sidebar?.querySelector(".bd-links li.current.active:not(:has(.active))");
  if (!entry) return;
  const room = sidebar.getBoundingClientRect(), place = entry.getBoundingClientRect(), top = place.top - room.top + sidebar.scrollTop;
  sidebar.scrollTop = top + place.height < room.height ? 0 : top - room.height / 2;
});
