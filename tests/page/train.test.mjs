// Training in the browser: the command line's curve and numbers, films in and a model out, runs that are broken off.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { go, greyPng, launch, roentgen, root, site, watched } from './support.mjs';
import { emptyPage, film, films, pageWithFilms, writtenTo } from './training.mjs';

// Installed with the page, not with the tests beside it.
const { zipSync } = createRequire(new URL('../../www/package.json', import.meta.url))('fflate');

const axe = readFileSync(join(root, 'www/node_modules/axe-core/axe.min.js'), 'utf8');

let browser, server, empty, folder;
before(async () => {
  [browser, server] = await Promise.all([launch(), site()]);
  empty = await emptyPage(server.url);
  folder = mkdtempSync(join(tmpdir(), 'training-'));
});
after(async () => {
  await Promise.all([browser?.close(), server?.close(), empty?.close()]);
  if (folder !== undefined) rmSync(folder, { recursive: true });
});

/** Writes films below the tests' folder. */
const written = (name, films) => writtenTo(join(folder, name), films);

/** A page without anything but the module, and films in it as `window.films`. */
const withFilms = (films, context) => pageWithFilms(browser, empty.url, films, context);

test('ten steps have the losses of roentgen train, and the model measured there has the page’s numbers', { timeout: 300_000 }, async (t) => {
  const set = films({ train: 20, test: 6 });
  const data = written('curve', set);
  // An epoch of one step is a step with its loss.
  const settings = { epochs: 10, steps_per_epoch: 1, seed: 3, balance: 'classes' };
  const out = join(folder, 'by-command');
  const { stdout } = await roentgen('train', '--data', data, '--out', out, '--epochs', '10', '--steps-per-epoch', '1',
    '--seed', '3', '--balance', 'classes', '--augment', '1', '--json');
  const expected = stdout.trim().split('\n').map((line) => JSON.parse(line));
  rmSync(out, { recursive: true });

  const { context, page, complaints } = await withFilms(set);
  const made = await page.evaluate(async (settings) => {
    const { createTrainer } = await import('./roentgen.js');
    const trainer = await createTrainer({ seed: settings.seed });
    const data = await trainer.read(window.films);
    const epochs = [];
    const losses = [];
    for await (const report of trainer.fit(data, { ...settings, augment: await trainer.augmentation(1) })) {
      if (report.type === 'step') losses.push(report.loss);
      if (report.type === 'epoch') epochs.push(report);
    }
    const measured = await trainer.evaluate(data);
    const [rates, always] = await Promise.all([0.5, 0].map((threshold) => trainer.ratesAt(measured, 0, threshold)));
    const { card, weights } = await trainer.save();
    trainer.close();
    return { epochs, losses, measured, rates, always, card, report: data.report, weights: await window.base64(weights) };
  }, settings);
  assert.deepEqual([made.report.train, made.report.val, made.report.test], [[17, 17], [3, 3], [6, 6]]);
  assert.equal(made.losses.length, 10);
  let worst = 0;
  for (const [i, { train, validation }] of expected.entries()) {
    for (const [found, wanted] of [[made.losses[i], train.loss], [made.epochs[i].validation.loss, validation.loss]]) {
      worst = Math.max(worst, Math.abs(found - wanted) / wanted);
    }
    assert.ok(worst < 1e-3, `epoch ${i + 1}: ${made.losses[i]} and ${made.epochs[i].validation.loss}, not ${train.loss} and ${validation.loss}`);
  }
  t.diagnostic(`losses differ by ${worst.toExponential(1)} at most`);

  const model = join(folder, 'saved');
  mkdirSync(model);
  writeFileSync(join(model, 'model.json'), made.card);
  writeFileSync(join(model, 'weights.safetensors'), Buffer.from(made.weights, 'base64'));
  const evaluated = JSON.parse((await roentgen('evaluate', '--model', model, '--data', join(data, 'test'), '--json', '-')).stdout);
  const { evaluation, curves, reliability, films: judged } = made.measured;
  assert.deepEqual(evaluation.confusion, evaluated.confusion);
  assert.deepEqual(evaluation.accuracy_interval, evaluated.accuracy_interval);
  assert.ok(Math.abs(evaluation.loss - evaluated.loss) < 1e-3 * evaluated.loss, `${evaluation.loss}, not ${evaluated.loss}`);
  assert.deepEqual(JSON.parse(made.card).metrics[0].evaluation.confusion, evaluated.confusion);
  assert.equal(judged.length, 12);
  for (const { roc, precision_recall, average_precision } of curves) {
    assert.deepEqual([roc.at(0).slice(0, 2), roc.at(-1).slice(0, 2)], [[0, 0], [1, 1]]);
    assert.deepEqual([precision_recall[0].slice(0, 2), precision_recall.at(-1)[0]], [[0, 1], 1]);
    assert.ok(average_precision > 0 && average_precision <= 1, `${average_precision}`);
  }
  assert.equal(reliability.reduce((sum, { count }) => sum + count, 0), 12);
  // Of two classes, the one with at least a half is the one that is called: the rates are those of the confusion matrix.
  const { sensitivity, specificity, sensitivity_interval } = evaluated.per_class.bright;
  for (const rate of ['sensitivity', 'specificity']) assert.equal(made.rates[rate], { sensitivity, specificity }[rate]);
  assert.deepEqual(made.rates.sensitivity_interval, sensitivity_interval);
  assert.equal(made.always.sensitivity, 1);
  assert.equal(made.always.specificity, 0);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a run that is stopped, its page closed, ends at the weights of an unbroken one', { timeout: 300_000 }, async () => {
  const set = films({ train: 10 });
  const settings = { epochs: 2, steps_per_epoch: 3, seed: 5, dropout: 0.3 };
  const { context, page } = await withFilms(set);
  const run = (page, keep, stopAt, resume) =>
    page.evaluate(
      async ([settings, keep, stopAt, resume]) => {
        const { createTrainer } = await import('./roentgen.js');
        const trainer = await createTrainer({ seed: settings.seed, threads: 1, ...(keep && { keep }) });
        let data;
        if (resume) data = await trainer.data();
        else {
          data = await trainer.read(window.films);
          if (keep) await trainer.keepFilms();
        }
        const steps = [];
        const notices = [];
        for await (const report of trainer.fit(data, { ...settings, resume, augment: await trainer.augmentation(1) })) {
          if (report.type === 'notice') notices.push(report.message);
          if (report.type !== 'step') continue;
          steps.push(report.step);
          if (report.step === stopAt) trainer.stop();
        }
        const model = await trainer.save().then(({ weights }) => window.hash(weights), ({ kind }) => kind);
        const kept = trainer.kept;
        trainer.close();
        return { steps, notices, model, kept };
      },
      [settings, keep, stopAt, resume],
    );
  const whole = await run(page, undefined, undefined, false);
  assert.deepEqual(whole.steps, [1, 2, 3, 4, 5, 6]);
  const begun = await run(page, 'test', 5, false);
  assert.deepEqual(begun.notices, []);
  const last = begun.steps.at(-1);
  assert.ok(last === 5 || last === 6, `stopped at ${last}`);
  await page.close();

  const { page: later } = await withFilms({}, context);
  const ended = await run(later, 'test', undefined, true);
  assert.equal(ended.kept.films, 20);
  assert.equal(ended.kept.run.step, last);
  assert.equal(ended.kept.run.resumable, true);
  assert.deepEqual(ended.steps, [1, 2, 3, 4, 5, 6].slice(last));
  assert.equal(ended.model, whole.model);
  await context.close();
});

