/** Requests over HTTP/1.1 that two parsers may read in two ways, as bytes. */

export interface Parts {
  /** Path that the gateway serves; what is signed begins with it. */
  readonly path: string;
  readonly host: string;
  /** Further field lines, each with its end: a signature, where there is one. */
  readonly fields: string;
  /** A whole second request, which must never become one. */
  readonly smuggled: string;
}

/** `refused`: nothing may reach the agent. Otherwise the body with which it must, if the gateway serves it at all. */
export type Shape = readonly [
  name: string,
  expected: 'refused' | 'hello' | '',
  bytes: (parts: Parts) => string,
];

const post =
  (framing: string, rest: string) =>
  ({ path, host, fields }: Parts): string =>
    `POST ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}${framing}\r\n${rest}`;
/** The same with the second request behind it. */
const postWith =
  (framing: string, rest: string) =>
  (parts: Parts): string =>
    post(framing, rest)(parts) + parts.smuggled;
const get =
  (line: (path: string) => string, more = '') =>
  ({ path, host, fields }: Parts): string =>
    `${line(path)}\r\nHost: ${host}\r\n${fields}${more}\r\n`;
const CHUNKED = 'Transfer-Encoding: chunked\r\n';
const HELLO = '5\r\nhello\r\n0\r\n\r\n';

const bothLengths: readonly Shape[] = [
  ['CL.TE', 'refused', postWith(`Content-Length: 5\r\n${CHUNKED}`, '0\r\n\r\n')],
  ['TE.CL', 'refused', postWith(`${CHUNKED}Content-Length: 5\r\n`, '0\r\n\r\n')],
  [
    'CL.TE, the chunked body whole',
    'refused',
    postWith(`Content-Length: ${HELLO.length}\r\n${CHUNKED}`, HELLO),
  ],
  ['CL 0 and TE', 'refused', postWith(`Content-Length: 0\r\n${CHUNKED}`, HELLO)],
  ['TE folded away', 'refused', postWith(`Content-Length: 5\r\nX: a\r\n ${CHUNKED}`, 'hello')],
  [
    'TE behind a bare CR',
    'refused',
    postWith('Content-Length: 5\r\nX: a\rTransfer-Encoding: chunked\r\n', 'hello'),
  ],
  [
    'TE behind a bare LF',
    'refused',
    postWith('Content-Length: 5\r\nX: a\nTransfer-Encoding: chunked\r\n', 'hello'),
  ],
  [
    'TE behind a NUL',
    'refused',
    postWith('Content-Length: 5\r\nX: a\0Transfer-Encoding: chunked\r\n', 'hello'),
  ],
  [
    'TE with a space before its colon',
    'refused',
    postWith('Content-Length: 5\r\nTransfer-Encoding : chunked\r\n', 'hello'),
  ],
  [
    'TE with a tab before its colon',
    'refused',
    postWith('Content-Length: 5\r\nTransfer-Encoding\t: chunked\r\n', 'hello'),
  ],
  [
    'TE with a space before its name',
    'refused',
    ({ path, host, fields }) =>
      `POST ${path} HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: ${host}\r\n${fields}Content-Length: 5\r\n\r\nhello`,
  ],
  [
    'TE with an underscore, and CL',
    'hello',
    post('Content-Length: 5\r\nTransfer_Encoding: chunked\r\n', 'hello'),
  ],
];

const codings = [
  'chunked, chunked',
  'chunked, identity',
  'identity, chunked',
  'identity',
  'xchunked',
  'chunkedx',
  '"chunked"',
  'chunked;q=1',
  'chunked,',
  ',chunked',
  'gzip, chunked',
  'chunked\x0b',
  '\x0bchunked',
  'chunk\0ed',
  'chun\xe9ked',
  'cow',
].map(
  (coding): Shape => [
    `TE ${JSON.stringify(coding)}`,
    'refused',
    postWith(`Transfer-Encoding: ${coding}\r\n`, HELLO),
  ],
);
const repeatedCodings: readonly Shape[] = [
  ['TE twice', 'refused', postWith(CHUNKED + CHUNKED, HELLO)],
  ['TE twice, the second another', 'refused', postWith(`${CHUNKED}transfer-encoding: identity\r\n`, HELLO)],
  ['TE twice, the first another', 'refused', postWith(`Transfer-Encoding: cow\r\n${CHUNKED}`, HELLO)],
  ['TE in another case', 'hello', post('tRaNsFeR-eNcOdInG: Chunked\r\n', HELLO)],
  ['TE with white space around', 'hello', post('Transfer-Encoding:\t chunked\r\n', HELLO)],
  [
    'TE in HTTP/1.0',
    'refused',
    (parts) => post(CHUNKED, HELLO)(parts).replace('HTTP/1.1', 'HTTP/1.0') + parts.smuggled,
  ],
];

