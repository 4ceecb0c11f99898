import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { CLI_VARIABLES } from '../../src/env.ts';
import { VARIABLES } from '../../src/env-variables.ts';
import {
  allPages,
  codeBlocks,
  codeSpans,
  filesBelow,
  fileUrl,
  manual,
  type Page,
  page,
  section,
  tableRows,
} from './markdown.ts';

/** Variables that are read by something else, or by the tests alone. */
const FOREIGN = new Map([
  ['OTEL_EXPORTER_OTLP_HEADERS', 'the OpenTelemetry exporter'],
  ['NODE_EXTRA_CA_CERTS', 'Node'],
  ['SAGE_IMAGE', 'docker-compose.prod.yml'],
  ['CAP_NET_BIND_SERVICE', 'Linux'],
  ['ALLOW_MISSING', 'test/support'],
  ['CONFORMANCE_VECTORS', 'test/trust/wire/support'],
  ['SDK_ERRORS', 'a constant of the SDK'],
  ['SAGE_ORIGINS', 'src/sdk/environment.ts'],
  ['SAGE_SIGNATURE_MAX_AGE_SECONDS', 'src/sdk/environment.ts'],
  ['SAGE_CLOCK_SKEW_SECONDS', 'src/sdk/environment.ts'],
  ['SAGE_MAX_BODY_BYTES', 'src/sdk/environment.ts'],
]);
/** Codes of errors that keep a gateway from starting; `docs/troubleshooting.md` tells of each. */
const CODES = new Set(
  filesBelow('src/', '.ts')
    .filter((path) => /(?:errors|env|config|client-address)\.ts$/.test(path))
    .flatMap((path) =>
      [...page(path).text.matchAll(/'([A-Z]+(?:_[A-Z]+)+)'/g)].map((match) => match[1] ?? ''),
    ),
);
/** Names that RFC 9113 gives its error codes. */
const HTTP2 = new Set(['NO_ERROR', 'REFUSED_STREAM']);
const CAPITALS = /^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+/;

let source = '';
beforeAll(() => {
  source = filesBelow('src/', '.ts')
    .map((path) => readFileSync(fileUrl(path), 'utf8'))
    .join('\n');
});

function capitalsOf(from: Page): string[] {
  const shell = codeBlocks(from).flatMap(({ language, text }) =>
    language === 'yaml' || language === 'json' ? [] : [...text.matchAll(/\b([A-Z][A-Z0-9_]*)=/g)],
  );
  const named = codeSpans(from).map((span) => CAPITALS.exec(span)?.[0] ?? '');
  return [...named, ...shell.map((match) => match[1] ?? '')].filter((name) => name !== '');
}

describe('environment variables', () => {
  test('named in the manual are read by env.ts', () => {
    const known = new Set<string>([...VARIABLES, ...CLI_VARIABLES, ...CODES, ...FOREIGN.keys()]);
    const wrong = manual().flatMap((from) =>
      capitalsOf(from)
        .filter((name) => !known.has(name) && !HTTP2.has(name))
        .map((name) => `${from.path}: ${name}`),
    );
    expect(wrong).toEqual([]);
  });

  test('and constants named in a room stand in its source', () => {
    const rooms = allPages().filter(({ path }) => path.startsWith('src/'));
    const wrong = rooms.flatMap((from) =>
      capitalsOf(from)
        .filter((name) => !FOREIGN.has(name) && !HTTP2.has(name))
        .filter((name) => !new RegExp(`\\b${name}\\b`).test(source))
        .map((name) => `${from.path}: ${name}`),
    );
    expect(wrong).toEqual([]);
  });
});

test('every npm script that is named exists', () => {
  const { scripts } = JSON.parse(page('package.json').text) as { scripts: Record<string, string> };
  const named = [...manual(), page('.ci/run')].flatMap((from) =>
    [...from.text.matchAll(/\bnpm (?:run ([\w:-]+)|(start|test)\b)/g)].map((match) => ({
      path: from.path,
      script: match[1] ?? match[2] ?? '',
    })),
  );
  expect(named.length).toBeGreaterThan(8);
  expect(named.filter(({ script }) => !(script in scripts))).toEqual([]);
});

test('the figures of the bench are those it prints, with their bounds', () => {
  const signs: Readonly<Record<string, string>> = { atMost: '<= ', atLeast: '>= ', exactly: '' };
  const printed = ['test/bench/path.ts', 'test/bench/identity.ts'].flatMap((path) =>
    [...page(path).text.matchAll(/^ {4}(\w+): (atMost|atLeast|exactly)\(.*?, ([\d._]+)(?:, \d)?\),$/gm)].map(
      ([, name, kind = '', bound = '']) => ({
        name,
        bound: `${signs[kind]}${Number(bound.replaceAll('_', ''))}`,
      }),
    ),
  );
  const listed = tableRows(section(page('docs/development.md'), '## Measuring'))
    .filter(([name]) => name !== 'figure')
    .map(([name = '', bound = '']) => ({
      name: name.replaceAll('`', ''),
      bound: bound.replaceAll(',', ''),
    }));
  expect(listed.length).toBeGreaterThan(12);
  expect(listed).toEqual(printed);
});

test('every source file that is named exists', () => {
  const wrong = allPages().flatMap((from) =>
    codeSpans(from)
      .filter((span) => /^(?:src|test|docs|deploy|migrations)\/[\w./-]+$/.test(span))
      .filter((span) => {
        try {
          readFileSync(fileUrl(span.replace(/\/$/, '/README.md')));
          return false;
        } catch (error) {
          return (error as NodeJS.ErrnoException).code === 'ENOENT';
        }
      })
      .map((span) => `${from.path}: ${span}`),
  );
  expect(wrong).toEqual([]);
});

test('nothing that is published names a place on the machine it was written on', () => {
  const wrong = allPages().filter(({ text }) => /\/(?:work|home|root|Users|tmp)\/\w|\.library/.test(text));
  expect(wrong.map(({ path }) => path)).toEqual([]);
});
