// The page's views: each an address that back and forward go through, its code downloaded when it is first opened.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { altered, go, judge, launch, picture, ready, root, site, watched } from './support.mjs';

const axe = readFileSync(join(root, 'www/node_modules/axe-core/axe.min.js'), 'utf8');

let browser, server;
before(async () => ([browser, server] = await Promise.all([launch(), site()])));
after(() => Promise.all([browser?.close(), server?.close()]));

const VIEWS = ['classify', 'many', 'train', 'model', 'about'];

/** The views that can be seen, and the one that the links say is open. */
async function shown(page) {
  const open = await page.locator('main > div').evaluateAll((views) => views.filter((view) => view.checkVisibility()).map(({ id }) => id));
  const current = await page.locator('.views [aria-current=page]').allInnerTexts();
  return [...open, ...current.map((name) => name.toLowerCase())];
}

test('each view is an address, in the history and in the title, and its code comes when it is opened', async () => {
  const { context, page, requests, complaints } = await watched(browser);
  await page.goto(server.url);
  await ready(page);
  await page.waitForLoadState('networkidle');
  assert.deepEqual(await shown(page), ['classify', 'classify']);
  const scripts = { many: 'many-page', train: 'train-page', model: 'model-page', about: 'about-page' };
  const asked = (view) => requests.filter((url) => url.includes(`/${scripts[view]}-`) && url.endsWith('.js')).length;
  for (const view of Object.keys(scripts)) {
    assert.equal(asked(view), 0, `${view} before it is opened`);
    await go(page, view);
    assert.deepEqual(await shown(page), [view, view]);
    assert.ok(page.url().endsWith(`#/${view}`), page.url());
    assert.match(await page.title(), new RegExp(`^${view} · Roentgen$`, 'i'));
    assert.equal(asked(view), 1, view);
  }
  for (const view of ['model', 'train', 'many', 'classify']) {
    await page.goBack();
    assert.deepEqual(await shown(page), [view, view]);
  }
  await page.goForward();
  assert.deepEqual(await shown(page), ['many', 'many']);
  for (const view of Object.keys(scripts)) assert.equal(asked(view), 1, `${view} again`);
  // A result stays where it is.
  await go(page, 'classify');
  await judge(page, picture('film.png'));
  await go(page, 'about');
  await go(page, 'classify');
  assert.ok(await page.locator('[part=label]').isVisible());
  assert.deepEqual(complaints, []);
  await context.close();
});

test('an address opens its view, those of earlier pages too, and an unknown one the first', async () => {
  const { context, page } = await watched(browser);
  const addresses = { '#/train': 'train', '#train': 'train', '#judge': 'classify', '#/many': 'many', '#about': 'about', '#adapt': 'model', '#audit': 'model', '#/nothing': 'classify' };
  for (const [hash, view] of Object.entries(addresses)) {
    await page.goto('about:blank');
    await page.goto(server.url + hash);
    await page.locator(`#${view}:not([hidden])`).waitFor({ state: 'attached' });
    assert.deepEqual(await shown(page), [view, view], hash);
  }
  await page.goto('about:blank');
  await page.goto(`${server.url}#audit`);
  await page.waitForFunction(() => scrollY > 0);
  await context.close();
});

test('a view that does not load says so, and what to do', async () => {
  const proxy = await altered(server.url, (path, answer) => {
    if (path.includes('/about-page-')) answer.status = 503;
  });
  const { context, page } = await watched(browser);
  await page.goto(proxy.url);
  await page.locator('.views').getByText('About').click();
  await page.getByRole('alert').filter({ hasText: 'did not load' }).waitFor();
  await context.close();
  await proxy.close();
});

test('a first visit says in three lines what to do, until an image is classified', async () => {
  const { context, page } = await watched(browser);
  await page.goto(server.url);
  await ready(page);
  assert.equal(await page.locator('#first li').count(), 3);
  assert.ok(await page.locator('#first').isVisible());
  await judge(page, picture('film.png'));
  assert.ok(!(await page.locator('#first').isVisible()));
  await page.reload();
  await ready(page);
  assert.ok(!(await page.locator('#first').isVisible()));
  await context.close();
});

for (const [name, viewport] of Object.entries({ desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } })) {
  test(`axe finds nothing in any view on a ${name}, and none is wider than the screen`, { timeout: 120_000 }, async () => {
    const { context, page } = await watched(browser, { viewport });
    await page.goto(server.url);
    await ready(page);
    await page.evaluate(axe);
    for (const view of VIEWS) {
      await go(page, view);
      if (view === 'train') await page.getByRole('status').filter({ hasText: 'Ready for' }).waitFor({ state: 'attached' });
      const { violations } = await page.evaluate(() => window.axe.run());
      const said = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
      assert.deepEqual(said, [], view);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), viewport.width, view);
    }
    await context.close();
  });
}