test('a tab that is killed in the middle of an epoch is gone on with, to the weights of an unbroken run', { timeout: 300_000 }, async () => {
  const { context, page } = await withFilms(films({ train: 10 }));
  const settings = { epochs: 3, steps_per_epoch: 3, seed: 8 };
  /** Trains to the end, or until step `killAt` is told of: the tab is closed then, while the worker goes on. */
  const run = (page, { keep, resume = false, killAt }) =>
    page.evaluate(
      async ([settings, keep, resume, killAt]) => {
        const { createTrainer } = await import('./roentgen.js');
        const trainer = await createTrainer({ seed: settings.seed, threads: 1, ...(keep && { keep }) });
        const data = resume ? await trainer.data() : await trainer.read(window.films);
        if (keep && !resume) await trainer.keepFilms();
        const steps = [];
        for await (const report of trainer.fit(data, { ...settings, resume })) {
          if (report.type === 'step') steps.push(report.step);
          if (report.step === killAt) console.log('kill');
        }
        return { steps, model: await window.hash((await trainer.save()).weights) };
      },
      [settings, keep, resume, killAt],
    );
  const whole = await run(page, {});
  page.on('console', (message) => message.text() === 'kill' && void page.close());
  await assert.rejects(run(page, { keep: 'killed', killAt: 5 }), /closed/);
  const { page: later } = await withFilms({}, context);
  const ended = await run(later, { keep: 'killed', resume: true });
  // From the checkpoint of the first epoch, or of the second where the worker got there before it ended.
  assert.ok(ended.steps[0] === 4 || ended.steps[0] === 7, `${ended.steps}`);
  assert.equal(ended.model, whole.model);
  await context.close();
});

