/** What `--json` prints, as a schema: `docs/schema/cli.json` is written from it. It changes only with its name. */
import { Type } from 'typebox';
import { CLI_ERRORS, type CliErrorCode } from './errors.ts';
import { JSON_SCHEMA } from './frame.ts';

const strict = { additionalProperties: false } as const;

const head = {
  schema: Type.Literal(JSON_SCHEMA),
  command: Type.String({ description: 'As it was typed, without options: `agents list`.' }),
};

const Answer = Type.Object(
  {
    ...head,
    ok: Type.Boolean({
      description: 'False when what was checked does not hold, as of `verify`; `data` says why.',
    }),
    data: Type.Unknown({
      description: "What the command found; of one that asks a gateway, its API's answer.",
    }),
  },
  strict,
);

const Failure = Type.Object(
  {
    ...head,
    ok: Type.Literal(false),
    error: Type.Object(
      {
        code: Type.Enum(Object.keys(CLI_ERRORS) as [CliErrorCode, ...CliErrorCode[]]),
        message: Type.String(),
        faults: Type.Array(Type.String(), { description: 'Single faults, each with its place.' }),
        gateway: Type.Optional(
          Type.Object(
            {
              status: Type.Integer(),
              code: Type.String({ description: 'Of docs/errors.md.' }),
              request_id: Type.Union([Type.String(), Type.Null()]),
            },
            { ...strict, description: 'When the gateway refused.' },
          ),
        ),
      },
      strict,
    ),
  },
  strict,
);

export const AnswerSchema = Type.Union([Answer, Failure]);
