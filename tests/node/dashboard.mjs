// The dashboard in a real browser. Arguments: the gateway's URL, its admin token, an API key, a folder for screenshots.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

const [url, token, key, folder] = process.argv.slice(2);
const { chromium } = createRequire(new URL("../../target/node/", import.meta.url))("playwright-core");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
const [errors, elsewhere] = [[], []];
page.on("pageerror", (error) => errors.push(String(error)));
// What the gateway refuses is shown on the page; the browser notes it besides.
page.on("console", (line) => line.type() === "error" && !line.text().startsWith("Failed to load resource") && errors.push(line.text()));
page.on("request", (request) => new URL(request.url()).origin !== url && !request.url().startsWith("data:") && elsewhere.push(request.url()));

const answer = await page.goto(`${url}/gateway/ui`);
assert.equal(answer.status(), 200);
assert.match(answer.headers()["content-security-policy"], /default-src 'none'/);

const says = (id, pattern) => page.waitForFunction(([id, pattern]) => new RegExp(pattern).test(document.getElementById(id).textContent), [id, pattern]);

// Without a token, and with a wrong one, it shows nothing but how to go on.
await says("problem", "wants the admin token");
await page.getByLabel("Admin token").fill("wrong");
await page.keyboard.press("Enter");
await says("problem", "refused this credential");
assert.equal(await page.locator("#origins .card").count(), 0);

// By keyboard alone.
await page.getByLabel("Admin token").focus();
await page.keyboard.type(token);
await page.keyboard.press("Enter");
await page.waitForFunction(() => document.getElementById("problem").hidden);
await says("condition", "healthy");
await page.waitForSelector("#origins .card >> nth=1");
await page.waitForSelector("#plugins li >> nth=5");
await page.getByLabel("API key", { exact: true }).fill(key);
await page.keyboard.press("Enter");
await page.waitForSelector("#workers .card");

// A plugin is switched off and on, by keyboard; the switch keeps the focus while the page goes on.
const cache = page.getByRole("switch", { name: "cache-plugin" });
const status = () => page.evaluate((token) => fetch("/gateway/plugins/cache-plugin", { headers: { authorization: `Bearer ${token}` } }).then((it) => it.json()).then((it) => it.status), token);
for (const [state, expected] of [["false", "loaded"], ["true", "active"]]) {
  await cache.focus();
  await page.keyboard.press("Space");
  await page.waitForSelector(`#plugins button[aria-label="cache-plugin"][aria-checked="${state}"]`);
  assert.equal(await status(), expected);
  assert.equal(await page.evaluate(() => document.activeElement.ariaLabel), "cache-plugin");
}
// So is a key.
const made = page.locator("#keys li", { hasText: "shown" });
await made.getByRole("switch").click();
await made.locator('[aria-checked="false"]').waitFor();

// Events come by themselves; a pause holds them.
await says("events-state", "^live$");
await page.waitForFunction(() => /request:completed/.test(document.getElementById("events").textContent));
await page.getByRole("button", { name: "Pause" }).click();
assert.equal(await page.getByRole("button", { name: "Pause" }).getAttribute("aria-pressed"), "true");

// The charts move while load runs.
const drawn = () => page.locator("#traffic").innerHTML();
await page.waitForSelector("#traffic polygon");
const before = await drawn();
await page.waitForFunction((before) => document.getElementById("traffic").innerHTML !== before, before);
await page.waitForFunction(() => Number(document.getElementById("rate").value.replaceAll(",", "")) > 0);
await says("latency", "s$");
await page.waitForSelector("#routes .row");
// The gateway's own pages are no traffic, though this one asks for them all the time.
assert.doesNotMatch(await page.locator("#routes").textContent(), /\/gateway\//);
// Whom the limits refuse most.
await says("most", "^other · default");

for (const [name, width, height, colorScheme] of [["desktop", 1280, 900, "light"], ["phone", 360, 780, "dark"]]) {
  await page.setViewportSize({ width, height });
  await page.emulateMedia({ colorScheme });
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(overflow, 0, `${name}: nothing sticks out sideways`);
  await page.screenshot({ path: join(folder, `dashboard-${name}.png`), fullPage: true });
}

assert.deepEqual(errors, []);
assert.deepEqual(elsewhere, []);
await browser.close();
