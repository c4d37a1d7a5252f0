// Serves the built Worker: `cargo xtask worker dev`, and the tests. Every variable of the environment becomes a binding, as `wrangler`
// does it with vars and secrets. It listens on GATEWAY_HOST:GATEWAY_PORT (0: any free port), says where in one line, and ends on
// SIGTERM. ACIP_WORKER_CF is what the platform tells of every request, in JSON: `{"country":"DE","colo":"FRA"}`.

import { start } from "./local.mjs";

// What belongs to this process and not to the gateway.
const own = new Set(["PATH", "HOME", "GATEWAY_HOST", "GATEWAY_PORT", "NODE_EXTRA_CA_CERTS", "ACIP_WORKER_BUNDLE", "ACIP_WORKER_CF"]);
const bindings = Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.has(name)));
const { ACIP_WORKER_CF: cf } = process.env;
const worker = start(bindings, {
  host: process.env.GATEWAY_HOST,
  port: Number(process.env.GATEWAY_PORT ?? 0),
  cf: cf && JSON.parse(cf),
});

let stopping = false;
const stop = () => {
  stopping = true;
  return worker.dispose();
};
process.on("SIGTERM", stop);
process.on("SIGINT", stop);

const url = await worker.ready;
console.log(JSON.stringify({ level: "INFO", message: "listening", address: url.host }));
await worker.ended;
// By itself it ends where it fails.
process.exitCode = stopping ? 0 : 1;
