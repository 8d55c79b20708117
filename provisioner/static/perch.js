// What pages do more with scripts. Each works without.

// The green light: asked for again until the box is trusted.
for (const box of document.querySelectorAll("[data-light]")) {
  const image = box.querySelector("img");
  const address = image.src;
  const lit = () => box.classList.toggle("lit", image.naturalWidth > 0);
  image.addEventListener("load", lit);
  lit();
  const timer = setInterval(() => {
    if (box.classList.contains("lit")) clearInterval(timer);
    else image.src = `${address}?${Date.now()}`;
  }, 4000);
}

// The browser's clock and time zone, offered to a box without a time server.
const clock = document.querySelector("[data-clock]");
if (clock) {
  const unix = document.querySelector("[data-unix]");
  const show = () => {
    const now = new Date();
    clock.value = now.toISOString().slice(0, 16);
    unix.value = Math.round(now / 1000);
  };
  show();
  const timer = setInterval(show, 1000);
  clock.addEventListener("input", () => {
    clearInterval(timer);
    unix.value = "";
  });
}
const zone = document.querySelector("[data-zone]");
if (zone && zone.value === "UTC") {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if ([...zone.options].some((option) => option.value === own)) zone.value = own;
}

// Buttons that print the page, and questions before what cannot be taken back.
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", () => navigator.clipboard.writeText(button.dataset.copy));
}

// A box that restarts: the way back opens by itself when it answers again.
const back = document.querySelector("[data-comes-back]");
if (back) {
  let gone = false;
  setInterval(async () => {
    try {
      const answer = await fetch("/static/perch.css", { cache: "no-store" });
      if (gone && answer.ok) location.href = back.href;
    } catch {
      gone = true;
    }
  }, 3000);
}

// A file goes into the field for its text, where it can be looked at before it is sent.
for (const input of document.querySelectorAll("[data-file]")) {
  input.closest("label").hidden = false;
  input.addEventListener("change", async () => {
    document.getElementById(input.dataset.file).value = await input.files[0].text();
  });
}
