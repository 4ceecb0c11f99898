/** Requests signed by hand, parameter by parameter, as another implementation of a profile would. */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { admissionRefusals } from '../../../src/gateway/admission/errors.ts';
import { type Claimant, identify, toRefusal } from '../../../src/gateway/identity/identify.ts';
import { Refused } from '../../../src/gateway/refusal.ts';
import type { NonceUse } from '../../../src/store/nonces.ts';
import type { ProfileName } from '../../../src/trust/profiles/profile.ts';
import { contentDigest } from '../../../src/trust/wire/content-digest.ts';
import { requestView } from '../../../src/trust/wire/message.ts';
import { signMessage } from '../../../src/trust/wire/sign.ts';
import { newWorld, type World } from '../../trust/did/world.ts';

export const BODY = Buffer.from('{"pay":1}');
export const DAY = new Date(1_800_000_000_000).toUTCString();

export interface Shown {
  readonly method?: string;
  readonly target?: string;
  readonly label?: string;
  readonly components: readonly string[];
  readonly params: Readonly<Record<string, string | number | undefined>>;
  readonly fields?: readonly (readonly [string, string])[];
  readonly body?: Buffer | undefined;
  /** What is sent in its stead. */
  readonly sentBody?: Buffer;
  readonly sign: (base: Uint8Array) => Uint8Array;
  /** Changes the fields after they were signed. */
  readonly after?: (fields: readonly (readonly [string, string])[]) => readonly (readonly [string, string])[];
}

export function newNonce(): string {
  return randomBytes(16).toString('base64url');
}

/** The fields of a request signed so, for `https://gateway.example`. */
export function fieldsOf(shown: Shown): readonly (readonly [string, string])[] {
  const {
    method = 'GET',
    target = '/agents/echo/',
    label = 'sig1',
    components,
    params,
    body,
    fields = [],
  } = shown;
  const sent =
    body === undefined ? [...fields] : [...fields, ['content-digest', contentDigest(body)] as const];
  const { signatureInput, signature } = signMessage(
    { method, scheme: 'https', authority: 'gateway.example', target, rawHeaders: sent.flat() },
    { label, components, params: params as never },
    shown.sign,
  );
  const all = [...sent, ['signature-input', signatureInput] as const, ['signature', signature] as const];
  return shown.after?.(all) ?? all;
}

export interface ProfileBench {
  readonly world: World;
  /** Seconds since the epoch, as the world has it. */
  now(): number;
  /** The refusal's code, or `caller <DID> by <algorithm>`. */
  ask(
    profiles: readonly ProfileName[],
    shown: Shown,
    more?: readonly (readonly [string, string])[],
  ): Promise<string>;
  /** Nonces reserved, and the moment until which each is kept, in seconds since the epoch. */
  readonly reserved: { readonly name: string; readonly until: number; readonly aheadMs: number }[];
  /** As the memory of nonces answers; it always goes back far enough until this is set. */
  mayPredateMemory: (createdSeconds: number, skewSeconds: number) => boolean;
  /** Whether no more unknown callers may be looked up. */
  limited: boolean;
}

/** Identity over a registry held in memory; every nonce counts once. */
export function openProfileBench(): ProfileBench {
  const world = newWorld();
  const reserved: ProfileBench['reserved'] = [];
  const settings = {
    maxAgeSeconds: 60,
    skewSeconds: 5,
    body: { limitBytes: 1_000, idleTimeoutMs: 500, totalTimeoutMs: 1_000 },
    budget: { totalBytes: 2_000, heldBytes: 0 },
  };
  const ports = {
    now: () => world.nowMs,
    keys: world.resolver,
    nonces: {
      mayPredateMemory: (created: number, skew: number) => bench.mayPredateMemory(created, skew),
      reserve({ did, key, nonce, aheadMs, expiresAtMs }: NonceUse) {
        const name = `${did} ${key} ${nonce}`;
        if (reserved.some((one) => one.name === name)) return 'replayed' as const;
        reserved.push({ name, until: expiresAtMs / 1_000, aheadMs });
        return 'reserved' as const;
      },
      noteCreated: () => true,
    },
  };
  const bench: ProfileBench = {
    world,
    reserved,
    mayPredateMemory: () => false,
    limited: false,
    now: () => Math.floor(world.nowMs / 1_000),
    async ask(profiles, shown, more = []) {
      const { method = 'GET', target = '/agents/echo/', body, sentBody = body } = shown;
      const claimant: Claimant = {
        view: requestView({
          method,
          scheme: 'https',
          authority: 'gateway.example',
          target,
          rawHeaders: ['Host', 'gateway.example', ...more.flat(), ...fieldsOf(shown).flat()],
        }),
        source: sentBody === undefined ? null : Readable.from([sentBody]),
        declaredBytes: sentBody?.length ?? null,
        streamed: false,
        nonceDownPolicy: 'refuse',
        profiles,
        onChecked: () => undefined,
        onIdentified: () => undefined,
        onCold: () => {
          if (bench.limited) throw new Refused(admissionRefusals.new_callers_limited);
        },
      };
      try {
        const { caller } = await identify(claimant, settings, ports);
        return `caller ${caller.did} by ${caller.algorithm}`;
      } catch (error) {
        const refusal = toRefusal(error);
        if (!(refusal instanceof Refused)) throw error;
        return refusal.kind.code;
      }
    },
  };
  return bench;
}
