/**
 * `sage.yaml`: agents, policy and chains. Read at start and on change; a bad file never replaces a good one, and
 * every fault is reported with its line and column.
 */
import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { checkAgent, type Report, toAgent } from './agents/entry.ts';
import type { AgentDefinition } from './agents/registry.ts';
import { type ConfigFile, ConfigSchema } from './config-schema.ts';
import type { ChainRpcUrl } from './env.ts';
import {
  type Fault,
  faultAt,
  formatFaults,
  type Locate,
  type Path,
  readYaml,
} from './policy/located-yaml.ts';
import { parseKeyId, spellingOf } from './trust/did/did-url.ts';
import { DidError } from './trust/did/errors.ts';
import type { ContractKind } from './trust/did/ports.ts';
import { KeyError } from './trust/keys/errors.ts';
import { importSecretText } from './trust/keys/import.ts';
import type { VerificationKey } from './trust/keys/key.ts';

/** Editors write a file in several steps; one reload follows the last of them. */
const SETTLE_MS = 50;
/** Bind mounts and network file systems send no events, nor does a file that is edited behind a symbolic link. */
const POLL_MS = 5_000;

/** Who may use the operators' API by requests that are signed with a key of this DID. */
export interface OperatorConfig {
  readonly did: string;
  readonly role: 'viewer' | 'operator' | 'admin';
}

export interface ChainConfig {
  readonly id: number;
  readonly registries: readonly {
    readonly kind: ContractKind;
    readonly address: string;
    readonly fromBlock: number;
  }[];
  readonly finality: 'safe' | { readonly confirmations: number };
}

export interface Config {
  readonly agents: readonly AgentDefinition[];
  /** Absolute path of the policy file, or null: then each agent's `allow` decides. */
  readonly policyFile: string | null;
  readonly chains: readonly ChainConfig[];
  readonly operators: readonly OperatorConfig[];
  /** By what `keyid` says. */
  readonly sharedKeys: ReadonlyMap<string, VerificationKey>;
  /** The file as it was read. */
  readonly text: string;
}

/** Thrown for a file that cannot be used; its message lists every fault as `file:line:column: …`. */
export class ConfigError extends Error {
  readonly code = 'SAGE_CONFIG_INVALID';

  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

function checkChains(chains: NonNullable<ConfigFile['chains']>, fault: Report): void {
  const seen = new Set<string>();
  const once = (name: string, path: Path, message: string): void => {
    if (seen.has(name)) fault(path, message);
    seen.add(name);
  };
  chains.forEach(({ id, registries }, index) => {
    once(String(id), ['chains', index, 'id'], `chain ${id} is configured twice`);
    registries.forEach(({ address, kind }, position) => {
      const path: Path = ['chains', index, 'registries', position, 'address'];
      once(`${id} ${address.toLowerCase()}`, path, `registry ${address} is listed twice`);
      // Their DIDs do not say which is meant.
      if (kind === 'ethr') once(`${id} ethr`, path, `chain ${id} has two contracts of did:ethr`);
      if (kind === 'agent-card') once('agent-card', path, 'there are two AgentCardRegistries');
    });
  });
}

function checkOperators(operators: NonNullable<ConfigFile['operators']>, fault: Report): void {
  const seen = new Set<string>();
  operators.forEach((entry, index) => {
    const { did } = toOperator(entry);
    const spelling = spellingOf(did);
    if (spelling !== null && spelling !== did) fault(['operators', index], `write it as ${spelling}`);
    if (seen.has(did)) fault(['operators', index], `operator ${did} is listed twice`);
    seen.add(did);
  });
}

function toOperator(entry: NonNullable<ConfigFile['operators']>[number]): OperatorConfig {
  return typeof entry === 'string' ? { did: entry, role: 'operator' } : entry;
}

/** The secrets are read with the file that names them: one that cannot be used is a fault of it. */
function readSharedKeys(
  entries: NonNullable<ConfigFile['shared_keys']>,
  folder: string,
  fault: Report,
): ReadonlyMap<string, VerificationKey> {
  const keys = new Map<string, VerificationKey>();
  entries.forEach(({ keyid, secret_file: name }, index) => {
    const at: Path = ['shared_keys', index];
    try {
      const { text } = parseKeyId(keyid);
      if (text !== keyid) fault([...at, 'keyid'], `write it as ${text}`);
      if (keys.has(keyid)) fault([...at, 'keyid'], `${keyid} is listed twice`);
      keys.set(keyid, importSecretText(readFileSync(resolve(folder, name), 'utf8')));
    } catch (error) {
      const { code } = error as { readonly code?: unknown };
      const why = error instanceof Error ? error.message : 'unknown error';
      if (error instanceof DidError) fault([...at, 'keyid'], why);
      // Not the message: it may hold the path of a mounted secret, which is not everybody's to read.
      else fault([...at, 'secret_file'], error instanceof KeyError ? why : `cannot be read: ${String(code)}`);
    }
  });
  return keys;
}

/** What a schema cannot say: names used once, URLs that can be called. */
function checkMeaning(file: ConfigFile, locate: Locate): Fault[] {
  const faults: Fault[] = [];
  const fault: Report = (path, message) => {
    faults.push(faultAt(locate, { path, message, part: 'value' }));
  };
  const seen = new Set<string>();
  file.agents.forEach((agent, index) => {
    if (seen.has(agent.id)) fault(['agents', index, 'id'], `agent id "${agent.id}" is used twice`);
    seen.add(agent.id);
    checkAgent(agent, (path, message) => fault(['agents', index, ...path], message));
  });
  checkChains(file.chains ?? [], fault);
  checkOperators(file.operators ?? [], fault);
  return faults;
}

/**
 * Reads the text of a `sage.yaml`.
 * @throws {ConfigError} listing every fault.
 */
export function parseConfig(text: string, file: string): Config {
  const read = readYaml(text, ConfigSchema);
  if (!read.ok) throw new ConfigError(formatFaults(file, read.faults));
  const faults = checkMeaning(read.value, read.locate);
  const sharedKeys = readSharedKeys(read.value.shared_keys ?? [], dirname(file), (path, message) => {
    faults.push(faultAt(read.locate, { path, message, part: 'value' }));
  });
  if (faults.length > 0) throw new ConfigError(formatFaults(file, faults));
  return {
    agents: read.value.agents.map(toAgent),
    policyFile: read.value.policy === undefined ? null : resolve(dirname(file), read.value.policy),
    chains: (read.value.chains ?? []).map((chain) => ({
      id: chain.id,
      registries: chain.registries.map((r) => ({
        kind: r.kind ?? ('erc8004' as const),
        address: r.address.toLowerCase(),
        fromBlock: r.from_block ?? 0,
      })),
      finality: typeof chain.finality === 'number' ? { confirmations: chain.finality } : 'safe',
    })),
    operators: (read.value.operators ?? []).map(toOperator),
    sharedKeys,
    text,
  };
}

/** @throws {ConfigError} for an unreadable file as for a bad one. */
export function readConfig(file: string): Config {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(
      `cannot read ${file}: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}; set CONFIG_FILE or write it`,
    );
  }
  return parseConfig(text, file);
}

