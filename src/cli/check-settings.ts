/** Reads everything that a start would read, and gathers what is wrong. */
import { readFileSync } from 'node:fs';
import { type Config, ConfigError, chainsToWatch, readConfig } from '../config.ts';
import { childEnvironment, type Env, EnvError, readEnv, useEnvFile } from '../env.ts';
import { checkInWorker } from '../policy/check-in-worker.ts';
import { formatFaults } from '../policy/located-yaml.ts';

export interface Checked {
  /** Each would keep the gateway from starting. */
  readonly faults: readonly string[];
  /** Allowed, and perhaps not meant. */
  readonly notes: readonly string[];
  readonly files: readonly string[];
}

/** @throws {EnvError} for an `env` that is not there */
export async function checkSettings(given: {
  readonly config?: string;
  readonly env?: string;
}): Promise<Checked> {
  if (given.env !== undefined) useEnvFile(given.env);
  const faults: string[] = [];
  const notes: string[] = [];
  const env = environment(given.config, faults);
  const file = given.config ?? env?.configFile ?? childEnvironment({}).CONFIG_FILE ?? './sage.yaml';
  const files = [file];
  const config = configuration(file, faults);
  if (config !== null) {
    if (env !== null) chains(config, env, faults);
    if (config.policyFile === null) noteNobody(config, notes);
    else {
      files.push(config.policyFile);
      await policy(config.policyFile, env === null || env.regionDatabaseFile !== null, faults);
    }
    if (config.agents.length === 0) notes.push('there are no agents yet: add some here, or by the API');
  }
  return { faults, notes, files };
}

function environment(config: string | undefined, faults: string[]): Env | null {
  try {
    return readEnv(childEnvironment(config === undefined ? {} : { CONFIG_FILE: config }));
  } catch (error) {
    if (!(error instanceof EnvError)) throw error;
    faults.push(...error.faults);
    return null;
  }
}

function configuration(file: string, faults: string[]): Config | null {
  try {
    return readConfig(file);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    faults.push(...error.message.split('\n'));
    return null;
  }
}

function chains(config: Config, env: Env, faults: string[]): void {
  try {
    chainsToWatch(config, env.chainRpcUrls);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    faults.push(...error.message.split('\n'));
  }
}

async function policy(file: string, regions: boolean, faults: string[]): Promise<void> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    faults.push(`cannot read ${file}: ${why}`);
    return;
  }
  const checked = await checkInWorker(text, regions);
  if (!checked.ok) faults.push(...formatFaults(file, checked.faults).split('\n'));
}

function noteNobody(config: Config, notes: string[]): void {
  for (const { id, authentication, allow } of config.agents) {
    if (authentication === 'required' && allow.length === 0)
      notes.push(`agent ${id}: there is no policy, and its allow list is empty, so nobody may call it`);
  }
}
