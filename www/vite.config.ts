/**
 * Three builds: the static site in `../dist` (default), the npm package in `lib` (`--mode package`), and the folder that the
 * browser's bench serves (`--mode bench`).
 *
 * The site works in any folder of any static host: every address in it is relative, and `roentgen.js`, the script that
 * other sites embed, has a stable name.
 */

import { cpSync, existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { defineConfig, type Plugin, type UserConfig } from 'vite';
import { csp } from './csp.mjs';

const here = import.meta.dirname;
const policy = `<meta http-equiv="Content-Security-Policy" content="${csp}" />`;

/** Holds every built page to the policy, also where the host sends no header. */
function contentSecurityPolicy(): Plugin {
  return {
    name: 'content-security-policy',
    apply: 'build',
    // In front of everything the policy is about.
    transformIndexHtml: (html) => html.replace(/<meta charset="utf-8"\s*\/?>/, (charset) => `${charset}\n    ${policy}`),
  };
}

/** Adds what is served as it is: the examples, whose script's address must not change, and the models. */
function plainFiles(outDir: string): Plugin {
  return {
    name: 'plain-files',
    apply: 'build',
    generateBundle() {
      for (const fileName of ['embed-example.html', 'train-example.html']) {
        const source = readFileSync(resolve(here, fileName), 'utf8');
        const withPolicy = source.replace('<meta charset="utf-8" />', (charset) => `${charset}\n    ${policy}`);
        this.emitFile({ type: 'asset', fileName, source: withPolicy });
      }
    },
    closeBundle() {
      const models = resolve(here, 'models');
      if (existsSync(models)) cpSync(models, resolve(outDir, 'models'), { recursive: true });
      else this.warn('www/models is missing: the page will find no model');
    },
  };
}

/** The licences of what is bundled: minifying takes the notices out that they ask to keep. */
function licences(): Plugin {
  const bundled = [
    ...['comlink', 'fflate', 'idb', 'lit', 'lit-html', 'lit-element', '@lit/reactive-element', 'uplot'],
    'wasm-feature-detect',
  ];
  return {
    name: 'licences',
    apply: 'build',
    generateBundle() {
      const texts = bundled.map((name) => `${name}\n\n${readFileSync(resolve(here, 'node_modules', name, 'LICENSE'), 'utf8')}`);
      this.emitFile({ type: 'asset', fileName: 'third-party-licences.txt', source: texts.join('\n\n') });
    },
  };
}

const shared = {
  target: 'es2022',
  emptyOutDir: true,
  // `data:` addresses are no file: the policy's connect-src does not allow them, and base64 is a third longer.
  assetsInlineLimit: 0,
} as const;

/** By name scripts/size-budget.mjs tells what is for the tab that trains. fflate's own file is called `browser`. */
const chunkFileNames = ({ name }: { name: string }) => `assets/${name === 'browser' ? 'train-zip' : name}-[hash].js`;

function site(): UserConfig {
  const outDir = resolve(here, '../dist');
  return {
    plugins: [contentSecurityPolicy(), plainFiles(outDir), licences()],
    build: {
      ...shared,
      outDir,
      modulePreload: { polyfill: false },
      rolldownOptions: {
        input: { index: resolve(here, 'index.html'), roentgen: resolve(here, 'src/define.ts') },
        // The page's script takes what it shares with roentgen.js from there: one file, one copy of everything.
        preserveEntrySignatures: 'allow-extension',
        output: {
          entryFileNames: ({ name }) => (name === 'roentgen' ? 'roentgen.js' : 'assets/[name]-[hash].js'),
          chunkFileNames,
        },
      },
    },
  };
}

function npmPackage(): UserConfig {
  return {
    publicDir: false,
    plugins: [licences()],
    build: {
      ...shared,
      outDir: resolve(here, 'lib'),
      // Not Vite's library mode, which puts the module into the worker as base64.
      rolldownOptions: {
        input: { index: resolve(here, 'src/index.ts'), element: resolve(here, 'src/define.ts') },
        preserveEntrySignatures: 'strict',
        output: { entryFileNames: '[name].js' },
      },
    },
  };
}

function bench(): UserConfig {
  return {
    publicDir: false,
    build: {
      ...shared,
      outDir: resolve(here, '../target/bench/web'),
      rolldownOptions: {
        input: { subject: resolve(here, '../benches/web/subject.mjs') },
        preserveEntrySignatures: 'strict',
        output: { entryFileNames: '[name].mjs' },
      },
    },
  };
}

export default defineConfig(({ mode }) => ({
  root: here,
  // Relative to whatever folder of whatever host the files end up in.
  base: './',
  worker: {
    format: 'es',
    rolldownOptions: { output: { entryFileNames: 'assets/[name]-[hash].js', chunkFileNames } },
  },
  ...(mode === 'package' ? npmPackage() : mode === 'bench' ? bench() : site()),
}));