const lengths = [
  '+5',
  '-5',
  '5.0',
  '0x5',
  '5e0',
  '5 5',
  '5,5',
  '5, 5',
  '5\x0b',
  '\x0c5',
  '٥',
  '',
  ' ',
  '99999999999999999999',
  '18446744073709551621',
  '5;',
  '"5"',
  '1_0',
  'five',
].map(
  // Longer than what follows is no other reading, only a body that does not end.
  (length): Shape => [
    `CL ${JSON.stringify(length)}`,
    'refused',
    postWith(`Content-Length: ${Buffer.from(length).toString('latin1')}\r\n`, 'hello'),
  ],
);
const repeatedLengths: readonly Shape[] = [
  ['CL twice', 'refused', postWith('Content-Length: 5\r\nContent-Length: 5\r\n', 'hello')],
  ['CL twice, and not the same', 'refused', postWith('Content-Length: 5\r\nContent-length: 0\r\n', 'hello')],
  ['CL beyond 32 bits, of which less comes', 'refused', post('Content-Length: 4294967301\r\n', 'hello')],
  ['CL with leading zeros', 'hello', post('Content-Length: 0005\r\n', 'hello')],
  ['CL with white space around', 'hello', post('Content-Length: \t5\t \r\n', 'hello')],
  ['CL named in Connection', 'hello', post('Content-Length: 5\r\nConnection: content-length\r\n', 'hello')],
  ['TE named in Connection', 'hello', post(`${CHUNKED}Connection: transfer-encoding\r\n`, HELLO)],
  ['a body that ends early', 'refused', post('Content-Length: 500\r\n', 'hello')],
];

const chunks: readonly Shape[] = [
  ['chunk extension', 'hello', post(CHUNKED, '5;a=b\r\nhello\r\n0;c\r\n\r\n')],
  ['chunk extension in quotes', 'hello', post(CHUNKED, '5;a="b;c"\r\nhello\r\n0\r\n\r\n')],
  ['chunk extension with a bare LF', 'refused', postWith(CHUNKED, '5;a\nhello\r\n0\r\n\r\n')],
  ['chunk extension with a bare CR', 'refused', postWith(CHUNKED, '5;a\rb\r\nhello\r\n0\r\n\r\n')],
  ['chunk extension with quoted line ends', 'refused', postWith(CHUNKED, '5;a="\r\nhello\r\n0\r\n\r\n"\r\n')],
  [
    'chunk extensions of 32 KB',
    'refused',
    postWith(CHUNKED, `5;${'a'.repeat(32_768)}\r\nhello\r\n0\r\n\r\n`),
  ],
  ['chunk size with zeros in front', 'hello', post(CHUNKED, '00000005\r\nhello\r\n0\r\n\r\n')],
  ['last chunk of many zeros', 'hello', post(CHUNKED, '5\r\nhello\r\n0000\r\n\r\n')],
  [
    'chunks of one byte',
    'hello',
    post(
      CHUNKED,
      `${Array.from('hello')
        .map((one) => `1\r\n${one}\r\n`)
        .join('')}0\r\n\r\n`,
    ),
  ],
  ['a chunk longer than it says', 'refused', postWith(CHUNKED, '5\r\nhelloworld\r\n0\r\n\r\n')],
  ['a chunk without its end', 'refused', postWith(CHUNKED, '5\r\nhello0\r\n\r\n')],
  ['a chunk ended by a bare LF', 'refused', postWith(CHUNKED, '5\r\nhello\n0\r\n\r\n')],
  ['a size ended by a bare LF', 'refused', postWith(CHUNKED, '5\nhello\r\n0\r\n\r\n')],
  ['only bare LFs in the body', 'refused', postWith(CHUNKED, '5\nhello\n0\n\n')],
  ['no last chunk', 'refused', post(CHUNKED, '5\r\nhello\r\n')],
  ['an empty line in front', 'refused', postWith(CHUNKED, '\r\n5\r\nhello\r\n0\r\n\r\n')],
  ...['0x5', '+5', '-5', 'g', '5 5', '', 'fffffffffffffffff', '10000000000000005', '5_', '\x005'].map(
    (size): Shape => [
      `chunk size ${JSON.stringify(size)}`,
      'refused',
      postWith(CHUNKED, `${size}\r\nhello\r\n0\r\n\r\n`),
    ],
  ),
  ['trailers', 'hello', post(CHUNKED, '5\r\nhello\r\n0\r\nX-Note: a\r\n\r\n')],
  [
    'trailers that frame',
    'refused',
    post(CHUNKED, '5\r\nhello\r\n0\r\nContent-Length: 500\r\nTransfer-Encoding: chunked\r\n\r\n'),
  ],
  [
    'trailers that route and identify',
    'hello',
    post(CHUNKED, '5\r\nhello\r\n0\r\nHost: other.example\r\nx-sage-verified-did: did:web:root\r\n\r\n'),
  ],
  ['a malformed trailer', 'refused', postWith(CHUNKED, '5\r\nhello\r\n0\r\nX Note: a\r\n\r\n')],
];

