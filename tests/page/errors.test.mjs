// What is dropped, pasted or picked and is no film: a sentence that says what to do, and the next good film works.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, afterEach, test } from 'node:test';

import { drop, dropTransfer, event, judge, launch, picture, predict, ready, site, watched } from './support.mjs';

let browser, server, opened;
before(async () => ([browser, server] = await Promise.all([launch(), site()])));
after(() => Promise.all([browser?.close(), server?.close()]));
beforeEach(async () => {
  opened = await watched(browser);
  await opened.page.goto(server.url);
  await ready(opened.page);
});
afterEach(() => opened.context.close());

/** The sentence on the screen. */
const sentence = (page) => page.locator('[part=error] .sentence').innerText();

test('each broken file gets its sentence and the kind the command line gives, and the next good film is judged', async () => {
  const { page, complaints } = opened;
  const sentences = {
    'broken/text.png': /Export the image as DICOM, PNG/,
    'broken/page.jpg': /^A web page is not supported: open its address/,
    'broken/cut-baseline-90.jpg': /damaged or incomplete/,
    'broken/cut-progressive-50.jpg': /damaged or incomplete/,
    'unsupported/lossless.jpg': /^Lossless JPEG of 8 bits is not supported: save it as PNG/,
    'unsupported/twelve-bits.jpg': /^JPEG of 12 bits is not supported/,
    'unsupported/ls.jpg': /^JPEG-LS is not supported/,
    'unsupported/sixteen.jxl': /^JPEG XL is not supported/,
    'unsupported/moving.jxl': /^JPEG XL is not supported/,
    'unsupported/brand.avif': /^AVIF is not supported/,
    'unsupported/brand.heic': /^HEIC is not supported/,
    'unsupported/zstd.tif': /^TIFF compressed with Zstandard is not supported/,
    'unsupported/film.dcm.gz': /^DICOM compressed with gzip is not supported: unpack it/,
    '../dicom/ct.dcm': /^Its header says modality CT \(computed tomography\), which is no chest radiograph/,
    '../dicom/hand.dcm': /^Its header says body part HAND, which is no chest radiograph/,
    '../dicom/htj2k.dcm': /^DICOM in the transfer syntax 1\.2\.840\.10008\.1\.2\.4\.201 .* is not supported: convert it/,
    '../dicom/signed-open.dcm': /^Its values run from -2008 to 1912, /,
    '../dicom/truncated.dcm': /damaged or incomplete/,
    'unsupported/volume.nii.gz': /^NIfTI compressed with gzip is not supported: convert it/,
    'float-4095.tif': /^Its values run from 40 to 3960, .* such as 0\.\.4095, or save it as PNG/,
    'broken/truncated-film.png': /damaged or incomplete.*Export or copy it again/,
    'broken/truncated-film.jpg': /damaged or incomplete/,
    'broken/truncated-lossy.webp': /damaged or incomplete/,
    'broken/truncated-grey8.tif': /damaged or incomplete/,
    'broken/claims-60000.png': /too many pixels.*Save a copy/,
    'broken/claims-256-megapixels.png': /too many pixels/,
    'broken/one-pixel.png': /too small.*original size/,
  };
  const files = Object.keys(sentences).map(picture);
  const said = await predict(files.map(({ path }) => path));
  for (const [i, expected] of Object.values(sentences).entries()) {
    const answer = await judge(page, files[i]);
    // A decoder may make a film of what is left of a file; then both have to.
    assert.equal(answer.error?.kind, said[i].error?.kind, files[i].name);
    if (said[i].error === null) continue;
    assert.match(await sentence(page), expected, files[i].name);
    assert.equal((await judge(page, picture('film.png'))).result?.refused, null, `after ${files[i].name}`);
    assert.equal(await page.locator('[part=error]').count(), 0);
  }
  assert.deepEqual(complaints, []);
});

test('an empty file is called empty', async () => {
  const answer = await judge(opened.page, { name: 'empty.png', bytes: new Uint8Array() });
  assert.equal(answer.error.kind, 'empty-file');
  assert.match(await sentence(opened.page), /is empty.*copy the image again/);
});

test('a file beyond 64 MiB is refused before it is read', async () => {
  const { page } = opened;
  await page.evaluate(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(64 * 2 ** 20 + 1)], 'huge.png'));
    document.querySelector('xray-classifier').accept(transfer);
  });
  assert.equal((await event(page, 'roentgen-error')).error.kind, 'too-many-bytes');
  assert.match(await sentence(page), /too big.*JPEG or PNG/);
});

test('of several files the first is judged and the element says so, where the page around it does not take them', async () => {
  const { page } = opened;
  await page.goto(`${server.url}embed-example.html`);
  await ready(page);
  await drop(page, [picture('film.jpg'), picture('film.png'), picture('film.tif')]);
  assert.equal((await event(page, 'roentgen-result')).name, 'film.jpg');
  assert.match(await page.locator('.note').innerText(), /2 more files were left out/);
});

test('dropped text is called text', async () => {
  const { page } = opened;
  const transfer = await page.evaluateHandle(() => {
    const transfer = new DataTransfer();
    transfer.setData('text/plain', 'an X-ray');
    return transfer;
  });
  await dropTransfer(page, transfer);
  assert.equal((await event(page, 'roentgen-error')).error.kind, 'no-picture');
  assert.match(await sentence(page), /text or a link.*drop the file/);
});

test('a dropped folder is called a folder there', async () => {
  const { page, context } = opened;
  await page.goto(`${server.url}embed-example.html`);
  await ready(page);
  const folder = mkdtempSync(join(tmpdir(), 'films-'));
  writeFileSync(join(folder, 'film.png'), picture('film.png').bytes);
  // Scripts cannot make a folder's DataTransfer; the browser's own drag can.
  const session = await context.newCDPSession(page);
  const data = { items: [], files: [folder], dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop']) {
    await session.send('Input.dispatchDragEvent', { type, x: 300, y: 300, data });
  }
  assert.equal((await event(page, 'roentgen-error')).error.kind, 'folder');
  assert.match(await sentence(page), /folder.*drop one image/);
  rmSync(folder, { recursive: true });
});

test('a pasted picture is judged; a clipboard without one gets a sentence; a text field keeps its paste', async () => {
  const { page } = opened;
  const paste = (target, bytes) =>
    page.evaluate(
      ([target, base64]) => {
        const clipboardData = new DataTransfer();
        if (base64 === undefined) clipboardData.setData('text/plain', 'film.png');
        else clipboardData.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], 'image.png', { type: 'image/png' }));
        const event = new ClipboardEvent('paste', { clipboardData, bubbles: true, composed: true, cancelable: true });
        document.querySelector(target).dispatchEvent(event);
        return event.defaultPrevented;
      },
      [target, bytes && Buffer.from(bytes).toString('base64')],
    );
  await paste('body', picture('film.png').bytes);
  assert.equal((await event(page, 'roentgen-result')).name, 'image.png');
  await paste('body');
  assert.equal((await event(page, 'roentgen-error')).error.kind, 'no-picture');
  assert.match(await sentence(page), /clipboard holds no picture/);
  await page.evaluate(() => document.body.append(document.createElement('textarea')));
  assert.equal(await paste('textarea'), false);
});
