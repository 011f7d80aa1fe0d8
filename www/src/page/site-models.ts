/** The models that the site comes with: the addresses of their folders, and what they are called in lists. */
export const SITE_MODELS: readonly (readonly [address: string, name: string])[] = [
  ['models/four-findings/', 'Four findings'],
  ['models/scratch-cnn/', 'The scratch CNN'],
];
