/**
 * Everything that can go wrong, one class a kind. The kinds of the Rust core keep their names (`Error::kind()`); the rest
 * belong to the page. `message` is a sentence for whoever sits in front of it and says what to do; `detail` is the
 * technical cause, with its numbers.
 */

import type { Unreadable } from './train-types';
import type { ValueRange } from './types';

/** Base of all errors of this package: `kind` tells them apart, also where `instanceof` does not reach. */
export class RoentgenError extends Error {
  constructor(
    /** Stable, kebab case. */
    readonly kind: string,
    message: string,
    /** The technical cause; empty when `message` says it all. */
    readonly detail = '',
  ) {
    super(message);
    this.name = new.target.name;
  }

  /** Whether doing the same again can help: the connection failed, not the film or the model. */
  get retryable(): boolean {
    return false;
  }
}

/** The file is no picture, or of a format that nobody here knows. */
export class UnknownFormatError extends RoentgenError {
  constructor(detail = '') {
    super(
      'unknown-format',
      'This file is not a picture that can be read here. Export the image as DICOM, PNG, JPEG, TIFF, WebP, BMP or GIF and try that file.',
      detail,
    );
  }
}

/** The format is known, and not read here; the message says which it is and what to do. */
export class UnsupportedFormatError extends RoentgenError {
  constructor(detail = '') {
    super('unsupported-format', sentence(detail));
  }
}

/** Nobody says which of the file's values are black and white; `valueRange` of `classify` would. */
export class ValueRangeError extends RoentgenError {
  constructor(
    detail = '',
    /** What `valueRange` may be. */
    readonly range?: ValueRange | undefined,
  ) {
    super('value-range', sentence(detail));
  }
}

/** The file's header says that it shows something else than a chest. */
export class NotChestError extends RoentgenError {
  constructor(detail = '') {
    super('not-chest', sentence(detail));
  }
}

function sentence(detail: string): string {
  return `${detail.charAt(0).toUpperCase()}${detail.slice(1)}.`;
}

/** The picture breaks the rules of its format or ends early. */
export class DamagedError extends RoentgenError {
  constructor(detail = '') {
    super('damaged', 'This picture is damaged or incomplete. Export or copy it again and try the new file.', detail);
  }
}

/** More pixels than is safe to open in a browser tab. */
export class TooLargeError extends RoentgenError {
  constructor(detail = '') {
    super('too-large', 'This picture has too many pixels. Save a copy with at most 4,000 pixels a side and try that.', detail);
  }
}

/** More bytes than are read. */
export class TooManyBytesError extends RoentgenError {
  constructor(detail = '') {
    super('too-many-bytes', 'This file is too big. Save the image as JPEG or PNG and try that file.', detail);
  }
}

/** Too few pixels to judge. */
export class TooSmallError extends RoentgenError {
  constructor(detail = '') {
    super('too-small', 'This picture is too small to classify. Use the image in its original size, not a thumbnail.', detail);
  }
}

/** The file has no bytes. */
export class EmptyFileError extends RoentgenError {
  constructor() {
    super('empty-file', 'This file is empty. Export or copy the image again and try the new file.');
  }
}

/** The file vanished or may not be read. */
export class UnreadableFileError extends RoentgenError {
  constructor(detail = '') {
    super('unreadable-file', 'The browser could not read this file. Check that it is still there and choose it again.', detail);
  }
}

/** A folder was dropped. */
export class FolderError extends RoentgenError {
  constructor() {
    super('folder', 'This is a folder. Open it and drop one image from inside.');
  }
}

/** Something was dropped or pasted that holds no file: text, a link; or a program gave what is no image. */
export class NoPictureError extends RoentgenError {
  constructor(how: 'drop' | 'paste' | 'call') {
    super(
      'no-picture',
      {
        drop: 'What you dropped is text or a link, not a file. Save the picture first, then drop the file.',
        paste: 'The clipboard holds no picture. Copy the picture itself, not its name or address, and paste again.',
        call: 'This is no image. Give a Blob, ImageData, HTMLCanvasElement, OffscreenCanvas, ImageBitmap, HTMLImageElement or VideoFrame.',
      }[how],
    );
  }
}

