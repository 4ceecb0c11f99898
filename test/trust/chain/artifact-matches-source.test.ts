import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, test } from 'vitest';
import { CONTRACTS, compileContract } from '../../../src/trust/chain/contracts/compile.ts';

test.each(CONTRACTS.map((contract) => [basename(contract.pathname), contract] as const))(
  'the committed artefact of %s is what its source compiles to',
  (_name, contract) => {
    const artifact = readFileSync(new URL(`${contract.href}.artifact.json`), 'utf8');
    expect(JSON.parse(artifact)).toEqual(JSON.parse(JSON.stringify(compileContract(contract))));
  },
);
