/** What an environment that can be read may still not say: values that are unsafe where it runs, named one by one. */
import type { Env } from './env.ts';

/** Shorter secrets can be guessed offline from one HMAC. */
const SECRET_LENGTH_MIN = 32;
/** Random text of that length has more; `xxxx…` and `12341234…` have not. */
const DISTINCT_CHARACTERS_MIN = 8;
/** Words that stand in examples until somebody puts a secret there. */
const PLACEHOLDER =
  /change[-_ ]?(me|this)|replace[-_ ]?(me|this)|placeholder|example|insecure|your[-_ ]|default|password|secret[-_ ]?(key|here)/i;
/** What images and tutorials set for a database. */
const DEFAULT_PASSWORDS = new Set([
  'postgres',
  'password',
  'secret',
  'admin',
  'sage',
  'root',
  'changeme',
  'redis',
]);
const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);

export function isLoopback(host: string): boolean {
  return LOOPBACK.has(host.replace(/^\[|\]$/g, ''));
}

/** What does not go together, wherever it runs. */
function checkTogether(env: Env, faults: string[]): void {
  const loopback = isLoopback(env.host);
  if (!loopback && env.publicOrigins.length === 0) {
    faults.push(
      `PUBLIC_ORIGINS is needed when HOST (${env.host}) is not loopback: signatures name the origin they were made for`,
    );
  }
  if (env.redisUrl !== null && env.clusterSecret === null) {
    faults.push(
      'CLUSTER_SECRET is needed with REDIS_URL: it authenticates the keys that nodes share through Redis',
    );
  }
  if (env.sageEnv === 'development' && !loopback) {
    faults.push(
      `SAGE_ENV=development opens the operator's routes and is allowed on loopback only, not on HOST ${env.host}`,
    );
  }
  if (env.bodyBufferTotalBytes < env.bodyBufferBytes) {
    faults.push('BODY_BUFFER_TOTAL_BYTES must not be less than BODY_BUFFER_BYTES');
  }
}

function checkSecret(name: string, value: string | null, faults: string[]): void {
  if (value === null) return;
  if (value.length < SECRET_LENGTH_MIN)
    faults.push(`${name} must have at least ${SECRET_LENGTH_MIN} characters`);
  else if (PLACEHOLDER.test(value) || new Set(value).size < DISTINCT_CHARACTERS_MIN)
    faults.push(`${name} is a placeholder, not a secret: make one with \`openssl rand -hex 32\``);
}

function checkPassword(name: string, url: string | null, faults: string[]): void {
  if (url === null || !URL.canParse(url)) return;
  const { username, password } = new URL(url);
  if (password !== '' && (DEFAULT_PASSWORDS.has(password.toLowerCase()) || password === username))
    faults.push(`${name} holds a default password: give the database one of its own`);
}

/** What `SAGE_ENV=production` refuses, and `development` allows on loopback. */
function checkProduction(env: Env, faults: string[]): void {
  if (!isLoopback(env.host) && env.tls === null && env.trustedProxies === '') {
    faults.push(
      'TLS_CERT_FILE and TLS_KEY_FILE, or TRUSTED_PROXIES for a TLS terminator in front, are needed off loopback',
    );
  }
  checkSecret('OPERATOR_API_KEY', env.operatorApiKey, faults);
  checkSecret('CLUSTER_SECRET', env.clusterSecret, faults);
  checkPassword('DATABASE_URL', env.databaseUrl, faults);
  checkPassword('REDIS_URL', env.redisUrl, faults);
  if (env.explainRefusals) {
    faults.push(
      'EXPLAIN_REFUSALS=true tells strangers what was expected of them: only with SAGE_ENV=development',
    );
  }
  if (env.allowPrivateDidHosts) {
    faults.push(
      'ALLOW_PRIVATE_DID_HOSTS=true lets a caller make the gateway fetch from inside its network: only with SAGE_ENV=development',
    );
  }
}

/** Adds a fault for each value that is unsafe where the gateway is to run. */
export function checkSafety(env: Env, faults: string[]): void {
  checkTogether(env, faults);
  if (env.sageEnv === 'production') checkProduction(env, faults);
}
