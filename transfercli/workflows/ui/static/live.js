// Parts of a page that go on while a run trains: an element with an id and `data-live="SECONDS"` is replaced by itself
// as the server has it now. A part is left as it is while a person types in it, or while the page is hidden.

const soonest = 1000;

for (const part of document.querySelectorAll("[data-live]")) {
  schedule(part.id);
}

function schedule(id) {
  const part = document.getElementById(id);
  const seconds = Number(part?.dataset.live);
  if (seconds > 0) setTimeout(() => refresh(id), Math.max(soonest, 1000 * seconds));
}

async function refresh(id) {
  const part = document.getElementById(id);
  if (!part) return;
  try {
    if (!document.hidden && !part.contains(document.activeElement)) {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const now = page.getElementById(id);
      if (part.dataset.then === "reload" && !now) return location.reload(); // the work that the page waits for is over
      if (answer.ok && now && now.outerHTML !== part.outerHTML) {
        part.replaceWith(document.adoptNode(now));
        document.dispatchEvent(new CustomEvent("live", { detail: { id } }));
      }
    }
  } catch {
    // The command was stopped: the page stays as it is, and asks again.
  }
  schedule(id);
}
