/** The budgets of identity: `npm run bench -- identity`. */
import { availableParallelism } from 'node:os';
import { startRedis } from '../support/redis.ts';
import { atLeast, atMost, exactly, type Figure, median } from './figures.ts';
import { didKeySigner, startGateway } from './gateways.ts';
import { measureColdReads, measureRevocation, measureStampede } from './identity-chain.ts';
import { measureDidMemory, measureHitRatio, measureHostile, measureVerified } from './identity-local.ts';
import { here, passes, start, type Target } from './processes.ts';

const PASSES = 3;
const REQUESTS = 16_000;
const SLICES = 8;
const WARM_UP_REQUESTS = 5_000;

/** CPU per request of a gateway that asks Redis for each nonce, over one that remembers by itself. */
async function measureRedisNonce(folder: string): Promise<number> {
  const redis = await startRedis();
  try {
    const upstream = await start(here('./upstream.ts'), []);
    const memory = await startGateway(`${folder}/memory`, upstream.port);
    const shared = await startGateway(`${folder}/shared`, upstream.port, {
      REDIS_URL: redis.url,
      CLUSTER_SECRET: 'a-secret-of-the-bench-with-32-characters',
    });
    const plan = { path: '/agents/verified/v1/answer?q=1', signer: didKeySigner() };
    const targets: [Target, Target] = [
      { name: 'memory', server: memory, plan, microseconds: [] },
      { name: 'redis', server: shared, plan, microseconds: [] },
    ];
    // Signatures of the second in which a memory begins are refused, and there is no event for a second that has passed.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await passes(targets, { passes: PASSES, requests: REQUESTS, slices: SLICES, warmUp: WARM_UP_REQUESTS });
    for (const { name, microseconds } of targets)
      console.log(
        `  nonces in ${name.padEnd(8)} ${median(microseconds).toFixed(1).padStart(6)} us CPU/request`,
      );
    const [{ microseconds: local }, { microseconds: over }] = targets;
    return median(local.map((us, at) => (over[at] ?? Number.NaN) - us));
  } finally {
    await redis.stop();
  }
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

export async function measureIdentity(folder: string): Promise<Record<string, Figure>> {
  console.log(`Node ${process.version}, ${availableParallelism()} cores`);
  const verified = await measureVerified();
  console.log(`  verified over one signature again and again: ${verified.overOneSignature.toFixed(2)}`);
  const hostile = measureHostile();
  console.log(`  hostile fields: the worst is "${hostile.name}"`);
  const didMemory = await measureDidMemory();
  const [calm, attacked] = [await measureHitRatio(0), await measureHitRatio(9)];
  const cold = await measureColdReads();
  for (const { method, changes, roundTrips } of cold)
    console.log(`  ${method.padEnd(34)} ${String(changes).padStart(3)} changes: ${roundTrips} round trips`);
  const stampede = await measureStampede(folder);
  const revocations = await measureRevocation(folder);
  console.log(
    `  revocation to refusal, ${revocations.length} times: median ${quantile(revocations, 0.5).toFixed(1)}, p99 ${quantile(revocations, 0.99).toFixed(1)}, most ${Math.max(...revocations).toFixed(1)} ms`,
  );
  const redisNonce = await measureRedisNonce(folder);
  return {
    verified_over_raw_verify: atMost(verified.ratio, 1.1),
    hostile_us: atMost(hostile.us, 200),
    did_memory_us: atMost(didMemory, 1),
    did_cold_rpc_round_trips: atMost(Math.max(...cold.map(({ roundTrips }) => roundTrips)), 1),
    revocation_to_refusal_ms_p99: atMost(quantile(revocations, 0.99), 20),
    stampede_rpc_calls: exactly(stampede, 1),
    hit_ratio_zipf: atLeast(calm, 0.95, 3),
    hit_ratio_zipf_attacked: atLeast(attacked, 0.9, 3),
    redis_nonce_added_us: atMost(redisNonce, 40),
  };
}
