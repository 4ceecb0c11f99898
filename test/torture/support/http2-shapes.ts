/** Requests over HTTP/2 that a server in front and one behind may read in two ways, as frames. */
import {
  block,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  type Fields,
  frame,
  HEADERS,
  indexedLiteral,
  literal,
} from './http2-client.ts';

export interface Parts {
  readonly path: string;
  readonly authority: string;
  /** Signature and the like. */
  readonly fields: Fields;
}

/**
 * `refused`: nothing may reach the agent whole. `dropped`: the field must not reach it; Node's parser leaves out what is no
 * field, and tells nobody (RFC 9113, section 8.2.1, calls the message malformed). Otherwise the body with which it must.
 */
export type Shape = readonly [
  name: string,
  expected: 'refused' | 'dropped' | 'hello' | '',
  frames: (parts: Parts) => Buffer[],
];

const pseudo = (method: string, { path, authority }: Parts): Fields => [
  [':method', method],
  [':scheme', 'http'],
  [':path', path],
  [':authority', authority],
];
const HELLO = Buffer.from('hello');
const headers = (fields: Fields, end = true): Buffer =>
  frame(HEADERS, END_HEADERS | (end ? END_STREAM : 0), 1, block(fields));
const hello = (end = true): Buffer => frame(DATA, end ? END_STREAM : 0, 1, HELLO);

/** A GET with more fields, or with its own pseudo-header fields changed. */
const get =
  (more: Fields, change: (fields: Fields) => Fields = (fields) => fields) =>
  (parts: Parts): Buffer[] => [headers([...change(pseudo('GET', parts)), ...parts.fields, ...more])];
const post =
  (more: Fields, ...rest: Buffer[]) =>
  (parts: Parts): Buffer[] => [headers([...pseudo('POST', parts), ...parts.fields, ...more], false), ...rest];
const set =
  (name: string, value: string) =>
  (fields: Fields): Fields =>
    fields.map(([field, before]) => [field, field === name ? value : before]);
const without =
  (name: string) =>
  (fields: Fields): Fields =>
    fields.filter(([field]) => field !== name);
const SMUGGLED = 'GET /agents/open/smuggled HTTP/1.1\r\nhost: a\r\n\r\n';

export const MARK = 'mark-of-a-field';
const names: readonly Shape[] = [
  ...['X-Upper', 'Signature', ':x', ':status', ':protocol'].map(
    (name): Shape => [`field name ${JSON.stringify(name)}`, 'refused', get([[name, 'a']])],
  ),
  ...['x y', 'x:y', '', ' x', 'x ', 'x\r\ny', 'x\0', 'x\x7f', 'x\xe9', 'x('].map(
    (name): Shape => [`field name ${JSON.stringify(name)}`, 'dropped', get([[name, MARK]])],
  ),
];
const values = [`\r\n\r\n${SMUGGLED}`, '\ra', '\na', '\0a', '\x7f', '\x01'].map(
  (value): Shape => [
    `field value ${JSON.stringify(value.slice(0, 8))}`,
    'dropped',
    get([['x-a', MARK + value]]),
  ],
);
const connectionFields = [
  ['connection', 'close'],
  ['connection', 'keep-alive'],
  ['keep-alive', 'timeout=5'],
  ['proxy-connection', 'keep-alive'],
  ['transfer-encoding', 'chunked'],
  ['transfer-encoding', 'identity'],
  ['upgrade', 'websocket'],
  ['upgrade', 'h2c'],
  ['te', 'gzip'],
  ['te', 'trailers, chunked'],
].map(([name = '', value = '']): Shape => [`${name}: ${value}`, 'refused', get([[name, value]])]);
const withBodies: readonly Shape[] = [
  [
    'transfer-encoding with a body',
    'refused',
    post([['transfer-encoding', 'chunked']], frame(DATA, END_STREAM, 1, Buffer.from(`0\r\n\r\n${SMUGGLED}`))),
  ],
  ['te: trailers', '', get([['te', 'trailers']])],
  ['content-length that is right', 'hello', post([['content-length', '5']], hello())],
  ['content-length that is less', 'refused', post([['content-length', '3']], hello())],
  ['content-length that is more', 'refused', post([['content-length', '10']], hello())],
  [
    'content-length 0 with a body',
    'refused',
    post([['content-length', '0']], frame(DATA, END_STREAM, 1, Buffer.from(SMUGGLED))),
  ],
  ['content-length without a body', 'refused', get([['content-length', '5']])],
  [
    'content-length twice',
    'refused',
    post(
      [
        ['content-length', '5'],
        ['content-length', '5'],
      ],
      hello(),
    ),
  ],
  [
    'content-length twice, unlike',
    'refused',
    post(
      [
        ['content-length', '5'],
        ['content-length', '0'],
      ],
      hello(),
    ),
  ],
  ...['+5', '-5', '5, 5', '0x5', '5.0', '', '99999999999999999999', '5 5'].map(
    (length): Shape => [
      `content-length ${JSON.stringify(length)}`,
      'refused',
      post([['content-length', length]], hello()),
    ],
  ),
  ['no content-length', 'hello', post([], hello())],
  [
    'many empty DATA frames',
    'hello',
    post([], ...Array.from({ length: 50 }, () => frame(DATA, 0, 1)), hello()),
  ],
  [
    'trailers',
    'hello',
    post([], hello(false), frame(HEADERS, END_HEADERS | END_STREAM, 1, block([['x-note', 'a']]))),
  ],
  [
    'trailers that frame, route and identify',
    'hello',
    post(
      [],
      hello(false),
      frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        1,
        block([
          ['host', 'other.example'],
          ['x-sage-verified-did', 'did:web:root'],
        ]),
      ),
    ),
  ],
  [
    'trailers with a pseudo-header field',
    'refused',
    post(
      [],
      hello(false),
      frame(HEADERS, END_HEADERS | END_STREAM, 1, block([[':path', '/agents/open/smuggled']])),
    ),
  ],
  [
    'trailers that do not end it',
    'refused',
    post([], hello(false), frame(HEADERS, END_HEADERS, 1, block([['x-note', 'a']]))),
  ],
  ['a body that is reset', 'refused', post([], hello(false), frame(3, 0, 1, Buffer.alloc(4, 1)))],
];

