/** Runs the story in Node, Deno and Bun: `<origin> <file of a private key>`. */
import * as sdk from 'sage-gateway/sdk';
import { story } from './sdk-story.mjs';

const [origin, keyFile] = process.argv.slice(2);
const { keyId } = await sdk.signerFromEnv({ SAGE_PRIVATE_KEY_FILE: keyFile });
console.log(JSON.stringify({ ...(await story(sdk, origin)), keyId }));
