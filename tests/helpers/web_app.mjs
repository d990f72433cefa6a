// Drives a served web kit in headless Chromium; prints what it found as JSON.
// node web_app.mjs NODE_MODULES CHROMIUM URL GOLDEN SCREENSHOTS

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const [modules, chromium, url, golden, screenshots] = process.argv.slice(2);
const require = createRequire(join(modules, "node_modules", "from_here.js"));
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf-8");
const expected = JSON.parse(readFileSync(join(golden, "expected.json"), "utf-8"));
const flags = [
  "--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader",
  "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
];
const browser = await puppeteer.launch({ executablePath: chromium, args: flags, protocolTimeout: 240000 });
const found = { requests: [], problems: [], backends: {}, axe: [] };

async function opened(path = "") {
  const page = await browser.newPage();
  page.on("request", (request) => found.requests.push(request.url()));
  page.on("pageerror", (error) => found.problems.push(error.message));
  page.on("console", (line) => line.type() === "error" && !/^(INFO|WARNING)/.test(line.text()) && found.problems.push(line.text()));
  await page.goto(url + path);
  return page;
}

const text = (page, id) => page.$eval(`#${id}`, (element) => element.textContent);
const when = (page, id, words) =>
  page.waitForFunction((id, words) => document.getElementById(id).textContent.match(words), { timeout: 120000 }, id, words);

const page = await opened();
await page.evaluate(() => navigator.serviceWorker.addEventListener("message", ({ data }) => (window.kept = data)));
await page.evaluate(() => {
  window.answered = 0;
  new MutationObserver(() => window.answered++).observe(document.getElementById("bars"), { childList: true });
});
await when(page, "status", "Ready");
for (const backend of ["webgpu", "wasm"]) {
  await page.select("#backend", backend);
  await page.waitForFunction(() => document.getElementById("benchmark").disabled === false, { timeout: 120000 });
  await when(page, "status", "Ready|%|Nothing");
  const answers = [];
  for (const row of expected.pictures) {
    await page.evaluate(() => (window.answered = 0));
    await (await page.$("#file")).uploadFile(join(golden, row.picture));
    await page.waitForFunction(() => window.answered, { timeout: 60000 });
    answers.push(await page.$$eval("#bars li", (rows) => rows.map((row) => [...row.querySelectorAll("span")].map((s) => s.textContent))));
  }
  await page.click("#benchmark");
  await when(page, "measured", "median");
  found.backends[backend] = { processor: await text(page, "processor"), measured: await text(page, "measured"), answers };
}
// The camera, then a picture that is dropped, then a file that is no picture.
const answered = () => page.waitForFunction(() => window.answered, { timeout: 60000 });
await page.evaluate(() => (window.answered = 0));
await page.click("#camera-on");
await page.waitForSelector("#take", { visible: true, timeout: 30000 });
await page.click("#take");
await answered();
found.camera = await text(page, "status");
found.dropped = await page.evaluate(async (name) => {
  window.answered = 0;
  const data = new DataTransfer();
  data.items.add(new File([await (await fetch(`golden/${name}`)).blob()], name, { type: "image/png" }));
  document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
}, expected.pictures[0].picture).then(answered).then(() => page.$eval("#bars li", (row) => row.querySelector("span").textContent));
await (await page.$("#file")).uploadFile(join(golden, "expected.json"));
await when(page, "status", "no picture");
for (const scheme of ["light", "dark"]) {
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  for (const width of [360, 1280, 1920]) {
    await page.setViewport({ width, height: 900 });
    await page.screenshot({ path: join(screenshots, `${scheme}-${width}.png`), fullPage: true });
    const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (tooWide > 0) found.problems.push(`${width} px: ${tooWide} too wide`);
  }
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run());
  found.axe.push(...violations.map(({ id, impact, nodes }) => ({ id, impact, target: nodes[0].target.join(" ") })));
}
found.bars = await page.$$eval("#bars li", (rows) => rows.length);
// By keyboard alone, once around the page.
await page.evaluate(() => document.activeElement.blur());
found.focused = [];
for (let step = 0; step < 8; step++) {
  await page.keyboard.press("Tab");
  found.focused.push(await page.evaluate(() => document.activeElement.id));
}
await page.waitForFunction(() => window.kept, { timeout: 60000 });
const test = await opened("test.html");
await when(test, "outcome", "Passed|Failed");
found.test = await text(test, "outcome");
found.rows = await test.$$eval("#rows tr", (rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));
// Last: without a network, for the page and for its service worker.
const offline = await opened();
await when(offline, "status", "Ready");
await offline.setOfflineMode(true);
const targets = browser.targets().filter((target) => target.type() === "service_worker");
for (const target of targets) {
  const session = await target.createCDPSession();
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", { offline: true, latency: 0, downloadThroughput: 0, uploadThroughput: 0 });
}
await offline.reload();
await when(offline, "status", "Ready");
found.offline = await text(offline, "status");
await browser.close();
console.log(JSON.stringify(found));
