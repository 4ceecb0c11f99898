/** The files of a first gateway, as `sage init` writes them and `sage dev` uses them. */

export interface ScaffoldOptions {
  readonly port: number;
  readonly agentPort: number;
  /** 64 hex digits, made for this folder. */
  readonly operatorKey: string;
}

export interface ScaffoldFile {
  readonly path: string;
  readonly text: string;
  readonly secret: boolean;
}

export function configText(agents: readonly { readonly id: string; readonly upstream: string }[]): string {
  const entries = agents.map(
    ({ id, upstream }) => `  - id: ${id}\n    upstreams: [${JSON.stringify(upstream)}]\n`,
  );
  return `# Whom this gateway serves, each under /agents/<id>/. Watched: a change counts as soon as it is saved.
apiVersion: sage/v1
agents:
${entries.join('')}policy: ./policy.yaml
# operators: ["did:key:z6Mk…"]   # whose signed requests may use the operators' API
`;
}

/** Everybody who proves a did:key may read and post; nothing is deleted. It carries its own tests. */
export function policyText(agentId: string): string {
  return `# Who may do what. What no rule allows is denied; a deny wins over any allow.
apiVersion: sage/v1
kind: PolicySet
metadata: { name: first }
limits:
  - { id: per-address, key: ip, when: pre_auth, rate: 600/m, burst: 100 }
  - { id: per-caller, key: did, rate: 120/m, burst: 60 }
rules:
  - id: proven-callers
    effect: allow
    match: { did: "did:key:*", method: [GET, HEAD, POST], path: /agents/${agentId}/** }
  - id: nothing-is-deleted
    effect: deny
    match: { method: [DELETE] }
    reason: Nothing is deleted here
tests:
  - name: a proven caller may ask
    request: { did: "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", method: GET, path: /agents/${agentId}/hello }
    expect: { allow: true, rule: proven-callers }
  - name: nobody deletes
    request: { did: "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", method: DELETE, path: /agents/${agentId}/hello }
    expect: { allow: false, rule: nothing-is-deleted }
`;
}

/** An agent in plain Node, which says who asked. */
function agentText(port: number): string {
  return `// A sample agent: answers with what it was told about its caller. Needs Node and nothing else.
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const answer = {
      agent: 'echo',
      // Set by the gateway, after it has proven the signature; whatever a caller sends by this name is removed.
      caller: request.headers['x-sage-verified-did'] ?? null,
      method: request.method,
      path: request.url,
      body: Buffer.concat(chunks).toString('utf8'),
    };
    response.end(JSON.stringify(answer) + '\\n');
  });
});
server.listen(${port}, '127.0.0.1', () => console.log('agent listening on http://127.0.0.1:${port}'));
`;
}

function envText({ port, operatorKey }: ScaffoldOptions): string {
  return `# How the process runs: sage serve --env .env. Every variable: docs/configuration.md of the package.
HOST=127.0.0.1
PORT=${port}
CONFIG_FILE=./sage.yaml
DATA_DIR=./data
# Made for this folder. Opens the operators' API; give operators keys of their own with: sage keys create
OPERATOR_API_KEY=${operatorKey}
LOG_LEVEL=info
`;
}

/** Paths are relative to the folder. */
export function scaffold(options: ScaffoldOptions): readonly ScaffoldFile[] {
  const open = (path: string, text: string): ScaffoldFile => ({ path, text, secret: false });
  return [
    open('sage.yaml', configText([{ id: 'echo', upstream: `http://127.0.0.1:${options.agentPort}` }])),
    open('policy.yaml', policyText('echo')),
    open('agent.mjs', agentText(options.agentPort)),
    { path: '.env', text: envText(options), secret: true },
    open('.gitignore', '.env\ndata/*\n!data/.gitkeep\n*.jwk\n*.pem\n*.key\n'),
    open('data/.gitkeep', ''),
  ];
}
