// Films to train on, drawn, and pages with them.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { altered, greyPng, random, watched } from './support.mjs';

/** A noisy film with a disc in the middle, bright in one class and dark in the other. */
export function film(bright, seed) {
  const noise = random(seed);
  return greyPng(48, 48, (x, y) => (noise() % 60) + ((x - 24) ** 2 + (y - 24) ** 2 < 256 === bright ? 180 : 20));
}

/** Films by path: `sizes` of each split, half of them bright. */
export function films(sizes, first = 1) {
  const found = {};
  for (const [split, n] of Object.entries(sizes)) {
    for (let i = 0; i < n; i += 1) {
      found[`${split}/bright/${i}.png`] = film(true, (first += 1));
      found[`${split}/dark/${i}.png`] = film(false, (first += 1));
    }
  }
  return found;
}

/** Writes films below `folder` and returns it. */
export function writtenTo(folder, films) {
  for (const [path, bytes] of Object.entries(films)) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
  }
  return folder;
}

/** A server of the site whose first page has nothing loaded but what a test loads. */
export function emptyPage(url) {
  return altered(url, (path, answer) => {
    if (path === '/') answer.body = Buffer.from('<!doctype html><title>Empty</title><link rel="icon" href="data:," />');
  });
}

/** A page of {@link emptyPage}'s server, in a context of its own or a given one, with films in it as `window.films`. */
export async function pageWithFilms(browser, url, films, context) {
  const opened = context === undefined ? await watched(browser) : { context, page: await context.newPage() };
  await opened.page.goto(url);
  const carried = Object.entries(films).map(([path, bytes]) => [path, Buffer.from(bytes).toString('base64')]);
  await opened.page.evaluate((carried) => {
    window.films = carried.map(([path, base64]) => ({
      path: `set/${path}`,
      file: new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))]),
    }));
    window.hash = async (blob) => {
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()));
      return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    };
    window.base64 = async (blob) => {
      const reader = new FileReader();
      return new Promise((resolve) => {
        reader.onload = () => resolve(reader.result.split(',')[1]);
        reader.readAsDataURL(blob);
      });
    };
  }, carried);
  return opened;
}
