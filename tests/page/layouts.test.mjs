// Folders and zips as people have them, on the page and through the package: what is taken, what is left out, and what is said.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';

import { drop, launch, site, watched } from './support.mjs';
import { emptyPage, film, films, pageWithFilms } from './training.mjs';

// Installed with the page, not with the tests beside it.
const { unzipSync, zipSync } = createRequire(new URL('../../www/package.json', import.meta.url))('fflate');

let browser, server, empty;
before(async () => {
  [browser, server] = await Promise.all([launch(), site()]);
  empty = await emptyPage(server.url);
});
after(() => Promise.all([browser?.close(), server?.close(), empty?.close()]));

/** What the package makes of files: the report, or the error with the files that it names. */
async function taken(files, options = {}) {
  const { context, page } = await pageWithFilms(browser, empty.url, files);
  const found = await page.evaluate(async (options) => {
    const { createTrainer } = await import('./roentgen.js');
    const trainer = await createTrainer({ threads: 1, ...options });
    try {
      const { data } = await trainer.take(window.films.map(({ path, file }) => ({ path: path.replace('set/', ''), file })));
      return { report: data.report, unreadable: data.unreadable };
    } catch ({ kind, message, unreadable }) {
      return { kind, message, unreadable };
    } finally {
      trainer.close();
    }
  }, options);
  await context.close();
  return found;
}

/** How many films each split has, by class. */
function shared({ report: { classes, train, val, test } }) {
  return classes.map((name, i) => `${name} ${train[i] + val[i]} ${test[i]}`);
}

/** Films in numbered folders, which say no classes. */
const numbered = () =>
  renamed(films({ set: 10 }), (path) => path.replace(/set\/(\w+)\/(\d+)/, 'images_00$2/$1-$2').replace('images_000/', 'images_010/'));

/** A table of films with a label each, and a column that says nothing. */
function tableOf(films, header, label) {
  const rows = Object.keys(films).map((path) => `${path.split('/')[1]},${label(path)},x`);
  return Buffer.from(`${[header, ...rows].join('\n')}\n`);
}

/** Paths as `change` makes them. */
const renamed = (files, change) => Object.fromEntries(Object.entries(files).map(([path, bytes]) => [change(path), bytes]));

test('splits by other words, masks, system files and two zips with the same paths are taken for what they are', { timeout: 120_000 }, async () => {
  const set = films({ Training: 10, Testing: 4 });
  const masks = renamed(films({ Training: 10 }, 500), (path) => path.replace(/(\d+\.png)/, 'masks/$1'));
  const images = renamed(set, (path) => path.replace(/(\d+\.png)/, 'images/$1'));
  const junk = { 'Training/bright/images/Thumbs.db': Buffer.from('x'), 'Training/@eaDir/x/0.png': film(true, 900), 'notes.txt': Buffer.from('x') };
  const found = await taken({ ...images, ...masks, ...junk });
  assert.deepEqual(shared(found), ['bright 10 4', 'dark 10 4'], JSON.stringify(found));
  const left = Object.fromEntries(found.report.left_out.map(({ why, count }) => [why, count]));
  assert.deepEqual(left, { mask: 20, system: 2, document: 1 });
  assert.ok(found.report.decided.includes('the folder `Testing` is taken as test'), `${found.report.decided}`);
  assert.deepEqual(found.report.by_class.map(({ formats }) => formats), [{ PNG: 14 }, { PNG: 14 }]);

  const of = (split) => renamed(Object.fromEntries(Object.entries(set).filter(([path]) => path.startsWith(split))), (path) => path.replace(`${split}/`, ''));
  const zips = await taken({ 'train.zip': zipSync(of('Training')), 'test.zip': zipSync(of('Testing')) });
  assert.deepEqual(shared(zips), ['bright 10 4', 'dark 10 4'], JSON.stringify(zips));
});

test('a zip for each class, one in a zip, one without its ending, one that breaks off and what is none', { timeout: 120_000 }, async () => {
  const all = films({ set: 12 });
  const of = (name) => renamed(Object.fromEntries(Object.entries(all).filter(([path]) => path.includes(name))), (path) => path.split('/').at(-1));
  const classes = { 'bright.zip': zipSync(of('bright')), 'dark.ZIP': zipSync(of('dark')) };
  // A fifth of twelve for the test.
  const expected = ['bright 10 2', 'dark 10 2'];
  assert.deepEqual(shared(await taken(classes)), expected);
  assert.deepEqual(shared(await taken({ 'films (1)': zipSync(all) })), expected);
  assert.deepEqual(shared(await taken({ 'outer.zip': zipSync(classes) })), expected);

  const whole = Buffer.from(zipSync(all));
  const cut = await taken({ 'set.zip': whole.subarray(0, whole.indexOf('PK\x01\x02') - 20) });
  assert.deepEqual(shared(cut), ['bright 10 2', 'dark 9 2'], JSON.stringify(cut));
  assert.match(cut.report.notes.join(' '), /set\.zip breaks off: 23 whole files/);
  assert.match(cut.unreadable[0].message, /the zip breaks off in it/);

  for (const [bytes, said] of [['<!doctype html>', 'web page'], ['Rar!\x1a\x07\x01\x00', 'RAR archive'], ['', 'empty']]) {
    const { kind, message } = await taken({ 'set.zip': Buffer.from(bytes, 'latin1') });
    assert.equal(kind, 'archive');
    assert.match(message, new RegExp(`^set.zip: it is .*${said}`));
  }
});