const names = [
  'X Y: a',
  ': a',
  'X',
  'X\0: a',
  'X\x80: a',
  'X(: a',
  'X:Y\0: a',
  'X: \x01',
  'X: \x7f',
  'X: a\r\n\tb',
  'X: a\r\n b',
  '\tX: a',
  'X: a\n',
  'X: a\r',
  '\x0bX: a',
  'Héader: a',
].map(
  (line): Shape => [
    `field ${JSON.stringify(line)}`,
    'refused',
    (parts) => get((path) => `GET ${path} HTTP/1.1`, `${line}\r\n`)(parts) + parts.smuggled,
  ],
);

const lines: readonly Shape[] = [
  ['HTTP/0.9', 'refused', ({ path }) => `GET ${path}\r\n\r\n`],
  ['HTTP/0.9 without an end', 'refused', ({ path }) => `GET ${path}\n`],
  ...[
    'HTTP/0.9',
    'HTTP/1.2',
    'HTTP/1.10',
    'HTTP/2.0',
    'HTTP/3',
    'http/1.1',
    'HTTP/1.1 x',
    'HTTP/1,1',
    'HTTP/ 1.1',
    'HTTPS/1.1',
    'ICE/1.0',
  ].map(
    (version): Shape => [
      `version ${version}`,
      'refused',
      (parts) => get((path) => `GET ${path} ${version}`)(parts) + parts.smuggled,
    ],
  ),
  // Node's parser takes it for HTTP/1.0 and does not say so; the agent gets HTTP/1.1.
  ['version RTSP/1.0', '', get((path) => `GET ${path} RTSP/1.0`)],
  [
    'a bare LF behind the request line',
    'refused',
    ({ path, host, fields }) => `GET ${path} HTTP/1.1\nHost: ${host}\r\n${fields}\r\n`,
  ],
  [
    'only bare LFs',
    'refused',
    ({ path, host, fields }) => `GET ${path} HTTP/1.1\nHost: ${host}\n${fields.replaceAll('\r', '')}\n`,
  ],
  ['a space before the method', 'refused', get((path) => ` GET ${path} HTTP/1.1`)],
  ['a NUL in the path', 'refused', get((path) => `GET ${path}\0 HTTP/1.1`)],
  ['a space in the path', 'refused', get((path) => `GET ${path} /agents/open/smuggled HTTP/1.1`)],
  ['a tab in the path', 'refused', get((path) => `GET ${path}\tx HTTP/1.1`)],
  ['a CR in the path', 'refused', get((path) => `GET ${path}\rx HTTP/1.1`)],
  [
    'UTF-8 in the path',
    'refused',
    get((path) => `GET ${path}${Buffer.from('é').toString('latin1')} HTTP/1.1`),
  ],
  ['a fragment', 'refused', get((path) => `GET ${path}#x HTTP/1.1`)],
  ['a path of 64 KB', 'refused', get((path) => `GET ${path}${'a'.repeat(65_536)} HTTP/1.1`)],
  ['a method of 64 KB', 'refused', get((path) => `${'A'.repeat(65_536)} ${path} HTTP/1.1`)],
  ['a method with a separator', 'refused', get((path) => `GE(T ${path} HTTP/1.1`)],
  ['empty lines in front', '', (parts) => `\r\n\r\n${get((path) => `GET ${path} HTTP/1.1`)(parts)}`],
];

