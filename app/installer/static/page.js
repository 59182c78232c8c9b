// Coming back from GitHub, the browser may show this page as it was: ask for it again.
"use strict";

addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
