/**
 * Compiles contracts with the solc of package.json and writes `<name>.artifact.json` beside each, which is
 * committed: running the gateway, its demo and its tests needs no compiler. `npm run compile:contracts` runs this
 * file; `test/trust/chain/artifact-matches-source.test.ts` holds the artefacts against their sources.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface ContractArtifact {
  readonly contract: string;
  readonly abi: readonly Readonly<Record<string, unknown>>[];
  /** Creation code, 0x-hex. */
  readonly bytecode: string;
  readonly compiler: string;
  readonly settings: Readonly<Record<string, unknown>>;
  /** SHA-256 (hex) over the names and texts of every source that went in, those of OpenZeppelin included. */
  readonly sourceHash: string;
}

interface SolcOutput {
  errors?: { severity: string; formattedMessage: string }[];
  contracts?: Record<
    string,
    Record<string, { abi: ContractArtifact['abi']; evm: { bytecode: { object: string } } }>
  >;
}

/** Ours, and what the tests put on their chains: registries that others have deployed, written anew. */
export const CONTRACTS: readonly URL[] = [
  new URL('./SageAgentRegistry', import.meta.url),
  new URL('../../../../test/support/contracts/EthereumDIDRegistry', import.meta.url),
  new URL('../../../../test/support/contracts/AgentCardRegistry', import.meta.url),
];

/** Cancun because OpenZeppelin 5 uses its MCOPY; no metadata hash, so that the code depends on the source alone. */
const SETTINGS = {
  evmVersion: 'cancun',
  optimizer: { enabled: true, runs: 200 },
  metadata: { appendCBOR: false, bytecodeHash: 'none' },
};

/**
 * @param contract where the contract is, without `.sol`
 * @throws Error with solc's own messages when the source does not compile without warnings.
 */
export function compileContract(contract: URL): ContractArtifact {
  const name = basename(contract.pathname);
  const file = `${name}.sol`;
  const require = createRequire(import.meta.url);
  const solc = require('solc') as {
    version(): string;
    compile(
      input: string,
      callbacks: { import(path: string): { contents: string } | { error: string } },
    ): string;
  };
  const sources = new Map([[file, readFileSync(new URL(`${contract.href}.sol`), 'utf8')]]);
  const findImport = (path: string): { contents: string } | { error: string } => {
    if (!path.startsWith('@openzeppelin/contracts/')) return { error: `import of ${path} is not allowed` };
    const contents = readFileSync(require.resolve(path), 'utf8');
    sources.set(path, contents);
    return { contents };
  };
  const input = {
    language: 'Solidity',
    sources: { [file]: { content: sources.get(file) } },
    settings: { ...SETTINGS, outputSelection: { [file]: { [name]: ['abi', 'evm.bytecode.object'] } } },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport })) as SolcOutput;
  if (output.errors !== undefined && output.errors.length > 0) {
    throw new Error(output.errors.map((error) => error.formattedMessage).join('\n'));
  }
  const compiled = output.contracts?.[file]?.[name];
  if (compiled === undefined) throw new Error(`solc gave no ${name}`);
  const hash = createHash('sha256');
  for (const path of [...sources.keys()].sort()) hash.update(`${path}\0${sources.get(path)}\0`);
  return {
    contract: name,
    abi: compiled.abi,
    bytecode: `0x${compiled.evm.bytecode.object}`,
    compiler: solc.version(),
    settings: SETTINGS,
    sourceHash: hash.digest('hex'),
  };
}

if (import.meta.main) {
  for (const contract of CONTRACTS) {
    const artifact = compileContract(contract);
    const file = new URL(`${contract.href}.artifact.json`);
    writeFileSync(file, `${JSON.stringify(artifact, null, 2)}\n`);
    const bytes = (artifact.bytecode.length - 2) / 2;
    console.log(`[+] ${fileURLToPath(file)}: ${bytes} bytes, solc ${artifact.compiler}`);
  }
}
