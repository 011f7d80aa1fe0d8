// What a model's card makes of the page: calibrated probabilities, the answer "uncertain", the audit's verdict, what a
// number is worth where the disease is rare; and the choice of another model.

import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { altered, event, go, judge, launch, model, picture, predict, ready, root, site, watched } from './support.mjs';

const axe = readFileSync(join(root, 'www/node_modules/axe-core/axe.min.js'), 'utf8');

let browser, server;
before(async () => ([browser, server] = await Promise.all([launch(), site()])));
after(() => Promise.all([browser?.close(), server?.close()]));

/** The page with a card that `change` had its way with. */
async function withCard(change) {
  const proxy = await altered(server.url, (path, answer) => {
    if (!path.endsWith('/model.json')) return;
    const card = JSON.parse(answer.body);
    change(card);
    answer.body = Buffer.from(JSON.stringify(card));
  });
  const opened = await watched(browser);
  await opened.page.goto(proxy.url);
  await ready(opened.page);
  // The tables are one click away, in a view of their own.
  await go(opened.page, 'model');
  for (const summary of await opened.page.locator('#model details > summary').all()) await summary.click();
  return { ...opened, close: () => Promise.all([opened.context.close(), proxy.close()]) };
}

/** A share of films with no interval to speak of. */
function share(count, of) {
  return { count, of, value: count / of, interval: [count / of, count / of], interval_by_group: null };
}

const calibration = (temperature) => ({
  temperature,
  films: 100,
  loss_before: 0.5,
  loss_after: 0.4,
  ece_before: 0.08,
  ece_after: 0.02,
});

test('a temperature divides the logits of every probability that is shown', async () => {
  const film = picture('film.png');
  const [{ scores }] = await predict([film.path]);
  let own = 1;
  const { page, close } = await withCard((card) => {
    own = card.calibration?.temperature ?? 1;
    card.calibration = calibration(2);
  });
  const { result } = await judge(page, film);
  // A probability is proportional to exp(logit / temperature), so that another temperature takes a power of it.
  const powers = Object.entries(scores).map(([name, score]) => [name, score ** (own / 2)]);
  const sum = powers.reduce((sum, [, power]) => sum + power, 0);
  for (const [name, power] of powers) {
    const expected = power / sum;
    assert.ok(Math.abs(result.scores[name] - expected) < 1e-3, `${name}: ${result.scores[name]}, not ${expected}`);
  }
  assert.match(await page.locator('#decides').innerText(), /divided by 2\.000, which took .* from 8\.0\s%/);
  await close();
});

test('an answer below the band is called uncertain in words, on the screen and to a screen reader', async () => {
  const { page, close } = await withCard((card) => {
    card.uncertain = { below: 1, for_error: 0.02, validation: { coverage: share(90, 100), error: share(1, 90) } };
    const points = Object.fromEntries(
      card.classes.map((name, i) => [
        name,
        { threshold: i === 0 ? 0 : 1, for_sensitivity: 0.95, validation: { sensitivity: share(95, 100), specificity: null } },
      ]),
    );
    card.operating_points = points;
    // No probability comes near to 1.
    card.calibration = calibration(100);
    delete card.answer;
  });
  await go(page, 'classify');
  const { result } = await judge(page, picture('film.png'));
  assert.equal(result.uncertain, true);
  assert.equal(await page.locator('[part=label]').innerText(), 'Uncertain');
  assert.match(await page.locator('[part=uncertain]').innerText(), new RegExp(`Most probable is ${result.label}, but with`));
  assert.match(await page.locator('[role=status]').first().innerText(), /uncertain\. Most probable is/);
  assert.deepEqual([result.answer, result.called], [null, Object.fromEntries(Object.keys(result.scores).map((name, i) => [name, i === 0]))]);
  assert.doesNotMatch(await page.locator('[part=panel]').innerText(), /operating point/);
  await go(page, 'model');
  assert.match(await page.locator('#decides').innerText(), /answers given at most\s+2\.0\s%/);
  await close();
});

