/** `npm run demo [-- --once]`: the whole product on this machine, and the story it was made for. */
import { childEnvironment, readEnv } from '../../env.ts';
import { Story } from './story.ts';
import { createTable } from './table.ts';
import { openWorld, type World } from './world.ts';

const say = (text: string): void => console.log(`[*] ${text}`);

/** A request anybody may paste within a minute. */
function curlLine(world: World): string {
  const call = world.sign(world.callers.alice.signer, {
    method: 'GET',
    path: '/agents/weather/today?city=Seoul',
  });
  const fields = call.headers.map(([name, value]) => `-H '${name}: ${value}'`).join(' ');
  return `curl -k ${fields} '${call.url.href}'`;
}

/** Stays until SIGINT or SIGTERM; a new line prints a new curl, since a signature is good for a minute and for one use. */
async function stay(world: World): Promise<void> {
  const show = (): void =>
    console.log(`\n${curlLine(world)}\n\n[*] good for 60 s and one use; Enter signs another, Ctrl-C ends`);
  show();
  process.stdin.on('data', show);
  await new Promise<void>((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  process.stdin.destroy();
}

const once = process.argv.includes('--once');
// The rest of this environment is not the demo's; its gateways get one of their own, with a secret made for them.
const { redisUrl } = readEnv({
  REDIS_URL: childEnvironment({}).REDIS_URL,
  CLUSTER_SECRET: '-'.repeat(32),
  SAGE_ENV: 'development',
});
const startedAt = performance.now();
const world = await openWorld(redisUrl, say);
try {
  const table = createTable((line) => console.log(line));
  await new Story(world, table).play();
  const ok = table.close();
  say(`${((performance.now() - startedAt) / 1_000).toFixed(1)} s in all`);
  process.exitCode = ok ? 0 : 1;
  if (!once) await stay(world);
} finally {
  await world.close();
}
