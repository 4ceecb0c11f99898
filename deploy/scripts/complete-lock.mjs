/**
 * Adds to `package-lock.json` the native packages of other platforms that the registry in use did not serve. npm leaves
 * them out then, and `npm ci` stops with "Missing … from lock file". Run after `npm install`; changes nothing else.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const FILE = new URL('../../package-lock.json', import.meta.url);
const SYSTEMS = { windows: 'win32' };
const SYSTEM =
  /(?:^|[-_/])(android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32|windows)(?=$|[-_])/;
const PROCESSORS = { amd64: 'x64', aarch64: 'arm64' };
const PROCESSOR =
  /(?:^|[-_/])(aarch64|amd64|arm64|arm|ia32|loong64|ppc64|riscv64|s390x|wasm32|x64)(?=$|[-_])/;

const lock = JSON.parse(readFileSync(FILE, 'utf8'));
const added = [];
for (const [path, entry] of Object.entries(lock.packages)) {
  for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`;
    if (lock.packages[key] !== undefined || lock.packages[`${path}/${key}`] !== undefined) continue;
    const processor = PROCESSOR.exec(name)?.[1];
    const system = SYSTEM.exec(name)?.[1];
    lock.packages[key] = {
      version: range.replace(/^[~^]/, ''),
      ...(processor === undefined ? {} : { cpu: [PROCESSORS[processor] ?? processor] }),
      ...(entry.dev === true ? { dev: true } : {}),
      optional: true,
      ...(system === undefined ? {} : { os: [SYSTEMS[system] ?? system] }),
    };
    added.push(name);
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
if (added.length > 0) writeFileSync(FILE, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added.length} entries added${added.map((name) => `\n  ${name}`).join('')}`);
