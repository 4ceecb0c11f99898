/**
 * `npm run bench [-- --json FILE]`: the budgets of the path, in one run, alternating, medians of three passes.
 * CPU per request is user + system time of the measured process divided by the requests it served.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeDidKey } from '../../src/trust/did/did-key.ts';
import type { LoadOrder, LoadReport } from './load.ts';
import { measurePolicy } from './policy.ts';
import type { RequestPlan } from './requests.ts';
import { measureWire } from './wire.ts';

const PASSES = 3;
/** For each target, in slices that take turns, so that a slow moment of the machine falls on all of them alike. */
const REQUESTS = 24_000;
const SLICES = 8;
const WARM_UP_REQUESTS = 5_000;
const CONNECTIONS = 32;
const POLICY_RULES = 100;

interface Server {
  readonly child: ChildProcess;
  readonly port: number;
}

interface Target {
  readonly name: string;
  readonly server: Server;
  readonly plan: RequestPlan;
  /** CPU per request of each pass. */
  readonly microseconds: number[];
}

interface Figure {
  readonly value: number;
  readonly bound: string;
  readonly ok: boolean;
}

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const children: ChildProcess[] = [];

/** Starts a measured process and waits for the line with its port. */
function start(file: string, args: readonly string[], env: Record<string, string> = {}): Promise<Server> {
  const child = fork(file, args, {
    execArgv: ['--import', here('./cpu-reporter.ts')],
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  children.push(child);
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      const match = /"port":(\d+)|listening on https?:\/\/[^\s]*:(\d+)/.exec(text);
      if (match !== null) resolve({ child, port: Number(match[1] ?? match[2]) });
    });
    child.once('exit', (code) => reject(new Error(`${file} ended with ${code} before it listened: ${text}`)));
  });
}

async function ask<T>(child: ChildProcess, message: unknown): Promise<T> {
  const done = new AbortController();
  try {
    child.send(message as object);
    const answered = once(child, 'message', { signal: done.signal }).then(([answer]) => answer as T);
    const ended = once(child, 'exit', { signal: done.signal }).then(() => {
      throw new Error('the process ended while it was asked');
    });
    ended.catch(() => undefined);
    return await Promise.race([answered, ended]);
  } finally {
    done.abort();
  }
}

async function cpu(server: Server): Promise<number> {
  return (await ask<{ cpuMicroseconds: number }>(server.child, 'cpu')).cpuMicroseconds;
}

async function pass(load: ChildProcess, target: Target, requests: number): Promise<number> {
  const before = await cpu(target.server);
  const order: LoadOrder = {
    port: target.server.port,
    connections: CONNECTIONS,
    requests,
    plan: target.plan,
  };
  const report = await ask<LoadReport>(load, order);
  if (report.failed > 0 || report.answered !== requests) {
    throw new Error(
      `${target.name}: ${report.answered} of ${requests} answered, ${report.failed} failed: ${report.firstFailure}`,
    );
  }
  return ((await cpu(target.server)) - before) / report.answered;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

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

function writeConfig(folder: string, upstreamPort: number): string {
  writeFileSync(join(folder, 'policy.yaml'), policyText());
  const agents = ['open', 'verified'].map(
    (id) =>
      `  - { id: ${id}, upstreams: ["http://127.0.0.1:${upstreamPort}"], authentication: ${id === 'open' ? 'none' : 'required'} }`,
  );
  const file = join(folder, 'sage.yaml');
  writeFileSync(file, ['apiVersion: sage/v1', 'agents:', ...agents, 'policy: ./policy.yaml', ''].join('\n'));
  return file;
}

function didKeySigner(): NonNullable<RequestPlan['signer']> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const did = encodeDidKey(publicKey);
  return { jwk: privateKey.export({ format: 'jwk' }), keyId: `${did}#${did.slice('did:key:'.length)}` };
}

interface PathFigures {
  /** By target: CPU per request of each pass. */
  readonly passes: Readonly<Record<string, readonly number[]>>;
  readonly rawVerify: number;
}

