// Many images at once: the command line's answers in a table and in files, the way through it, and how often they are right.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { count, drop, event, launch, picture, predict, ready, roentgen, root, shipped, site, watched } from './support.mjs';
import { film, writtenTo } from './training.mjs';

// Installed with the page, not with the tests beside it.
const { zipSync } = createRequire(new URL('../../www/package.json', import.meta.url))('fflate');

const axe = readFileSync(join(root, 'www/node_modules/axe-core/axe.min.js'), 'utf8');

let browser, server, folder;
before(async () => {
  [browser, server] = await Promise.all([launch(), site()]);
  folder = mkdtempSync(join(tmpdir(), 'many-'));
});
after(async () => {
  await Promise.all([browser?.close(), server?.close()]);
  if (folder !== undefined) rmSync(folder, { recursive: true });
});

async function open(address = server.url) {
  const opened = await watched(browser);
  await opened.page.goto(address);
  await ready(opened.page);
  return opened;
}

/** Drawings by path, in folders called nearly as two of the model's classes are. */
function drawings(each) {
  const found = {};
  for (let i = 0; i < each; i += 1) {
    found[`set/covid_19/${i}.png`] = film(i % 3 !== 0, 100 + i);
    found[`set/normal/${i}.png`] = film(i % 4 === 0, 500 + i);
  }
  return found;
}

/** Files as `drop` takes them, by their paths' last parts. */
const loose = (files) => Object.entries(files).map(([path, bytes]) => ({ name: path.replaceAll('/', ' '), type: 'image/png', bytes }));

/** Waits for what a screen reader is told. */
const told = (page, hasText) => page.locator('#many [role=status]').filter({ hasText }).waitFor({ state: 'attached', timeout: 120_000 });

/** The file that a button saves. */
async function saved(page, name) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name }).click()]);
  return readFileSync(await download.path(), 'utf8');
}

/** Lines of a CSV file as objects by their headings; no cell here has a line break. */
function rowsOf(csv) {
  const cells = (line) => [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].map(([, cell]) => cell.replace(/^"|"$/g, '').replaceAll('""', '"'));
  const [head, ...lines] = csv.replace(/^\ufeff/, '').trim().split('\r\n').map(cells);
  return lines.map((line) => Object.fromEntries(head.map((name, i) => [name, line[i]])));
}

