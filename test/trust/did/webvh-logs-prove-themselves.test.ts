import { createPrivateKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { DidError } from '../../../src/trust/did/errors.ts';
import { createTurns } from '../../../src/trust/did/turns.ts';
import { checkWitnesses, type History, readHistory } from '../../../src/trust/did/webvh-log.ts';
import { FetchError } from '../../../src/trust/fetch/errors.ts';
import { JSON_VALUES_MAX } from '../../../src/trust/fetch/json.ts';
import {
  Controller,
  created,
  dayOf,
  type Json,
  type Log,
  library,
  linesOf,
  proofBy,
  scidOf,
  sealed,
  updated,
  witnessed,
} from './webvh-world.ts';
import { newIdentity } from './world.ts';

const NOW_MS = Date.now();
const [alice, bob, carol] = [new Controller(), new Controller(), new Controller()];

const read = (log: Log, scid = scidOf(log)): Promise<History> => readHistory(linesOf(log), scid, NOW_MS);

/** The reason that a log is refused for; never anything but an error of ours. */
async function whyNot(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof DidError || error instanceof FetchError) return error.message;
    throw error;
  }
  return 'accepted';
}

/** What the library of the method's authors makes of it, without the services that it adds. */
async function reference(log: Log, proofs: unknown[] = []) {
  const { doc, meta } = await library.resolveDIDFromLog(log, { verifier: alice, witnessProofs: proofs });
  return { doc, versionId: meta.versionId, deactivated: meta.deactivated };
}

async function agree(log: Log, proofs: unknown[] = []): Promise<History> {
  const history = await read(log);
  if (history.duties.length > 0) await checkWitnesses(history, Buffer.from(JSON.stringify(proofs)), NOW_MS);
  const theirs = await reference(log, proofs);
  expect(history.newest).toBe(theirs.versionId);
  expect(history.deactivated).toBe(theirs.deactivated);
  if (theirs.doc !== null) {
    const { service: _service, ...doc } = theirs.doc;
    const { service: _ours, ...state } = history.state;
    expect(state).toEqual(doc);
  }
  return history;
}

