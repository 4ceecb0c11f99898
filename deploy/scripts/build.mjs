/**
 * `npm run build`: writes `dist`, what the package and the image run. TypeScript becomes JavaScript with its types, and
 * what is read beside the code at run time (scripts, artefacts, migrations) is copied to the same place below `dist`.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, rmSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DIST = join(ROOT, 'dist');
const BIN = join(DIST, 'cli', 'main.js');
/** Compiled, or read by people alone. */
const NOT_COPIED = new Set(['.ts', '.md', '.sol']);

// What a removed source left behind must not be packed.
rmSync(DIST, { recursive: true, force: true });
// This Node runs tsc, whichever other stands first on the path.
const tsc = fileURLToPath(new URL('./node_modules/typescript/bin/tsc', new URL('../../', import.meta.url)));
const { status } = spawnSync(process.execPath, [tsc, '-p', join(ROOT, 'tsconfig.build.json')], {
  cwd: ROOT,
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);
cpSync(join(ROOT, 'src'), DIST, {
  recursive: true,
  // A folder has no extension, and is walked.
  filter: (path) => !NOT_COPIED.has(extname(path)) && !path.endsWith(join('cli', 'demo')),
});
chmodSync(BIN, 0o755);
