// The page asks for itself again and takes over what changed. Fields, folds and places stay.
"use strict";

const EVERY_MS = 500;
const main = document.getElementById("main");
let tag = "";
let asked = 0;

document.documentElement.classList.add("scripted");

/** Let `now` look like `next` with as few changes as possible. */
function become(now, next) {
  if (now.nodeType !== next.nodeType || now.nodeName !== next.nodeName || now.id !== next.id) {
    now.replaceWith(next);
  } else if (now.nodeType === Node.ELEMENT_NODE) {
    takeAttributes(now, next);
    if (!["TEXTAREA", "SELECT"].includes(now.nodeName)) takeChildren(now, next);
  } else if (now.nodeValue !== next.nodeValue) {
    now.nodeValue = next.nodeValue;
  }
}

function takeAttributes(now, next) {
  const own = now.nodeName === "DETAILS" ? ["open"] : now.nodeName === "INPUT" ? ["value"] : [];
  for (const { name } of [...now.attributes]) {
    if (!next.hasAttribute(name) && !own.includes(name)) now.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (now.getAttribute(name) !== value && !own.includes(name)) now.setAttribute(name, value);
  }
}

function takeChildren(now, next) {
  const kept = new Map([...now.children].filter((one) => one.id).map((one) => [one.id, one]));
  let at = now.firstChild;
  for (const wanted of [...next.childNodes]) {
    const named = wanted.id ? kept.get(wanted.id) : undefined;
    if (named && named !== at) now.insertBefore(named, at);
    const found = named || at;
    if (!found || (!named && (wanted.id || found.id))) {
      now.insertBefore(wanted, at);
    } else {
      at = found.nextSibling;
      become(found, wanted);
    }
  }
  while (at) {
    const after = at.nextSibling;
    at.remove();
    at = after;
  }
}

/** Take over a page. What was refused stays in sight until the next thing is done. */
function show(html, { done = false } = {}) {
  const next = new DOMParser().parseFromString(html, "text/html");
  if (!next.getElementById("main")) return;
  become(main, next.getElementById("main"));
  const bell = document.querySelector(".bell");
  if (bell && next.querySelector(".bell")) become(bell, next.querySelector(".bell"));
  if (done) become(document.getElementById("refusal"), next.getElementById("refusal"));
  document.title = next.title;
}

async function look() {
  if (document.hidden) return;
  const mine = ++asked;
  const headers = tag ? { "If-None-Match": tag } : {};
  const answer = await fetch(location.href, { headers, cache: "no-store" });
  if (answer.status !== 200 || mine !== asked) return;
  const html = await answer.text();
  if (mine !== asked) return;
  tag = answer.headers.get("ETag") || "";
  show(html);
}

async function keepLooking() {
  try {
    await look();
    document.body.classList.remove("away");
  } catch {
    // The playground was stopped; the page stays as it was and looks again.
    document.body.classList.add("away");
  }
  setTimeout(keepLooking, EVERY_MS);
}

async function send(form, button) {
  asked += 1; // an answer that is under way knows nothing of this yet
  const fields = new URLSearchParams(new FormData(form, button));
  button?.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action, { method: "POST", body: fields });
    const here = new URL(answer.url);
    if (here.pathname !== location.pathname) {
      location.assign(answer.url);
      return;
    }
    asked += 1;
    tag = "";
    show(await answer.text(), { done: true });
    if (answer.ok) finish(form);
    else document.getElementById("refusal").scrollIntoView({ block: "nearest" });
  } finally {
    button?.removeAttribute("aria-busy");
  }
}

/** What was sent is no longer in its fields, and its fold closes. */
function finish(form) {
  form.reset();
  for (const area of form.querySelectorAll("textarea")) area.value = "";
  form.closest("details")?.removeAttribute("open");
  const params = new URLSearchParams(location.search);
  if (params.has("line") && form.querySelector("[value=comment-on-line]")) {
    history.replaceState(null, "", location.pathname);
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || form.dataset.plain !== undefined) return;
  event.preventDefault();
  send(form, event.submitter);
});

document.addEventListener("change", (event) => {
  if (event.target.dataset.submits !== undefined) event.target.form.requestSubmit();
});

// One menu at a time, closed by a click elsewhere or Escape.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const menu = document.querySelector("details.menu[open]");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form) {
    event.target.form.requestSubmit(event.target.form.querySelector("[data-default]"));
  }
});

document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest" });
setTimeout(keepLooking, EVERY_MS);