/** Why a canvas, an image or a frame has no pixels to give. */
export type Failing = 'empty' | 'closed' | 'loading' | 'foreign';

/** A canvas, an image or a frame that a program gave has no pixels, or the browser keeps them back. */
export class NoPixelsError extends RoentgenError {
  constructor(failing: Failing, detail = '') {
    super(
      'no-pixels',
      {
        empty: 'This canvas has no pixels. Give it a width and a height, and draw the image on it first.',
        closed: 'The pixels of this image are gone. Give it before it is closed or moved to a worker.',
        loading: 'This image is not loaded. Check its address, and wait for its decode() first.',
        foreign:
          'The browser keeps the pixels of this image back, for it is from another site. Load it with crossorigin="anonymous" from a server that allows this, or from this site.',
      }[failing],
      detail,
    );
  }
}

/** Files were given of which none is an image. */
export class NoImagesError extends RoentgenError {
  constructor(detail = '') {
    super('no-images', 'None of these files is an image. Give images, or a folder or a zip with images in it.', detail);
  }
}

/** The element has no `model` attribute. */
export class NoModelError extends RoentgenError {
  constructor() {
    super(
      'no-model',
      'No model is named. Give the element a model attribute with the address of a model folder, such as model="models/scratch-cnn/".',
    );
  }
}

/** A file of the classifier could not be fetched. */
export class NetworkError extends RoentgenError {
  constructor(
    readonly url: string,
    /** HTTP status, or undefined when no answer came or it broke off. */
    readonly status: number | undefined,
    detail = '',
  ) {
    super(
      'network',
      status === undefined
        ? `The connection failed while loading ${url}. Check the network, then try again.`
        : status === 404
          ? `Nothing was found at ${url} (404). Check the address of the model, then try again.`
          : `The server answered ${status} for ${url}. Wait a moment, then try again.`,
      detail,
    );
  }

  override get retryable(): boolean {
    return true;
  }
}

/** The weights are not those that the model card describes. */
export class WeightsMismatchError extends RoentgenError {
  constructor(detail = '') {
    super(
      'weights-mismatch',
      'The downloaded weights are not the ones this model was published with: they were altered or cut short on the way. Nothing will be classified with them. Try again; if it happens again, tell whoever runs this site.',
      detail,
    );
  }

  // A download that was cut short comes through the next time.
  override get retryable(): boolean {
    return true;
  }
}

/** `model.json` or the weights make no sense to this version. */
export class ModelError extends RoentgenError {
  constructor(kind: string, detail = '') {
    super(kind, 'This model cannot be used: its files do not fit this version of the classifier. Tell whoever runs this site.', detail);
  }
}

/** A class was asked about that the model does not have. */
export class UnknownClassError extends RoentgenError {
  constructor(detail = '') {
    super('unknown-class', 'This model does not tell that class apart. Ask for one of the classes on its card.', detail);
  }
}

/** The page around the element does not let its worker, whose script lies at `script` on another origin, start. */
export class WorkerBlockedError extends RoentgenError {
  constructor(script: URL) {
    super(
      'worker-blocked',
      `This site does not let the classifier start its worker. Serve its files from this site, or allow worker-src blob: ${script.origin} in the site’s Content-Security-Policy.`,
      script.href,
    );
  }
}

/** The browser cannot run the WebAssembly module. */
export class UnsupportedBrowserError extends RoentgenError {
  constructor(detail = '') {
    super(
      'unsupported-browser',
      'This browser is too old for the classifier. Update it, or use a current Chrome, Edge, Firefox or Safari.',
      detail,
    );
  }
}

/** The films cannot be trained on. */
export class DataSetError extends RoentgenError {
  constructor(
    detail = '',
    /** The files that could not be read, where that is why. */
    readonly unreadable: Unreadable[] = [],
  ) {
    super('dataset', `These images cannot be used as they are: ${detail.replace(/^data set: /, '')}.`);
  }
}