test('without room in the browser a run goes on, says so once, and its model is there', { timeout: 300_000 }, async () => {
  const { context, page } = await withFilms(films({ train: 10 }));
  const devtools = await context.newCDPSession(page);
  await devtools.send('Storage.overrideQuotaForOrigin', { origin: new URL(empty.url).origin, quotaSize: 5_000_000 });
  const { notices, epochs, model } = await page.evaluate(async () => {
    const { createTrainer } = await import('./roentgen.js');
    const trainer = await createTrainer({ threads: 1, keep: 'full' });
    const data = await trainer.read(window.films);
    const notices = [await trainer.keepFilms()].filter((notice) => notice !== undefined);
    let epochs = 0;
    for await (const report of trainer.fit(data, { epochs: 2, steps_per_epoch: 2 })) {
      if (report.type === 'notice') notices.push(report.message);
      if (report.type === 'epoch') epochs += 1;
    }
    return { notices, epochs, model: (await trainer.save()).weights.size };
  });
  assert.equal(notices.length, 1);
  assert.match(notices[0], /no room left for this site/);
  assert.equal(epochs, 2);
  // A float for each of 27,613,122 parameters, and the header.
  assert.ok(model > 4 * 27_613_122, `${model} bytes`);
  await context.close();
});

test('a project goes out as one zip and comes back in another browser with films, history and model', { timeout: 300_000 }, async () => {
  const set = films({ train: 10, test: 4 }, 40);
  // Nearly the picture of a test film: a few grey levels brighter.
  const soft = (more) => greyPng(48, 48, (x, y) => Math.round(110 + 60 * Math.sin(x / 7) * Math.cos(y / 9) + more));
  set['test/bright/soft.png'] = soft(0);
  set['train/bright/again.png'] = soft(4);
  const data = written('project', set);
  const first = await watched(browser);
  await first.page.goto(`${server.url}#train`);
  await first.page.locator('input[webkitdirectory]').setInputFiles(data);
  await first.page.getByRole('button', { name: 'Train', exact: true }).waitFor();
  assert.match(await first.page.locator('#copies').textContent(), /train\/bright\/again\.png.*nearly the same.*moved.*train\/bright\/again\.png/s);
  const rows = (page) => page.locator('#counts tbody tr').allInnerTexts();
  const counts = await rows(first.page);
  await first.page.locator('#more > summary').click();
  await first.page.getByLabel('Epochs', { exact: true }).fill('2');
  await first.page.getByLabel('Steps per epoch').fill('4');
  await first.page.getByRole('button', { name: 'Train', exact: true }).click();
  await first.page.locator('#accuracy').waitFor({ timeout: 120_000 });
  const said = (page) => Promise.all([page.locator('#accuracy').innerText(), page.locator('#confusion').innerText(), page.locator('#epochs').innerText()]);
  const [before, download] = await Promise.all([
    said(first.page),
    first.page.waitForEvent('download'),
    first.page.getByRole('button', { name: 'Export this project…' }).click(),
  ]);
  const zip = join(folder, 'project.zip');
  await download.saveAs(zip);
  assert.deepEqual(first.complaints, []);
  await first.context.close();

  const second = await watched(browser);
  await second.page.goto(`${server.url}#train`);
  await second.page.getByRole('status').filter({ hasText: 'Ready for images.' }).waitFor({ state: 'attached' });
  await second.page.locator('input[accept*=zip]').setInputFiles(zip);
  await second.page.locator('#epochs tbody tr').nth(1).waitFor({ timeout: 60_000 });
  assert.deepEqual(await rows(second.page), counts);
  // It is kept here, too.
  await second.page.reload();
  await second.page.getByRole('button', { name: 'Evaluate on the test images' }).click();
  await second.page.locator('#accuracy').waitFor();
  assert.deepEqual(await said(second.page), before);
  assert.deepEqual(second.complaints, []);
  await second.context.close();
});

