// Training from code: films from a field, reports as they come, and the model as two files. What `createTrainer` takes
// and gives is in the package's README and in its types.
import { createTrainer } from './roentgen.js';

const [field, epochs] = document.querySelectorAll('input');
const [train, stop] = document.querySelectorAll('button');
const log = document.querySelector('pre');
const say = (line) => log.append(`${line}\n`);

let controller = new AbortController();
field.addEventListener('change', () => (train.disabled = field.files.length === 0));
stop.addEventListener('click', () => controller.abort());
train.addEventListener('click', async () => {
  controller = new AbortController();
  [train.disabled, stop.disabled] = [true, false];
  log.textContent = '';
  let trainer;
  try {
    trainer = await createTrainer({ architecture: 'scratch-cnn', seed: 1, signal: controller.signal });
    say(`${trainer.architecture.parameters} parameters, ${trainer.runtime.threads} thread(s)`);
    const files = [...field.files].map((file) => ({ path: file.webkitRelativePath, file }));
    const data = await trainer.read(files, { signal: controller.signal });
    const { classes, train: counts } = data.report;
    say(classes.map((name, i) => `${counts[i]} films of ${name}`).join(', '));
    const wanted = { epochs: Number(epochs.value), steps_per_epoch: 20, signal: controller.signal };
    for await (const report of trainer.fit(data, wanted)) {
      if (report.type === 'epoch') say(`epoch ${report.epoch}: ${report.validation.accuracy} right in validation`);
    }
    if (data.report.test.some((count) => count > 0)) {
      const { evaluation } = await trainer.evaluate(data);
      say(`${evaluation.accuracy} right of ${evaluation.n} test films`);
    }
    const { weights } = await trainer.save();
    say(`the model: model.json, and weights of ${weights.size} bytes`);
  } catch (error) {
    say(error.message);
  } finally {
    trainer?.close();
    [train.disabled, stop.disabled] = [false, true];
  }
});
