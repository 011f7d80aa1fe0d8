/** The fields of the recipe, and the settings that they stand for. */

import { SettingsError } from './errors';
import type { Settings, Trainer } from './train';
import type { Fields } from './train-state';

/** What the fields say where nobody has changed them: the recipe, taken over when the trainer is there. */
export const FIELDS: Fields = {
  epochs: '10',
  steps: '100',
  batch: '5',
  optimizer: 'adam',
  rate: '0.0001',
  momentum: '0.9',
  augment: '0',
  balance: 'none',
  patience: '0',
  seed: '0',
};

/** The fields as settings have them; those of which they say nothing stay as they are in `fields`. */
export function fieldsOf(settings: Settings, fields: Fields): Fields {
  const { optimizer, augment } = settings;
  return {
    ...fields,
    epochs: String(settings.epochs),
    steps: String(settings.steps_per_epoch),
    batch: String(settings.batch_size),
    optimizer: optimizer.kind,
    momentum: optimizer.kind === 'sgd' ? String(optimizer.momentum) : fields.momentum,
    rate: String(settings.learning_rate),
    augment: String(Math.round(augment.rotate_degrees * 10) / 100),
    balance: settings.balance === 'none' ? 'none' : 'classes',
    seed: String(settings.seed),
  };
}

/**
 * The settings that the fields ask for.
 *
 * @throws {@link SettingsError} that names the field
 */
export async function settingsOf(fields: Fields, trainer: Trainer): Promise<Partial<Settings>> {
  const number = (field: keyof Fields, name: string, whole = false): number => {
    const value = fields[field].trim() === '' ? NaN : Number(fields[field]);
    if (!Number.isFinite(value)) throw new SettingsError(`${name} must be a number`);
    if (whole && (!Number.isInteger(value) || value < 0)) throw new SettingsError(`${name} must be a whole number`);
    return value;
  };
  number('patience', 'early stopping patience', true);
  return {
    epochs: number('epochs', 'epochs', true),
    steps_per_epoch: number('steps', 'steps per epoch', true),
    batch_size: number('batch', 'batch size', true),
    optimizer: fields.optimizer === 'sgd' ? { kind: 'sgd', momentum: number('momentum', 'momentum') } : trainer.recipe.optimizer,
    learning_rate: number('rate', 'learning rate'),
    augment: await trainer.augmentation(number('augment', 'augmentation')),
    balance: fields.balance,
    seed: number('seed', 'seed', true),
  };
}
