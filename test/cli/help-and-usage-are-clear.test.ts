import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { page } from '../docs/markdown.ts';
import { leavesOf, PROGRAM } from '../docs/reference.ts';
import { MAIN, sage, sageJson } from './support.ts';

const { version } = JSON.parse(page('package.json').text) as { version: string };
const all = leavesOf(PROGRAM);

test('every command that the product promises is there', () => {
  expect(PROGRAM.commands.map((below) => below.name())).toEqual([
    'serve',
    'dev',
    'init',
    'config',
    'keygen',
    'sign',
    'verify',
    'status',
    'explain',
    'agents',
    'policy',
    'revoke',
    'keys',
    'migrate',
    'completion',
  ]);
});

describe('every command', () => {
  test.each(all)('$path says what it does, with an example and --json', ({ path, made }) => {
    let help = '';
    made.configureOutput({ writeOut: (text) => (help += text) });
    made.outputHelp();
    expect(help).toContain(made.description().slice(0, 20));
    expect(help).toMatch(new RegExp(`Examples:\\n {2}\\$ .*${path}`));
    expect(help).toContain('--json');
    expect(made.description()).toMatch(/^[^A-Z].*[^.]$/);
  });
});

test('the version is that of the package', async () => {
  expect(await sage(['--version'])).toMatchObject({ code: 0, out: `${version}\n` });
});

test('help goes to standard output with exit code 0', async () => {
  const { code, out, err } = await sage(['--help']);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toContain('sage [options] [command]');
});

describe('what is not understood ends with exit code 2', () => {
  test.each([
    ['an unknown command, with the one that was meant', ['keygne'], /Did you mean keygen\?/],
    ['an unknown option', ['keygen', '--colour'], /unknown option '--colour'/],
    ['a value outside the choices', ['keygen', '--algorithm', 'rot13'], /Allowed choices are ed25519/],
    ['a missing argument', ['sign'], /missing required argument 'method'/],
    [
      'a number that is none',
      ['sign', '--expires-in', 'soon', 'GET', 'http://h/'],
      /whole number from 1 to 3600/,
    ],
  ])('%s', async (_what, words, says) => {
    const { code, out, err } = await sage(words);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(says);
  });

  test('who has read enough ends it in peace', async () => {
    const { stdout, stderr } = await promisify(execFile)('bash', [
      '-c',
      `'${process.execPath}' '${MAIN}' completion bash | true; echo "\${PIPESTATUS[0]}"`,
    ]);
    expect({ stdout, stderr }).toEqual({ stdout: '0\n', stderr: '' });
  });

  test('as JSON too', async () => {
    const { code, error } = await sageJson(['keygen', '--colour']);
    expect(code).toBe(2);
    expect(error).toMatchObject({ code: 'usage', message: expect.stringContaining('--colour'), faults: [] });
  });
});

describe('a secret on the command line is refused unheard, and not repeated', () => {
  const secret = `sage_c450Dy-AEKC4.${'Zq8'.repeat(12)}`;
  test.each([
    ['an API key', ['status', '--url', 'http://127.0.0.1:1', secret]],
    ['an option that would hold one', ['status', '--api-key', secret]],
    ['a private JWK', ['sign', '--key-file', '{"kty":"OKP","d":"abc"}', 'GET', 'http://h/']],
    ['a PEM', ['sign', '--key-file', '-----BEGIN PRIVATE KEY-----', 'GET', 'http://h/']],
    ['a URL that holds one', ['status', '--url', 'https://ops:Zq8Zq8Zq8@gateway.example']],
    ['a field that holds one', ['sign', '-H', 'authorization: Bearer abc', 'GET', 'http://h/']],
  ])('%s', async (_what, words) => {
    const { code, out, err } = await sage(words);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(/a secret does not belong on a command line/);
    expect(err).not.toContain('Zq8Zq8');
    expect(err).not.toContain('Bearer abc');
  });
});
