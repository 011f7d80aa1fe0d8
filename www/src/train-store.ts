/**
 * What outlives a visit: films and checkpoints as files of the origin's private file system, and a record in IndexedDB
 * that names those that belong together. A file is complete before the record names it, and goes after it has ceased to:
 * a tab that closes in the middle of a write leaves the state before it. In a worker only.
 */

import { openDB, type DBSchema, type IDBPDatabase } from 'idb';
import type { EpochRecord, Settings, Unreadable } from './train-types';

/** What the record holds. */
export interface Project {
  /** Of the films, in order; the file has them one after the other. */
  films?: {
    file: string;
    paths: string[];
    unreadable: Unreadable[];
    /** Paths of files that are no films. */
    others?: string[];
    /** What there was to say of zips. */
    notes?: string[];
    tables?: { path: string; bytes: Uint8Array }[];
    /** One of an earlier version. */
    manifest?: { path: string; bytes: Uint8Array };
    /** What is known of the films as files: the core's JSON. */
    facts?: string;
    /** The settings of the network that they were read for; the scratch CNN's where an earlier version kept them. */
    network?: Settings;
  };
  run?: {
    settings: Settings;
    epochs: EpochRecord[];
    step: number;
    finished: boolean;
    checkpoint?: string;
    best?: { file: string; card: string };
  };
}

interface Schema extends DBSchema {
  projects: { key: string; value: Project };
}

/** Known in workers only, and to their library of types, which does not go together with the page's. */
interface SyncFile extends FileSystemFileHandle {
  createSyncAccessHandle(): Promise<{
    write(piece: Uint8Array, options: { at: number }): number;
    flush(): void;
    close(): void;
  }>;
}

/** Hands pieces of a file over, in order. */
export type Writer = (sink: (piece: Uint8Array) => void) => void;

const FOLDER = 'roentgen';

export class Store {
  #files = 0;

  private constructor(
    private readonly database: IDBPDatabase<Schema>,
    private readonly folder: FileSystemDirectoryHandle,
    private readonly name: string,
    /** What is kept, as far as this tab knows. */
    public project: Project,
  ) {}

  /** The store called `name`; rejects where the browser keeps nothing for this page. */
  static async open(name: string): Promise<Store> {
    const database = await openDB<Schema>(FOLDER, 1, { upgrade: (database) => void database.createObjectStore('projects') });
    const root = await navigator.storage.getDirectory();
    const folder = await (await root.getDirectoryHandle(FOLDER, { create: true })).getDirectoryHandle(name, { create: true });
    const store = new Store(database, folder, name, (await database.get('projects', name)) ?? {});
    await store.#tidy();
    return store;
  }

  /** Writes a file under a new name and returns the name; nothing is left of it when that fails. */
  async write(kind: string, writer: Writer): Promise<string> {
    const name = `${kind}-${Date.now()}-${(this.#files += 1)}`;
    const handle = (await this.folder.getFileHandle(name, { create: true })) as SyncFile;
    try {
      const access = await handle.createSyncAccessHandle();
      try {
        let at = 0;
        writer((piece) => {
          const written = access.write(piece, { at });
          if (written < piece.length) throw new DOMException('the disk is full', 'QuotaExceededError');
          at += written;
        });
        access.flush();
      } finally {
        access.close();
      }
    } catch (cause) {
      await this.folder.removeEntry(name).catch(() => {});
      throw cause;
    }
    return name;
  }

  /** A file that the record names. */
  async read(name: string): Promise<File> {
    return (await this.folder.getFileHandle(name)).getFile();
  }

  /** Changes parts of the record. */
  keep(change: Project): Promise<void> {
    return this.replace({ ...this.project, ...change });
  }

  /** Replaces the record, then lets go of files that it does not name any more. */
  async replace(project: Project): Promise<void> {
    await this.database.put('projects', project, this.name);
    this.project = project;
    await this.#tidy();
  }

  async #tidy(): Promise<void> {
    const { films, run } = this.project;
    const named = new Set([films?.file, run?.checkpoint, run?.best?.file]);
    for await (const name of this.folder.keys()) {
      // One that is still read from stays until the next time.
      if (!named.has(name)) await this.folder.removeEntry(name).catch(() => {});
    }
  }
}

/** Why something could not be kept, as a sentence. */
export function whyNotKept(cause: unknown): string {
  const full = cause instanceof DOMException && cause.name === 'QuotaExceededError';
  return full
    ? 'The browser has no room left for this site, so this run cannot be gone on with after the tab is closed. Free some disk space, or go on and save the model at the end.'
    : `The browser keeps nothing for this page, so this run cannot be gone on with after the tab is closed (${String(cause)}).`;
}
