// Where the browser has no clipboard for this page (plain http from another machine), a text
// that is selected can still be copied.
function copySelected(text) {
  const box = document.createElement("textarea");
  box.value = text;
  box.readOnly = true;
  box.style.cssText = "position:fixed;top:0;left:0;opacity:0";
  document.body.append(box);
  box.select();
  const done = document.execCommand("copy");
  box.remove();
  return done;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

export default function ({ data, parentElement }) {
  const menu = parentElement.querySelector("details");
  const opener = menu.querySelector("summary");
  const said = parentElement.querySelector("[role=status]");
  const close = () => {
    menu.open = false;
    opener.focus();
  };
  opener.textContent = data.label;
  menu.querySelector("ul").replaceChildren(
    ...data.forms.map(({ name, text }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.onclick = async () => {
        // Emptied first: what does not change is not read aloud again.
        said.textContent = "";
        const done = await copy(text);
        said.textContent = done ? data.copied : data.failed;
        close();
      };
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
  menu.onkeydown = (event) => {
    if (event.key === "Escape" && menu.open) close();
  };
  const outside = (event) => {
    if (!event.composedPath().includes(menu)) menu.open = false;
  };
  document.addEventListener("pointerdown", outside);
  return () => document.removeEventListener("pointerdown", outside);
}
