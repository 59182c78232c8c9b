// While a run is live, its page fetches itself again and applies the changes.
"use strict";

const EVERY_MS = 2000;

async function look() {
  // What a person is typing must not be replaced.
  if (document.hidden || document.activeElement?.matches("input, select, textarea")) return true;
  const answer = await fetch(location.href, { cache: "no-store", redirect: "manual" });
  if (answer.status !== 200) {
    // Signed out, or no longer ours to see: the server tells it better.
    if (answer.type === "opaqueredirect" || answer.status === 404) location.reload();
    return answer.status >= 500;
  }
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  const now = document.getElementById("main");
  const then = next.getElementById("main");
  if (!then) return true;
  for (const fold of now.querySelectorAll("details[open][id]")) {
    then.querySelector(`#${CSS.escape(fold.id)}`)?.setAttribute("open", "");
  }
  if (now.innerHTML !== then.innerHTML) {
    now.replaceChildren(...document.importNode(then, true).childNodes);
  }
  document.title = next.title;
  return document.getElementById("live")?.dataset.live === "yes";
}

async function keepLooking() {
  let more = true;
  try {
    more = await look();
  } catch {
    // Honk or the network is away; the page stays as it was and looks again.
  }
  if (more) setTimeout(keepLooking, EVERY_MS);
}

setTimeout(keepLooking, EVERY_MS);
