import { expect, test } from 'vitest';
import { Refused } from '../../../src/gateway/refusal.ts';
import { readRoute } from '../../../src/gateway/routing/route.ts';

function codeOf(target: string): string {
  try {
    readRoute(target);
    return 'accepted';
  } catch (error) {
    if (error instanceof Refused) return error.kind.code;
    throw error;
  }
}

test.each([
  '/agents/a/../b',
  '/agents/a/..',
  '/agents/a/./b',
  '/agents/a/.',
  '/agents/a/%2e%2e/b',
  '/agents/a/.%2E/b',
  '/agents/a/%2e',
  '/agents/a/..;x=1/b',
  '/agents/a/..%3bx/b',
  '/agents/a/x%2fy',
  '/agents/a/x%2Fy',
  '/agents/a/x%5cy',
  '/agents/a/x\\y',
  '/agents/a/x%00y',
  '/agents/a/x%0ay',
  '/agents/a/x%7fy',
  '/agents/a//b',
  '/agents/a/b//',
  '/agents/a/b#c',
  '/agents/a/b?q#c',
  '/agents/a/100%',
  '/agents/a/%zz',
  '/agents/a/%c0%af',
  '/agents/a/%c0%ae%c0%ae/',
  '/agents/a/%ff',
  '/agents/a/%ed%a0%80',
  '/agents/a/\u00e9',
  '/agents/a/b c',
])('%j is ambiguous', (target) => {
  expect(codeOf(target)).toBe('path_ambiguous');
});

test.each([
  '/',
  '/agents',
  '/agents/',
  '/agents/?x',
  '/agents//x',
  '/health',
  '/Agents/a',
  'http://h/agents/a',
  `/agents/${'a'.repeat(64)}/x`,
])('%j names no agent', (target) => {
  expect(codeOf(target)).toBe('agent_unknown');
});

test('a target longer than 8 KiB is refused', () => {
  expect(codeOf(`/agents/a/${'x'.repeat(8_192)}`)).toBe('target_too_long');
});

test.each([
  ['/agents/a', 'a', '/', '/agents/a', '/agents/a'],
  ['/agents/a/', 'a', '/', '/agents/a/', '/agents/a/'],
  ['/agents/a?x=1', 'a', '/?x=1', '/agents/a', '/agents/a'],
  ['/agents/a?p=/b/c', 'a', '/?p=/b/c', '/agents/a', '/agents/a'],
  ['/agents/a/b/c?d=../e&f=%2F//', 'a', '/b/c?d=../e&f=%2F//', '/agents/a/b/c', '/agents/a/b/c'],
  [
    '/agents/a/.well-known/x..y',
    'a',
    '/.well-known/x..y',
    '/agents/a/.well-known/x..y',
    '/agents/a/.well-known/x..y',
  ],
  ['/agents/a/b;v=1/c', 'a', '/b;v=1/c', '/agents/a/b;v=1/c', '/agents/a/b;v=1/c'],
  [
    '/agents/a/%61dmin/caf%C3%A9',
    'a',
    '/%61dmin/caf%C3%A9',
    '/agents/a/%61dmin/caf%C3%A9',
    '/agents/a/admin/café',
  ],
  ['/agents/a/%252e%252e', 'a', '/%252e%252e', '/agents/a/%252e%252e', '/agents/a/%2e%2e'],
  ['/agents/v1.2/b', 'v1.2', '/b', '/agents/v1.2/b', '/agents/v1.2/b'],
])('%s is read', (target, agentId, upstream, rawPath, policyPath) => {
  expect(readRoute(target)).toEqual({ agentId, upstream, rawPath, policyPath });
});
