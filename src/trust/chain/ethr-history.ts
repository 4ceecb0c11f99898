/**
 * From the events of an ERC-1056 identity to the keys of its did:ethr, as the method's specification derives the
 * document, with the finality of `key-history.ts`: what takes away counts at `latest`, what grants once it is safe.
 *
 * - `#controller` is the owner, an account: a new one counts when safe, the former one stops at once.
 * - `#controllerKey` stands beside it while an identifier that is a public key still owns itself.
 * - `#delegate-N` is the N-th event about a delegate or a public key, revocations and what we cannot use included. The
 *   last event about the same delegate or value decides. Every event is a grant until its `validTo`; a revocation is
 *   one whose `validTo` has passed. While a renewal waits for its block to be safe, the key stays under its old name,
 *   for the shorter of both times.
 * - An owner of 0x0 ends the identity for good, although the contract then takes the identity itself for its owner.
 *   Its keys are gone.
 */
import type { ChainKey } from '../did/ports.ts';
import type { ChainLog } from './blocks.ts';
import { ChainError } from './errors.ts';
import { attributeKey, isPublicKeyName } from './ethr-attribute.ts';
import { decodeEthrEvent, type EthrEvent } from './ethr-events.ts';
import { ZERO_ADDRESS } from './events.ts';
import { inChainOrder, KEYS_PER_AGENT_MAX } from './key-history.ts';
import { KEY_FLAGS } from './key-slot.ts';

export interface EthrIdentity {
  /** Lower case. */
  readonly address: string;
  /** Compressed secp256k1, of an identifier that is a public key. */
  readonly publicKey?: Uint8Array;
}

export interface EthrView {
  /** Highest block that counts as safe; -1 when the chain has none yet. */
  readonly safeBlock: number;
  /** Unix seconds of the head: what ended by then has ended, whatever our own clock says. */
  readonly headTime: number;
}

export interface EthrHistory {
  readonly deactivated: boolean;
  /** As `identityOwner` of the contract gives it. */
  readonly owner: string;
  /** As `changed` of the contract gives it: the block of the last event, or 0. */
  readonly changed: number;
  readonly keys: readonly ChainKey[];
  /** Set, but in a block that is not safe yet. */
  readonly pending: readonly ChainKey[];
}

const SIGNS = KEY_FLAGS.authentication | KEY_FLAGS.assertionMethod;

/** Unix seconds; what ends later has no end that a Date can name. */
const TIME_MAX = 8_640_000_000_000n;

/** One writing of a delegate or an attribute. */
interface Write {
  readonly fragment: string;
  readonly event: Extract<EthrEvent, { kind: 'delegate' | 'attribute' }>;
  readonly blockNumber: number;
}

interface Owner {
  readonly address: string;
  readonly setAtBlock: number;
}

/**
 * @param logs every event of the identity, in any order
 * @throws ChainError `rpc_bad_answer` for an event that cannot be decoded, or when one is missing between two others
 */
export function replayEthr(logs: readonly ChainLog[], identity: EthrIdentity, view: EthrView): EthrHistory {
  const writes = new Map<string, Write[]>();
  let owner: Owner = { address: identity.address, setAtBlock: 0 };
  let deactivated = false;
  let count = 0;
  let changed = 0;
  for (const log of inChainOrder(logs)) {
    const event = decodeEthrEvent(log);
    if (event === undefined || event.identity !== identity.address) continue;
    // Each event names the block of the one before: whoever leaves one out shows it.
    if (event.previousChange !== BigInt(changed)) {
      throw new ChainError('rpc_bad_answer', { detail: `no event of block ${event.previousChange}` });
    }
    changed = log.blockNumber;
    if (event.kind === 'owner') {
      if (event.owner !== owner.address) owner = { address: event.owner, setAtBlock: log.blockNumber };
      deactivated ||= event.owner === ZERO_ADDRESS;
      continue;
    }
    if (!countsForNames(event)) continue;
    count += 1;
    const write = { fragment: `delegate-${count}`, event, blockNumber: log.blockNumber };
    const name = nameOf(event);
    const former = writes.get(name);
    if (former === undefined) writes.set(name, [write]);
    else former.push(write);
  }
  const contractOwner = owner.address === ZERO_ADDRESS ? identity.address : owner.address;
  const told = { deactivated, owner: contractOwner, changed };
  if (deactivated) return { ...told, keys: [], pending: [] };
  return { ...told, ...judge(identity, owner, writes, view) };
}

/** Whether it moves the number of the names that follow: always or never, so that a name keeps its meaning. */
function countsForNames(event: Write['event']): boolean {
  if (event.kind === 'delegate') return event.type !== undefined;
  return event.name !== undefined && isPublicKeyName(event.name);
}

/** Equal for events about the same thing, the last of which decides. */
function nameOf(event: Write['event']): string {
  return event.kind === 'delegate'
    ? `delegate ${event.delegate} ${event.type}`
    : `attribute ${event.value.toString('hex')} ${event.name}`;
}

function judge(
  identity: EthrIdentity,
  owner: Owner,
  writes: ReadonlyMap<string, readonly Write[]>,
  view: EthrView,
): Pick<EthrHistory, 'keys' | 'pending'> {
  const keys: ChainKey[] = [];
  const pending: ChainKey[] = [];
  (owner.setAtBlock <= view.safeBlock || owner.setAtBlock === 0 ? keys : pending).push(
    ...controllers(identity, owner),
  );
  for (const all of writes.values()) {
    if (keys.length + pending.length >= KEYS_PER_AGENT_MAX) break;
    const settledAt = all.findLastIndex(({ blockNumber }) => blockNumber <= view.safeBlock);
    const last = all.at(-1) as Write;
    if (settledAt >= 0) {
      // What came after may only shorten it, until it is safe itself.
      const validTo = all.slice(settledAt).reduce((least, { event }) => min(least, event.validTo), TIME_MAX);
      addKey(keys, all[settledAt] as Write, validTo, view);
    }
    if (settledAt < all.length - 1) addKey(pending, last, last.event.validTo, view);
  }
  return { keys, pending };
}

function controllers({ address, publicKey }: EthrIdentity, owner: Owner): ChainKey[] {
  const { setAtBlock } = owner;
  const account = { kind: 'account', address: owner.address } as const;
  const controller = { fragment: 'controller', flags: SIGNS, notAfter: 0, material: account, setAtBlock };
  if (publicKey === undefined || owner.address !== address) return [controller];
  const material = { kind: 'multikey', bytes: Uint8Array.of(0xe7, 0x01, ...publicKey) } as const;
  return [controller, { fragment: 'controllerKey', flags: SIGNS, notAfter: 0, material, setAtBlock }];
}

function addKey(to: ChainKey[], write: Write, validTo: bigint, { headTime }: EthrView): void {
  // As `validDelegate` of the contract judges: the second it ends in is no longer within.
  if (validTo <= BigInt(headTime)) return;
  const { fragment, event, blockNumber: setAtBlock } = write;
  const notAfter = validTo >= TIME_MAX ? 0 : Number(validTo);
  if (event.kind === 'attribute') {
    const key = attributeKey(event.name ?? '', event.value);
    if (key !== undefined) to.push({ fragment, ...key, notAfter, setAtBlock });
    return;
  }
  const flags = event.type === 'sigAuth' ? SIGNS : event.type === 'veriKey' ? KEY_FLAGS.assertionMethod : 0;
  if (flags === 0) return;
  to.push({ fragment, flags, notAfter, material: { kind: 'account', address: event.delegate }, setAtBlock });
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