const hosts: readonly Shape[] = [
  ['an absolute target unlike Host', 'refused', get((path) => `GET http://other.example${path} HTTP/1.1`)],
  [
    'an absolute target with user information',
    'refused',
    ({ path, host, fields }) => `GET http://u@${host}${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`,
  ],
  [
    'an absolute target like Host',
    '',
    ({ path, host, fields }) => `GET http://${host}${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`,
  ],
  ['an absolute target without a host', 'refused', get((path) => `GET http://${path} HTTP/1.1`)],
  [
    'a target of another scheme',
    'refused',
    ({ path, host, fields }) => `GET ftp://${host}${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`,
  ],
  ['a network-path target', 'refused', get((path) => `GET //other.example${path} HTTP/1.1`)],
  ['two Hosts', 'refused', get((path) => `GET ${path} HTTP/1.1`, 'Host: other.example\r\n')],
  [
    'two Hosts, the same',
    'refused',
    ({ path, host, fields }) => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nhost: ${host}\r\n${fields}\r\n`,
  ],
  ['no Host', 'refused', ({ path, fields }) => `GET ${path} HTTP/1.1\r\n${fields}\r\n`],
  [
    'a Host with a path',
    'refused',
    ({ path, host, fields }) => `GET ${path} HTTP/1.1\r\nHost: ${host}/x\r\n${fields}\r\n`,
  ],
  [
    'Host named in Connection',
    '',
    get((path) => `GET ${path} HTTP/1.1`, 'Connection: host, x-sage-verified-did, signature\r\n'),
  ],
];

const tunnels: readonly Shape[] = [
  [
    'CONNECT',
    'refused',
    ({ host, smuggled }) => `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n${smuggled}`,
  ],
  [
    'CONNECT with a path',
    'refused',
    (parts) => get((path) => `CONNECT ${path} HTTP/1.1`)(parts) + parts.smuggled,
  ],
  ['TRACE', 'refused', get((path) => `TRACE ${path} HTTP/1.1`)],
  [
    'Upgrade to h2c',
    '',
    get(
      (path) => `GET ${path} HTTP/1.1`,
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n',
    ),
  ],
  [
    'Upgrade to h2c with a body',
    'hello',
    post(
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 5\r\n',
      'hello',
    ),
  ],
  [
    'Upgrade to websocket with a body',
    'refused',
    (parts) =>
      get(
        (path) => `GET ${path} HTTP/1.1`,
        'Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n',
      )(parts) + parts.smuggled,
  ],
  ['half a preface of HTTP/2', 'refused', ({ smuggled }) => `PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n${smuggled}`],
  [
    'a preface of HTTP/2 with a body',
    'refused',
    ({ smuggled }) => `PRI * HTTP/2.0\r\nContent-Length: 8\r\n\r\nSM\r\n\r\n${smuggled}`,
  ],
];

export const SHAPES: readonly Shape[] = [
  ...bothLengths,
  ...codings,
  ...repeatedCodings,
  ...lengths,
  ...repeatedLengths,
  ...chunks,
  ...names,
  ...lines,
  ...hosts,
  ...tunnels,
];
