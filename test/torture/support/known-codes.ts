/** The codes that a caller may be told, as the manual lists them. */
import { page, tableRows } from '../../docs/markdown.ts';

/** Code -> status. */
export function knownCodes(): ReadonlyMap<string, number> {
  const codes = new Map<string, number>();
  for (const [code = '', status = ''] of tableRows(page('docs/errors.md').text)) {
    const name = /^`([a-z0-9_]+)`$/.exec(code)?.[1];
    if (name !== undefined && /^\d{3}$/.test(status)) codes.set(name, Number(status));
  }
  return codes;
}