test('films are photographed, and a camera that is not to be had is said with what to do', { timeout: 120_000 }, async () => {
  const { context, page } = await watched(browser);
  await page.goto(`${server.url}#train`);
  await page.getByRole('status').filter({ hasText: 'Ready for images.' }).waitFor({ state: 'attached' });
  await page.getByPlaceholder('name of the class').fill('photos');
  await page.getByRole('button', { name: 'Use the camera…' }).click();
  await page.getByRole('alert').filter({ hasText: 'may not be used; allow it' }).waitFor();
  await context.grantPermissions(['camera']);
  await page.getByRole('button', { name: 'Use the camera…' }).click();
  const camera = page.getByRole('region', { name: 'Camera' });
  await page.waitForFunction(() => document.querySelector('video')?.videoWidth > 0);
  await camera.getByRole('button', { name: 'Take a picture' }).click();
  await camera.getByText('1 of photos').waitFor();
  await camera.getByRole('button', { name: 'Done' }).click();
  await page.locator('#waiting').filter({ hasText: 'there is photos' }).waitFor();
  await camera.waitFor({ state: 'detached' });
  await context.close();
});

test('a run that starts from a model and freezes its backbone changes the last layer alone', { timeout: 300_000 }, async () => {
  const { context, page } = await withFilms(films({ train: 10 }));
  const { first, then, untouched } = await page.evaluate(async () => {
    const { createTrainer } = await import('./roentgen.js');
    const trainer = await createTrainer({ threads: 1 });
    const data = await trainer.read(window.films);
    const trained = async (settings) => {
      for await (const _ of trainer.fit(data, { epochs: 1, steps_per_epoch: 3, ...settings }));
      return trainer.save();
    };
    /** Hashes of a safetensors file's tensors. */
    const hashes = async ({ weights }) => {
      const bytes = await weights.arrayBuffer();
      const end = 8 + Number(new DataView(bytes).getBigUint64(0, true));
      const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, end - 8)));
      const found = {};
      for (const [name, { data_offsets: offsets }] of Object.entries(header)) {
        if (offsets !== undefined) found[name] = await window.hash(new Blob([bytes.slice(end + offsets[0], end + offsets[1])]));
      }
      return found;
    };
    const model = await trained({});
    // No step that could change anything: what starts the run is the model.
    await trainer.choose({ from: model });
    const untouched = await trained({ learning_rate: 1e-30 });
    await trainer.choose({ from: model, freeze: 'backbone' });
    return { first: await hashes(model), untouched: await hashes(untouched), then: await hashes(await trained({})) };
  });
  // A bias of 0 is not 0 any more.
  for (const name of Object.keys(first).filter((name) => name.endsWith('weight'))) assert.equal(untouched[name], first[name], name);
  const changed = Object.keys(first).filter((name) => first[name] !== then[name]);
  assert.deepEqual(changed.sort(), ['dense2.bias', 'dense2.weight']);
  assert.equal(Object.keys(first).length, 8);
  await context.close();
});