const pseudoFields: readonly Shape[] = [
  [
    'a pseudo-header field behind others',
    'refused',
    (parts) => [headers([['x-a', 'b'], ...pseudo('GET', parts), ...parts.fields])],
  ],
  ...[':method', ':path', ':scheme', ':authority'].flatMap((name): Shape[] => [
    [
      `${name} twice`,
      'refused',
      (parts) => [
        headers([
          ...pseudo('GET', parts),
          pseudo('GET', parts).find(([field]) => field === name) as Fields[0],
          ...parts.fields,
        ]),
      ],
    ],
    // Without :authority a Host field may stand for it; here there is none.
    [`no ${name}`, 'refused', get([], without(name))],
    [`${name} is empty`, 'refused', get([], set(name, ''))],
    [`${name} with a line end`, 'refused', get([], set(name, `/a HTTP/1.1\r\nhost: a\r\n\r\n${SMUGGLED}`))],
    [`${name} with a space`, 'refused', get([], set(name, '/agents/open/start HTTP/1.1'))],
    [`${name} with a NUL`, 'refused', get([], set(name, '/agents/open/start\0'))],
  ]),
  [':path in absolute form', 'refused', get([], set(':path', 'http://other.example/agents/open/start'))],
  [':path without a slash', 'refused', get([], set(':path', 'agents/open/start'))],
  [':path that is an asterisk', 'refused', get([], set(':path', '*'))],
  [':path with a fragment', 'refused', get([], set(':path', '/agents/open/start#a'))],
  [':method in lower case', 'refused', get([], set(':method', 'get'))],
  [
    ':authority with user information',
    'refused',
    get([], (fields) => fields.map(([name, value]) => [name, name === ':authority' ? `u@${value}` : value])),
  ],
  ['host unlike :authority', 'refused', get([['host', 'other.example']])],
  ['host like :authority', '', (parts) => get([['host', parts.authority]])(parts)],
  [
    'host twice',
    'refused',
    (parts) =>
      get([
        ['host', parts.authority],
        ['host', parts.authority],
      ])(parts),
  ],
  [
    'CONNECT',
    'refused',
    ({ authority }) => [
      headers([
        [':method', 'CONNECT'],
        [':authority', authority],
      ]),
    ],
  ],
  ['CONNECT with a path', 'refused', (parts) => [headers(pseudo('CONNECT', parts))]],
  [
    'extended CONNECT',
    'refused',
    (parts) => [headers([...pseudo('CONNECT', parts), [':protocol', 'websocket'], ...parts.fields], false)],
  ],
  [':scheme of the caller', '', get([], set(':scheme', 'https'))],
];

