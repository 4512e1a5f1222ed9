// Comfort only: everything is there without it. Adds the search, a count, and two buttons.
"use strict";
(() => {
  const list = document.querySelector(".list:has(.search)");
  if (!list) return;
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const items = [...list.querySelectorAll(".item")];
  const groups = [...list.querySelectorAll(".group")];
  const texts = new Map();
  const tools = list.querySelector(".search");
  const box = tools.querySelector("input");
  const shown = () => items.filter((item) => item.checkVisibility());
  const textOf = (item) => {
    if (!texts.has(item)) texts.set(item, plain(item.textContent));
    return texts.get(item);
  };

  const update = () => {
    const words = plain(box.value).split(/\s+/).filter(Boolean);
    for (const group of groups) group.hidden = false;
    for (const item of items) item.hidden = !words.every((word) => textOf(item).includes(word));
    for (const group of groups) {
      group.hidden = ![...group.querySelectorAll(".item")].some((item) => item.checkVisibility());
    }
    const noun = list.id === "changes" ? "change" : "failure";
    tools.querySelector("output").textContent =
      `${shown().length} of ${items.length} ${noun}${items.length === 1 ? "" : "s"} shown`;
  };

  tools.hidden = false;
  list.addEventListener("input", update);
  for (const button of tools.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      for (const item of shown()) item.open = button.dataset.open !== "";
    });
  }
  update();
})();
