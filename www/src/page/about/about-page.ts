/** The view that says what this is not, where images go, and whose work is in it. */

import { html, render, type TemplateResult } from 'lit';

export function showAbout(root: HTMLElement): void {
  render(about(), root);
}

function about(): TemplateResult {
  return html`
    <section aria-labelledby="not-title">
      <h2 id="not-title">Not a medical device</h2>
      <div class="text">
        <p>
          Roentgen is for research and teaching. It is not approved for any clinical use. Do not diagnose, treat or reassure anyone
          by what it says; ask a physician.
        </p>
        <p>How often the model is right, and where it is not, is under <a href="#/model">Model</a>.</p>
      </div>
    </section>

    <section aria-labelledby="private-title">
      <h2 id="private-title">No image leaves this device</h2>
      <div class="text">
        <p>The network comes to the image, not the image to the network. You need not take our word for it:</p>
        <ul>
          <li>The page’s Content-Security-Policy, which your browser enforces, forbids it to contact any other site.</li>
          <li>
            Once the model has loaded, classifying images asks for nothing more: watch the network tab of your browser’s developer
            tools, or cut the connection and go on working.
          </li>
          <li>
            Images that are classified are held in this tab’s memory only. Closing it, or the next image, forgets them. Images to
            train on stay in this browser, so that a run can be gone on with, until you tell it to forget them.
          </li>
          <li>Files that you save name the images by their file names. They hold nothing else about a patient.</li>
        </ul>
      </div>
    </section>

    <section aria-labelledby="licences-title">
      <h2 id="licences-title">Licences</h2>
      <div class="text">
        <p>Roentgen may be used under the MIT licence or the Apache licence 2.0, whichever you choose.</p>
        <ul>
          <li>The weights of each model have a licence of their own, which its card says under <a href="#/model">Model</a>.</li>
          <li>
            The sample images to train on are chest X-rays of children from Guangzhou, of Kermany, Zhang and Goldbaum,
            <a href="https://doi.org/10.17632/rscbjbr9sj.2">Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for
            Classification</a> (Mendeley Data, V2, 2018), under
            <a href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a>. They were chosen by chance, made grey and reduced to 128 ×
            128 pixels.
          </li>
          <li>
            The libraries in this page and their licences:
            <a href="./third-party-licences.txt">third-party-licences.txt</a>.
          </li>
        </ul>
      </div>
    </section>
  `;
}