/** A zip is none, or cannot be read. */
export class ArchiveError extends RoentgenError {
  constructor(detail = '') {
    super('archive', `${detail}.`);
  }
}

/** A setting of a training run makes no sense. */
export class SettingsError extends RoentgenError {
  constructor(detail = '') {
    super('settings', sentence(detail));
  }
}

/** The loss is no number any more. */
export class DivergedError extends RoentgenError {
  constructor(detail = '') {
    super('diverged', 'Training broke down: the loss is no number any more. Try a learning rate ten times smaller.', detail);
  }
}

/** A checkpoint that cannot be gone on from. */
export class CheckpointError extends RoentgenError {
  constructor(detail = '') {
    super('checkpoint', 'The earlier run cannot be gone on with. Begin a new one.', detail);
  }
}

/** Another tab trains with what is kept under the same name. */
export class BusyError extends RoentgenError {
  constructor() {
    super('busy', 'Another tab of this site has the training open. Go on there, or close it and try again.');
  }

  override get retryable(): boolean {
    return true;
  }
}

/** Nothing has been trained yet. */
export class NoTrainedModelError extends RoentgenError {
  constructor() {
    super('no-trained-model', 'There is no trained model yet: it comes with the end of the first epoch.');
  }
}

/** A bug of ours, or memory ran out. The worker is started anew for the next film. */
export class InternalError extends RoentgenError {
  constructor(detail = '') {
    super(
      'internal',
      'The classifier stopped unexpectedly, perhaps for lack of memory. Close other tabs and try again, or try a smaller copy of the image.',
      detail,
    );
  }

  override get retryable(): boolean {
    return true;
  }
}

/** An error as it crosses from the worker: structured clone would keep the message only. */
export interface Failure {
  kind: string;
  detail: string;
  url?: string | undefined;
  status?: number | undefined;
  unreadable?: Unreadable[] | undefined;
  range?: ValueRange | undefined;
}

/** The error of its kind. A kind this version does not know is an {@link InternalError}. */
export function errorOf({ kind, detail, url, status, unreadable, range }: Failure): RoentgenError {
  switch (kind) {
    case 'unknown-format':
      return new UnknownFormatError(detail);
    case 'unsupported-format':
      return new UnsupportedFormatError(detail);
    case 'value-range':
      return new ValueRangeError(detail, range);
    case 'not-chest':
      return new NotChestError(detail);
    case 'damaged':
      return new DamagedError(detail);
    case 'too-large':
    case 'too-many-pixels':
      return new TooLargeError(detail);
    case 'too-many-bytes':
      return new TooManyBytesError(detail);
    case 'too-small':
      return new TooSmallError(detail);
    case 'unknown-class':
      return new UnknownClassError(detail);
    case 'empty-file':
      return new EmptyFileError();
    case 'unreadable-file':
      return new UnreadableFileError(detail);
    case 'network':
      return new NetworkError(url ?? '', status, detail);
    case 'weights-mismatch':
      return new WeightsMismatchError(detail);
    case 'model-card':
    case 'unknown-architecture':
    case 'weights':
    case 'tensor-missing':
    case 'tensor-shape':
    case 'config':
      return new ModelError(kind, detail);
    case 'dataset':
      return new DataSetError(detail, unreadable);
    case 'archive':
      return new ArchiveError(detail);
    case 'settings':
      return new SettingsError(detail);
    case 'diverged':
      return new DivergedError(detail);
    case 'checkpoint':
      return new CheckpointError(detail);
    case 'busy':
      return new BusyError();
    case 'no-trained-model':
      return new NoTrainedModelError();
    case 'unsupported-browser':
      return new UnsupportedBrowserError(detail);
    default:
      return new InternalError(`${kind}: ${detail}`);
  }
}

/** Whether `reason` is what an AbortSignal threw: not an error, the caller wanted it. */
export function isAbort(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === 'AbortError';
}
