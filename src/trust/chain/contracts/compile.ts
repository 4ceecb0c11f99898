/**
 * Compiles the registry with the solc of package.json and writes `SageAgentRegistry.artifact.json`, which is
 * committed: running the gateway, its demo and its tests needs no compiler. `npm run compile:contracts` runs this
 * file; `test/trust/chain/artifact-matches-source.test.ts` holds the artefact against the source.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
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

const CONTRACT = 'SageAgentRegistry';
const SOURCE = `${CONTRACT}.sol`;
const ARTIFACT = new URL(`./${CONTRACT}.artifact.json`, import.meta.url);

/** Cancun because OpenZeppelin 5 uses its MCOPY; no metadata hash, so that the code depends on the source alone. */
const SETTINGS = {
  evmVersion: 'cancun',
  optimizer: { enabled: true, runs: 200 },
  metadata: { appendCBOR: false, bytecodeHash: 'none' },
};

/**
 * @throws Error with solc's own messages when the source does not compile without warnings.
 */
export function compileRegistry(): ContractArtifact {
  const require = createRequire(import.meta.url);
  const solc = require('solc') as {
    version(): string;
    compile(
      input: string,
      callbacks: { import(path: string): { contents: string } | { error: string } },
    ): string;
  };
  const sources = new Map([[SOURCE, readFileSync(new URL(`./${SOURCE}`, import.meta.url), 'utf8')]]);
  const findImport = (path: string): { contents: string } | { error: string } => {
    if (!path.startsWith('@openzeppelin/contracts/')) return { error: `import of ${path} is not allowed` };
    const contents = readFileSync(require.resolve(path), 'utf8');
    sources.set(path, contents);
    return { contents };
  };
  const input = {
    language: 'Solidity',
    sources: { [SOURCE]: { content: sources.get(SOURCE) } },
    settings: { ...SETTINGS, outputSelection: { [SOURCE]: { [CONTRACT]: ['abi', 'evm.bytecode.object'] } } },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport })) as SolcOutput;
  if (output.errors !== undefined && output.errors.length > 0) {
    throw new Error(output.errors.map((error) => error.formattedMessage).join('\n'));
  }
  const compiled = output.contracts?.[SOURCE]?.[CONTRACT];
  if (compiled === undefined) throw new Error(`solc gave no ${CONTRACT}`);
  const hash = createHash('sha256');
  for (const name of [...sources.keys()].sort()) hash.update(`${name}\0${sources.get(name)}\0`);
  return {
    contract: CONTRACT,
    abi: compiled.abi,
    bytecode: `0x${compiled.evm.bytecode.object}`,
    compiler: solc.version(),
    settings: SETTINGS,
    sourceHash: hash.digest('hex'),
  };
}

if (import.meta.main) {
  const artifact = compileRegistry();
  writeFileSync(ARTIFACT, `${JSON.stringify(artifact, null, 2)}\n`);
  console.log(
    `[+] ${fileURLToPath(ARTIFACT)}: ${(artifact.bytecode.length - 2) / 2} bytes, solc ${artifact.compiler}`,
  );
}
