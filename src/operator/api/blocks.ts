/** Source addresses that may not call for a while. */
import { isIP } from 'node:net';
import { type Static, Type } from 'typebox';
import { type AddressKey, addressKey, isAddressKey } from '../../store/address.ts';
import type { BlockView } from '../../store/block-notes.ts';
import type { Blocks } from '../../store/blocks.ts';
import { principalOf } from '../access/principal.ts';
import { OperatorError } from '../errors.ts';
import { InstantView, instant } from './instants.ts';
import { listOf, PageQuery, pageOf, pageRequest } from './pagination.ts';
import type { OperatorApp } from './route.ts';

export interface BlockPorts {
  readonly blocks: Pick<Blocks, 'list' | 'set' | 'lift'>;
  readonly now: () => number;
}

const SECONDS_MAX = 86_400;

const Block = Type.Object(
  {
    address: Type.String({ description: 'An IPv4 address, or the /64 of an IPv6 subscriber.' }),
    until: InstantView,
    reason: Type.String(),
    set_by: Type.String({ description: 'An operator, or `gateway` for one that failed too often.' }),
  },
  { title: 'Block' },
);

const NewBlock = Type.Object(
  {
    address: Type.String({ minLength: 2, maxLength: 64, description: 'An IPv6 address stands for its /64.' }),
    for_seconds: Type.Integer({ minimum: 1, maximum: SECONDS_MAX }),
    reason: Type.Optional(Type.String({ maxLength: 500 })),
  },
  { additionalProperties: false, title: 'NewBlock' },
);

function view({ address, untilMs, reason, setBy }: BlockView): Static<typeof Block> {
  return { address, until: instant(untilMs), reason, set_by: setBy };
}

/** As it is counted. @throws OperatorError request_invalid */
function keyOf(text: string, path: string): AddressKey {
  if (isAddressKey(text)) return text;
  if (isIP(text) !== 0) return addressKey(text);
  throw new OperatorError('request_invalid', { errors: [{ path, message: 'must be an IP address' }] });
}

/** `GET`, `POST` /v1/blocks; `DELETE` /v1/blocks/{address}. */
export function blockRoutes(app: OperatorApp, ports: BlockPorts): void {
  app.get(
    '/blocks',
    {
      config: { scope: 'blocks:read' },
      schema: {
        operationId: 'listBlocks',
        summary: 'Addresses that may not call now',
        tags: ['blocks'],
        querystring: PageQuery,
        response: { 200: listOf(Block) },
      },
    },
    (request) => {
      const { items, next } = pageOf(
        ports.blocks.list(ports.now()),
        ({ address }) => address,
        pageRequest(request.query),
      );
      return { items: items.map(view), next };
    },
  );

  app.post(
    '/blocks',
    {
      config: { scope: 'blocks:write' },
      schema: {
        operationId: 'blockAddress',
        summary: 'Block an address for a while, on every node that shares Redis; a longer block stands',
        tags: ['blocks'],
        body: NewBlock,
        response: { 201: Block },
      },
    },
    async (request, reply) => {
      const { address, for_seconds: seconds, reason = '' } = request.body;
      const key = keyOf(address, '/address');
      const nowMs = ports.now();
      const setBy = principalOf(request).actor;
      await ports.blocks.set(key, 1_000 * seconds, nowMs, { reason, setBy });
      const set = ports.blocks.list(nowMs).find((block) => block.address === key);
      reply.code(201).header('location', `/v1/blocks/${encodeURIComponent(key)}`);
      return view(set ?? { address: key, untilMs: nowMs + 1_000 * seconds, reason, setBy });
    },
  );

  app.delete(
    '/blocks/:address',
    {
      config: { scope: 'blocks:write' },
      schema: {
        operationId: 'unblockAddress',
        summary: 'Let an address in again',
        tags: ['blocks'],
        params: Type.Object({ address: Type.String({ maxLength: 64 }) }, { additionalProperties: false }),
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const lifted = await ports.blocks.lift(keyOf(request.params.address, 'path/address'), ports.now());
      if (!lifted) throw new OperatorError('resource_unknown');
      return reply.code(204).send(null);
    },
  );
}
