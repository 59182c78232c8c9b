// Sends the form to GitHub at once, unless the person came back to this page.
"use strict";

const [entry] = performance.getEntriesByType("navigation");
if (entry && entry.type === "navigate") document.getElementById("to-github").submit();
