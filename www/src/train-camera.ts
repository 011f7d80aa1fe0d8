/** The camera as a source of films: a light box and a webcam are all that some have. */

import { SettingsError } from './errors';

/** A camera that is on. */
export class Camera {
  private constructor(private readonly stream: MediaStream) {}

  /**
   * Turns the camera on, the one on the back where there are two.
   *
   * @throws SettingsError with a sentence that says what to do
   */
  static async on(): Promise<Camera> {
    try {
      // Absent outside of secure contexts.
      if (navigator.mediaDevices === undefined) throw new DOMException('', 'NotFoundError');
      return new Camera(await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment', width: { ideal: 1280 } }, audio: false }));
    } catch (cause) {
      throw new SettingsError(refusal(cause));
    }
  }

  /** Shows what it sees. */
  async show(video: HTMLVideoElement): Promise<void> {
    video.srcObject = this.stream;
    await video.play();
  }

  /** What it sees now, as a file called `name`. */
  async take(video: HTMLVideoElement, name: string): Promise<File> {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext('2d')?.drawImage(video, 0, 0);
    return new File([await canvas.convertToBlob({ type: 'image/png' })], name, { type: 'image/png' });
  }

  off(): void {
    for (const track of this.stream.getTracks()) track.stop();
  }
}

function refusal(cause: unknown): string {
  switch (cause instanceof DOMException ? cause.name : '') {
    case 'NotAllowedError':
      return 'the camera may not be used; allow it for this site beside its address, or pick files instead';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'there is no camera here; pick files instead';
    case 'NotReadableError':
      return 'another program has the camera; close it, or pick files instead';
    default:
      return `the camera does not start (${String(cause)}); pick files instead`;
  }
}
