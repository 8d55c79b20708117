// The box's own pages in Chromium, from a box that nobody has claimed on: node pages.mjs SETTINGS.
// Screenshots of every page at two widths and in both languages; axe-core looks at each.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const settings = JSON.parse(process.argv[2]);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PASSWORD = "kaffee im garten um sieben";

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
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

const server = settings.port ? undefined : await front();
const port = settings.port ?? server.address().port;
const browser = await chromium.launch({
  executablePath: settings.chromium ?? "/usr/bin/chromium",
  args: ["--no-sandbox", `--host-resolver-rules=MAP *.local:443 127.0.0.1:${port}, MAP * ~NOTFOUND`],
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
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  page.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) findings.push(`${page.url()}: ${message.text()}`);
  });
  return page;
}

/** Looks at the page as it is: pictures at both widths, in both languages, and axe-core. */
async function look(page, name) {
  const other = (await page.locator("html").getAttribute("lang")) === "en" ? "zh" : "en";
  for (const language of [undefined, other]) {
    if (language) await page.locator(`.foot button[lang=${language}]`).click();
    const shown = await page.locator("html").getAttribute("lang");
    for (const [width, size] of Object.entries(widths)) {
      await page.setViewportSize(size);
      await page.screenshot({ path: join(settings.screens, `${name}-${shown}-${width}.png`), fullPage: true });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wide > 0) findings.push(`${name}: ${wide} pixels wider than the ${width}`);
    }
    await page.evaluate(axe);
    const result = await page.evaluate(() => globalThis.axe.run());
    for (const violation of result.violations) {
      if (["serious", "critical"].includes(violation.impact)) {
        findings.push(`${name} (${shown}): ${violation.id}: ${violation.nodes.map((node) => node.html).join(" ")}`);
      }
    }
  }
  await page.locator(`.foot button[lang=${other === "zh" ? "en" : "zh"}]`).click();
}

async function next(page, path) {
  await Promise.all([page.waitForURL((url) => url.pathname === path), page.locator("main button.wide, main a.wide").first().click()]);
}

async function setUp(page) {
  await page.goto("https://perch.local/");
  await look(page, "01-welcome");
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
  ["30-log", "/admin/log"],
  ["31-sessions", "/admin/sessions"],
  ["32-power", "/admin/power"],
];

async function run(page) {
  for (const [name, path] of areas) {
    await page.goto(`https://perch.local${path}`);
    await look(page, name);
  }
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

try {
  const anna = await visitor();
  const invitation = await setUp(anna);
  console.log(`invitation ${invitation}`);
  await run(anna);
  await others();
  assert.deepEqual(findings, []);
} finally {
  await browser.close();
  server?.close();
}