it('by a key whose private half an RFC prints, nothing', async () => {
  const seed = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60';
  const der = Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex');
  const published = new Controller(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  const { log } = await created(published);
  expect((await reference(log)).versionId).toBe(log[0]?.versionId);
  expect(await whyNot(read(log))).toMatch(/not proven/);
});

describe('a good log is read as the reference implementation reads it', () => {
  it('with one entry, and with many', async () => {
    let { log } = await created(alice, { identities: { k: newIdentity() } });
    await agree(log);
    for (let entries = 2; entries <= 20; entries += 1) {
      log = await updated(log, alice, { identities: { k: newIdentity() } });
    }
    const { versions } = await agree(log);
    expect(versions.size).toBe(20);
  });

  it('with keys that are replaced', async () => {
    const { log } = await created(alice);
    const second = await updated(log, alice, { updateKeys: [bob] });
    const third = await updated(second, bob, { updateKeys: [alice, carol] });
    await agree(await updated(third, carol));
  });

  it('with keys that are announced first', async () => {
    const { log } = await created(alice, { next: [bob] });
    const second = await updated(log, bob, { updateKeys: [bob], next: [carol] });
    const third = await updated(second, carol, { updateKeys: [carol], next: [] });
    await agree(await updated(third, carol));
  });

  it('with an end', async () => {
    const { log } = await created(alice);
    const { log: ended } = await library.deactivateDID({ log, signer: alice, verifier: alice });
    const { deactivated } = await agree(ended);
    expect(deactivated).toBe(true);
  });

  it('with witnesses, who approve versions before theirs as well', async () => {
    const witness = { threshold: 2, witnesses: [{ id: bob.did }, { id: carol.did }] };
    const { log } = await created(alice, { witness });
    const second = await sealed(log, { ...log[0], versionTime: dayOf(2), parameters: {} }, [alice]);
    await agree(
      second,
      await witnessed([
        [second[1], bob],
        [second[1], carol],
      ]),
    );
  });

  it('where it has moved', async () => {
    const { did, log } = await created(alice, { portable: true });
    const id = did.replace('agents.example', 'other.example');
    const state = JSON.parse(JSON.stringify(log[0]?.state).replaceAll(did, id)) as Json;
    const entry = {
      ...log[0],
      versionTime: dayOf(2),
      parameters: {},
      state: { ...state, alsoKnownAs: [did] },
    };
    await agree(await sealed(log, entry, [alice]));
  });
});

/** A second entry, in which these members differ. */
async function second(more: Json, by: readonly Controller[] = [alice], choices = {}): Promise<Log> {
  const { log } = await created(alice, choices);
  return sealed(log, { ...log[0], versionTime: dayOf(2), parameters: {}, ...more }, by);
}

const last = (log: Log): Json => log.at(-1) ?? {};
const withLast = (log: Log, more: Json): Log => [...log.slice(0, -1), { ...last(log), ...more }];

const BAD: readonly (readonly [what: string, why: string, make: () => Promise<Log>])[] = [
  ['has no entries', 'not JSON', async () => []],
  ['is another DID’s', 'parameters of version 1', async () => (await created(bob)).log],
  ['has an entry without a proof in its list', 'version 2 has 0 proofs', () => second({}, [])],
  [
    'has a first entry without a proof in its list',
    'version 1 has 0 proofs',
    async () => withLast((await created(alice)).log, { proof: [] }),
  ],
  [
    'has an entry without proofs',
    'version 2 is not an entry',
    async () => withLast(await second({}), { proof: undefined }),
  ],
  ['has an entry signed by somebody else', 'version 2 is not proven', () => second({}, [bob])],
  ['has an entry signed by somebody else as well', 'version 2 is not proven', () => second({}, [alice, bob])],
  [
    'has an entry signed by the key that it names itself',
    'version 2 is not proven',
    () => second({ parameters: { updateKeys: [bob.multikey] } }, [bob]),
  ],
  [
    'has an entry whose content was changed',
    'hash of version 2',
    async () => withLast(await second({}), { state: (await created(alice)).log[0]?.state }),
  ],
  [
    'has an entry whose time was changed',
    'hash of version 2',
    async () => withLast(await second({}), { versionTime: dayOf(3) }),
  ],
  ['lacks an entry', 'parameters of version 1', async () => (await second({})).slice(1)],
  ['has an entry twice', 'time of version 3', async () => [...(await second({})), last(await second({}))]],
  ['has its entries in another order', 'parameters of version 1', async () => (await second({})).reverse()],
  ['goes back in time', 'time of version 2', () => second({ versionTime: '2024-12-31T00:00:00Z' })],
  ['stands still in time', 'time of version 2', () => second({ versionTime: '2025-01-01T00:00:00Z' })],
  [
    'is from the future',
    'time of version 2',
    () => second({ versionTime: new Date(NOW_MS + 301_000).toISOString() }),
  ],
  ['has a time of no zone', 'time of version 2', () => second({ versionTime: '2025-01-02T12:00:00' })],
  [
    'has a time of another zone',
    'time of version 2',
    () => second({ versionTime: '2025-01-02T12:00:00+01:00' }),
  ],
  [
    'has another method',
    'parameters of version 2',
    () => second({ parameters: { method: 'did:webvh:2.0' } }),
  ],
  [
    'has the method before it',
    'parameters of version 2',
    () => second({ parameters: { method: 'did:webvh:0.5' } }),
  ],
  ['names its SCID twice', 'parameters of version 2', () => second({ parameters: { scid: 'x' } })],
  ['becomes portable later', 'parameters of version 2', () => second({ parameters: { portable: true } })],
  [
    'moves though it may not',
    'moves a DID that may not move',
    async () => {
      const { did, log } = await created(alice);
      const state = { id: did.replace('agents.example', 'b.example'), alsoKnownAs: [did] };
      return sealed(log, { ...log[0], versionTime: dayOf(2), parameters: {}, state }, [alice]);
    },
  ],
  [
    'speaks for another DID',
    'another DID',
    () =>
      second({ state: { id: 'did:webvh:QmWRxH3d96RXiVkm5D4n9XHY9tpwRY6jFBnSjZbWnSN2VN:agents.example' } }),
  ],
  [
    'moves and does not own up to its name',
    'moves a DID that may not move',
    async () => {
      const { did, log } = await created(alice, { portable: true });
      const state = { id: did.replace('agents.example', 'b.example') };
      return sealed(log, { ...log[0], versionTime: dayOf(2), parameters: {}, state }, [alice]);
    },
  ],
  ['speaks for nobody', 'another DID', () => second({ state: {} })],
  [
    'names keys that were not announced',
    'not announced',
    () => second({ parameters: { updateKeys: [bob.multikey], nextKeyHashes: [] } }, [bob], { next: [carol] }),
  ],
  [
    'names no keys though some were announced',
    'parameters of version 2',
    () => second({ parameters: {} }, [alice], { next: [carol] }),
  ],
  ['has further members', 'not an entry', () => second({ more: 1 })],
  ['has parameters that are none', 'not an entry', () => second({ parameters: [] })],
  ['has keys that are none', 'parameters', () => second({ parameters: { updateKeys: 'x' } })],
  [
    'has more keys than a list holds',
    'parameters',
    () => second({ parameters: { updateKeys: Array(33).fill('x') } }),
  ],
  [
    'has a threshold above its witnesses',
    'parameters',
    () => second({ parameters: { witness: { threshold: 2, witnesses: [{ id: bob.did }] } } }),
  ],
  [
    'has a threshold of none',
    'parameters',
    () => second({ parameters: { witness: { threshold: 0, witnesses: [{ id: bob.did }] } } }),
  ],
  [
    'has a witness twice',
    'parameters',
    () =>
      second({ parameters: { witness: { threshold: 1, witnesses: [{ id: bob.did }, { id: bob.did }] } } }),
  ],
  [
    'goes on after its end',
    'after the end',
    async () => {
      const ended = await second({ parameters: { deactivated: true } });
      return sealed(ended, { ...ended[0], versionTime: dayOf(3), parameters: {} }, [alice]);
    },
  ],
];

const resealed = async (more: Json): Promise<Log> => {
  const log = await second({});
  const { proof: _proof, ...document } = last(log);
  return withLast(log, { proof: [await proofBy(alice, document, more)] });
};
const BAD_PROOFS: readonly (readonly [string, Json])[] = [
  ['of another suite', { cryptosuite: 'eddsa-rdfc-2022' }],
  ['of another type', { type: 'Ed25519Signature2020' }],
  ['for another purpose', { proofPurpose: 'authentication' }],
  ['that has run out', { expires: '2025-06-01T00:00:00Z' }],
  ['that runs out at no readable time', { expires: 1 }],
  ['by no did:key', { verificationMethod: 'did:web:agents.example#k' }],
  ['by a key of two names', { verificationMethod: `${alice.did}#${bob.multikey}` }],
  ['by a bare did:key', { verificationMethod: alice.did }],
];

describe('a log is refused that', () => {
  it.each(BAD)('%s', async (what, why, make) => {
    const log = await make();
    const scid = what.startsWith('is another') ? scidOf((await created(alice)).log) : scidOf(log);
    expect(await whyNot(read(log, scid))).toContain(why);
  });

  it('claims the SCID of another', async () => {
    const [victim, own] = [await created(alice), await created(bob)];
    const scid = scidOf(victim.log);
    const forged = JSON.parse(JSON.stringify(own.log[0]).replaceAll(scidOf(own.log), scid)) as Json;
    expect(await whyNot(read(await sealed([], forged, [bob]), scid))).toContain('not the log of this SCID');
  });

  it.each(BAD_PROOFS)('has a proof %s', async (_name, more) => {
    expect(await whyNot(read(await resealed({})))).toBe('accepted');
    expect(await whyNot(read(await resealed(more)))).toMatch(/not proven/);
  });

  it('has more entries than are verified, without verifying them', async () => {
    const { log } = await created(alice);
    const startedAt = performance.now();
    expect(await whyNot(read(Array<Json>(10_000).fill(last(log)), scidOf(log)))).toMatch(/entries/);
    expect(performance.now() - startedAt).toBeLessThan(500);
  });

  it.each([
    ['no JSON', '{'],
    ['an empty line', '\n'],
    ['a member twice', '{"versionId":"1","versionId":"1"}'],
    [
      'half a surrogate pair',
      JSON.stringify({
        parameters: { method: 'did:webvh:1.0', scid: 'Qm', updateKeys: [] },
        proof: [],
        state: { id: 'did:webvh:Qm:a', x: '\ud800' },
        versionId: '1-x',
        versionTime: dayOf(1),
      }),
    ],
  ])('holds %s', async (_name, text) => {
    expect(await whyNot(readHistory(Buffer.from(text), 'Qm', NOW_MS))).not.toBe('accepted');
  });

  it('has fewer witnesses than it asks for', async () => {
    const witness = { threshold: 2, witnesses: [{ id: bob.did }, { id: carol.did }] };
    const { log } = await created(alice, { witness });
    const two = await sealed(log, { ...log[0], versionTime: dayOf(2), parameters: {} }, [alice]);
    const history = await read(two);
    const why = async (sets: unknown): Promise<string> =>
      whyNot(checkWitnesses(history, Buffer.from(JSON.stringify(sets)), NOW_MS));
    const approved = await witnessed([
      [two[1], bob],
      [two[1], carol],
    ]);
    expect(await why(approved)).toBe('accepted');
    expect(await why([])).toMatch(/0 of 2/);
    expect(await why({})).toMatch(/not a list/);
    expect(await why(approved.slice(1))).toMatch(/1 of 2/);
    expect(await why([approved[0], approved[0]])).toMatch(/1 of 2/);
    expect(
      await why(
        await witnessed([
          [two[1], bob],
          [two[1], alice],
        ]),
      ),
    ).toMatch(/1 of 2/);
    // Of the first version alone: the second is not approved.
    expect(
      await why(
        await witnessed([
          [two[0], bob],
          [two[0], carol],
        ]),
      ),
    ).toMatch(/version 2 has 0 of 2/);
    // An approval of one version, said to be of another.
    const moved = (
      await witnessed([
        [two[0], bob],
        [two[0], carol],
      ])
    ).map((set) => ({ ...set, versionId: two[1]?.versionId }));
    expect(await why(moved)).toMatch(/version 1 has 0 of 2/);
    expect(await why([{ versionId: two[1]?.versionId, proof: [] }, null, 1, 'x', [], { proof: {} }])).toMatch(
      /0 of 2/,
    );
  });

  it('drops its witnesses without asking them', async () => {
    const witness = { threshold: 1, witnesses: [{ id: bob.did }] };
    const { log } = await created(alice, { witness });
    const two = await sealed(log, { ...log[0], versionTime: dayOf(2), parameters: { witness: {} } }, [alice]);
    const history = await read(two);
    const check = async (sets: unknown): Promise<string> =>
      whyNot(checkWitnesses(history, Buffer.from(JSON.stringify(sets)), NOW_MS));
    expect(await check(await witnessed([[two[0], bob]]))).toMatch(/version 2 has 0 of 1/);
    expect(await check(await witnessed([[two[1], bob]]))).toBe('accepted');
  });
});

it('logs are verified one after the other, and beyond a few that wait they are turned away', async () => {
  const inTurn = createTurns(2);
  const first = Promise.withResolvers<string>();
  const order: string[] = [];
  const one = inTurn(async () => order.push(await first.promise));
  const two = inTurn(async () => order.push('two'));
  expect(await whyNot(inTurn(async () => order.push('three')))).toMatch(/wait to be verified/);
  first.resolve('one');
  await Promise.all([one, two]);
  await expect(inTurn(() => Promise.reject(new Error('unsound')))).rejects.toThrow('unsound');
  await inTurn(async () => order.push('four'));
  expect(order).toEqual(['one', 'two', 'four']);
});

it('the longest log lets others have their turn', async () => {
  let { log } = await created(alice, { identities: { k: newIdentity() } });
  while (log.length < 256)
    log = await sealed(log, { ...log[0], versionTime: dayOf(log.length + 1), parameters: {} }, [alice]);
  let longest = 0;
  let at = performance.now();
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - at);
    at = performance.now();
  }, 1);
  const startedAt = performance.now();
  await read(log);
  const took = performance.now() - startedAt;
  clearInterval(timer);
  console.log(`256 entries in ${took.toFixed(0)} ms, at most ${longest.toFixed(1)} ms at a time`);
  expect(longest).toBeLessThan(100);
});

