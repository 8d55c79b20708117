// The page Updates of a booted box, pressed in Chromium: node updates.mjs SETTINGS, whose `steps` are done in their order.
import assert from "node:assert/strict";
import { join } from "node:path";
import { chromium } from "playwright-core";

const settings = JSON.parse(process.argv[2]);
const UPDATES = "https://perch.local/admin/updates";
// An emulated box that does other work answers late.
const PATIENCE = 120_000;

const browser = await chromium.launch({
  executablePath: settings.chromium ?? "/usr/bin/chromium",
  args: ["--no-sandbox", `--host-resolver-rules=MAP *.local:443 127.0.0.1:${settings.port}, MAP * ~NOTFOUND`],
});

async function signIn(page) {
  await page.goto("https://perch.local/sign-in");
  await page.fill("[name=name]", "anna");
  await page.fill("[name=password]", settings.password);
  await Promise.all([page.waitForURL(/\/admin/), page.locator("main form button").first().click()]);
}

async function picture(page, name) {
  // A page whose style sheet is still on its way has another height.
  await page.waitForLoadState("load");
  await page.screenshot({ path: join(settings.screens, `${name}.png`), fullPage: true });
}

/** Presses a form's button. */
async function press(page, form) {
  await Promise.all([page.waitForNavigation(), page.locator(`form[action$='/${form}'] button`).click()]);
}

const steps = {
  /** Asks the publisher, until the page, which loads itself anew, offers the version. */
  async check(page, { version }) {
    await press(page, "check");
    await page.locator("form[action$='/install'] button", { hasText: version }).waitFor();
    await picture(page, `${version}-offered`);
  },
  /** Installs what is offered, until the page shows how far it is. */
  async install(page, { version }) {
    await press(page, "install");
    await page.locator("progress").waitFor();
    await picture(page, `${version}-under-way`);
  },
  /** Sends a bundle as a file, until the page says that the box is at work with it. */
  async file(page, { version, bundle }) {
    await page.setInputFiles("form[action$='/file'] [name=file]", bundle);
    await press(page, "file");
    await page.locator("form[action$='/file'] button[disabled]").waitFor();
    await picture(page, `${version}-sent`);
  },
  /** Installs a bundle that the page, which loads itself anew, finds on a USB stick. */
  async stick(page, { version, serial }) {
    const form = page.locator("form[action$='/stick']", { hasText: version });
    await form.locator("button").waitFor();
    const said = await page.locator("main").innerText();
    assert(said.includes(serial), `the page does not name the stick: ${said}`);
    await picture(page, `${version}-on-a-stick`);
    await Promise.all([page.waitForNavigation(), form.locator("button").click()]);
    await page.locator("form[action$='/file'] button[disabled]").waitFor();
    await picture(page, `${version}-from-a-stick`);
  },
  /** Goes back to what the other slot has. */
  async back(page, { version }) {
    const button = page.locator("form[action$='/back'] button", { hasText: version });
    await button.waitFor();
    await Promise.all([page.waitForNavigation(), button.click()]);
    await page.locator("form[action$='/file'] button[disabled]").waitFor();
    await picture(page, `back-to-${version}`);
  },
  /** The page says what has become of it. */
  async said(page, { name, text }) {
    const said = await page.locator("main").innerText();
    await picture(page, name);
    assert(said.includes(text), `the page does not say ${text}: ${said}`);
  },
};

try {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: "en-US", viewport: { width: 1280, height: 800 } });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  await signIn(page);
  await page.goto(UPDATES);
  for (const { step, ...about } of settings.steps) await steps[step](page, about);
} finally {
  await browser.close();
}
