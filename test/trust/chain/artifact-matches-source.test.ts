import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { compileRegistry } from '../../../src/trust/chain/contracts/compile.ts';

test('the committed artefact is what its source compiles to', () => {
  const file = new URL('../../../src/trust/chain/contracts/SageAgentRegistry.artifact.json', import.meta.url);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(JSON.parse(JSON.stringify(compileRegistry())));
});