/** A document of so many members more, as small as members can be. */
const padded = (entry: Json | undefined, members: number): Json => ({
  ...entry,
  state: {
    ...(entry?.state as Json),
    padding: Object.fromEntries(Array.from({ length: members }, (_, at) => [at.toString(36), 0])),
  },
});

it('has an entry of more members than any document needs, without hashing it', async () => {
  const { log } = await created(alice);
  const heavy = await sealed(
    log,
    { ...padded(log[0], JSON_VALUES_MAX), versionTime: dayOf(2), parameters: {} },
    [alice],
  );
  expect(await whyNot(read(heavy))).toMatch(/more than 4096 values/);
});

it('the heaviest log lets others have their turn', async () => {
  const signers = Array.from({ length: 8 }, () => new Controller());
  const first = await created(alice, { updateKeys: [alice, ...signers] });
  let { log } = first;
  // As many entries as fit into the bytes that are fetched, each with as many members and proofs as are read.
  while (linesOf(log).length < 230_000)
    log = await sealed(
      log,
      { ...padded(log[0], JSON_VALUES_MAX - 200), versionTime: dayOf(log.length + 1), parameters: {} },
      signers,
    );
  let longest = 0;
  let at = performance.now();
  const look = (): void => {
    longest = Math.max(longest, performance.now() - at);
    at = performance.now();
    looking = setImmediate(look);
  };
  let looking = setImmediate(look);
  const history = await read(log);
  clearImmediate(looking);
  expect(history.newest).toBe(log.at(-1)?.versionId);
  console.log(`${log.length} heavy entries, at most ${longest.toFixed(1)} ms at a time`);
  expect(longest).toBeLessThan(100);
});
