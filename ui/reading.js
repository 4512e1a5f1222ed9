// The source beside the conversation: links open it, and the quote that was followed is brought
// into view and stands out. All markup comes from the page; nothing here turns text into any.

const PATIENCE = 30000; // Milliseconds that the drawing of a source may take, on a busy machine.
const REMEMBERED = "citadelle-source-beside";

let page = { open: false, view: "", key: "", quote: "", turn: 0, beside: true };
let tell = null; // Tells the page; null while another view is shown.
let shownTurn = 0;
let opener = null; // The link that was followed, to which closing returns.
let byKeyboard = false; // Who follows a link by keyboard reads on from the quote.
let begun = false;

function findMarks(view, key) {
  const article = [...document.querySelectorAll(".cit-document")].find(
    (each) => each.dataset.view === view,
  );
  const marks = [...(article?.querySelectorAll("mark") ?? [])];
  return article && marks.filter((mark) => !key || mark.dataset.keys.split(" ").includes(key));
}

// As rules of a style sheet, so that they also hold for what is drawn again later.
function setRules(rules) {
  let sheet = document.getElementById("cit-followed");
  if (!sheet) {
    sheet = document.head.appendChild(document.createElement("style"));
    sheet.id = "cit-followed";
  }
  sheet.textContent = rules;
}

function standOut(view, key, quote) {
  const mark = key ? `mark[data-keys~="${CSS.escape(key)}"]` : "mark";
  const article = `.cit-document[data-view="${CSS.escape(view)}"]`;
  const marker = `.cit-marker[data-open="${CSS.escape(quote)}"]`;
  setRules(
    view
      ? `${article} ${mark} { --cit-mark: var(--cit-mark-followed); --cit-edge: var(--cit-edge-followed); }
         ${marker} { background: var(--cit-mark-followed); color: light-dark(#221c0c, #fff3cf) !important; }
         ${marker}::after { display: none; }`
      : "",
  );
}

function bringIntoView(mark) {
  const room = mark.closest(".st-key-reading-text");
  if (!room) return;
  const frame = room.getBoundingClientRect();
  const box = mark.getBoundingClientRect();
  const seen = box.top >= frame.top + 8 && box.bottom <= frame.bottom - frame.height / 6;
  if (!seen) room.scrollTop += box.top - frame.top - frame.height / 4;
}

// Show what the page says is open, once it is drawn.
function show(turn, deadline = performance.now() + PATIENCE) {
  if (!page.open || page.turn !== turn) return;
  const found = findMarks(page.view, page.key);
  const again = () => performance.now() < deadline && requestAnimationFrame(() => show(turn, deadline));
  if (!found) {
    again();
    return;
  }
  const room = document.querySelector(".st-key-reading-text");
  if (room) {
    // What scrolls is reached by keyboard too, and says what it is.
    room.tabIndex = 0;
    room.setAttribute("role", "region");
    room.setAttribute("aria-labelledby", "source-title");
  }
  if (found.length) bringIntoView(found[0]);
  else if (room) room.scrollTop = 0;
  if (byKeyboard) {
    const goal = found[0] ?? document.getElementById("source-title");
    if (goal) {
      goal.tabIndex = -1;
      goal.focus({ preventScroll: true });
    }
    // A sheet that is not drawn yet cannot be gone to.
    byKeyboard = document.activeElement !== goal;
    if (byKeyboard) again();
  }
}

// At once; the page follows.
function hide() {
  page = { ...page, open: false };
  setRules(`.st-key-reading { display: none !important; }
    .stAppViewContainer > :has(> .stMain .st-key-reading) { margin-right: 0 !important; }`);
  goBack();
}

// Return to where the source was opened from.
function goBack() {
  const at = document.activeElement;
  if (at && at !== document.body && !at.closest(".st-key-reading")) return;
  const link = opener?.isConnected
    ? opener
    : document.querySelector(`.cit-marker[data-open="${CSS.escape(opener?.dataset.open || "-")}"]`);
  (link ?? document.querySelector("[data-testid=stChatInputTextArea]"))?.focus({
    preventScroll: true,
  });
}

function follow(link, keyboard) {
  opener = link;
  byKeyboard = keyboard;
  const quote = link.dataset.open;
  const [number, key] = quote.split(".");
  // At once where the document is there already; the page follows.
  if (quote && page.view.split(".")[0] === number && findMarks(page.view, key)?.length) {
    standOut(page.view, key, quote);
    bringIntoView(findMarks(page.view, key)[0]);
  }
  tell("open", quote || link.search);
}

async function copy(button) {
  const address = new URL(button.dataset.copy, location.origin + location.pathname).href;
  try {
    await navigator.clipboard.writeText(address);
  } catch {
    // Without https a browser has no clipboard for pages, but the older way.
    const field = document.body.appendChild(document.createElement("textarea"));
    field.value = address;
    field.select();
    document.execCommand("copy");
    field.remove();
    button.focus({ preventScroll: true });
  }
  const words = button.textContent;
  if (button.dataset.copied) return;
  button.dataset.copied = "yes";
  button.textContent = button.dataset.said;
  setTimeout(() => {
    delete button.dataset.copied;
    button.textContent = words;
  }, 2000);
}

function onClick(event) {
  if (!tell || !(event.target instanceof Element)) return;
  const button = event.target.closest("[data-copy]");
  if (button) {
    copy(button);
    return;
  }
  if (event.target.closest(".st-key-source-close button")) {
    hide();
    return;
  }
  const link = event.target.closest("a[data-open]");
  const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (!link || !plain || event.altKey) return;
  event.preventDefault();
  follow(link, event.detail === 0);
}

function onKey(event) {
  if (!tell || event.key !== "Escape" || event.defaultPrevented || !page.open) return;
  const at = document.activeElement;
  // Whoever is in a menu or in the box closes or clears that.
  if (!at || at === document.body || at.closest(".st-key-reading, a[data-open]")) {
    event.preventDefault();
    hide();
    tell("close", true);
  }
}

// Whether a source is opened with every answer is a matter of the screen: the browser keeps it.
function remember() {
  try {
    if (begun) localStorage.setItem(REMEMBERED, page.beside ? "yes" : "no");
    else if (localStorage.getItem(REMEMBERED) === "no" && page.beside) tell("beside", false);
  } catch {
    // A browser that keeps nothing opens it with every answer.
  }
}

export default function ({ data, setTriggerValue }) {
  const wasOpen = page.open;
  page = data;
  tell = setTriggerValue;
  if (!begun) {
    document.addEventListener("click", onClick);
    document.addEventListener("keydown", onKey);
  }
  remember();
  begun = true;
  standOut(page.open ? page.view : "", page.key, page.open ? page.quote : "");
  if (page.open && page.turn !== shownTurn) show(page.turn);
  if (wasOpen && !page.open) goBack();
  shownTurn = page.turn;
  return () => {
    tell = null;
    page = { ...page, open: false };
    shownTurn = 0;
  };
}
