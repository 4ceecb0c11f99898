/**
 * Request ids: 26 characters of Crockford's base 32, sortable by time. Ten carry milliseconds since the epoch, ten
 * are drawn once for each process, six count. They name a request in logs and answers and are no secret, so nothing
 * random is paid for per request; a caller's own `x-request-id` is never taken for ours, because it could be chosen to
 * collide with another's.
 */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** Every two-character string, so that an id costs a few look-ups. */
const PAIRS = Array.from({ length: 1024 }, (_, n) => `${ALPHABET[n >> 5]}${ALPHABET[n & 31]}`);
const COUNTER_MASK = 0x3fff_ffff;

function pair(value: number): string {
  return PAIRS[value & 1023] as string;
}

function timeText(nowMs: number): string {
  const high = Math.floor(nowMs / 0x4000_0000);
  return `${pair(high >> 10)}${pair(high)}${pair(nowMs >>> 20)}${pair(nowMs >>> 10)}${pair(nowMs)}`;
}

/**
 * @param now milliseconds since the epoch
 * @param random 10 bytes for the process's part, 4 more for where its counter starts
 */
export function createRequestIds(now: () => number, random: Uint8Array): () => string {
  if (random.length < 14) throw new RangeError('14 random bytes are needed');
  let processText = '';
  for (let i = 0; i < 10; i += 2) {
    processText += pair(((random[i] as number) << 8) | (random[i + 1] as number));
  }
  const view = new DataView(random.buffer, random.byteOffset, random.byteLength);
  let counter = view.getUint32(10) & COUNTER_MASK;
  let lastMs = -1;
  let prefix = '';
  return () => {
    const nowMs = now();
    if (nowMs !== lastMs) {
      lastMs = nowMs;
      prefix = timeText(nowMs) + processText;
    }
    counter = (counter + 1) & COUNTER_MASK;
    return `${prefix}${pair(counter >>> 20)}${pair(counter >>> 10)}${pair(counter)}`;
  };
}