async function measurePath(folder: string): Promise<PathFigures> {
  const upstream = await start(here('./upstream.ts'), []);
  const origin = `http://127.0.0.1:${upstream.port}`;
  const floor = await start(here('./floor.ts'), [origin]);
  const httpProxy = await start(here('./http-proxy.ts'), [origin]);
  const gateway = await start(here('../../src/main.ts'), [], {
    PORT: '0',
    DATA_DIR: folder,
    CONFIG_FILE: writeConfig(folder, upstream.port),
    LOG_LEVEL: 'warn',
    SAGE_ENV: 'production',
  });
  const load = fork(here('./load.ts'));
  children.push(load);
  const targets: Target[] = [
    { name: 'floor', server: floor, plan: { path: '/agents/open/v1/answer?q=1' }, microseconds: [] },
    { name: 'http_proxy', server: httpProxy, plan: { path: '/agents/open/v1/answer?q=1' }, microseconds: [] },
    { name: 'open', server: gateway, plan: { path: '/agents/open/v1/answer?q=1' }, microseconds: [] },
    {
      name: 'verified',
      server: gateway,
      plan: { path: '/agents/verified/v1/answer?q=1', signer: didKeySigner() },
      microseconds: [],
    },
  ];
  for (const target of targets) await pass(load, target, WARM_UP_REQUESTS);
  for (let i = 0; i < PASSES; i += 1) {
    const sums = new Map<Target, number>();
    for (let slice = 0; slice < SLICES; slice += 1) {
      for (const target of targets) {
        sums.set(target, (sums.get(target) ?? 0) + (await pass(load, target, REQUESTS / SLICES)) / SLICES);
      }
    }
    for (const [target, sum] of sums) target.microseconds.push(sum);
  }
  const { rawVerifyMicroseconds } = await ask<{ rawVerifyMicroseconds: number }>(gateway.child, 'raw-verify');
  return {
    passes: Object.fromEntries(targets.map((t) => [t.name, t.microseconds])),
    rawVerify: rawVerifyMicroseconds,
  };
}

const round = (value: number): number => Math.round(value * 1_000) / 1_000;
const atMost = (value: number, bound: number): Figure => ({
  value: round(value),
  bound: `<= ${bound}`,
  ok: value <= bound,
});
const atLeast = (value: number, bound: number): Figure => ({
  value: Math.round(value),
  bound: `>= ${bound}`,
  ok: value >= bound,
});

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sage-bench-'));
  try {
    console.log(
      `Node ${process.version}, ${availableParallelism()} cores, ${REQUESTS} requests a pass, ${PASSES} passes, ${CONNECTIONS} connections, LOG_LEVEL=warn`,
    );
    const { passes, rawVerify } = await measurePath(folder);
    for (const [name, values] of Object.entries(passes))
      console.log(`  ${name.padEnd(12)} ${median(values).toFixed(1).padStart(6)} us CPU/request`);
    console.log(`  ${'raw verify'.padEnd(12)} ${rawVerify.toFixed(1).padStart(6)} us CPU`);
    const { floor = [], http_proxy = [], open = [], verified = [] } = passes;
    /** Within each pass first: what slowed a pass slowed all of it. */
    const figure = (of: (pass: number) => number): number => median(open.map((_, at) => of(at)));
    const overFloor = figure((at) => open[at]! / floor[at]!);
    const overHttpProxy = figure((at) => open[at]! / http_proxy[at]!);
    const added = figure((at) => verified[at]! - open[at]!);
    const figures: Record<string, Figure> = {
      open_over_floor: atMost(overFloor, 1.15),
      open_over_http_proxy: atMost(overHttpProxy, 0.55),
      verified_minus_open_over_raw_verify: atMost(added / rawVerify, 1.35),
      wire_us: atMost(measureWire().wire_us, 5),
      eval_per_s_1000: atLeast(measurePolicy().eval_per_s_1000, 1_000_000),
    };
    for (const [name, figure] of Object.entries(figures)) {
      console.log(
        `${figure.ok ? '[+]' : '[-]'} ${name.padEnd(38)} ${String(figure.value).padStart(12)}  ${figure.bound}`,
      );
    }
    const flag = process.argv.indexOf('--json');
    const file = flag < 0 ? undefined : process.argv[flag + 1];
    if (file !== undefined) writeFileSync(file, `${JSON.stringify(figures, null, 2)}\n`);
  } finally {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
