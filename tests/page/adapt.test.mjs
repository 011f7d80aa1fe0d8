// Adapting the default model to a hospital: by code, with the command line's numbers, and by hand on the page.

import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { go, launch, predict, ready, roentgen, root, site, watched } from './support.mjs';
import { emptyPage, film, pageWithFilms, writtenTo } from './training.mjs';

let browser, server, empty, folder;
before(async () => {
  [browser, server] = await Promise.all([launch(), site()]);
  empty = await emptyPage(server.url);
  folder = mkdtempSync(join(tmpdir(), 'adapt-'));
});
after(async () => {
  await Promise.all([browser?.close(), server?.close(), empty?.close()]);
  if (folder !== undefined) rmSync(folder, { recursive: true });
});

/** Pictures that are easy to tell apart, in folders called nearly as the model's classes are, and some that are none. */
function hospital(each) {
  const files = { 'Mass/a.png': film(true, 7), 'normal/broken.png': Buffer.from('none') };
  const rows = ['path,group'];
  for (let i = 0; i < each; i += 1) {
    files[`covid_19/${i}.png`] = film(true, 100 + i);
    files[`normal/${i}.png`] = film(false, 500 + i);
    rows.push(`covid_19/${i}.png,patient ${i >> 1}`);
  }
  files['manifest.csv'] = Buffer.from(rows.join('\n'));
  return files;
}

/** The default model as the tests' site has it, which refuses nothing. */
function defaultModel() {
  const copy = join(folder, 'shipped');
  cpSync(join(root, 'www/models/four-findings'), copy, { recursive: true });
  const { refusal: _, ...card } = JSON.parse(readFileSync(join(copy, 'model.json'), 'utf8'));
  writeFileSync(join(copy, 'model.json'), JSON.stringify(card));
  return copy;
}

test('createTrainer adapts a model to what roentgen adapt makes of it', { timeout: 300_000 }, async () => {
  const set = hospital(14);
  const data = writtenTo(join(folder, 'images'), set);
  const out = join(folder, 'adapted');
  const { stdout } = await roentgen('adapt', '--model', defaultModel(), '--data', data, '--out', out, '--date', '2026-11-29', '--json');
  const expected = JSON.parse(stdout);

  const { context, page, complaints } = await pageWithFilms(browser, empty.url, set);
  const found = await page.evaluate(async () => {
    const { createTrainer, createClassifier } = await import('./roentgen.js');
    const trainer = await createTrainer();
    const told = [];
    const onProgress = (adapting) => told.push(adapting);
    const { report, unreadable, model } = await trainer.adapt(window.films, { model: 'models/four-findings/', date: '2026-11-29', onProgress });
    trainer.close();
    const classifier = await createClassifier({ model });
    const { file } = window.films.find(({ path }) => path.endsWith('covid_19/3.png'));
    const { scores } = await classifier.classify(file);
    return { report, unreadable, told, card: JSON.parse(model.card), scores };
  });
  assert.deepEqual(complaints, []);
  const { report } = found;
  assert.deepEqual([report.verdict, report.images, report.groups, report.learned], [expected.verdict, expected.images, expected.groups, expected.learned]);
  assert.deepEqual(report.images, { 'COVID-19': 14, Normal: 14 });
  assert.equal(report.groups, 7 + 14);
  assert.equal(report.ridge, expected.ridge);
  assert.deepEqual(report.left_out.map(({ files }) => files), [1]);
  assert.match(found.unreadable[0].path, /normal\/broken\.png$/);
  for (const when of ['before', 'after']) {
    for (const share of ['accuracy', 'single', 'cannot_tell', 'rejected']) {
      assert.equal(report[when][share].count, expected[when][share].count, `${when} ${share}`);
    }
    assert.ok(Math.abs(report[when].loss - expected[when].loss) < 1e-3, `${report[when].loss} and ${expected[when].loss}`);
  }
  assert.ok(report.after.loss < report.before.loss);
  assert.equal(found.told.at(-1).done, found.told.at(-1).total);

  // A model like any other, packed as the shipped one, whose probabilities are the command line's.
  assert.deepEqual([found.card.weights.encoding, found.card.adapted.date, found.card.metrics], ['gzip', '2026-11-29', []]);
  const [{ scores }] = await predict([join(data, 'covid_19/3.png')], out);
  for (const [name, score] of Object.entries(scores)) assert.ok(Math.abs(found.scores[name] - score) < 2e-3, `${name}: ${found.scores[name]} and ${score}`);
  await context.close();
});

test('the page adapts the model, uses it on the next visit too, and goes back', { timeout: 300_000 }, async () => {
  const data = writtenTo(join(folder, 'dropped'), hospital(10));
  const { context, page, complaints, requests } = await watched(browser);
  await page.goto(server.url);
  await ready(page);
  assert.ok(!requests.some((url) => url.includes('adapt')), 'nothing of it is downloaded before it is opened');
  await go(page, 'model');
  const section = page.locator('#adapt');
  await section.getByRole('button', { name: 'Adapt it…' }).click();
  await section.getByRole('button', { name: 'Adapt it…' }).waitFor({ state: 'detached' });
  await section.locator('[name=adapt-folder]').setInputFiles(data);
  await section.locator('.verdict').waitFor({ timeout: 120_000 });
  assert.match(await section.locator('.verdict').textContent(), /on (your )?20 (images|of them)/);
  const rows = await section.locator('tbody tr').allTextContents();
  assert.ok(rows.some((row) => row.includes('AUROC of COVID-19')), rows.join('\n'));
  assert.match(await section.textContent(), /Mass \(1\)/);

  const download = page.waitForEvent('download');
  await section.getByRole('button', { name: 'Save model folder' }).click();
  assert.equal((await download).suggestedFilename(), 'adapted.zip');
  await section.getByRole('button', { name: 'Use the adapted model' }).click();
  await page.locator('#knows', { hasText: 'Adapted from Four findings' }).waitFor();
  assert.deepEqual(complaints, []);

  // Where a model is remembered, the loading of the page's own is broken off.
  await page.reload();
  await page.locator('#knows', { hasText: 'Adapted from Four findings' }).waitFor();
  await section.getByRole('button', { name: 'Adapt it…' }).click();
  await section.getByRole('button', { name: 'Use the model as shipped' }).click();
  await page.locator('#knows', { hasText: 'Adapted from' }).waitFor({ state: 'detached' });
  await page.reload();
  await ready(page);
  assert.doesNotMatch(await page.locator('#knows').textContent(), /Adapted from/);
  assert.deepEqual(complaints.filter((complaint) => !complaint.endsWith('net::ERR_ABORTED')), []);
  await context.close();
});
