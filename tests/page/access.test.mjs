// The page without eyes or mouse: axe finds nothing, the keyboard reaches everything, every state is said in words.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { event, judge, launch, picture, ready, root, site, watched } from './support.mjs';

const axe = readFileSync(join(root, 'www/node_modules/axe-core/axe.min.js'), 'utf8');

let browser, server;
before(async () => ([browser, server] = await Promise.all([launch(), site()])));
after(() => Promise.all([browser?.close(), server?.close()]));

async function open(options) {
  const opened = await watched(browser, options);
  await opened.page.goto(server.url);
  await ready(opened.page);
  return opened;
}

/** What axe objects to, as lines. */
async function objections(page) {
  // Colours that are still on their way are judged as they are at that moment.
  await page.waitForTimeout(500);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
}

for (const [name, viewport] of Object.entries({ desktop: { width: 1280, height: 860 }, phone: { width: 390, height: 844 } })) {
  test(`axe finds nothing on a ${name}, idle, with a result, with an error`, async () => {
    const { context, page } = await open({ viewport });
    await page.evaluate(axe);
    assert.deepEqual(await objections(page), [], 'idle');
    await judge(page, picture('film.png'));
    assert.deepEqual(await objections(page), [], 'result');
    await judge(page, picture('broken/text.png'));
    assert.deepEqual(await objections(page), [], 'error');
    await context.close();
  });
}

test('nothing is wider than a phone', async () => {
  const { context, page } = await open({ viewport: { width: 360, height: 740 } });
  await judge(page, picture('film.png'));
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  await context.close();
});

test('with the keyboard alone a film is chosen, judged and replaced by a sample', async () => {
  const { context, page } = await watched(browser);
  // Listening from the start: the browser only hands choosers over once it has been told that someone does.
  const choices = [picture('film.png').path, picture('film.jpg').path];
  page.on('filechooser', (chooser) => chooser.setFiles(choices.shift()));
  await page.goto(server.url);
  await ready(page);
  const focused = () =>
    page.evaluate(() => {
      let element = document.activeElement;
      while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
      return element?.textContent.trim().replace(/\s+/g, ' ');
    });
  // The views, and what a first visit is told to look at.
  for (const link of ['Classify', 'Many', 'Train', 'Model', 'About', 'Not a medical device', 'Model', 'Train']) {
    await page.keyboard.press('Tab');
    assert.equal(await focused(), link);
  }
  await page.keyboard.press('Tab');
  assert.match(await focused(), /^Choose an image/);
  await page.keyboard.press('Enter');
  assert.equal((await event(page, 'roentgen-result')).name, 'film.png');

  // The button that was pressed is gone; the focus has moved on to the one in its place.
  assert.match(await focused(), /^Choose another image/);
  await page.keyboard.press('Space');
  assert.equal((await event(page, 'roentgen-result', 1)).name, 'film.jpg');

  await page.keyboard.press('Tab');
  assert.match(await focused(), /Average of [\d,]+ images/);
  await page.keyboard.press('Enter');
  assert.match((await event(page, 'roentgen-result', 2)).name, /average/i);
  await context.close();
});

test('a screen reader hears the model come, the result and the errors', async () => {
  const { context, page } = await open();
  const status = page.getByRole('status');
  await status.filter({ hasText: 'The model is ready.' }).waitFor({ state: 'attached' });
  const { result } = await judge(page, picture('film.png'));
  // A drawing is no radiograph: more than the most probable class may fit it, or none.
  const { answer, label, uncertain } = result;
  const likeliest = `${label}, `;
  const words = answer?.text ?? (uncertain ? 'uncertain' : label);
  const said = words === label ? likeliest : `${words}. Most probable is ${likeliest}`;
  await status.filter({ hasText: `film.png: ${said}` }).waitFor({ state: 'attached' });
  assert.match(await status.innerText(), /\d\u202f%(, in|\. Classified in) \d+ ms\.$/);
  await judge(page, picture('broken/text.png'));
  await page.getByRole('alert').filter({ hasText: 'Export the image as DICOM, PNG' }).waitFor();
  await page.getByRole('img', { name: 'The image' }).waitFor({ state: 'hidden' });
  await context.close();
});