test('the answer is the headline: a class, a group, several, or none, each with what it means', async () => {
  const film = picture('film.png');
  const [{ label, scores }] = await predict([film.path]);
  const [other, third] = Object.keys(scores).filter((name) => name !== label);
  /** The page with a card whose answer to the film is the likeliest class and `also`. */
  const answering = (also, changes = {}) =>
    withCard((card) => {
      const thresholds = Object.fromEntries(card.classes.map((name) => [name, also.includes(name) ? 0 : 1]));
      const validation = {
        ...{ coverage: share(97, 100), by_class: Object.fromEntries(card.classes.map((name) => [name, share(19, 20)])) },
        ...{ by_source: { north: { [label]: share(10, 10) } }, mean_size: 1.25, mean_size_interval: [1.2, 1.3] },
        ...{ single: share(75, 100), single_right: share(72, 75), cannot_tell: share(3, 100), answered: share(95, 97) },
      };
      const typical = card.classes.map((_, i) => card.classes.map((_, j) => (i === j ? 1 : 0)));
      card.answer = { coverage: 0.96, healthy: null, typical, thresholds, validation, ...changes.answer };
      card.groups = changes.groups ?? {};
      card.metrics = [];
      card.summary = ['It is right here.', 'It is wrong there.', 'Adapt it there.'];
    });
  for (const [also, changes, text, says, meaning] of [
    [[], {}, label, 1, /^No other class fits this image\. Of 75 such answers, 96\.0\s% were right\.$/],
    [[other], {}, undefined, 2, /^This image fits .* and .*; the model cannot tell which it is\.$/],
    [[other], { groups: { 'Either of the two': [other, label] } }, 'Either of the two', 2, /^This image fits/],
    [[other, third], { answer: { healthy: label } }, 'Cannot tell', 0, /^This image fits .*, .* and .*; the model cannot tell/],
  ]) {
    const { page, complaints, close } = await answering(also, changes);
    await go(page, 'classify');
    const { answer } = (await judge(page, film)).result;
    const shown = await page.locator('[part=label]').innerText();
    assert.equal(shown, answer.text);
    if (text !== undefined) assert.equal(shown, text);
    else assert.ok([`${label} or ${other}`, `${other} or ${label}`].includes(shown), shown);
    assert.deepEqual([answer.classes.length, answer.set.length], [says, also.length + 1]);
    assert.match(await page.locator('[part=meaning]').innerText(), meaning);
    assert.equal(await page.locator('[part=scores] li').count(), Object.keys(scores).length);
    const said = await page.locator('[role=status]').first().innerText();
    assert.match(said, shown === label ? new RegExp(`: ${label}, `) : /\. Most probable is /);
    await go(page, 'model');
    assert.equal(await page.locator('#summary li').count(), 3);
    const table = page.getByRole('region', { name: 'The answer, a set of classes' });
    assert.match(await table.innerText(), /is one class\s+75\.0\s% \(75\.0[\s\S]*on average\s+1\.25/);
    assert.deepEqual(complaints, []);
    await close();
  }
});

test('the slider turns sensitivity and specificity into predictive values', async () => {
  // Wikipedia, "Sensitivity and specificity": 20 of 30 with the disease and 1,820 of 2,000 without it are called rightly;
  // where 30 of 2,030 have it, the positive predictive value is 10 %, the negative one 99.5 %.
  const { page, close } = await withCard((card) => {
    const { classes } = card;
    const rates = { n: 10, sensitivity: 0.9, sensitivity_interval: [0.8, 0.95], specificity: 0.8, specificity_interval: [0.7, 0.9] };
    const evaluation = {
      ...{ n: 2030, loss: 0.3, accuracy: 0.9, accuracy_interval: [0.88, 0.92], balanced_accuracy: 0.8, classes },
      auroc: Object.fromEntries(classes.map((name) => [name, 0.9])),
      confusion: classes.map(() => classes.map(() => 0)),
      per_class: Object.fromEntries(classes.map((name) => [name, rates])),
      operating_points: { 'COVID-19': { sensitivity: share(20, 30), specificity: share(1820, 2000) } },
    };
    card.metrics = [{ data: 'the worked example', split: 'test', evaluation }];
  });
  const slider = page.locator('#prevalence');
  const said = () => page.locator('#predictive').innerText();
  // The scale is logarithmic, from 0.1 to 50 per cent in 100 steps.
  const step = Math.round((100 * Math.log(30 / 2030 / 0.001)) / Math.log(500));
  await slider.fill(String(step));
  const worked = await said();
  assert.match(worked, /of 100 positive answers, 10 would be right: PPV (9\.\d|10\.\d)\s%/);
  assert.match(worked, /of 100 negative answers, (99|more than 99) would be right: NPV 99\.[45]\s%/);
  await slider.fill('0');
  assert.match(await said(), /0\.1\s%.*1 in 1,000/);
  await slider.press('End');
  assert.match(await said(), /50\.0\s%/);
  assert.match(await slider.getAttribute('aria-valuetext'), /^50\.0\s% \(500 in 1,000\)$/);
  // The other class has no operating point there: how it does as the most probable one.
  await page.locator('#finding').selectOption('Normal');
  assert.match(await said(), /as the most probable class/);
  await close();
});

test('a model that works without lungs is labelled so, and axe finds nothing on the whole card', async () => {
  const view = (balanced_accuracy, auroc) => ({
    accuracy: share(80, 100),
    balanced_accuracy,
    balanced_accuracy_interval: null,
    within_source: [{ source: 'adults', classes: ['COVID-19', 'Normal'], films: [50, 50], auroc, auroc_interval: [0.8, 0.9] }],
  });
  const { page, complaints, close } = await withCard((card) => {
    card.audit = {
      data: '100 films of the test split',
      films: 100,
      chance: 0.5,
      lungs: { made_from: 'a mean', area: 0.59, covers: 0.975 },
      views: { 'the whole film': view(0.95, 0.97), 'lungs masked out': view(0.9, 0.91) },
      probes: [
        { class: 'Normal', sources: ['a', 'b'], fitted_on: 30, films: 40, auroc: 0.99, auroc_interval: null, balanced_accuracy: 0.9, auroc_of_pixels: 0.8 },
      ],
      heat: [
        { class: 'COVID-19', drawn: false, films: 1234, share: 0.71, share_interval: [0.7, 0.72], area: 0.59 },
        { class: null, drawn: true, films: 41, share: 0.5, share_interval: null, area: 0.31 },
      ],
      works_without_lungs: true,
      rule: 'It keeps more than half.',
    };
    card.misuse = ['Deciding who is treated.'];
    card.data = {
      sources: [{ name: 'adults', description: 'A hospital.', licence: 'CC0' }],
      split: 'By patient.',
      counts: [{ split: 'test', class: 'Normal', source: 'adults', films: 1234 }],
      confounders: ['Age.'],
    };
    card.ablation = [
      { measure: 'without <b>anything</b>', results: { accuracy: '90 %' } },
      { measure: 'elsewhere', results: { AUROC: '0.7' } },
    ];
  });
  assert.match(await page.locator('#audit').innerText(), /^This model still works with the lungs masked out/);
  const heat = page.getByRole('region', { name: 'Heat maps' }).locator('tbody tr');
  assert.match(await heat.nth(0).innerText(), /^COVID-19\s+1,234\s+71\.0\s% \(70\.0\D+72\.0\s%\)\s+59\.0\s%$/);
  assert.match(await heat.nth(1).innerText(), /^all of them, its own lungs as drawn\s+41\s+50\.0\s%\s+31\.0\s%$/);
  assert.match(await page.locator('#audit').innerText(), /No share inside the lungs can show that the lungs were what decided/);
  await go(page, 'classify');
  const film = await judge(page, picture('film.png'));
  assert.equal(film.error, undefined);
  assert.match(await page.locator('[part=panel]').innerText(), /still works with the lungs masked out/);
  await go(page, 'model');
  assert.match(await page.locator('#made').innerText(), /1,234[\s\S]*Age\.[\s\S]*without <b>anything<\/b>/);
  // Lines that have nothing in common are no one table.
  assert.deepEqual(await page.getByRole('region', { name: /^What was tried/ }).allInnerTexts(), [
    'Measure\taccuracy\nwithout <b>anything</b>\t90 %',
    'Measure\tAUROC\nelsewhere\t0.7',
  ]);
  assert.match(await page.locator('#lacks').innerText(), /must not be used for:\s+Deciding who is treated\./);
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  assert.deepEqual(violations.map(({ id }) => id), []);
  assert.deepEqual(complaints, []);
  await close();
});

test('a card without any of it says what is not known', async () => {
  const { page, close } = await withCard((card) => {
    for (const field of ['audit', 'data', 'ablation', 'calibration', 'operating_points', 'uncertain', 'answer', 'misuse']) delete card[field];
    card.metrics = [];
  });
  assert.equal(await page.locator('#audit-section').isVisible(), false);
  assert.match(await page.locator('#meaning').innerText(), /do\s+not read it as a probability[\s\S]*was not measured/);
  assert.equal((await judge(page, picture('film.png'))).result.uncertain, false);
  await close();
});

test('the picker opens a model at an address, and one in a folder', async () => {
  const { context, page, complaints } = await watched(browser);
  await page.goto(`${server.url}#/model`);
  await ready(page);
  const picker = page.locator('#picker');
  await picker.locator('select').selectOption({ label: 'At an address…' });
  const address = picker.locator('[name=address]');
  await address.fill('https://elsewhere.example/model/');
  await address.press('Enter');
  assert.match(await picker.locator('.said').innerText(), /may ask no site but its own/);
  await address.fill('models/scratch-cnn');
  await address.press('Enter');
  await event(page, 'roentgen-ready', 1);
  assert.match(await picker.locator('.said').innerText(), /^In use: .*version/);

  const folder = mkdtempSync(join(tmpdir(), 'roentgen-'));
  try {
    cpSync(model, folder, { recursive: true });
    const card = JSON.parse(readFileSync(join(folder, 'model.json'), 'utf8'));
    writeFileSync(join(folder, 'model.json'), JSON.stringify({ ...card, name: 'My own' }));
    await picker.locator('select').selectOption({ label: 'A folder of mine…' });
    await picker.locator('[type=file]').setInputFiles(folder);
    const { card: opened } = await event(page, 'roentgen-ready', 2);
    assert.equal(opened.name, 'My own');
    assert.match(await picker.locator('.said').innerText(), /^In use: My own/);
    assert.equal((await judge(page, picture('film.png'))).error, undefined);

    rmSync(join(folder, card.weights.file));
    await picker.locator('[type=file]').setInputFiles(folder);
    await picker.locator('.said').filter({ hasText: `has no ${card.weights.file}` }).waitFor();
    rmSync(join(folder, 'model.json'));
    await picker.locator('[type=file]').setInputFiles(folder);
    await picker.locator('.said').filter({ hasText: 'no model.json in this folder' }).waitFor();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  // Back to the site's own.
  await picker.locator('select').selectOption({ label: 'The scratch CNN' });
  const { card } = await event(page, 'roentgen-ready', 3);
  assert.equal(card.id, 'scratch-cnn');
  assert.deepEqual(complaints, []);
  await context.close();
});
