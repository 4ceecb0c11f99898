/** Finds or installs a Chromium for the tests that need a browser; see `docs/development.md`. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { chromium } from 'playwright-core';
import { childEnvironment } from '../../src/env.ts';

/** As Debian, Ubuntu, Fedora, Google and Docker images call it. */
const NAMES = [
  'chromium-headless-shell',
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
  'chrome',
];
/** The smallest there is: the engine without a window. */
const DEBIAN_PACKAGE = 'chromium-headless-shell';
const INSTALL_TIMEOUT_MS = 300_000;

/** What every test starts a browser with: no sandbox, since containers refuse it to root, and no traffic of its own. */
export const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
];

function onPath(): string | null {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of NAMES) {
      const file = join(folder, name);
      try {
        accessSync(file, constants.X_OK);
        return file;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === undefined) throw error;
      }
    }
  }
  return null;
}

/** Where Playwright keeps browsers it has downloaded, whichever of its own commands did it. */
function ofPlaywright(): string | null {
  const file = chromium.executablePath();
  return file !== '' && existsSync(file) ? file : null;
}

function install(command: string, ...args: string[]): void {
  spawnSync(command, args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: INSTALL_TIMEOUT_MS,
    env: childEnvironment({ DEBIAN_FRONTEND: 'noninteractive' }),
  });
}

/**
 * Looks on the path and among Playwright's browsers, then installs Debian's package when root, else asks Playwright's own
 * installer, which needs no root.
 * @returns the executable, or null where ALLOW_MISSING names chromium and there is none
 * @throws Error with one clear line when there is none
 */
export function ensureChromium(): string | null {
  const found = onPath() ?? ofPlaywright();
  if (found !== null) return found;
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    console.log(`[*] chromium: not on the path; installing the package ${DEBIAN_PACKAGE} with apt-get`);
    install('apt-get', 'update', '-qq');
    install('apt-get', 'install', '-y', '-qq', '--no-install-recommends', DEBIAN_PACKAGE);
  } else {
    console.log("[*] chromium: not on the path; asking Playwright's installer");
    const cli = join(
      dirname(createRequire(import.meta.url).resolve('playwright-core/package.json')),
      'cli.js',
    );
    install(process.execPath, cli, 'install', '--only-shell', 'chromium');
  }
  const installed = onPath() ?? ofPlaywright();
  if (installed !== null) return installed;
  if ((process.env.ALLOW_MISSING ?? '').split(',').includes('chromium')) return null;
  throw new Error(
    'chromium: none on the path, none of Playwright, and it could not be installed; install one or set ALLOW_MISSING=chromium',
  );
}
