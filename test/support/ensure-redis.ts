/** Finds or installs a Redis server for the tests; see `docs/development.md`. */
import { spawnSync } from 'node:child_process';
import { accessSync, chmodSync, constants, existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

function onPath(name: string): string | null {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    }
  }
  return null;
}

function succeeds(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore', timeout: 120_000 }).status === 0;
}

/** Puts a `redis-server` on the path that runs the official image on the host's network. */
function shimDocker(): void {
  const folder = mkdtempSync(join(tmpdir(), 'sage-redis-shim-'));
  const file = join(folder, 'redis-server');
  writeFileSync(
    file,
    '#!/bin/sh\nexec docker run --rm --init --network host redis:7-alpine redis-server "$@"\n',
  );
  chmodSync(file, 0o755);
  process.env.PATH = `${folder}${delimiter}${process.env.PATH ?? ''}`;
}

/**
 * Looks on the path, then for a Docker engine, then installs Debian's package when root.
 * @returns a line that says what will be used.
 * @throws Error with one clear line when there is none and ALLOW_MISSING does not name redis.
 */
export function ensureRedis(): string {
  const found = onPath('redis-server') ?? onPath('valkey-server');
  if (found !== null) return found;
  if (onPath('docker') !== null && succeeds('docker', ['info'])) {
    shimDocker();
    return 'redis:7-alpine in Docker';
  }
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    console.log('[*] redis: not on the path; installing the package redis-server with apt-get');
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    spawnSync('apt-get', ['update', '-qq'], { stdio: 'inherit', env });
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'redis-server'], {
      stdio: 'inherit',
      env,
    });
    const installed = onPath('redis-server');
    if (installed !== null) return installed;
  }
  if ((process.env.ALLOW_MISSING ?? '').split(',').includes('redis'))
    return 'absent, allowed by ALLOW_MISSING';
  throw new Error(
    'redis: no redis-server or valkey-server on the path, no Docker engine, and no apt-get as root; install one or set ALLOW_MISSING=redis',
  );
}