test('the example trains from code', { timeout: 300_000 }, async () => {
  const data = written('example', films({ train: 10, test: 3 }, 70));
  const { context, page, complaints } = await watched(browser);
  await page.goto(`${server.url}train-example.html`);
  await page.locator('input[type=file]').setInputFiles(data);
  await page.locator('input[name=epochs]').fill('1');
  await page.getByRole('button', { name: 'Train', exact: true }).click();
  const log = page.getByRole('log');
  await log.filter({ hasText: '8 films of bright, 8 films of dark' }).waitFor();
  await log.filter({ hasText: /epoch 1: .*of 6 test films.*weights of 1104\d+ bytes/s }).waitFor({ timeout: 120_000 });
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a zip is read like a folder, what does not fit leaves the films that are there, and classes come by hand', { timeout: 120_000 }, async () => {
  const { context, page, complaints } = await watched(browser);
  await page.goto(`${server.url}#train`);
  await page.getByRole('status').filter({ hasText: 'Ready for images.' }).waitFor({ state: 'attached' });
  const rows = async () => (await page.locator('#counts tbody tr').allInnerTexts()).map((row) => row.split(/\s+/).slice(0, 4).join(' '));
  const flat = Object.fromEntries(Object.entries(films({ all: 10 })).map(([path, bytes]) => [path.replace('all', 'set'), bytes]));
  const zip = (files) => ({ name: 'films.zip', mimeType: 'application/zip', buffer: Buffer.from(zipSync(files)) });
  const field = page.locator('input[accept*=zip]');
  await field.setInputFiles(zip({ ...flat, '__MACOSX/set/bright/._0.png': Buffer.from('x'), 'set/dark/.DS_Store': Buffer.from('x') }));
  await page.locator('#counts').waitFor();
  // A fifth of ten for the test, then 15 % of eight.
  assert.deepEqual(await rows(), ['bright 7 1 2', 'dark 7 1 2', 'All 14 2 4']);
  assert.equal(await page.locator('#unreadable').count(), 0);

  await field.setInputFiles(zip({ 'other/grey/1.png': film(true, 900) }));
  await page.getByRole('alert').filter({ hasText: 'at least two classes; there is grey' }).waitFor();
  assert.deepEqual(await rows(), ['bright 7 1 2', 'dark 7 1 2', 'All 14 2 4']);

  await page.getByRole('button', { name: 'Forget these images' }).click();
  await page.locator('#counts').waitFor({ state: 'detached' });
  // Whatever a class is called; and the same file names once more, of other pictures.
  const some = (bright, first) => Array.from({ length: 10 }, (_, i) => ({ name: `${i}.png`, mimeType: 'image/png', buffer: film(bright, i + first) }));
  const byHand = async (name, files) => {
    await page.getByPlaceholder('name of the class').fill(name);
    await page.locator('input[type=file][multiple]').setInputFiles(files);
  };
  await byHand('test', some(true, 50));
  await page.locator('#waiting').filter({ hasText: '10 images are here. Training needs at least two classes; there is test.' }).waitFor();
  assert.equal(await page.getByRole('alert').count(), 0);
  await byHand('dark', some(false, 50));
  await page.locator('#counts').waitFor();
  assert.deepEqual(await rows(), ['dark 7 1 2', 'test 7 1 2', 'All 14 2 4']);
  await byHand('test', some(true, 90));
  await page.locator('#counts').filter({ hasText: /test\s+14\s+2\s+4/ }).waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
});

/** What reading films, or a setting, is refused with. */
function refusal(page, settings = {}) {
  return page.evaluate(async (settings) => {
    const { createTrainer } = await import('./roentgen.js');
    const trainer = await createTrainer({ threads: 1 });
    try {
      const data = await trainer.read(window.films);
      for await (const _ of trainer.fit(data, settings));
      return 'trained';
    } catch ({ kind, message }) {
      return `${kind}: ${message}`;
    } finally {
      trainer.close();
    }
  }, settings);
}

test('films and settings that make no sense are refused with a sentence', { timeout: 120_000 }, async () => {
  const two = { 'a/1.png': film(true, 1), 'b/1.png': film(false, 2) };
  for (const [set, named] of [
    [{}, /no class folders/],
    [{ 'a/1.png': two['a/1.png'], 'a/2.png': two['b/1.png'] }, /at least two classes; there is a/],
    [{ ...two, 'b/2.png': film(false, 3) }, /no film is left to validate on/],
    [{ 'a/1.png': two['a/1.png'], 'b/1.png': Buffer.from('no film') }, /class `b` has no readable film/],
    [{ 'a/1.png': two['a/1.png'], 'b/1.png': Buffer.alloc(0) }, /at least two classes|no readable film/],
  ]) {
    const { context, page } = await withFilms(set);
    assert.match(await refusal(page), named);
    assert.match(await refusal(page), /^dataset: /);
    await context.close();
  }
  const { context, page } = await withFilms(films({ train: 8 }));
  for (const [settings, named] of [
    [{ learning_rate: 0 }, /^settings: Learning rate/],
    [{ epochs: 0 }, /^settings: Epochs/],
    [{ seed: -1 }, /^settings: Seed/],
    [{ batch_size: 0 }, /^settings: Batch size/],
  ]) {
    assert.match(await refusal(page, settings), named);
  }
  await context.close();
});

