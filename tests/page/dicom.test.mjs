// DICOM files on the page: the answer of the same pixels as PNG, of the same file from the command line, and one more module.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { greyPng, judge, launch, picture, predict, ready, site, watched } from './support.mjs';

let browser, server;
before(async () => ([browser, server] = await Promise.all([launch(), site()])));
after(() => Promise.all([browser?.close(), server?.close()]));

const [WIDTH, HEIGHT] = [120, 100];
const grey = (x, y) => (x * 3 + y * 2) & 255;

/** A DICOM file of eight bits and as many frames, in Explicit VR Little Endian (PS3.5, 7.1.2). */
function dicom(frames) {
  const element = (group, number, vr, value) => {
    const header = Buffer.from([group & 255, group >> 8, number & 255, number >> 8, vr.charCodeAt(0), vr.charCodeAt(1), value.length, 0]);
    return Buffer.concat([header, value]);
  };
  const short = (number) => Buffer.from([number & 255, number >> 8]);
  const text = (text) => Buffer.from(text.length % 2 === 0 ? text : `${text} `);
  const frame = Buffer.from(Array.from({ length: WIDTH * HEIGHT }, (_, i) => grey(i % WIDTH, Math.floor(i / WIDTH))));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(frames * frame.length);
  return Buffer.concat([
    Buffer.alloc(128),
    Buffer.from('DICM'),
    element(0x0002, 0x0010, 'UI', Buffer.from('1.2.840.10008.1.2.1\0')),
    element(0x0008, 0x0060, 'CS', text('DX')),
    element(0x0028, 0x0002, 'US', short(1)),
    element(0x0028, 0x0004, 'CS', text('MONOCHROME2')),
    element(0x0028, 0x0008, 'IS', text(String(frames))),
    element(0x0028, 0x0010, 'US', short(HEIGHT)),
    element(0x0028, 0x0011, 'US', short(WIDTH)),
    element(0x0028, 0x0100, 'US', short(8)),
    element(0x0028, 0x0101, 'US', short(8)),
    element(0x0028, 0x0102, 'US', short(7)),
    element(0x0028, 0x0103, 'US', short(0)),
    Buffer.from([0xe0, 0x7f, 0x10, 0, 0x4f, 0x42, 0, 0]),
    length,
    ...Array.from({ length: frames }, () => frame),
  ]);
}

test('a DICOM file is classified as the same pixels in a PNG are, with one request each for the two files of its decoder', async () => {
  const { context, page, requests, complaints } = await watched(browser);
  await page.goto(server.url);
  await ready(page);
  await page.waitForLoadState('networkidle');
  const png = (await judge(page, { name: 'grey.png', type: 'image/png', bytes: greyPng(WIDTH, HEIGHT, grey) })).result;
  const asked = requests.length;
  // A name says nothing, and neither does its absence.
  for (const name of ['film.dcm', 'IM000001', 'film.png']) {
    const { result } = await judge(page, { name, bytes: dicom(1) });
    assert.deepEqual([result?.scores, result?.notes], [png.scores, []], name);
  }
  const many = await judge(page, { name: 'many.dcm', bytes: dicom(3) });
  assert.deepEqual(many.result?.scores, png.scores);
  assert.match(await page.locator('[part=note]').innerText(), /Its file holds 3 images, of which this is the first\./);
  const files = requests.slice(asked).map((url) => /([^/]*)-.{8}(\.\w+)$/.exec(url)?.slice(1).join(''));
  assert.deepEqual(files, ['roentgen-dicom_bg.wasm', 'roentgen-dicom.js']);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('every code is decoded in the page as by the command line', async () => {
  const { context, page } = await watched(browser);
  await page.goto(server.url);
  await ready(page);
  const names = ['bare-implicit', 'deflated', 'big-endian', 'rle', 'jpeg-baseline', 'jpeg-extended-12', 'jpeg-lossless', 'jpeg-ls', 'jpeg-2000', 'voi-lut', 'aspect'];
  const files = names.map((name) => picture(`../dicom/${name}.dcm`));
  const expected = await predict(files.map(({ path }) => path));
  for (const [i, file] of files.entries()) {
    // They are too small to be classified, which shows when they are decoded.
    assert.equal(expected[i].error.kind, 'too-small', file.name);
    const { error } = await judge(page, file);
    assert.deepEqual([error?.kind, error?.detail], [expected[i].error.kind, expected[i].error.message], file.name);
  }
  await context.close();
});