test('a zip of class folders: the answers of roentgen predict, and the numbers of roentgen evaluate', { timeout: 300_000 }, async () => {
  const set = drawings(9);
  const data = writtenTo(join(folder, 'zip'), set);
  const more = { 'set/normal/broken.png': Buffer.from('none'), 'set/ward 3/=1.png': film(true, 900), '__MACOSX/set/._x': Buffer.from('x') };
  const { context, page, complaints } = await open(`${server.url}#many`);
  await drop(page, [{ name: 'images.zip', bytes: zipSync({ ...set, ...more }) }], '#many .take');
  await told(page, '20 images are classified');

  const rows = rowsOf(await saved(page, 'Save as CSV'));
  const paths = Object.keys(set);
  const said = await predict(paths.map((path) => join(data, path)));
  assert.equal(rows.length, 20);
  for (const [i, path] of paths.entries()) {
    const row = rows.find(({ file }) => file === `images/${path}`);
    assert.ok(row !== undefined, path);
    assert.deepEqual([row.outcome, row.answer, row.most_probable], ['answered', said[i].answer.text, said[i].label], path);
    assert.equal(row.answer_set, said[i].answer.set.join('; '), path);
    assert.equal(row.folder_class, path.includes('covid') ? 'COVID-19' : 'Normal', path);
    for (const [name, score] of Object.entries(said[i].scores)) {
      assert.ok(Math.abs(row[`probability ${name}`] - score) <= 1e-4, `${path}: ${name} is ${row[`probability ${name}`]}, predicted ${score}`);
    }
  }
  const broken = rows.find(({ file }) => file.endsWith('broken.png'));
  assert.deepEqual([broken.outcome, broken.answer, broken.reason], ['error', '', 'unknown-format']);
  assert.match(broken.reason_in_words, /not a picture/);
  assert.equal(rows.find(({ file }) => file.endsWith('=1.png')).folder_class, '');
  const { model, images } = JSON.parse(await saved(page, 'Save as JSON'));
  assert.equal(images.length, 20);
  const card = JSON.parse(readFileSync(join(root, 'dist/models/four-findings/model.json'), 'utf8'));
  assert.deepEqual(model, { id: card.id, name: card.name, version: card.version, weights_sha256: card.weights.sha256 });
  assert.deepEqual([rows[0].model, rows[0].model_version, rows[0].weights_sha256], [card.id, card.version, card.weights.sha256]);

  // The same by the command line, from folders that are called exactly so.
  await page.locator('#many #confusion').waitFor();
  const named = join(folder, 'named');
  for (const [found, name] of [['covid_19', 'COVID-19'], ['normal', 'Normal']]) cpSync(join(data, 'set', found), join(named, name), { recursive: true });
  const unrefusing = join(folder, 'model');
  cpSync(join(root, 'dist/models/four-findings'), unrefusing, { recursive: true });
  const { refusal: _, ...rest } = card;
  writeFileSync(join(unrefusing, 'model.json'), JSON.stringify(rest));
  const expected = JSON.parse((await roentgen('evaluate', '--model', unrefusing, '--data', named, '--json', '-')).stdout);
  const found = await page.evaluate(
    async ([classes, images]) => {
      const { createTrainer } = await import('./roentgen.js');
      const trainer = await createTrainer({ threads: 1 });
      const films = images
        .filter(({ folder_class, scores }) => folder_class !== null && scores !== null)
        .map(({ file, folder_class, most_probable, scores }) => ({
          path: file,
          truth: classes.indexOf(folder_class),
          called: classes.indexOf(most_probable),
          scores: classes.map((name) => scores[name]),
        }));
      const measured = await trainer.measure(classes, films);
      trainer.close();
      return measured;
    },
    [card.classes, images],
  );
  const { evaluation } = found;
  assert.equal(evaluation.n, 18);
  assert.deepEqual(evaluation.confusion, expected.confusion);
  assert.deepEqual([evaluation.accuracy, evaluation.accuracy_interval], [expected.accuracy, expected.accuracy_interval]);
  for (const name of card.classes) {
    const [own, other] = [evaluation.per_class[name], expected.per_class[name]];
    for (const rate of ['n', 'sensitivity', 'sensitivity_interval', 'specificity', 'specificity_interval']) assert.deepEqual(own[rate], other[rate], `${rate} of ${name}`);
    const [area, wanted] = [evaluation.auroc[name], expected.auroc[name]];
    assert.ok(area === wanted || Math.abs(area - wanted) < 1e-6, `AUROC of ${name}: ${area}, not ${wanted}`);
  }
  assert.ok(Math.abs(evaluation.loss - expected.loss) < 1e-3 * expected.loss, `${evaluation.loss}, not ${expected.loss}`);
  assert.ok(Math.abs(found.expected_calibration_error - expected.ece) < 1e-4, `${found.expected_calibration_error}, not ${expected.ece}`);
  const shown = await page.locator('#many #confusion tbody tr').evaluateAll((rows) => rows.map((row) => [...row.querySelectorAll('button')].map((cell) => Number(cell.textContent))));
  assert.deepEqual(shown, expected.confusion);
  await page.locator('#many #confusion .cell').first().click();
  assert.equal(await page.locator('#many .opened canvas').count(), expected.confusion[0][0]);
  assert.match(await page.locator('.measured').innerText(), /Left out: 1 in folders that no class is called after/);
  assert.deepEqual(complaints, []);
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`), []);
  await context.close();
});

test('several files let go on the classifier are taken to the table, which is gone through with the keyboard', { timeout: 300_000 }, async () => {
  const { context, page, complaints } = await open();
  const files = loose(drawings(30));
  await drop(page, files);
  await told(page, '60 images are classified');
  assert.match(page.url(), /#\/?many$/);
  assert.equal(await count(page, 'roentgen-result'), 0);

  // Rows beyond what is seen are not there, and all have their places.
  const rows = page.locator('#many tbody tr[aria-rowindex]');
  assert.ok((await rows.count()) < 40, `${await rows.count()} rows`);
  assert.equal(await page.locator('#many table').getAttribute('aria-rowcount'), '61');
  const { height, scrolled } = await page.locator('.scroller').evaluate((scroller) => ({ height: scroller.scrollHeight, scrolled: scroller.scrollTop }));
  assert.ok(height >= 60 * 60 && height < 61 * 62 && scrolled === 0, `${height} px, at ${scrolled}`);
  // Thumbnails are there.
  await page.waitForFunction(() => document.querySelectorAll('.scroller canvas[data-painted]:not([data-painted=""])').length >= 5);

  await page.locator('#many [data-row="0"]').focus();
  await page.keyboard.press('ArrowDown');
  await page.waitForFunction(() => document.activeElement?.dataset.row === '1');
  await page.keyboard.press('End');
  await page.waitForFunction(() => document.activeElement?.dataset.row === '59');
  await page.keyboard.press('Enter');
  assert.equal((await event(page, 'roentgen-result')).name, files[59].name);
  const bar = page.getByRole('group', { name: 'Images of the table' });
  await bar.getByText('Image 60 of 60').waitFor();
  assert.ok(await bar.getByRole('button', { name: 'Next' }).isDisabled());
  await bar.getByRole('button', { name: 'Previous' }).click();
  assert.equal((await event(page, 'roentgen-result', 1)).name, files[58].name);
  await bar.getByRole('button', { name: 'Back' }).click();
  await page.waitForFunction(() => document.activeElement?.dataset.row === '58');

  // By probability from the highest, the other way round, and as they came.
  const header = page.getByRole('columnheader', { name: 'Normal' });
  for (const order of ['descending', 'ascending', 'none', 'descending']) {
    await header.getByRole('button').click();
    // The table is drawn with the next frame.
    await page.locator(`#many th[aria-sort="${order}"]`, { hasText: 'Normal' }).waitFor();
  }
  await page.locator('.scroller').evaluate((scroller) => scroller.scrollTo(0, 0));
  const first = page.locator('#many tbody tr[aria-rowindex="2"]');
  const { images } = JSON.parse(await saved(page, 'Save as JSON'));
  const most = images.reduce((one, other) => (other.scores.Normal > one.scores.Normal ? other : one));
  await first.filter({ hasText: most.file }).waitFor();

  await page.getByLabel('File').fill('normal 7');
  await page.locator('#many').getByText('1 of 60 shown').waitFor();
  await page.getByLabel('File').fill('');
  const answer = images[0].answer;
  const such = images.filter((image) => image.answer === answer).length;
  await page.getByLabel('Show').selectOption({ label: `Answer: ${answer} (${such})` });
  await page.waitForFunction((n) => document.querySelector('#many table').getAttribute('aria-rowcount') === String(n + 1), such);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a run is paused, goes on, is cancelled and taken up again; the next images take its place', { timeout: 300_000 }, async () => {
  const { context, page, complaints } = await open();
  await drop(page, loose(drawings(60)));
  // Before an image is classified there is nothing to save.
  await page.waitForFunction(() => [...document.querySelectorAll('#many button')].some((button) => button.textContent === 'Save as CSV' && !button.disabled));
  await page.getByRole('button', { name: 'Pause' }).click();
  await told(page, /^Paused after \d+ of 120 images/);
  await page.getByRole('button', { name: 'Go on' }).click();
  await told(page, /^Classifying/);
  await page.getByRole('button', { name: 'Cancel' }).click();
  await told(page, /^Cancelled after \d+ of 120 images/);
  const done = rowsOf(await saved(page, 'Save as CSV')).length;
  assert.ok(done < 120, `${done} of 120`);
  await page.getByRole('button', { name: 'Go on' }).click();
  await told(page, '120 images are classified');
  await page.getByRole('button', { name: 'Other images' }).click();
  await drop(page, loose(drawings(1)), '#many .take');
  await told(page, '2 images are classified');
  await page.getByRole('button', { name: 'Other images' }).click();
  await drop(page, [{ name: 'none.zip', bytes: Buffer.from('PK no zip') }], '#many .take');
  await page.getByRole('alert').filter({ hasText: 'None of these files is an image' }).waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a folder is read with its folders, and what the model rejects is there with the reason', { timeout: 300_000 }, async () => {
  const whole = await shipped();
  const { context, page } = await open(whole.url);
  const set = writtenTo(join(folder, 'folder'), { 'normal/blank.png': film(true, 1), 'covid-19/again.png': film(false, 2) });
  // Scripts cannot make a folder's DataTransfer; the browser's own drag can.
  const session = await context.newCDPSession(page);
  for (const type of ['dragEnter', 'dragOver', 'drop']) {
    await session.send('Input.dispatchDragEvent', { type, x: 300, y: 400, data: { items: [], files: [set], dragOperationsMask: 1 } });
  }
  await told(page, '2 images are classified');
  const rows = rowsOf(await saved(page, 'Save as CSV'));
  assert.deepEqual(rows.map(({ file, folder_class }) => [file.split('/').slice(-2).join('/'), folder_class]), [['covid-19/again.png', 'COVID-19'], ['normal/blank.png', 'Normal']]);
  for (const { outcome, answer, reason, reason_in_words } of rows) {
    assert.deepEqual([outcome, answer], ['rejected', '']);
    assert.ok(reason !== '' && reason_in_words.endsWith('.'), `${reason}: ${reason_in_words}`);
  }
  assert.equal(await page.locator('#many td.rejected').count(), 2);
  await context.close();
  await whole.close();
});

test('files let go beside the table are taken to it too', { timeout: 120_000 }, async () => {
  const { context, page, complaints } = await open(`${server.url}#many`);
  await page.locator('#many .take').waitFor();
  await drop(page, [picture('film.png')], 'header');
  await told(page, '1 images are classified');
  await drop(page, [picture('film.png'), picture('film.jpg')], 'header');
  await told(page, '2 images are classified');
  assert.equal(await count(page, 'roentgen-result'), 0);
  assert.deepEqual(complaints, []);
  await context.close();
});
