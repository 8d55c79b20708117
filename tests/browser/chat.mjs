// Two people in the web chat, one in English and one in Chinese: node chat.mjs SETTINGS.
import assert from "node:assert/strict";
import { join } from "node:path";
import { chromium } from "playwright-core";

const settings = JSON.parse(process.argv[2]);
const origin = `https://${settings.domain}:${settings.https}`;
const room = `tea@rooms.${settings.domain}`;
// One square of a colour, as a picture of 64 by 64.
const PICTURE = {
  width: 64,
  file: {
    name: "garden.png",
    mimeType: "image/png",
    buffer: Buffer.from(
      "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAT0lEQVR42u3PQQkAAAgEsEtkHUNZ2gi+hcEKLDX9WgQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQELgupWwEAVpH8LgAAAABJRU5ErkJggg==",
      "base64",
    ),
  },
};

const browser = await chromium.launch({
  executablePath: settings.chromium ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    // The domain is this computer, and nothing else can be found.
    `--host-resolver-rules=MAP ${settings.domain} 127.0.0.1, MAP * ~NOTFOUND`,
  ],
});

/** Somebody's browser, with nothing remembered. */
async function person(name, locale) {
  const context = await browser.newContext({
    locale,
    ignoreHTTPSErrors: true,
    viewport: { width: 1280, height: 800 },
  });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const elsewhere = [];
  page.on("request", (request) => {
    const { protocol, origin: from } = new URL(request.url());
    if (!["data:", "blob:"].includes(protocol) && from !== origin) elsewhere.push(request.url());
  });
  const said = [];
  page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => said.push(`exception: ${error.stack}`));
  let screens = 0;
  return {
    name,
    page,
    elsewhere,
    said,
    jid: `${name}@${settings.domain}`,
    async screenshot(what) {
      screens += 1;
      await page.screenshot({ path: join(settings.screens, `${name}-${screens}-${what}.png`) });
    },
  };
}

async function logIn({ page, name, screenshot }) {
  await page.goto(`${origin}/chat/`);
  await page.locator("input[name=jid]").fill(name);
  await page.locator("input[name=password]").fill(settings[name]);
  await screenshot("login");
  await page.locator("input[name=password]").press("Enter");
  await page.locator("#converse-roster").waitFor();
}

/** Open a chat or a room by its entry at the side, or by a link to it before there is one; its box. */
async function open({ page }, kind, jid) {
  const entry = page.locator(kind === "room" ? `.open-room[data-room-jid="${jid}"]` : `.open-chat[data-jid="${jid}"]`).first();
  if (await entry.isVisible()) await entry.click();
  else await page.evaluate((hash) => { location.hash = hash; }, `#converse/${kind}?jid=${jid}`);
  const box = page.locator(`converse-${kind === "room" ? "muc" : "chat"}[jid="${jid}"]`);
  // The element itself has no height.
  await box.locator(".chat-textarea, input[name=nick]").first().waitFor();
  return box;
}

async function enter(who) {
  const box = await open(who, "room", room);
  const nick = box.locator("input[name=nick]");
  const text = box.locator(".chat-textarea");
  await nick.or(text).first().waitFor();
  if (await nick.isVisible()) {
    await nick.fill(who.name);
    await nick.press("Enter");
  }
  await text.waitFor();
  return box;
}

async function say(box, text) {
  const area = box.locator(".chat-textarea");
  await area.fill(text);
  await area.press("Enter");
}

const shows = (box, text) => box.locator(".chat-msg__text", { hasText: text }).last().waitFor();

/** A picture is there when the browser has decoded it. */
async function showsPicture(box) {
  const picture = box.locator("img.chat-image").last();
  await picture.waitFor();
  const width = await picture.evaluate(async (image) => {
    await image.decode();
    return image.naturalWidth;
  });
  assert.equal(width, PICTURE.width);
}

const anna = await person("anna", "en-GB");
const ben = await person("ben", "zh-CN");
try {
  await logIn(anna);
  await logIn(ben);
  assert.equal(await anna.page.locator("html").getAttribute("lang"), "en");
  assert.equal(await ben.page.locator("html").getAttribute("lang"), "zh-CN");
  await ben.page.getByText("联系人").first().waitFor();

  // One to one.
  let annas = await open(anna, "chat", ben.jid);
  await say(annas, "Good morning, Ben 👋");
  let bens = await open(ben, "chat", anna.jid);
  await shows(bens, "Good morning, Ben");
  await say(bens, "早上好，安娜！");
  await shows(annas, "早上好，安娜！");
  await annas.locator("input.fileupload").setInputFiles(PICTURE.file);
  await showsPicture(bens);
  await showsPicture(annas);
  await anna.screenshot("one-to-one");
  await ben.screenshot("one-to-one");

  // In a room.
  annas = await enter(anna);
  bens = await enter(ben);
  await say(annas, "Tea is ready");
  await shows(bens, "Tea is ready");
  await say(bens, "我来了");
  await shows(annas, "我来了");
  await anna.screenshot("room");
  await ben.screenshot("room");

  // After a reload nobody logs in again, and everything is there.
  for (const who of [anna, ben]) {
    await who.page.reload();
    const other = who === anna ? ben : anna;
    await who.page.locator(`.open-chat[data-jid="${other.jid}"]`).first().waitFor();
    await who.page.locator(`.open-room[data-room-jid="${room}"]`).waitFor();
    const box = await open(who, "room", room);
    await shows(box, "Tea is ready");
    await shows(box, "我来了");
    await who.screenshot("room-after-reload");
    const chat = await open(who, "chat", other.jid);
    await shows(chat, "Good morning, Ben");
    await shows(chat, "早上好，安娜！");
    await showsPicture(chat);
    await who.screenshot("one-to-one-after-reload");
  }
  for (const { name, elsewhere, said } of [anna, ben]) {
    assert.deepEqual(elsewhere, [], `${name}'s browser asked elsewhere`);
    assert.deepEqual(said.filter((line) => line.startsWith("exception")), [], `${name}'s browser stumbled`);
  }
} catch (error) {
  for (const { screenshot, said, name } of [anna, ben]) {
    await screenshot("failure");
    console.error(`${name}'s browser said:\n${said.join("\n")}`);
  }
  throw error;
} finally {
  await browser.close();
}
