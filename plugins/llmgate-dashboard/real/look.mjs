// Looks at the dashboard in Chromium, light and dark, wide and narrow, and prints what is wrong as JSON lines; none is good.
// node look.mjs ADDRESS KEY RECORD CHROMIUM MODULES PICTURES
import { createRequire } from "node:module";
import { join } from "node:path";

const [address, key, record, chromiumPath, modules, pictures] = process.argv.slice(2);
const require = createRequire(join(modules, "x.js"));
const { chromium } = require("playwright-core");
const axe = require("axe-core").source;

let looked = 0;
const wrong = (what, details) => console.log(JSON.stringify({ wrong: what, details }));
const browser = await chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox"] });

async function look(page, name, width, scheme) {
  await page.waitForLoadState("networkidle");
  const { violations } = await page.evaluate(async (source) => { (0, eval)(source); return await window.axe.run(); }, axe);
  for (const one of violations) wrong(`${name} ${width} ${scheme}: axe ${one.id}`, one.nodes.map((node) => node.html.slice(0, 200)));
  const over = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
  if (over > 0) wrong(`${name} ${width} ${scheme}: ${over} px too wide`, []);
  if (pictures) await page.screenshot({ path: join(pictures, `${name}-${width}-${scheme}.png`), fullPage: true });
  looked += 1;
}

for (const scheme of ["light", "dark"]) {
  for (const width of [1280, 360]) {
    // The script of axe is evaluated; the policy that stops it in the page is looked at by the tests over HTTP.
    const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: 900 } });
    const page = await context.newPage();
    page.on("console", (message) => { if (message.type() === "error" && !/401|400/.test(message.text())) wrong(`console: ${message.text()}`, []); });
    page.on("pageerror", (error) => wrong(`page: ${error.message}`, []));
    await page.goto(`${address}/requests`);
    await look(page, "sign-in", width, scheme);
    await page.keyboard.type("no such key");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").waitFor();
    await look(page, "refused", width, scheme);
    await page.getByLabel("Key").fill(key);
    await page.keyboard.press("Enter");
    await page.waitForURL(`${address}/requests`);
    await look(page, "requests", width, scheme);
    await page.evaluate(() => { window.notReloaded = true; });
    await page.getByLabel("Outcome").selectOption("error");
    await page.keyboard.press("Tab");
    await page.getByRole("button", { name: "Find" }).press("Enter");
    await page.waitForURL(/outcome=error/);
    if (!(await page.evaluate(() => window.notReloaded))) wrong("the form has loaded the whole page anew", []);
    if (await page.locator("#found .badge.good").count()) wrong("what does not fit is shown", []);
    await page.goto(`${address}/requests/${record}`);
    await look(page, "request", width, scheme);
    await page.goto(`${address}/requests?slower=soon`);
    await look(page, "wrong", width, scheme);
    await page.goto(`${address}?range=7d`);
    await page.locator(".chart canvas").nth(3).waitFor();
    await look(page, "overview", width, scheme);
    await page.keyboard.press("Tab");
    const first = await page.evaluate(() => document.activeElement.textContent);
    if (first !== "Skip to the content") wrong(`the first stop of the keyboard is ${first}`, []);
    await page.getByRole("button", { name: "Sign out" }).press("Enter");
    await page.waitForURL(`${address}/sign-in`);
    await page.goto(address);
    if (!page.url().endsWith("/sign-in")) wrong("signed out, and still in", []);
    await context.close();
  }
}
const context = await browser.newContext({ javaScriptEnabled: false });
const page = await context.newPage();
await page.goto(address);
await page.getByLabel("Key").fill(key);
await page.getByRole("button", { name: "Sign in" }).click();
if (!(await page.getByRole("heading", { name: "Overview" }).count())) wrong("without scripts nobody gets in", []);
await browser.close();
console.log(JSON.stringify({ looked }));
