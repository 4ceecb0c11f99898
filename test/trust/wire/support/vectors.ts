import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Where the published vectors stand, or null when this machine has none: a test then skips and says so. */
export function vectorsPath(name: string): string | null {
  const root =
    process.env.CONFORMANCE_VECTORS ?? resolve(import.meta.dirname, '../../../../../shared/vectors');
  const path = join(root, name);
  return existsSync(path) ? path : null;
}
