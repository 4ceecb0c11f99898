/** The budgets of the path, in one run, alternating, medians of three passes. */
import { availableParallelism } from 'node:os';
import { atLeast, atMost, type Figure, median } from './figures.ts';
import { didKeySigner, startGateway } from './gateways.ts';
import { measurePolicy } from './policy.ts';
import { ask, CONNECTIONS, here, passes, start, type Target } from './processes.ts';
import { measureWire } from './wire.ts';

const PASSES = 3;
/** For each target. */
const REQUESTS = 24_000;
const SLICES = 8;
const WARM_UP_REQUESTS = 5_000;

interface PathFigures {
  /** By target: CPU per request of each pass. */
  readonly passes: Readonly<Record<string, readonly number[]>>;
  readonly rawVerify: number;
}

async function measure(folder: string): Promise<PathFigures> {
  const upstream = await start(here('./upstream.ts'), []);
  const origin = `http://127.0.0.1:${upstream.port}`;
  const floor = await start(here('./floor.ts'), [origin]);
  const httpProxy = await start(here('./http-proxy.ts'), [origin]);
  const gateway = await startGateway(folder, upstream.port);
  const plan = { path: '/agents/open/v1/answer?q=1' };
  const targets: Target[] = [
    { name: 'floor', server: floor, plan, microseconds: [] },
    { name: 'http_proxy', server: httpProxy, plan, microseconds: [] },
    { name: 'open', server: gateway, plan, microseconds: [] },
    {
      name: 'verified',
      server: gateway,
      plan: { path: '/agents/verified/v1/answer?q=1', signer: didKeySigner() },
      microseconds: [],
    },
  ];
  await passes(targets, {
    passes: PASSES,
    requests: REQUESTS,
    slices: SLICES,
    warmUp: WARM_UP_REQUESTS,
  });
  const { rawVerifyMicroseconds } = await ask<{ rawVerifyMicroseconds: number }>(gateway.child, 'raw-verify');
  return {
    passes: Object.fromEntries(targets.map((t) => [t.name, t.microseconds])),
    rawVerify: rawVerifyMicroseconds,
  };
}

export async function measurePath(folder: string): Promise<Record<string, Figure>> {
  console.log(
    `Node ${process.version}, ${availableParallelism()} cores, ${REQUESTS} requests a pass, ${PASSES} passes, ${CONNECTIONS} connections, LOG_LEVEL=warn`,
  );
  const { passes: found, rawVerify } = await measure(folder);
  for (const [name, values] of Object.entries(found))
    console.log(`  ${name.padEnd(12)} ${median(values).toFixed(1).padStart(6)} us CPU/request`);
  console.log(`  ${'raw verify'.padEnd(12)} ${rawVerify.toFixed(1).padStart(6)} us CPU`);
  const { floor = [], http_proxy = [], open = [], verified = [] } = found;
  /** Within each pass first: what slowed a pass slowed all of it. */
  const figure = (of: (pass: number) => number): number => median(open.map((_, at) => of(at)));
  const added = figure((at) => verified[at]! - open[at]!);
  const overFloor = figure((at) => open[at]! / floor[at]!);
  const overHttpProxy = figure((at) => open[at]! / http_proxy[at]!);
  return {
    open_over_floor: atMost(overFloor, 1.15),
    open_over_http_proxy: atMost(overHttpProxy, 0.55),
    verified_minus_open_over_raw_verify: atMost(added / rawVerify, 1.35),
    wire_us: atMost(measureWire().wire_us, 5),
    eval_per_s_1000: atLeast(measurePolicy().eval_per_s_1000, 1_000_000),
  };
}
