// Serves a folder of static files on 127.0.0.1 with the headers the page is meant to have: used by `./build.sh serve`
// and by the page tests, so that both see the same site. Plain node, no dependency.
//
//   node www/server.mjs --root dist [--port 8080]
//
// Guarantees: only GET and HEAD; only regular files under the root; a model's weights arrive byte for byte as stored
// (`.gz` carries no Content-Encoding: the page checks the SHA-256 of the stored bytes, then unpacks them itself).

import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { csp } from './csp.mjs';

const HOST = '127.0.0.1';
const FIRST_PORT = 8080;
// How many ports are tried, from the first one, when none was asked for.
const PORTS_TRIED = 100;

// A type that the browser would have to guess is not guessed (`nosniff`): what is missing here is a download.
const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.gif': 'image/gif',
  '.gz': 'application/gzip',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.jpg': 'image/jpeg',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.safetensors': 'application/octet-stream',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json; charset=utf-8',
  '.webp': 'image/webp',
  '.zip': 'application/zip',
};

const HEADERS = {
  'Content-Security-Policy': csp,
  // The first two isolate the page, which shared memory asks for; the third lets an isolated page load these files.
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  // A developer who builds again must see the new files.
  'Cache-Control': 'no-cache',
};

/** Thrown when the port asked for is in use. */
export class PortBusy extends Error {}

/**
 * Serves the folder `root`; resolves once it listens.
 *
 * @param {{root: string, port?: number}} options `port` undefined: the first free one from 8080; 0: any free one
 * @returns {Promise<{url: string, port: number, close: () => Promise<void>}>} `url` ends in a slash
 * @throws {PortBusy} when `port` was given and is in use, or none of those tried is free
 */
export async function serve({ root, port }) {
  // Links are resolved on both sides, so that a link out of the root is caught by comparing paths.
  const base = await realpath(root);
  const server = createServer((request, response) => {
    answer(base, request, response).catch((error) => {
      console.error(`${request.method} ${request.url}: ${error.message}`);
      if (response.headersSent) response.destroy();
      else refuse(response, 500, 'the server failed to read this file');
    });
  });
  const bound = port === undefined ? await listenOnFirstFree(server) : await listen(server, port);
  return {
    url: `http://${HOST}:${bound}/`,
    port: bound,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        // Browsers keep connections open; a test that closes the server does not wait for them.
        server.closeAllConnections();
      }),
  };
}

async function answer(base, request, response) {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    return refuse(response, 405, 'only GET and HEAD are served');
  }
  const file = await locate(base, request.url);
  if (file === undefined) return refuse(response, 404, 'not found');
  if (file.redirect !== undefined) {
    response.writeHead(301, { ...HEADERS, Location: file.redirect });
    return response.end();
  }
  const type = TYPES[extname(file.path).toLowerCase()] ?? 'application/octet-stream';
  response.writeHead(200, { ...HEADERS, 'Content-Type': type, 'Content-Length': file.bytes });
  if (request.method === 'HEAD') return response.end();
  const stream = createReadStream(file.path);
  // A file cut short or taken away meanwhile: the connection is dropped, so the page sees a failed download.
  stream.on('error', () => response.destroy());
  response.on('close', () => stream.destroy());
  stream.pipe(response);
}

/** The file that a request target names: `{path, bytes}`, `{redirect}` for a folder without its slash, or undefined. */
async function locate(base, target) {
  const path = decodedPath(target);
  if (path === undefined) return undefined;
  const wanted = join(base, path, path.endsWith('/') ? 'index.html' : '');
  let real, status;
  try {
    real = await realpath(wanted);
    status = await stat(real);
  } catch {
    return undefined;
  }
  if (real !== base && !real.startsWith(base + sep)) return undefined;
  // The slash matters: without it the page's relative addresses would point one folder up.
  if (status.isDirectory()) return { redirect: `${encodeURI(path.replace(/^\/+/, '/'))}/` };
  return status.isFile() ? { path: real, bytes: status.size } : undefined;
}

/** The path of a request target, decoded, or undefined when it is malformed. */
function decodedPath(target) {
  try {
    // Only the part before `?`: `new URL` would read `//host/` as another origin.
    const path = decodeURIComponent(target.split(/[?#]/, 1)[0]);
    return path.startsWith('/') && !path.includes('\0') ? path : undefined;
  } catch {
    return undefined;
  }
}

function refuse(response, status, reason) {
  response.writeHead(status, { ...HEADERS, 'Content-Type': TYPES['.txt'] });
  response.end(`${reason}\n`);
}

async function listenOnFirstFree(server) {
  for (let port = FIRST_PORT; port < FIRST_PORT + PORTS_TRIED; port += 1) {
    try {
      return await listen(server, port);
    } catch (error) {
      if (!(error instanceof PortBusy)) throw error;
    }
  }
  throw new PortBusy(`ports ${FIRST_PORT} to ${FIRST_PORT + PORTS_TRIED - 1} are all in use; name a free one with --port`);
}

function listen(server, port) {
  return new Promise((resolve, reject) => {
    const failed = (error) => {
      if (error.code === 'EADDRINUSE') reject(new PortBusy(`port ${port} is in use; name another with --port`));
      else if (error.code === 'EACCES') reject(new Error(`port ${port} needs more rights; name one above 1023 with --port`));
      else reject(error);
    };
    server.once('error', failed);
    server.listen(port, HOST, () => {
      server.off('error', failed);
      resolve(server.address().port);
    });
  });
}

async function main() {
  const { values } = parseArgs({ options: { root: { type: 'string' }, port: { type: 'string' } } });
  if (values.root === undefined) throw new Error('--root FOLDER is missing');
  const port = values.port === undefined ? undefined : Number(values.port);
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65535)) {
    throw new Error(`--port ${values.port}: a whole number from 0 to 65535 is needed`);
  }
  const site = await serve({ root: values.root, port });
  console.log(`Roentgen is served at ${site.url} (Ctrl-C stops it)`);
}

if (process.argv[1] !== undefined && fileURLToPath(import.meta.url) === (await realpath(process.argv[1]))) {
  main().catch((error) => {
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  });
}