const floods: readonly Shape[] = [
  [
    'CONTINUATION without an end',
    'refused',
    (parts) => [
      frame(HEADERS, END_STREAM, 1, block(pseudo('GET', parts))),
      ...Array.from({ length: 5_000 }, (_, at) =>
        frame(CONTINUATION, 0, 1, literal(`x-${at}`, 'a'.repeat(64))),
      ),
    ],
  ],
  [
    'empty CONTINUATION without an end',
    'refused',
    (parts) => [
      frame(HEADERS, END_STREAM, 1, block(pseudo('GET', parts))),
      ...Array.from({ length: 20_000 }, () => frame(CONTINUATION, 0, 1)),
    ],
  ],
  // 4,000 bytes that are said once and named by one byte each afterwards: 16 MB of fields in a frame.
  [
    'a bomb of HPACK',
    'refused',
    (parts) => [
      frame(
        HEADERS,
        END_STREAM | END_HEADERS,
        1,
        Buffer.concat([
          block(pseudo('GET', parts)),
          indexedLiteral('x-bomb', 'a'.repeat(3_900)),
          Buffer.alloc(4_000, 0x80 | 62),
        ]),
      ),
    ],
  ],
  [
    'a table of HPACK that is larger than allowed',
    'refused',
    (parts) => [
      frame(
        HEADERS,
        END_STREAM | END_HEADERS,
        1,
        Buffer.concat([Buffer.of(0x3f, 0xff, 0xff, 0xff, 0x0f), block(pseudo('GET', parts))]),
      ),
    ],
  ],
  [
    'an index of HPACK that is not there',
    'refused',
    () => [frame(HEADERS, END_STREAM | END_HEADERS, 1, Buffer.of(0xff, 0xff, 0xff, 0x7f))],
  ],
  [
    'fields of 64 KB',
    'refused',
    (parts) => [
      frame(HEADERS, END_STREAM, 1, block([...pseudo('GET', parts), ...parts.fields])),
      ...Array.from({ length: 16 }, (_, at) =>
        frame(CONTINUATION, at === 15 ? END_HEADERS : 0, 1, literal(`x-${at}`, 'a'.repeat(4_096))),
      ),
    ],
  ],
  [
    'a frame longer than allowed',
    'refused',
    (parts) => [
      frame(
        HEADERS,
        END_STREAM | END_HEADERS,
        1,
        block([...pseudo('GET', parts), ['x-a', 'a'.repeat(20_000)]]),
      ),
    ],
  ],
  ['DATA on stream 0', 'refused', () => [frame(DATA, END_STREAM, 0, HELLO)]],
  [
    'HEADERS on an even stream',
    'refused',
    (parts) => [frame(HEADERS, END_STREAM | END_HEADERS, 2, block(pseudo('GET', parts)))],
  ],
  ['DATA on a stream that is not open', 'refused', () => [frame(DATA, END_STREAM, 1, HELLO)]],
  [
    'padding longer than the frame',
    'refused',
    () => [frame(HEADERS, END_STREAM | END_HEADERS | 8, 1, Buffer.of(255, 0))],
  ],
  ['SETTINGS of a wrong length', 'refused', () => [frame(4, 0, 0, Buffer.alloc(5))]],
  ['SETTINGS by the thousand', 'refused', () => Array.from({ length: 20_000 }, () => frame(4, 0, 0))],
  [
    'PING by the thousand',
    'refused',
    () => Array.from({ length: 20_000 }, () => frame(6, 0, 0, Buffer.alloc(8))),
  ],
];

export const SHAPES: readonly Shape[] = [
  ...names,
  ...values,
  ...connectionFields,
  ...withBodies,
  ...pseudoFields,
];
/** A second request in frames behind the end of the first. */
export const AFTER_THE_END = post(
  [['content-length', '5']],
  hello(),
  frame(DATA, END_STREAM, 1, Buffer.from(SMUGGLED)),
);
/** What only costs; sent with no signature. */
export const FLOODS: readonly Shape[] = floods;