test('a table gives the labels where folders do not, and columns may be named', { timeout: 120_000 }, async () => {
  const all = numbered();
  const nih = await taken({ ...all, 'Data_Entry_2017.csv': tableOf(all, 'Image Index,Finding Labels,View', (path) => (path.includes('bright') ? 'Mass' : 'No Finding')) });
  assert.deepEqual(shared(nih), ['Mass 8 2', 'No Finding 8 2'], JSON.stringify(nih));
  assert.match(nih.report.decided.join(' '), /numbered.*column `Finding Labels`, files in column `Image Index`/);
  const odd = { ...all, 'b.csv': tableOf(all, 'f,q,z', (path) => (path.includes('bright') ? 'B' : 'D')) };
  assert.match((await taken(odd)).message, /numbered: their names are no labels.*b\.csv \(columns f, q, z\)/);
  assert.deepEqual(shared(await taken(odd, { labels: { table: 'b.csv', label: 'q' } })), ['B 8 2', 'D 8 2']);
});

test('an exported project comes back by whichever name and however it was packed again', { timeout: 120_000 }, async () => {
  const set = renamed(films({ set: 8 }), (path) => path.replace('bright', 'Neumon\u00eda'));
  const manifest = Buffer.from(`path,group\n${Object.keys(set).map((path, i) => `${path.replace('set/', '')},p${i}`).join('\n')}\n`);
  const { context, page } = await pageWithFilms(browser, empty.url, { ...set, 'set/manifest.csv': manifest, 'set/notes.txt': Buffer.from('x') });
  const exported = await page.evaluate(async () => {
    const { createTrainer } = await import('./roentgen.js');
    const trainer = await createTrainer({ threads: 1 });
    const { report } = await trainer.read(window.films);
    const zip = await window.base64(await trainer.exportProject());
    trainer.close();
    return { report, zip };
  });
  await context.close();
  const files = unzipSync(Buffer.from(exported.zip, 'base64'));
  const again = (change) => zipSync(renamed(files, change));
  const inside = (path) => path.replace(/^[^/]*\//, '');
  for (const [name, zip] of [
    ['roentgen-project (1).zip', Buffer.from(exported.zip, 'base64')],
    ['Neuer Ordner.zip', again((path) => `roentgen-project (2)/${path}`)],
    ['windows.zip', again((path) => path.replaceAll('/', '\\'))],
    ['mac.zip', again((path) => path.normalize('NFD'))],
    ['loose.zip', again(inside)],
    ['packed.zip', zipSync({ 'a/roentgen-project.zip': Buffer.from(exported.zip, 'base64') })],
  ]) {
    const opened = await pageWithFilms(browser, empty.url, { [name]: zip });
    const report = await opened.page.evaluate(async () => {
      const { createTrainer } = await import('./roentgen.js');
      const trainer = await createTrainer({ threads: 1 });
      try {
        const taken = await trainer.take(window.films);
        return 'kept' in taken ? await trainer.share() : taken;
      } catch ({ kind, message }) {
        return { kind, message };
      } finally {
        trainer.close();
      }
    });
    assert.deepEqual(report, exported.report, name);
    await opened.context.close();
  }
});

test('a dropped folder of files that are not read is refused with each of them and why, and a good zip after it shows what was decided', { timeout: 120_000 }, async () => {
  const { context, page, complaints } = await watched(browser);
  await page.goto(`${server.url}#train`);
  await page.getByRole('status').filter({ hasText: 'Ready for images.' }).waitFor({ state: 'attached' });
  const dicom = Buffer.concat([Buffer.alloc(128), Buffer.from('DICM')]);
  const odd = Object.fromEntries(['NORMAL', 'PNEUMONIA'].flatMap((name) => [0, 1].map((i) => [`${name}/${i}.dcm`, dicom])));
  await drop(page, [{ name: 'odd.zip', bytes: zipSync(odd) }], '.take');
  const alert = page.getByRole('alert');
  await alert.filter({ hasText: /NORMAL.*no readable film.*2 of its files are not read.*DICOM/ }).waitFor();
  await alert.getByText('4 files are not read').click();
  await alert.getByText(/odd\/PNEUMONIA\/1\.dcm: .*DICOM/).waitFor();
  const good = renamed(films({ train: 10, valid: 4 }), (path) => `outer/${path}`);
  await drop(page, [{ name: 'good.zip', bytes: zipSync({ ...good, 'outer/__MACOSX/train/._x': Buffer.from('x') }) }], '.take');
  await page.locator('#counts').waitFor();
  assert.equal(await alert.count(), 0);
  await page.locator('#decided').getByText('The folder `valid` is taken as val.').waitFor();
  await page.locator('#left-out').getByText('1 files are left out').waitFor();

  // Columns that are not guessed are named, and the films dropped again.
  const all = numbered();
  const table = [{ name: 'table.zip', bytes: zipSync({ ...all, 'b.csv': tableOf(all, 'f,q,z', (path) => (path.includes('bright') ? 'Upper' : 'Lower')) }) }];
  await drop(page, table, '.take');
  await alert.filter({ hasText: /table\/b\.csv \(columns f, q, z\)/ }).waitFor();
  await page.getByText('Labels in a table').first().click();
  await page.getByLabel('column of classes').fill('q');
  await drop(page, table, '.take');
  await page.locator('#counts').filter({ hasText: /Lower\s+7\s+1\s+2\s+Upper\s+7\s+1\s+2/ }).waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
});
