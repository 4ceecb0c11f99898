/** Kubernetes' own schemas, held against manifests: their values by kubernetes-models, their names by the compiler. */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Namespace } from 'kubernetes-models/v1/Namespace';
import { Service } from 'kubernetes-models/v1/Service';
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import { parse, parseAllDocuments } from 'yaml';
import { placeOf } from './compose.ts';

const run = promisify(execFile);

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

interface Validated {
  validate(): void;
}
/** By apiVersion and kind; the module is where the compiler finds the type of the same name with an I before it. */
const KINDS = new Map<string, { make: (data: object) => Validated; module: string }>(
  [
    { model: Deployment, module: 'apps/v1/Deployment' },
    { model: HorizontalPodAutoscaler, module: 'autoscaling/v2/HorizontalPodAutoscaler' },
    { model: NetworkPolicy, module: 'networking.k8s.io/v1/NetworkPolicy' },
    { model: PodDisruptionBudget, module: 'policy/v1/PodDisruptionBudget' },
    { model: ConfigMap, module: 'v1/ConfigMap' },
    { model: Namespace, module: 'v1/Namespace' },
    { model: Service, module: 'v1/Service' },
    { model: ServiceAccount, module: 'v1/ServiceAccount' },
  ].map(({ model, module }) => [
    `${model.apiVersion} ${model.kind}`,
    // Whether the data fits the model is what is asked.
    { make: (data: object): Validated => Reflect.construct(model, [data]), module },
  ]),
);
const kindOf = ({ apiVersion, kind }: Manifest) => {
  const found = KINDS.get(`${apiVersion} ${kind}`);
  if (found === undefined) throw new Error(`no schema for ${apiVersion} ${kind}`);
  return found;
};

/** The manifests that deploy/kubernetes/kustomization.yaml lists, in its order. */
export function readManifests(): Manifest[] {
  const list: { resources: string[] } = parse(
    readFileSync(placeOf('deploy/kubernetes/kustomization.yaml'), 'utf8'),
  );
  return list.resources.flatMap((file) =>
    parseAllDocuments(readFileSync(placeOf(`deploy/kubernetes/${file}`), 'utf8')).map(
      (document): Manifest => document.toJS(),
    ),
  );
}

/** @throws what the schema says of a value of the wrong type, or one that is missing */
export function checkValues(manifest: Manifest): void {
  kindOf(manifest).make(manifest).validate();
}

/**
 * What Kubernetes' types say of these manifests, names of members that do not exist included: the schemas let those
 * pass, and Kubernetes drops them without a word.
 * @returns the compiler's words, empty when there is nothing to say
 */
export async function checkNames(manifests: readonly Manifest[], folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const program = manifests.map((manifest, at) => {
    const { module } = kindOf(manifest);
    return [
      `import type { I${manifest.kind} as I${at} } from 'kubernetes-models/${module}';`,
      `export const m${at}: I${at} = ${JSON.stringify(manifest, null, 2)};`,
    ].join('\n');
  });
  writeFileSync(join(folder, 'manifests.ts'), program.join('\n'));
  const paths = { 'kubernetes-models/*': [placeOf('node_modules/kubernetes-models/*.d.ts')] };
  const options = { module: 'nodenext', strict: true, noEmit: true, skipLibCheck: true, types: [], paths };
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: options, files: ['manifests.ts'] }),
  );
  const tsc = createRequire(import.meta.url)
    .resolve('typescript/package.json')
    .replace('package.json', 'bin/tsc');
  try {
    await run(process.execPath, [tsc, '-p', folder, '--pretty', 'false']);
    return '';
  } catch (error) {
    return String((error as { stdout?: string }).stdout);
  }
}