test('on the page: a folder in, training, its numbers, its model in use, and all of it there after a reload', { timeout: 300_000 }, async (t) => {
  const set = films({ train: 12, test: 4 }, 500);
  set['train/dark/broken.png'] = Buffer.from('no film');
  set['train/bright/copy.png'] = set['test/bright/0.png'];
  const data = written('page', set);
  const { context, page, requests, complaints } = await watched(browser);
  await page.goto(`${server.url}#train`);
  await page.getByRole('status').filter({ hasText: 'Ready for images.' }).waitFor({ state: 'attached' });
  await page.evaluate(axe);
  const objections = async () => {
    await page.waitForTimeout(500);
    const { violations } = await page.evaluate(() => window.axe.run());
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
  };
  assert.deepEqual(await objections(), [], 'without films');

  await page.locator('input[webkitdirectory]').setInputFiles(data);
  await page.getByRole('button', { name: 'Train', exact: true }).waitFor();
  const rows = await page.locator('#counts tbody tr').allInnerTexts();
  assert.deepEqual(rows.map((row) => row.split(/\s+/).slice(0, 4)), [['bright', '10', '2', '4'], ['dark', '10', '2', '4'], ['All', '20', '4', '8']]);
  assert.match(await page.locator('#unreadable').textContent(), /broken\.png/);
  assert.match(await page.locator('#copies').textContent(), /in different splits.*left out: page\/train\/bright\/copy\.png/);
  assert.deepEqual(await objections(), [], 'with films');

  await page.locator('#more > summary').click();
  await page.getByLabel('Learning rate').fill('0');
  await page.getByRole('button', { name: 'Train', exact: true }).click();
  await page.getByRole('alert').filter({ hasText: 'Learning rate' }).waitFor();
  await page.getByLabel('Learning rate').fill('0.0001');
  await page.getByLabel('Epochs', { exact: true }).fill('3');
  await page.getByLabel('Steps per epoch').fill('6');
  await page.getByRole('button', { name: 'Train', exact: true }).click();
  await page.locator('#epochs tbody tr').nth(0).waitFor({ timeout: 120_000 });
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByRole('status').filter({ hasText: 'Training is paused.' }).waitFor({ state: 'attached' });
  assert.deepEqual(await objections(), [], 'paused');
  // Not before: axe is a long task itself.
  await page.evaluate(() => {
    window.longest = 0;
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration);
    }).observe({ type: 'longtask' });
  });
  await page.getByRole('button', { name: 'Go on', exact: true }).click();
  await page.locator('#accuracy').waitFor({ timeout: 120_000 });
  t.diagnostic(`longest task of the page's thread: ${Math.round(await page.evaluate(() => window.longest))} ms`);
  assert.equal(await page.locator('#epochs tbody tr').count(), 3);
  assert.match(await page.locator('#accuracy').innerText(), /^(100|\d+)\.\d\u202f% of 8 test images/);
  assert.equal(await page.locator('.charts canvas').count(), 2);
  // ROC, precision and recall of each class, and the reliability diagram.
  assert.equal(await page.locator('[data-curve] canvas').count(), 5);
  const rates = page.locator('#threshold output');
  await rates.filter({ hasText: /Sensitivity .*%.*specificity\s.*%/ }).waitFor();
  await page.getByLabel(/^Called bright from/).fill('0');
  await rates.filter({ hasText: /Sensitivity 100\.0.*specificity\s+0\.0/ }).waitFor();
  assert.match(await page.locator('#calibration').innerText(), /^Expected calibration error 0\.\d{3} \(15 bins\)/);
  const cells = page.locator('#confusion button');
  const most = (await cells.allInnerTexts()).map(Number);
  await cells.nth(most.indexOf(Math.max(...most))).click();
  await page.locator('.opened canvas').first().waitFor();
  assert.equal(await page.locator('.opened canvas').count(), Math.max(...most));
  assert.deepEqual(await objections(), [], 'evaluated');

  await page.getByRole('button', { name: 'Use it to classify images' }).click();
  await page.locator('xray-classifier').filter({ hasText: 'tells apart bright and dark' }).waitFor();
  await go(page, 'train');
  await page.reload();
  await page.locator('#epochs tbody tr').nth(2).waitFor({ timeout: 60_000 });
  assert.match(await page.getByRole('region', { name: 'Earlier run' }).innerText(), /ended after 3 epochs/);
  await page.getByRole('button', { name: 'Evaluate on the test images' }).click();
  await page.locator('#accuracy').waitFor();

  // The same films are open here; another tab is told so.
  const other = await context.newPage();
  await other.goto(`${server.url}#train`);
  await other.getByRole('alert').filter({ hasText: 'Another tab' }).waitFor();
  for (const url of requests) assert.ok(url.startsWith(server.url) || url.startsWith('blob:'), url);
  assert.deepEqual(complaints, []);
  await context.close();
});
