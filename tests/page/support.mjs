// What every page test needs: the built site served as users get it, a browser, and a page that is watched.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { crc32, deflateSync } from 'node:zlib';

import { serve } from '../../www/server.mjs';

// The browser's driver is installed with the page, not with the tests beside it.
const { chromium } = createRequire(new URL('../../www/package.json', import.meta.url))('playwright-core');

const here = dirname(fileURLToPath(import.meta.url));
export const root = join(here, '../..');
export const dist = join(root, 'dist');
export const model = join(dist, 'models/four-findings');
/** The other model that the site ships, of dense layers. */
export const scratch = join(dist, 'models/scratch-cnn');
const pictures = join(root, 'tests/fixtures/images');

/** A synthetic picture of tests/fixtures/images, as `drop` takes it. */
export function picture(name) {
  const types = { png: 'image/png', jpg: 'image/jpeg', gif: 'image/gif', tif: 'image/tiff', bmp: 'image/bmp', webp: 'image/webp' };
  const path = join(pictures, name);
  return { name: name.split('/').at(-1), type: types[name.split('.').at(-1)] ?? '', bytes: readFileSync(path), path };
}

/** A greyscale PNG of 8 or 16 bits; `grey` gives the value at `(x, y)`. */
export function greyPng(width, height, grey, bits = 8) {
  const size = bits / 8;
  const row = size * width + 1;
  const rows = Buffer.alloc(height * row);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) rows.writeUIntBE(grey(x, y), y * row + size * x + 1, size);
  }
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, bits, 0, 0, 0, 0]);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows, { level: 1 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** Numbers of 8 bits that look random, the same for the same `seed`. */
export function random(seed) {
  let state = seed >>> 0;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24;
}

/** The browser, without its own errands on the network. */
export async function launch() {
  const candidates = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  const executablePath = candidates.find((path) => path !== undefined && existsSync(path));
  if (executablePath === undefined) throw new Error('no Chromium found; name one in CHROMIUM');
  return chromium.launch({
    executablePath,
    args: [
      // Root, as in a container, has no user namespace to make a sandbox of.
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
      // A moving pattern for a camera; pages ask for it as for any other.
      '--use-fake-device-for-media-stream',
    ],
  });
}

/** The built site on a free port, as it is shipped. */
export function shipped() {
  return serve({ root: dist, port: 0 });
}

/** The built site on a free port, with a default model that refuses nothing: the pictures of most tests are drawn. */
export async function site() {
  const whole = await shipped();
  const judging = await altered(whole.url, (path, answer) => {
    if (answer.status !== 200 || !path.endsWith('/models/four-findings/model.json')) return;
    const { refusal: _, ...card } = JSON.parse(answer.body.toString());
    answer.body = Buffer.from(JSON.stringify(card));
  });
  return { url: judging.url, close: () => Promise.all([judging.close(), whole.close()]) };
}

/**
 * A server that passes on what another one says, after `change` had its way with it.
 *
 * @param {string} url of the other server
 * @param {(path: string, answer: {status: number, headers: Record<string, string>, body: Buffer, broken: boolean, slow: boolean}) => void} change
 *   alters `answer` in place; `broken` drops the connection half way through the body, `slow` takes half a second for it
 * @param {string} folder where the other server's files lie on this one
 */
export async function altered(url, change, folder = '') {
  const server = createServer(async (request, response) => {
    if (!request.url.startsWith(`${folder}/`)) return response.writeHead(404).end();
    const answer = await fetched(new URL(request.url.slice(folder.length), url));
    // The other server was closed, as happens at the end of a test to what the page was still fetching.
    if (answer === undefined) return response.destroy();
    change(request.url, answer);
    response.writeHead(answer.status, { ...answer.headers, 'content-length': answer.body.length });
    if (!answer.broken && !answer.slow) return response.end(answer.body);
    const tenth = Math.ceil(answer.body.length / 10);
    for (let piece = 0; piece < (answer.broken ? 5 : 10); piece += 1) {
      response.write(answer.body.subarray(piece * tenth, (piece + 1) * tenth));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    if (answer.broken) response.destroy();
    else response.end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** What a server answers, for `altered`; undefined where it breaks off. */
async function fetched(url) {
  try {
    const original = await fetch(url);
    const { 'content-length': _, connection, 'keep-alive': __, ...headers } = Object.fromEntries(original.headers);
    return { status: original.status, headers, body: Buffer.from(await original.arrayBuffer()), broken: false, slow: false };
  } catch {
    return undefined;
  }
}

/**
 * A page in a context of its own (nothing cached), with everything it asks for, says and breaks on record.
 *
 * `requests` holds addresses in order; `complaints` console errors and warnings, uncaught errors, policy violations and
 * failed requests.
 */
export async function watched(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  const requests = [];
  const complaints = [];
  // On the context: a worker's requests belong to it, not to the page.
  context.on('request', (request) => requests.push(request.url()));
  context.on('requestfailed', (request) => {
    // The browser asks for the icon when it likes, and breaks that off when the page is left or loaded again.
    const icon = request.url().endsWith('/favicon.svg') && request.failure()?.errorText === 'net::ERR_ABORTED';
    if (!icon) complaints.push(`failed: ${request.url()} ${request.failure()?.errorText}`);
  });
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
    window.roentgenEvents = [];
    for (const type of ['roentgen-ready', 'roentgen-result', 'roentgen-error']) {
      document.addEventListener(type, ({ detail }) => {
        const error = detail.error && { kind: detail.error.kind, message: detail.error.message, detail: detail.error.detail };
        window.roentgenEvents.push({ type, ...detail, error });
      });
    }
  });
  return { context, page, requests, complaints };
}

/** Waits until the model is there. */
export async function ready(page) {
  await event(page, 'roentgen-ready');
}

/** Goes to a view of the page, as its link does, and waits until it is there. */
export async function go(page, view) {
  await page.locator(`.views a[href="#/${view}"]`).click();
  await page.waitForFunction((view) => {
    const root = document.getElementById(view);
    return !root.hidden && root.childElementCount > 0 && root.textContent.trim() !== 'Loading…';
  }, view);
}

/** The `n`th event of a type so far, counted from 0; waits for it. */
export async function event(page, type, n = 0) {
  const handle = await page.waitForFunction(
    ([type, n]) => window.roentgenEvents?.filter((event) => event.type === type)[n],
    [type, n],
    { timeout: 60_000 },
  );
  return handle.jsonValue();
}

/** Waits until a page has `n` workers; those that workers start count, and end a moment after the one that started them. */
export async function workers(page, n) {
  for (let tries = 100; page.workers().length !== n && tries > 0; tries -= 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(page.workers().length, n);
}

/** How many events of a type there were. */
export function count(page, type) {
  return page.evaluate((type) => window.roentgenEvents.filter((event) => event.type === type).length, type);
}

/**
 * Drops files on what `selector` names, as a hand does: dragover, then drop.
 *
 * @param {{name: string, type?: string, bytes: Uint8Array}[]} files
 */
export async function drop(page, files, selector = 'xray-classifier') {
  await dropTransfer(page, await transferOf(page, files), selector);
}

/** A DataTransfer with `files`. */
export function transferOf(page, files) {
  const carried = files.map(({ name, type = '', bytes }) => ({ name, type, base64: Buffer.from(bytes).toString('base64') }));
  return page.evaluateHandle(async (carried) => {
    const transfer = new DataTransfer();
    for (const { name, type, base64 } of carried) {
      transfer.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name, { type }));
    }
    return transfer;
  }, carried);
}

/** Drops any DataTransfer. */
export async function dropTransfer(page, transfer, selector = 'xray-classifier') {
  await page.dispatchEvent(selector, 'dragover', { dataTransfer: transfer });
  await page.dispatchEvent(selector, 'drop', { dataTransfer: transfer });
}

/** Drops one file and gives the event that answers it. */
export async function judge(page, file) {
  const [results, errors] = [await count(page, 'roentgen-result'), await count(page, 'roentgen-error')];
  await drop(page, [file]);
  return Promise.race([event(page, 'roentgen-result', results), event(page, 'roentgen-error', errors)]);
}

/** What the command-line tool prints. */
export function roentgen(...args) {
  const tool = process.env.ROENTGEN ?? join(root, 'target/release/roentgen');
  return promisify(execFile)(tool, args);
}

/** What the command-line tool says of files with the model in `folder`, of refused ones too: its JSON lines, in order. */
export async function predict(files, folder = model, ...more) {
  const { stdout } = await roentgen('predict', '--model', folder, '--json', '--show-anyway', ...more, ...files).catch(
    // It exits with 1 when one of the files could not be read; what it says of the others stands.
    (error) => (error.code === 1 ? error : Promise.reject(error)),
  );
  return stdout.trim().split('\n').map((line) => JSON.parse(line));
}
