/**
 * Hints that a file may have changed.
 *
 * Directories are watched, not the file: editors write a new file and rename it over the old one, Kubernetes swaps the
 * symlink `..data`, and a watch on the file itself would go on looking at what is no longer there. A slow poll stands behind
 * the watches, since bind mounts and network file systems send no events, and inotify may have no watches left.
 */
import { type FSWatcher, watch } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

/** Writers need a moment between truncating and writing; a change after that still feels immediate. */
const SETTLE_MS = 50;
/** Where no event arrives, a change is seen this late at most. */
const POLL_MS = 5_000;

export interface Follower {
  close(): void;
}

/** Calls `onHint` after anything that may have changed the file, at most once every `SETTLE_MS`; the caller compares. */
export function followFile(path: string, onHint: () => void): Follower {
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  let target: { directory: string; watcher: FSWatcher | null } | null = null;

  const hint = () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      onHint();
      void rearm();
    }, SETTLE_MS);
  };
  /** The file behind a symlink is edited in its own directory, which a swap of the symlink replaces. */
  const rearm = async () => {
    const real = await realpath(path).catch(() => null);
    if (closed || real === null) return;
    const directory = dirname(real);
    if (target?.directory === directory) return;
    target?.watcher?.close();
    const isOwn = directory === dirname(path);
    target = { directory, watcher: isOwn ? null : watchDirectory(directory, basename(real), hint) };
  };

  const own = watchDirectory(dirname(path), basename(path), hint);
  const poll = setInterval(hint, POLL_MS);
  // Once at the start: a change between the first read and this moment sent no event.
  hint();
  return {
    close() {
      closed = true;
      clearTimeout(timer);
      clearInterval(poll);
      own?.close();
      target?.watcher?.close();
    },
  };
}

/** Null when the system refuses a watch (none left, or a file system without events): the poll goes on. */
function watchDirectory(directory: string, name: string, hint: () => void): FSWatcher | null {
  try {
    const watcher = watch(directory, (_event, changed) => {
      // `..data` and its like are how Kubernetes swaps a volume.
      if (changed === null || changed === name || changed.startsWith('..')) hint();
    });
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return null;
  }
}
