/** A compose file as Compose reads it: anchors merged, variables put in. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { parse } from 'yaml';

export const COMPOSE_FILES = ['docker-compose.yml', 'docker-compose.prod.yml'] as const;

const Health = Type.Object({
  test: Type.Optional(Type.Array(Type.String())),
  disable: Type.Optional(Type.Boolean()),
});
const Service = Type.Object({
  image: Type.Optional(Type.String()),
  user: Type.Optional(Type.String()),
  command: Type.Optional(Type.Array(Type.String())),
  entrypoint: Type.Optional(Type.Array(Type.String())),
  environment: Type.Optional(Type.Record(Type.String(), Type.String())),
  secrets: Type.Optional(Type.Array(Type.String())),
  volumes: Type.Optional(Type.Array(Type.String())),
  ports: Type.Optional(Type.Array(Type.String())),
  networks: Type.Optional(Type.Array(Type.String())),
  tmpfs: Type.Optional(Type.Array(Type.String())),
  read_only: Type.Optional(Type.Boolean()),
  cap_drop: Type.Optional(Type.Array(Type.String())),
  security_opt: Type.Optional(Type.Array(Type.String())),
  stop_grace_period: Type.Optional(Type.String()),
  healthcheck: Type.Optional(Health),
  deploy: Type.Optional(
    Type.Object({ resources: Type.Object({ limits: Type.Record(Type.String(), Type.Unknown()) }) }),
  ),
});
const File = Type.Object({
  services: Type.Record(Type.String(), Service),
  secrets: Type.Record(Type.String(), Type.Object({ file: Type.String() })),
});

export type ComposeService = Type.Static<typeof Service>;
export type ComposeFile = Type.Static<typeof File>;

/** Where a file of the project lies. */
export const placeOf = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

/**
 * Reads a compose file of the project.
 * @param variables what `${NAME}` and `${NAME:?why}` stand for
 * @throws Error when a variable has no value, or the file is not of the shape above
 */
export function readCompose(path: string, variables: Readonly<Record<string, string>> = {}): ComposeFile {
  const text = readFileSync(placeOf(path), 'utf8').replace(
    /\$\{(\w+)(?::\?[^}]*)?\}/g,
    (whole, name: string) => {
      const value = variables[name];
      if (value === undefined) throw new Error(`${path}: no value for ${whole}`);
      return value;
    },
  );
  return Value.Parse(File, parse(text, { merge: true }));
}

export function serviceOf(file: ComposeFile, name: string): ComposeService {
  const service = file.services[name];
  if (service === undefined) throw new Error(`no service ${name}`);
  return service;
}
