// Serves the built Worker on the real workerd, through miniflare: `cargo xtask worker dev`, and the tests. Every variable of the
// environment becomes a binding, as `wrangler` does it with vars and secrets. It listens on GATEWAY_HOST:GATEWAY_PORT (0: any
// free port), says where in one line, and ends on SIGTERM.

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const { Log, LogLevel, Miniflare } = createRequire(new URL("../../target/node/", import.meta.url))("miniflare");

// Modules are named by their place below the working directory.
process.chdir(fileURLToPath(new URL(".", import.meta.url)));
// What belongs to this process and not to the gateway.
const own = new Set(["PATH", "HOME", "GATEWAY_HOST", "GATEWAY_PORT"]);
const bindings = Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.has(name)));

const worker = new Miniflare({
  host: process.env.GATEWAY_HOST ?? "127.0.0.1",
  port: Number(process.env.GATEWAY_PORT ?? 0),
  log: new Log(LogLevel.WARN),
  name: "acip-gateway",
  modules: true,
  scriptPath: "entry.mjs",
  modulesRules: [
    { type: "ESModule", include: ["entry.mjs", "build/*.js"] },
    { type: "CompiledWasm", include: ["build/*.wasm"] },
  ],
  // As in wrangler.toml.
  compatibilityDate: "2026-04-01",
  compatibilityFlags: ["enable_request_signal"],
  bindings,
  // Nobody knows where a client of loopback is.
  cf: {},
  handleRuntimeStdio: (stdout, stderr) => {
    stdout.pipe(process.stdout);
    stderr.pipe(process.stderr);
  },
});

const stop = async () => {
  await worker.dispose();
  process.exit(0);
};
process.on("SIGTERM", stop);
process.on("SIGINT", stop);

const url = await worker.ready;
console.log(JSON.stringify({ level: "INFO", message: "listening", address: url.host }));
