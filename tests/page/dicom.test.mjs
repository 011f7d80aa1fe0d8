// DICOM files on the page: the answer of the same pixels as PNG, of the same file from the command line, and one more module.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { greyPng, judge, launch, picture, predict, ready, site, watched } from './support.mjs';

let browser, server;
before(async () => ([browser, server] = await Promise.all([launch(), site()])));
after(() => Promise.all([browser?.close(), server?.close()]));

/** A file of tests/fixtures/dicom. */
const dicom = (name) => picture(`../dicom/${name}`);

/** The picture of the fixtures in eight bits, as `make_dicom.py` draws it. */
const grey = (x, y) => (x * 130 + y * 62 + 40) >> 4;

test('a DICOM file is classified as the same pixels in a PNG are, with one request each for the two files of its decoder', async () => {
  const { context, page, requests, complaints } = await watched(browser);
  await page.goto(server.url);
  await ready(page);
  await page.waitForLoadState('networkidle');
  const png = (await judge(page, { name: 'eight.png', type: 'image/png', bytes: greyPng(24, 16, grey) })).result;
  const asked = requests.length;
  const names = ['eight.dcm', 'rle-8.dcm', 'jpeg-lossless-8.dcm', 'jpeg-2000-8.dcm', 'big-endian-8.dcm'];
  for (const name of names) assert.deepEqual((await judge(page, dicom(name))).result?.scores, png.scores, name);
  const files = requests.slice(asked).map((url) => /([^/]*)-.{8}(\.\w+)$/.exec(url)?.slice(1).join(''));
  assert.deepEqual(files, ['roentgen-dicom_bg.wasm', 'roentgen-dicom.js']);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('each way from numbers to grey is that of the command line, and several frames are said', async () => {
  const { context, page } = await watched(browser);
  await page.goto(server.url);
  await ready(page);
  const names = ['bare-implicit.dcm', 'deflated.dcm', 'window-sigmoid.dcm', 'voi-lut.dcm', 'mono1.dcm', 'aspect.dcm', 'jpeg-extended-12.dcm', 'jpeg-ls.dcm', 'rgb.dcm', 'frames.dcm'];
  const files = names.map(dicom);
  const expected = await predict(files.map(({ path }) => path));
  for (const [i, file] of files.entries()) {
    const { result, error } = await judge(page, file);
    assert.equal(error, undefined, file.name);
    for (const [label, score] of Object.entries(expected[i].scores)) {
      assert.ok(Math.abs(result.scores[label] - score) <= 1e-4, `${file.name}: ${label} is ${result.scores[label]}, predicted ${score}`);
    }
    assert.deepEqual(result.notes, expected[i].notes, file.name);
  }
  assert.match(await page.locator('[part=note]').innerText(), /Its file holds 3 images, of which this is the first\./);
  // A name says nothing, and neither does its absence.
  const nameless = await judge(page, { ...dicom('explicit.dcm'), name: 'IM000001' });
  assert.deepEqual([nameless.name, nameless.error], ['IM000001', undefined]);
  await context.close();
});
