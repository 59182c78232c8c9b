// A run's page: what is new comes as events, buttons and messages go without leaving the page.
"use strict";

const live = document.getElementById("live");
const steps = document.getElementById("steps");
const sent = document.getElementById("sent");
const more = document.getElementById("new-steps");
const titleOfRun = document.title.slice(document.title.indexOf(" · ") + 3);
let cursor = live.dataset.cursor;
let unseen = 0;
let failures = 0;

function isAtEnd() {
  return steps.getBoundingClientRect().bottom < innerHeight + 120;
}

function fromHtml(html) {
  const box = document.createElement("template");
  box.innerHTML = html;
  return box.content;
}

function keepOpen(before, after) {
  for (const fold of before.querySelectorAll("details[id]")) {
    const same = after.querySelector(`#${CSS.escape(fold.id)}`);
    if (same) same.open = fold.open;
  }
}

function showPart({ id, html }) {
  const part = document.getElementById(id);
  if (!part) return;
  const content = fromHtml(html);
  keepOpen(part, content);
  const focused = part.contains(document.activeElement) && document.activeElement.value;
  part.replaceChildren(content);
  if (focused) part.querySelector(`button[value="${CSS.escape(focused)}"]`)?.focus();
  if (id === "bar") document.title = `${part.querySelector(".state").textContent} · ${titleOfRun}`;
  if (id === "task-label") document.getElementById("say").hidden = !part.textContent.trim();
}

function showStep({ id, html }) {
  const follow = isAtEnd();
  const content = fromHtml(html);
  const known = document.getElementById(id);
  if (known) {
    known.replaceWith(content);
  } else {
    steps.append(content);
    document.getElementById("no-steps").hidden = true;
    if (follow) return;
    unseen += 1;
    more.textContent = `${unseen} new step${unseen === 1 ? "" : "s"} ↓`;
    more.hidden = false;
  }
}

more.addEventListener("click", () => {
  steps.lastElementChild?.scrollIntoView({ block: "nearest" });
  unseen = 0;
  more.hidden = true;
});

function listen() {
  const source = new EventSource(`/runs/${live.dataset.run}/events?after=${cursor}`);
  const updates = document.getElementById("updates");
  source.onopen = () => { failures = 0; updates.textContent = " · updates automatically"; };
  const take = (event, show) => {
    if (event.lastEventId) cursor = event.lastEventId;
    show(JSON.parse(event.data));
  };
  source.addEventListener("part", (event) => take(event, showPart));
  source.addEventListener("step", (event) => take(event, showStep));
  source.addEventListener("reset", () => { source.close(); location.reload(); });
  source.addEventListener("gone", () => { source.close(); location.reload(); });
  source.onerror = () => {
    updates.textContent = " · connecting";
    if (source.readyState !== EventSource.CLOSED) return;
    // Refused: signed out, Honk is restarting, or too many pages are open. Ask again, ever later.
    failures += 1;
    setTimeout(listen, Math.min(30000, 1000 * 2 ** failures));
  };
}

async function submit(event) {
  event.preventDefault();
  const form = event.target;
  const data = new URLSearchParams(new FormData(form, event.submitter));
  sent.textContent = "Sending";
  try {
    const answer = await fetch(form.action, {
      method: "POST", body: data, headers: { accept: "application/json" }, redirect: "manual",
    });
    if (answer.type === "opaqueredirect") { location.reload(); return; }
    const told = await answer.json();
    sent.textContent = told.text;
    if (!answer.ok) return;
    if (form.id === "say") form.querySelector("textarea").value = "";
    for (const once of document.querySelectorAll("input[name=once]")) once.value = told.once;
  } catch {
    sent.textContent = "Not sent: Honk does not answer. Try again.";
  }
}

for (const form of document.querySelectorAll("#act, #say")) form.addEventListener("submit", submit);

document.getElementById("earlier")?.addEventListener("click", async (event) => {
  event.preventDefault();
  const link = event.currentTarget;
  const answer = await fetch(link.href, { redirect: "manual" });
  if (!answer.ok) { location.reload(); return; }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const first = steps.firstElementChild;
  const top = first?.getBoundingClientRect().top ?? 0;
  for (const step of [...page.getElementById("steps").children]) {
    if (!document.getElementById(step.id)) steps.insertBefore(document.importNode(step, true), first);
  }
  if (first) scrollBy(0, first.getBoundingClientRect().top - top);
  const next = page.getElementById("earlier");
  if (next) link.href = next.href; else link.closest("p").remove();
});

setInterval(() => {
  for (const clock of document.querySelectorAll("[data-since]")) {
    const seconds = Math.max(0, Date.now() / 1000 - clock.dataset.since);
    clock.textContent = seconds < 60 ? `${Math.floor(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  }
}, 1000);

if (live.dataset.window === "no") listen();
