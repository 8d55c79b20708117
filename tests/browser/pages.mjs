// The box's own pages in Chromium, from a box that nobody has claimed on: node pages.mjs SETTINGS.
// Screenshots of every page at two widths and in both languages; axe-core looks at each.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const settings = JSON.parse(process.argv[2]);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PASSWORD = settings.password ?? "kaffee im garten um sieben";
// An emulated Pi takes its time.
const patience = settings.patience ?? 1;

/** What nginx does on a box: TLS, and where a request came from. */
function front() {
  const server = https.createServer(
    { key: readFileSync(settings.key), cert: readFileSync(settings.certificate) },
    (request, response) => {
      const chat = /^\/(chat|invite|ws|bosh|upload|\.well-known)\b/.test(request.url);
      const passed = http.request({
        socketPath: chat ? settings.imd : settings.web,
        path: request.url,
        method: request.method,
        headers: { ...request.headers, "x-real-ip": "192.168.1.23" },
      });
      passed.on("response", (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      passed.on("error", (error) => response.writeHead(502).end(String(error)));
      request.pipe(passed);
    },
  );
  server.on("upgrade", (request, socket) => {
    const passed = http.request({ socketPath: settings.imd, path: request.url, headers: request.headers });
    passed.on("upgrade", (answer, upstream) => {
      const lines = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join("")}\r\n`);
      upstream.pipe(socket).pipe(upstream);
    });
    passed.on("error", () => socket.destroy());
    socket.on("error", () => passed.destroy());
    passed.end();
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

const server = settings.port ? undefined : await front();
const port = settings.port ?? server.address().port;
const browser = await chromium.launch({
  executablePath: settings.chromium ?? "/usr/bin/chromium",
  args: ["--no-sandbox", `--host-resolver-rules=MAP *.local:443 ${settings.address ?? "127.0.0.1"}:${port}, MAP * ~NOTFOUND`],
});

const widths = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } };
const findings = [];

/** A browser with nothing remembered. */
async function visitor(options = {}) {
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    locale: "en-US",
    viewport: widths.phone,
    ...options,
  });
  context.setDefaultTimeout(30_000 * patience);
  const page = await context.newPage();
  page.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) findings.push(`${page.url()}: ${message.text()}`);
  });
  return page;
}

/** Looks at the page as it is: pictures at both widths, in both languages, and axe-core; with `brief`, at one picture of it. */
async function look(page, name, once = false) {
  if (settings.brief) {
    await page.screenshot({ path: join(settings.screens, `${name}.png`), fullPage: true });
    return;
  }
  const other = (await page.locator("html").getAttribute("lang")) === "en" ? "zh" : "en";
  for (const language of once ? [undefined] : [undefined, other]) {
    if (language) await speak(page, language);
    const shown = await page.locator("html").getAttribute("lang");
    for (const [width, size] of Object.entries(widths)) {
      await page.setViewportSize(size);
      if (settings.charts) await drawn(page);
      await page.screenshot({ path: join(settings.screens, `${name}-${shown}-${width}.png`), fullPage: true });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wide > 0) findings.push(`${name}: ${wide} pixels wider than the ${width}`);
      const hidden = await page.evaluate(() => {
        const area = document.querySelector(".top [aria-current]")?.getBoundingClientRect();
        return area && (area.left < 0 || area.right > innerWidth);
      });
      if (hidden) findings.push(`${name}: the area that is open is beyond the edge of the ${width}`);
    }
    await page.evaluate(axe);
    const result = await page.evaluate(() => globalThis.axe.run());
    for (const violation of result.violations) {
      if (["serious", "critical"].includes(violation.impact)) {
        findings.push(`${name} (${shown}): ${violation.id}: ${violation.nodes.map((node) => node.html).join(" ")}`);
      }
    }
  }
  if (!once) await speak(page, other === "zh" ? "en" : "zh");
}

/** Chooses another language, which leads to the same page. */
async function speak(page, language) {
  const here = page.url();
  await Promise.all([page.waitForNavigation(), page.locator(`.foot button[lang=${language}]`).click()]);
  assert.equal(page.url(), here, "another language is another page");
}

/** Looks at a page that does not stay: a box that is booted goes on meanwhile, and gets one picture. */
async function glimpse(page, name) {
  if (settings.port) await page.screenshot({ path: join(settings.screens, `${name}.png`), fullPage: true });
  else await look(page, name, true);
}

/** Waits until uPlot has drawn every line that the page has, as wide as its place is. */
async function drawn(page) {
  const missing = () => [...document.querySelectorAll("[data-line]")].filter((figure) => {
    const canvas = figure.querySelector("canvas");
    return !canvas || Math.abs(canvas.clientWidth - figure.querySelector(".plot").clientWidth) > 1;
  }).map((figure) => figure.dataset.line);
  const end = Date.now() + 30_000 * patience;
  for (;;) {
    const left = await page.evaluate(missing);
    if (!left.length) return;
    assert(Date.now() < end, `uPlot has not drawn ${left}`);
    await page.waitForTimeout(100);
  }
}

async function next(page, path) {
  await Promise.all([page.waitForURL((url) => url.pathname === path), page.locator("main button.wide, main a.wide").first().click()]);
}

async function setUp(page) {
  await page.goto("https://perch.local/");
  await look(page, "01-welcome");
  if (settings.code) await page.fill("[name=code]", settings.code);
  await next(page, "/setup/administrator");
  await look(page, "02-administrator");
  await page.fill("[name=name]", "anna");
  await page.fill("[name=password]", "password1");
  await page.fill("[name=repeat]", "password1");
  await next(page, "/setup/administrator");
  await page.screenshot({ path: join(settings.screens, "02-administrator-weak.png"), fullPage: true });
  await page.fill("[name=password]", PASSWORD);
  await page.fill("[name=repeat]", PASSWORD);
  await next(page, "/setup/name");
  await look(page, "03-name");
  await next(page, "/setup/time");
  await look(page, "04-time");
  await next(page, "/setup/trust");
  await page.locator(".light.lit").waitFor();
  await look(page, "05-trust");
  await next(page, "/setup/people");
  await look(page, "06-people");
  await page.locator("main button").first().click();
  await page.locator(".qr svg").waitFor();
  await page.screenshot({ path: join(settings.screens, "06-people-made-en-phone.png"), fullPage: true });
  const invitation = await page.locator(".qr a").getAttribute("href");
  await next(page, "/setup/done");
  await look(page, "07-done");
  return invitation;
}

const areas = [
  ["20-home", "/admin"],
  ["21-people", "/admin/people"],
  ["22-person", "/admin/people/ben"],
  ["23-people-new", "/admin/people-new"],
  ["24-import", "/admin/people-import"],
  ["25-groups", "/admin/groups"],
  ["26-group", "/admin/groups/class-1a"],
  ["27-invitations", "/admin/invitations"],
  ["28-rooms", "/admin/rooms"],
  ["29-room", "/admin/rooms/tea"],
  ["30-log", "/admin/log"],
  ["31-sessions", "/admin/sessions"],
  ["32-power", "/admin/power"],
  ["33-settings", "/admin/settings"],
  ["34-tuning", "/admin/settings/tuning"],
  ["34-certificate", "/admin/settings/certificate"],
  ["34-time", "/admin/time"],
  ["35-backups", "/admin/backups"],
  ["36-restore", "/admin/backups/restore"],
  ["37-reset", "/admin/reset"],
  ["38-support", "/admin/support"],
  ["39-home-month", "/admin?time=month"],
  ["40-updates", "/admin/updates"],
];

/** Fills the form that has a field, and sends it. */
async function send(page, path, values, button = "button:not(.second)") {
  await page.goto(`https://perch.local${path}`);
  const form = page.locator("main form", { has: page.locator(`[name="${Object.keys(values)[0]}"]`) }).first();
  for (const [name, value] of Object.entries(values)) await form.locator(`[name="${name}"]`).first().fill(value);
  await Promise.all([page.waitForNavigation(), form.locator(button).first().click()]);
}

/** What somebody does who runs the box. */
async function work(page) {
  await send(page, "/admin/people-import", { table: "username,display_name,groups,role\nben,Ben B.,Class 1a,member\ncarol,,Class 1a,limited\n" });
  await page.locator(".good").waitFor();
  await send(page, "/admin/people-import", { table: "username,role\ndora,queen\n" });
  await look(page, "24-import-fault", true);
  await send(page, "/admin/people", { search: "ben" }, "button");
  assert.equal(await page.locator(".rows li").count(), 1);
  await page.goto("https://perch.local/admin/people/ben");
  await page.locator("form[action$='/password'] button").click();
  await look(page, "22-person-password", true);
  await page.goto("https://perch.local/admin/people/ben");
  await page.locator("form[action$='/freeze'] button").click();
  await page.locator("h1 .tag.bad").waitFor();
  await page.locator("form[action$='/freeze'] button").click();
  await send(page, "/admin/rooms", { title: "Tea", name: "tea" });
  await page.locator(".good").waitFor();
  await send(page, "/admin/invitations", { uses: "3", note: "For the neighbours" });
  await look(page, "27-invitation");
  await send(page, "/admin/invitations", { title: "Class 1a", number: "6" }, "button");
  await look(page, "27-sheet");
  await send(page, "/admin/settings", { timezone: "Nowhere" });
  await page.locator(".fault").waitFor();
  await page.screenshot({ path: join(settings.screens, "33-settings-fault-en.png"), fullPage: true });
  await send(page, "/admin/settings", { timezone: "Europe/Berlin" });
  await look(page, "33-settings-preview", true);
  await send(page, "/admin/settings", { timezone: "Europe/Berlin" });
  await page.locator("main form button").first().click();
  await page.locator("a.button", { hasText: "Done" }).waitFor();
}

/** What the browser finds out by itself is found out, and is well. */
async function diagnosed(page) {
  await page.locator(".checks .open[data-test]").first().waitFor({ state: "detached" });
  const found = await page.locator(".checks [data-test]").evaluateAll((items) =>
    items.map((item) => `${item.dataset.test}: ${item.className}: ${item.lastElementChild.textContent}`));
  const works = await page.locator("[data-doctor]").getAttribute("data-good");
  assert.deepEqual(found, ["certificate", "websocket", "clock"].map((test) => `${test}: good: ${works}`));
}

async function run(page) {
  for (const [name, path] of areas) {
    await page.goto(`https://perch.local${path}`);
    if (name.includes("support")) await diagnosed(page);
    await look(page, name);
  }
}

/** The overview's lines are drawn by uPlot, which says each value below the cursor, and by the server for who has no scripts. */
async function charts(page) {
  const temperature = page.locator("[data-line=temperature]");
  const said = temperature.locator(".plot p");
  for (const [width, size] of Object.entries(widths)) {
    await page.setViewportSize(size);
    await page.goto("https://perch.local/admin");
    await drawn(page);
    assert.equal(await page.locator(".picture.drawn canvas").count(), 6, width);
    const dots = await temperature.locator("canvas").evaluate((canvas) =>
      canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.filter((value, index) => index % 4 === 3 && value).length);
    assert(dots > 200, `${width}: ${dots} dots of a line`);
    const heard = [];
    for (const x of [60, 120]) {
      await temperature.locator(".u-over").hover({ position: { x, y: 40 } });
      heard.push(await said.innerText());
    }
    assert.notEqual(heard[0], heard[1]);
    for (const text of heard) assert.match(text, /\d\d:\d\d · [\d.]+ °C$/);
    await page.screenshot({ path: join(settings.screens, `43-charts-cursor-${width}.png`), fullPage: true });
  }
  // Without loading anew: as wide as there is room, and with the figures of the moment.
  await page.setViewportSize(widths.phone);
  await drawn(page);
  await temperature.locator(".plot").evaluate((plot) => { plot.dataset.same = "yes"; });
  const renewed = page.waitForResponse((answer) => answer.url().endsWith("/admin/history"));
  assert.equal((await renewed).status(), 200);
  await temperature.locator(".plot[data-same] canvas").waitFor();
  assert.match(await temperature.locator("svg").getAttribute("aria-label"), /^Temperature: between/);
  for (const [name, options] of [["dark", { colorScheme: "dark" }], ["without-scripts", { javaScriptEnabled: false }]]) {
    const other = await visitor(options);
    await signIn(other);
    await other.goto("https://perch.local/admin?time=month");
    if (name === "dark") await drawn(other);
    else {
      assert.equal(await other.locator("canvas").count(), 0);
      const { height, width } = await other.locator("[data-line=temperature] svg").boundingBox();
      assert(height > 100 && width > 250, `a picture of ${width} by ${height}`);
    }
    await other.screenshot({ path: join(settings.screens, `44-charts-${name}.png`), fullPage: true });
    await other.context().close();
  }
}

/** Somebody who was invited: chooses a name, and chats in the browser. */
async function join_in(invitation) {
  const page = await visitor();
  await page.goto(invitation);
  await page.fill("[name=name]", "eve");
  await page.fill("[name=password]", PASSWORD);
  await page.fill("[name=repeat]", PASSWORD);
  await page.locator("form button").first().click();
  await page.waitForURL(/\/done/);
  await page.screenshot({ path: join(settings.screens, "40-registered.png"), fullPage: true });
  await page.locator("a.button[href^='/chat/']").click();
  await page.locator("input[name=password]").waitFor();
  // The password is all there is to type, and the name is nowhere in the address.
  assert.equal(await page.locator("input[name=jid]").inputValue(), "eve");
  assert.equal(await page.evaluate(() => location.hash), "");
  await page.locator("input[name=password]").fill(PASSWORD);
  await page.locator("input[name=password]").press("Enter");
  await page.locator("#converse-roster").waitFor({ timeout: 60_000 * patience });
  await page.screenshot({ path: join(settings.screens, "41-chat.png") });
  if (settings.partner) await talk(page);
}

/** The administrator, with another client, is written to by who was invited, and answers. */
async function talk(page) {
  const [program, ...words] = settings.partner;
  const partner = spawn(program, words, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(partner, "exit");
  const [said] = await Promise.race([once(partner.stdout, "data"), ended]);
  assert.match(String(said), /online/, "the other client is not online");
  const anna = "anna@perch.local";
  await page.evaluate((hash) => { location.hash = hash; }, `#converse/chat?jid=${anna}`);
  const box = page.locator(`converse-chat[jid="${anna}"]`);
  const area = box.locator(".chat-textarea");
  await area.fill("Hello, Anna, this is Eve");
  await area.press("Enter");
  await box.locator(".chat-msg__text", { hasText: "Welcome, Eve" }).waitFor();
  await page.screenshot({ path: join(settings.screens, "42-talk.png") });
  assert.deepEqual(await ended, [0, null], "the other client stumbled");
}

async function others() {
  const second = await visitor();
  await second.goto("https://perch.local/setup");
  await look(second, "08-taken");
  await second.goto("https://perch.local/");
  await look(second, "09-front");
  await second.goto("https://perch.local/sign-in");
  await look(second, "10-sign-in");
  await second.goto("https://perch.local/trust");
  await look(second, "11-trust");
  await second.goto("https://perch.local/nothing");
  await look(second, "12-absent");
}

/** Sends a form that has one button to press, and waits for the page after it. */
async function press(page, form) {
  await Promise.all([page.waitForNavigation(), page.locator(`${form} button`).first().click()]);
}

/** The recovery key, a backup that was tried, and where it was downloaded to. */
async function backUp(page) {
  await page.goto("https://perch.local/admin/backups");
  await look(page, "35-backups-new");
  await press(page, "form[action$='/key']");
  await look(page, "35-backups-key", true);
  const words = await page.locator(".words li").allInnerTexts();
  assert.equal(words.length, 12);
  for (const [index, number] of [2, 7, 11].entries()) {
    await page.locator("[name=word]").nth(index).fill(words[number - 1]);
  }
  await press(page, "form[action$='/confirm']");
  await page.locator(".good").waitFor();
  await press(page, "form[action$='/make']");
  await glimpse(page, "35-backups-busy");
  // The page loads itself anew until it is there.
  await page.locator("a[download]").waitFor({ timeout: 120_000 * patience });
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("a[download]").click()]);
  const file = join(settings.screens, "backup.age");
  await download.saveAs(file);
  await press(page, "form[action$='/drill']");
  await page.locator(".panel .good").waitFor({ timeout: 120_000 * patience });
  return { file, words: words.join(" ") };
}

/** Sends a backup, and waits for what the box says of it. */
async function restore(page, path, file, words) {
  await page.goto(`https://perch.local${path}`);
  await page.fill("[name=words]", words);
  await page.setInputFiles("[name=file]", file);
  await Promise.all([page.waitForNavigation(), page.locator("main form button").first().click()]);
}

/** Waits for a box that starts again, until its front page has something. */
async function startedAgain(page, what) {
  const end = Date.now() + 600_000;
  for (;;) {
    try {
      await page.goto("https://perch.local/", { timeout: 5_000 });
      if (await page.locator(what).count()) return;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    assert(Date.now() < end, `the box does not start again with ${what}`);
    await page.waitForTimeout(2_000);
  }
}

async function signIn(page) {
  await page.goto("https://perch.local/sign-in");
  await page.fill("[name=name]", "anna");
  await page.fill("[name=password]", PASSWORD);
  await Promise.all([page.waitForURL(/\/admin/), page.locator("main form button").first().click()]);
}

/** Who is on the box. */
async function people(page) {
  await page.goto("https://perch.local/admin/people");
  return (await page.locator(".rows").innerText()).match(/\b(anna|ben|carol|zoe)\b/g) ?? [];
}

/** What is not to be restored is refused; what is, comes back: on the box as it is, and on one that was reset. */
async function comeBack(page, { file, words }) {
  await send(page, "/admin/people-import", { table: "username,role\nzoe,member\n" });
  assert((await people(page)).includes("zoe"));
  const damaged = join(settings.screens, "damaged.age");
  const content = readFileSync(file);
  content[content.length - 1000] ^= 1;
  writeFileSync(damaged, content);
  await restore(page, "/admin/backups/restore", damaged, words);
  await page.locator(".fault").waitFor({ timeout: 120_000 * patience });
  await look(page, "36-restore-damaged", true);
  assert((await people(page)).includes("zoe"));
  await restore(page, "/admin/backups/restore", file, words);
  await page.locator("[data-comes-back]").waitFor({ timeout: 120_000 * patience });
  await glimpse(page, "36-restore-restarting");
  await startedAgain(page, "a[href='/sign-in']");
  await signIn(page);
  const found = await people(page);
  assert(found.includes("ben") && !found.includes("zoe"), `${found}`);
  await send(page, "/admin/reset", { name: "perch" });
  await glimpse(page, "37-reset-under-way");
  const fresh = await visitor();
  await startedAgain(fresh, "[name=language][type=radio]");
  if (settings.code) await fresh.fill("[name=code]", settings.code);
  await next(fresh, "/setup/administrator");
  await fresh.goto("https://perch.local/setup/restore");
  await look(fresh, "13-restore-in-wizard");
  await restore(fresh, "/setup/restore", file, words);
  await fresh.locator("[data-comes-back]").waitFor({ timeout: 120_000 * patience });
  await startedAgain(fresh, "a[href='/sign-in']");
  await signIn(fresh);
  const again = await people(fresh);
  assert(again.includes("ben") && again.includes("carol"), `${again}`);
}

try {
  const anna = await visitor();
  const invitation = await setUp(anna);
  await work(anna);
  const backup = await backUp(anna);
  await run(anna);
  if (settings.charts) await charts(anna);
  await others();
  await join_in(invitation);
  if (settings.restarts ?? true) await comeBack(anna, backup);
  assert.deepEqual(findings, []);
} finally {
  await browser.close();
  server?.close();
}
