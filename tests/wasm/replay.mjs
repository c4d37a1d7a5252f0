// Feeds recordings to the core as wasm: `node replay.mjs core.wasm FILE`. Prints what `acip-gateway replay` prints.
import { createReadStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [wasm, file] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(readFileSync(wasm), {});
const { buffer, line, requests, digest, memory } = instance.exports;
const encoder = new TextEncoder();
let number = 0;
let differing = 0;
for await (const text of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
  number += 1;
  if (text === '') continue;
  const bytes = encoder.encode(text);
  // The memory may have grown, which makes earlier views of it invalid.
  const at = buffer(bytes.length);
  new Uint8Array(memory.buffer, at, bytes.length).set(bytes);
  const said = line();
  if (said === 1) differing += 1;
  if (said > 1) {
    console.error(`line ${number} cannot be replayed`);
    process.exit(1);
  }
}
const hex = new TextDecoder().decode(new Uint8Array(memory.buffer, digest(), 64));
console.log(`requests ${requests()}\ndigest ${hex}`);
if (differing > 0) {
  console.error(`${differing} requests were decided otherwise than recorded`);
  process.exit(1);
}
