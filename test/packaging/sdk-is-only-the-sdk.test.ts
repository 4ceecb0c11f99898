/** What `sage-gateway/sdk` pulls in: nothing of the server, nothing of Node, no package, and little of anything. */
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { beforeAll, describe, expect, test } from 'vitest';
import { installedPackage } from '../support/packed.ts';

/** Minified, not compressed. What it weighs is printed; who makes it grow past this should know why. */
const BYTES_MAX = 72 * 1024;
/** `docs/sdk.md` says 24 KB. */
const COMPRESSED_MAX = 25 * 1024;
const PACK_TIMEOUT_MS = 240_000;
const ENTRIES = ['index', 'fastify', 'express', 'hono'];
/** Rooms of the SDK, and what it shares with the gateway. */
const OURS = /^dist\/(?:sdk\/[\w-]+|trust\/(?:wire|keys|did)\/[\w-]+)\.js$/;

let root: string;
beforeAll(async () => {
  ({ root } = await installedPackage());
}, PACK_TIMEOUT_MS);

describe.each(ENTRIES)('sdk/%s', (entry) => {
  test('a bundle for browsers holds the SDK and the wire', async () => {
    const { metafile, outputFiles, warnings } = await build({
      absWorkingDir: root,
      entryPoints: [join('dist', 'sdk', `${entry}.js`)],
      bundle: true,
      minify: true,
      format: 'esm',
      // Imports of Node are errors here, and so is a package that is not found; none is found beside the package itself.
      platform: 'browser',
      packages: 'bundle',
      metafile: true,
      write: false,
    });
    expect(warnings).toEqual([]);
    const strangers = Object.keys(metafile.inputs).filter((path) => !OURS.test(path));
    expect(strangers).toEqual([]);
    const imports = Object.values(metafile.inputs).flatMap((input) => input.imports);
    expect(imports.filter(({ external }) => external === true)).toEqual([]);
    const bytes = outputFiles[0]?.contents ?? new Uint8Array(0);
    const kilobytes = (length: number): string => (length / 1024).toFixed(1);
    console.log(
      `sdk/${entry}: ${kilobytes(bytes.length)} KB minified, ${kilobytes(gzipSync(bytes).length)} KB compressed`,
    );
    expect(bytes.length).toBeLessThan(BYTES_MAX);
    expect(gzipSync(bytes).length).toBeLessThan(COMPRESSED_MAX);
    expect(bytes.length).toBeGreaterThan(10_000);
  });
});

test('a program that only signs leaves the verifier out', async () => {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    stdin: {
      contents: "export { createSigner, signedFetch } from './dist/sdk/index.js';",
      resolveDir: root,
    },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    metafile: true,
    write: false,
  });
  const [output] = Object.values(metafile.outputs);
  // A constant may stay; the code is some 4 KB.
  expect(output?.inputs['dist/sdk/verify.js']?.bytesInOutput ?? 0).toBeLessThan(200);
  console.log(`signing alone: ${((outputFiles[0]?.contents.length ?? 0) / 1024).toFixed(1)} KB minified`);
});
