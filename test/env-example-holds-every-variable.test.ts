import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readEnv } from '../src/env.ts';
import { VARIABLES } from '../src/env-variables.ts';

const LINE = /^(#?)([A-Z][A-Z0-9_]*)=(.*)$/;
const lines = readFileSync(new URL('../.env.example', import.meta.url), 'utf8')
  .split('\n')
  .flatMap((line) => {
    const match = LINE.exec(line);
    return match === null
      ? []
      : [{ isDefault: match[1] === '', name: match[2] ?? '', value: match[3] ?? '' }];
  });

test('every variable, in the order of the code, and no other', () => {
  expect(lines.map(({ name }) => name)).toEqual([...VARIABLES]);
});

test('the values shown are the defaults', () => {
  const shown = Object.fromEntries(
    lines.filter(({ isDefault }) => isDefault).map(({ name, value }) => [name, value]),
  );
  expect(readEnv(shown)).toEqual(readEnv({}));
  // Each by itself as well, so that no two wrong ones make a right one.
  for (const [name, value] of Object.entries(shown)) {
    expect(value, name).not.toBe('');
    expect(readEnv({ [name]: value }), name).toEqual(readEnv({}));
  }
});

test('what is commented out has no default, and its example can be used', () => {
  const examples = lines.filter(({ isDefault, value }) => !isDefault && value !== '');
  for (const { name, value } of examples) {
    const together = name === 'REDIS_URL' ? { CLUSTER_SECRET: 'q7RzN0c2Wm5Kx1JtUe8hVb4sLd3gPyAf' } : {};
    expect(readEnv({ [name]: value, ...together }), name).not.toEqual(readEnv(together));
  }
});