export interface ConfigFollower {
  /** Stops watching and waits for a change that is being taken. */
  close(): Promise<void>;
}

/**
 * Hands each new good configuration to `take`, one after the other; a bad file, or one that `take` cannot use, is told
 * to `refuse`, once, and changes nothing. The folder is watched, not the file, so that rename-and-replace and swapped
 * symbolic links are seen.
 * @param inForce what was read at start; a change since then is noticed at once.
 * @param pollMs how late a change is seen where no event tells of it
 */
export function followConfig(
  file: string,
  inForce: Config,
  take: (config: Config) => Promise<void>,
  refuse: (fault: string) => void,
  pollMs = POLL_MS,
): ConfigFollower {
  let takenText = inForce.text;
  /** While there is one, every hint is followed whatever the text: what the file names may have been mended. */
  let fault = '';
  let last = Promise.resolve();
  const reload = async (): Promise<void> => {
    try {
      const next = readConfig(file);
      if (next.text === takenText && fault === '') return;
      await take(next);
      takenText = next.text;
      fault = '';
    } catch (error) {
      const { message } = error as Error;
      if (message !== fault) refuse(message);
      fault = message;
    }
  };
  let timer: NodeJS.Timeout | undefined;
  const hint = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      last = last.then(reload);
    }, SETTLE_MS);
  };
  const watcher: FSWatcher = watch(dirname(resolve(file)), { persistent: false }, (_event, name) => {
    if (name === null || name === basename(file) || name.startsWith('..')) hint();
  });
  watcher.on('error', (error) => refuse(`watching ${file} failed: ${error.message}`));
  const poll = setInterval(hint, pollMs);
  hint();
  return {
    async close() {
      clearTimeout(timer);
      clearInterval(poll);
      watcher.close();
      await last;
    },
  };
}

/**
 * What a running gateway cannot change: its watchers, and what they have seen, belong to the chains it started with.
 * @throws {ConfigError} when the chains differ.
 */
export function checkSameChains(before: Config, next: Config): void {
  if (JSON.stringify(before.chains) === JSON.stringify(next.chains)) return;
  throw new ConfigError('`chains` cannot change while the gateway runs: restart it');
}

/**
 * Each chain with the endpoints that the environment gives for it.
 * @throws {ConfigError} for a chain without an endpoint, and for an endpoint whose chain is not configured.
 */
export function chainsToWatch(
  config: Config,
  rpcUrls: readonly ChainRpcUrl[],
): (ChainConfig & { readonly urls: readonly string[] })[] {
  const faults: string[] = [];
  const only = config.chains.length === 1 ? config.chains[0] : undefined;
  for (const { chainId } of rpcUrls) {
    if (chainId === null && only === undefined)
      faults.push(
        'CHAIN_RPC_URLS: with more or less than one chain in the configuration, prefix each URL with eip155:<id>=',
      );
    else if (chainId !== null && !config.chains.some(({ id }) => id === chainId))
      faults.push(`CHAIN_RPC_URLS: chain ${chainId} is not in the configuration`);
  }
  const watched = config.chains.map((chain) => {
    const urls = rpcUrls.filter(({ chainId }) => (chainId ?? only?.id) === chain.id).map(({ url }) => url);
    if (urls.length === 0)
      faults.push(`chain ${chain.id} is configured, but CHAIN_RPC_URLS names no endpoint for it`);
    return { ...chain, urls };
  });
  if (faults.length > 0) throw new ConfigError([...new Set(faults)].join('\n'));
  return watched;
}
