// From nothing to a trained model: the sample images are downloaded when they are asked for, and one click does the rest.

import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { event, judge, launch, picture, root, site, watched } from './support.mjs';

const axe = readFileSync(join(root, 'www/node_modules/axe-core/axe.min.js'), 'utf8');
const zip = join(root, 'www/public/samples/chest-x-rays.zip');

let browser, server;
before(async () => ([browser, server] = await Promise.all([launch(), site()])));
after(() => Promise.all([browser?.close(), server?.close()]));

test('one click trains on 80 sample images, to curves, a confusion matrix and a model that classifies', { timeout: 600_000 }, async (t) => {
  assert.ok(statSync(zip).size <= 600_000, `${statSync(zip).size} bytes`);
  const { context, page, requests, complaints } = await watched(browser);
  await page.goto(`${server.url}#/train`);
  const button = page.getByRole('button', { name: 'Try it: train on 80 sample images' });
  await button.waitFor();
  assert.equal(await page.getByRole('link', { name: 'CC BY 4.0' }).getAttribute('href'), 'https://creativecommons.org/licenses/by/4.0/');
  assert.ok(!requests.some((url) => url.endsWith('.zip')), 'nothing is downloaded before it is asked for');
  await button.click();
  await page.locator('#accuracy').waitFor({ timeout: 500_000 });
  assert.equal(requests.filter((url) => url.endsWith('chest-x-rays.zip')).length, 1);
  const counts = await page.locator('#counts tbody tr').last().locator('td').allInnerTexts();
  assert.equal(counts.reduce((sum, one) => sum + Number(one), 0), 80);
  assert.equal(counts[2], '24');
  const rows = await page.locator('#confusion tbody tr').evaluateAll((rows) => rows.map((row) => [...row.querySelectorAll('button')].map((cell) => Number(cell.textContent))));
  assert.deepEqual(rows.map((row) => row.reduce((sum, one) => sum + one, 0)), [12, 12]);
  const right = (rows[0][0] + rows[1][1]) / 24;
  t.diagnostic(`${(100 * right).toFixed(1)} % of the test images are right`);
  // A guess is right in half of them.
  assert.ok(right > 0.6, `${right}`);
  assert.ok((await page.locator('#loss-chart canvas').count()) > 0, 'curves');
  assert.equal(await button.count(), 0);
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`), []);

  await page.getByRole('button', { name: /^Use it to/ }).click();
  const { card } = await event(page, 'roentgen-ready', 1);
  assert.deepEqual(card.classes, ['Bacterial Pneumonia', 'Normal']);
  assert.match(page.url(), /#\/classify$/);
  assert.ok(card.classes.includes((await judge(page, picture('film.png'))).result.label));
  assert.deepEqual(complaints, []);
  await context.close();
});

test('without a connection the samples say so, and can be asked for again', { timeout: 120_000 }, async () => {
  const { context, page } = await watched(browser);
  await page.goto(`${server.url}#/train`);
  await page.getByRole('status').filter({ hasText: 'Ready for' }).waitFor({ state: 'attached' });
  await context.setOffline(true);
  const button = page.getByRole('button', { name: 'Try it' });
  await button.click();
  await page.getByRole('alert').filter({ hasText: 'The connection failed' }).waitFor();
  assert.ok(await button.isEnabled());
  await context.close();
});
