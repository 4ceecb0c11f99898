/** Gateways as they are measured: 100 policy rules, limits, circuit, record and metrics on. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeDidKey } from '../../src/trust/did/did-key.ts';
import { here, type Server, start } from './processes.ts';
import type { RequestPlan } from './requests.ts';

const POLICY_RULES = 100;

/** A policy of 100 rules of every kind, of which one allows the measured agent's callers. */
function policyText(): string {
  const rules = Array.from({ length: POLICY_RULES - 1 }, (_, i) => {
    const effect = i % 3 === 0 ? 'deny' : 'allow';
    return `  - { id: rule-${i}, effect: ${effect}, priority: ${i}, match: { did: "did:web:tenant-${i}.example:*", method: [GET, POST], path: /agents/tenant-${i}/** } }`;
  });
  return [
    'apiVersion: sage/v1',
    'kind: PolicySet',
    'metadata: { name: bench }',
    'defaults: { effect: deny }',
    'limits:',
    '  - { id: per-ip, key: ip, when: pre_auth, rate: 60000000/m, burst: 1000000 }',
    '  - { id: per-did, key: did, rate: 60000000/m, burst: 1000000 }',
    'rules:',
    ...rules,
    '  - { id: everyone, effect: allow, match: { path: /agents/** } }',
    '',
  ].join('\n');
}

function writeConfig(folder: string, upstreamPort: number, more: readonly string[]): string {
  writeFileSync(join(folder, 'policy.yaml'), policyText());
  const agents = ['open', 'verified'].map(
    (id) =>
      `  - { id: ${id}, upstreams: ["http://127.0.0.1:${upstreamPort}"], authentication: ${id === 'open' ? 'none' : 'required'} }`,
  );
  const file = join(folder, 'sage.yaml');
  writeFileSync(
    file,
    ['apiVersion: sage/v1', 'agents:', ...agents, 'policy: ./policy.yaml', ...more, ''].join('\n'),
  );
  return file;
}

export function didKeySigner(): NonNullable<RequestPlan['signer']> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const did = encodeDidKey(publicKey);
  return { jwk: privateKey.export({ format: 'jwk' }), keyId: `${did}#${did.slice('did:key:'.length)}` };
}

/** A gateway of its own in `folder`, which is made. @param more lines of sage.yaml */
export function startGateway(
  folder: string,
  upstreamPort: number,
  env: Readonly<Record<string, string>> = {},
  more: readonly string[] = [],
): Promise<Server> {
  mkdirSync(folder, { recursive: true });
  return start(here('../../src/main.ts'), [], {
    PORT: '0',
    DATA_DIR: folder,
    CONFIG_FILE: writeConfig(folder, upstreamPort, more),
    LOG_LEVEL: 'warn',
    SAGE_ENV: 'production',
    ...env,
  });
}
