// Training that starts from a model of the site: its last layer on kept features, and all of it.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { go, launch, roentgen, root, site, watched } from './support.mjs';
import { emptyPage, films, pageWithFilms, writtenTo } from './training.mjs';

// Installed with the page, not with the tests beside it.
const { unzipSync } = createRequire(new URL('../../www/package.json', import.meta.url))('fflate');

const shipped = join(root, 'www/models/four-findings');
const card = JSON.parse(readFileSync(join(shipped, 'model.json'), 'utf8'));

let browser, server, empty, folder;
before(async () => {
  [browser, server] = await Promise.all([launch(), site()]);
  empty = await emptyPage(server.url);
  folder = mkdtempSync(join(tmpdir(), 'finetune-'));
});
after(async () => {
  await Promise.all([browser?.close(), server?.close(), empty?.close()]);
  if (folder !== undefined) rmSync(folder, { recursive: true });
});

test('a last layer has the losses of roentgen train, the same weights for the same seed, and needs its model', { timeout: 300_000 }, async (t) => {
  const set = films({ train: 20 });
  const data = writtenTo(join(folder, 'curve'), set);
  const out = join(folder, 'by-command');
  const { stdout } = await roentgen('train', '--data', data, '--out', out, '--init', shipped, '--freeze', 'backbone',
    '--epochs', '10', '--steps-per-epoch', '1', '--seed', '3', '--json');
  const expected = stdout.trim().split('\n').map((line) => JSON.parse(line));

  const { context, page, complaints } = await pageWithFilms(browser, empty.url, set);
  const made = await page.evaluate(async () => {
    const { createTrainer } = await import('./roentgen.js');
    const trainer = await createTrainer({ from: 'models/four-findings/', freeze: 'backbone', seed: 3 });
    const data = await trainer.read(window.films);
    const trained = async () => {
      const epochs = [];
      for await (const report of trainer.fit(data, { epochs: 10, steps_per_epoch: 1 })) {
        if (report.type === 'epoch') epochs.push(report);
      }
      return { epochs, hash: await window.hash((await trainer.save()).weights) };
    };
    const runs = [await trained(), await trained()];
    const { architecture, recipe } = trainer;
    const stale = await trainer.choose({ architecture: 'scratch-cnn' });
    const settings = { ...recipe, classes: data.report.classes, epochs: 1, steps_per_epoch: 1 };
    const refused = async (settings) => {
      try {
        for await (const _ of trainer.fit(data, settings));
        return 'trained';
      } catch ({ kind, message }) {
        return `${kind}: ${message}`;
      }
    };
    const other = await refused(settings);
    await trainer.choose({ from: 'models/scratch-cnn/' });
    const { preprocess } = trainer.recipe;
    const missing = await refused({ ...settings, architecture: 'scratch-cnn', preprocess });
    trainer.close();
    return { runs, learning: architecture.learning, parameters: architecture.parameters, recipe, stale, other, missing };
  });
  let worst = 0;
  for (const [i, { train, validation }] of expected.entries()) {
    const { train: found, validation: judged } = made.runs[0].epochs[i];
    worst = Math.max(worst, Math.abs(found.loss - train.loss) / train.loss, Math.abs(judged.loss - validation.loss) / validation.loss);
    assert.ok(worst < 1e-3, `epoch ${i + 1}: ${found.loss} and ${judged.loss}, not ${train.loss} and ${validation.loss}`);
  }
  t.diagnostic(`losses differ by ${worst.toExponential(1)} at most`);
  assert.equal(made.runs[1].hash, made.runs[0].hash);
  // The 192 channels of the sixth stage (Tan and Le, arXiv:1905.11946, table 1) and a bias, for each of two classes.
  assert.equal(made.learning, 2 * 192 + 2);
  assert.deepEqual([made.recipe.preprocess, made.recipe.norms], [card.preprocess, 'running']);
  assert.equal(made.stale, true);
  assert.match(made.other, /^dataset: .*read for another network/);
  assert.match(made.missing, /^settings: The model four-findings, to start from, is not at hand/);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('its own classes keep the rows of the last layer, a new one gets its own, and a notice says so', { timeout: 300_000 }, async () => {
  // Folders come in alphabetical order, which is not the card's.
  const set = {};
  for (const [i, name] of [...card.classes, 'Mass'].entries()) {
    for (const [path, bytes] of Object.entries(films({ train: 4, val: 1 }, 1000 * (i + 1)))) {
      if (path.includes(i % 2 === 0 ? 'bright' : 'dark')) set[path.replace(/bright|dark/, name)] = bytes;
    }
  }
  const data = writtenTo(join(folder, 'rows'), set);
  const { stdout, stderr } = await roentgen('train', '--data', data, '--out', join(folder, 'rows-by-command'), '--init', shipped,
    '--freeze', 'backbone', '--epochs', '1', '--steps-per-epoch', '1', '--seed', '3', '--json');
  const { context, page, complaints } = await pageWithFilms(browser, empty.url, set);
  const reports = await page.evaluate(async () => {
    const { createTrainer } = await import('./roentgen.js');
    const trainer = await createTrainer({ from: 'models/four-findings/', freeze: 'backbone', seed: 3 });
    const data = await trainer.read(window.films);
    const reports = [];
    for await (const report of trainer.fit(data, { epochs: 1, steps_per_epoch: 1 })) reports.push(report);
    trainer.close();
    return reports;
  });
  const notice = reports.find(({ type, message }) => type === 'notice' && /last layer/.test(message))?.message;
  assert.match(notice, /^The last layer keeps what the model knows of Bacterial Pneumonia, COVID-19, Normal, Viral Pneumonia\. It starts anew for Mass\.$/);
  assert.ok(stderr.includes(notice), stderr);
  const epoch = reports.find(({ type }) => type === 'epoch');
  const expected = JSON.parse(stdout.trim());
  assert.ok(Math.abs(epoch.validation.loss - expected.validation.loss) < 1e-3 * expected.validation.loss, `${epoch.validation.loss}`);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('on the page: 2 × 20 films, a last layer, its numbers, its model in use and saved; then another network', { timeout: 300_000 }, async (t) => {
  const data = writtenTo(join(folder, 'page'), films({ train: 20, test: 8 }, 300));
  const { context, page, complaints } = await watched(browser);
  await page.goto(`${server.url}#train`);
  await page.getByRole('status').filter({ hasText: 'Ready for images.' }).waitFor({ state: 'attached' });
  await page.locator('input[webkitdirectory]').first().setInputFiles(data);
  await page.getByRole('button', { name: 'Train', exact: true }).waitFor();
  const network = (name) => page.getByRole('radio', { name });
  // It is folded up.
  const summary = () => page.locator('[aria-label="Layers of the network"]').textContent();
  assert.equal(await network('The tutorial’s network, from random weights').isChecked(), true);
  assert.match(await summary(), /Total\s+27.613.122\s+Trainable\s+27.613.122\s+Non-trainable\s+0/);

  await network('Adapt a trained model: its last layer').check();
  await page.waitForFunction(() => document.querySelector('[aria-label="Layers of the network"]')?.textContent.includes('classifier'));
  assert.match(await summary(), /Trainable\s+386\s+Non-trainable\s+[1-9]/);
  assert.equal(await page.locator('[name=start]').inputValue(), 'models/four-findings/');
  const started = Date.now();
  await page.getByRole('button', { name: 'Train', exact: true }).click();
  await page.locator('#accuracy').waitFor({ timeout: 120_000 });
  t.diagnostic(`trained and evaluated in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  assert.match(await page.locator('#accuracy').innerText(), /^(100|9\d)\.\d\u202f% of 16 test images/);

  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save it…' }).click()]);
  const zip = join(folder, 'model.zip');
  await download.saveAs(zip);
  const model = join(folder, 'my-model');
  mkdirSync(model);
  for (const [path, bytes] of Object.entries(unzipSync(readFileSync(zip)))) writeFileSync(join(folder, path), bytes);
  const evaluated = JSON.parse((await roentgen('evaluate', '--model', model, '--data', join(data, 'test'), '--json', '-')).stdout);
  const cells = (await page.locator('#confusion button').allInnerTexts()).map(Number);
  assert.equal(cells.reduce((sum, one) => sum + one, 0), 16);
  // The page judges films of bytes, the command line unrounded ones: one of them may fall on the other side.
  assert.ok(Math.abs((cells[0] + cells.at(-1)) / 16 - evaluated.accuracy) <= 1 / 16 + 1e-9, `${cells}, then ${evaluated.confusion}`);
  assert.equal(evaluated.n, 16);

  await page.getByRole('button', { name: 'Use it to classify images' }).click();
  await page.locator('xray-classifier').filter({ hasText: 'tells apart bright and dark' }).waitFor();
  await go(page, 'train');

  // What features cannot be kept for is said.
  if ((await page.locator('#more').getAttribute('open')) === null) await page.locator('#more > summary').click();
  await page.getByLabel('Augmentation, 0 to 3').fill('1');
  await page.getByText('so nothing can be kept').waitFor();
  // The same films for the same model: what was trained stays.
  await network('Adapt a trained model: all layers').check();
  await page.waitForFunction(() => /Trainable\s+[1-9][\d,\u202f]{5,}/.test(document.querySelector('[aria-label="Layers of the network"]')?.textContent ?? ''));
  assert.equal(await page.locator('#accuracy').count(), 1);
  // Other ones for another network: it goes.
  await network('The tutorial’s network, from random weights').check();
  await page.locator('#accuracy').waitFor({ state: 'detached' });
  assert.match(await summary(), /Total\s+27.613.122/);
  assert.equal(await page.getByLabel('Learning rate').inputValue(), '0.0001');

  // Until they are kept too, a reload goes back to what was.
  const ran = () =>
    page.evaluate(async () => {
      const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
      const database = await done(indexedDB.open('roentgen'));
      const projects = await done(database.transaction('projects').objectStore('projects').getAll());
      database.close();
      return projects.some(({ run }) => run !== undefined);
    });
  while (await ran()) await page.waitForTimeout(100);
  // After a reload there are films for one network only.
  await page.reload();
  await page.getByRole('button', { name: 'Train', exact: true }).waitFor();
  // Not `check`: it does not stay so.
  await network('Adapt a trained model: its last layer').click();
  await page.getByRole('alert').filter({ hasText: 'drop their folder again to train another network' }).waitFor();
  assert.equal(await network('The tutorial’s network, from random weights').isChecked(), true);
  assert.deepEqual(complaints, []);
  await context.close();
});
