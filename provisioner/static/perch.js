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

// On a narrow screen (perch.css has the same width) the row of areas is moved to the one that is open.
const area = document.querySelector(".top [aria-current]");
if (area) {
  const row = area.closest("nav");
  const show = () => {
    row.scrollLeft = area.offsetLeft - row.offsetLeft - (row.clientWidth - area.offsetWidth) / 2;
  };
  show();
  matchMedia("(min-width: 56rem)").addEventListener("change", show);
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

// Figures stay those of this moment while somebody looks at them. Who has put something into a part hears that it is new (charts.js).
if (document.querySelector("[data-live]")) {
  setInterval(async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.href);
      if (!answer.ok) return;
      const there = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const renewed = there.querySelector(`[data-live="${part.dataset.live}"]`);
        if (!renewed) continue;
        part.replaceChildren(...renewed.childNodes);
        part.dispatchEvent(new Event("renewed"));
      }
    } catch {
      // The box may be restarting; the figures stay as they were.
    }
  }, 15000);
}

// What only the browser can find out about its way to the box.
const doctor = document.querySelector("[data-doctor]");
if (doctor) {
  const tests = {
    certificate: () => new Promise((resolve) => {
      const picture = new Image();
      picture.onload = () => resolve(true);
      picture.onerror = () => resolve(false);
      picture.src = `${doctor.dataset.picture}?${Date.now()}`;
    }),
    websocket: () => new Promise((resolve) => {
      const socket = new WebSocket(`wss://${location.host}/ws`, "xmpp");
      socket.onopen = () => { resolve(true); socket.close(); };
      socket.onerror = () => resolve(false);
      setTimeout(() => resolve(false), 10000);
    }),
    clock: async () => Math.abs(Date.now() / 1000 - Number(doctor.dataset.now)) < 120,
  };
  for (const item of doctor.querySelectorAll("[data-test]")) {
    tests[item.dataset.test]().catch(() => false).then((works) => {
      item.className = works ? "good" : "bad";
      item.lastElementChild.textContent = works ? doctor.dataset.good : item.dataset.advice;
    });
  }
}
