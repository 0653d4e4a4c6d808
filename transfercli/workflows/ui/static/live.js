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
      if (part.dataset.then === "reload" && answer.status !== 202) return location.reload(); // the work is over
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const now = page.getElementById(id);
      if (answer.ok && now && now.outerHTML !== part.outerHTML) {
        keepState(part, now);
        part.replaceWith(document.adoptNode(now));
        document.dispatchEvent(new CustomEvent("live", { detail: { id } }));
      }
    }
  } catch {
    // The command was stopped: the page stays as it is, and asks again.
  }
  schedule(id);
}

// Boxes that a person has ticked stay ticked, and parts that were opened stay open.
function keepState(before, now) {
  for (const box of before.querySelectorAll("input:checked")) {
    for (const same of now.querySelectorAll("input")) {
      if (same.name === box.name && same.value === box.value) same.checked = true;
    }
  }
  const details = now.querySelectorAll("details");
  before.querySelectorAll("details").forEach((each, number) => {
    if (details[number]) details[number].open = each.open;
  });
}
