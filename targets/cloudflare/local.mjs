// The built Worker under the real workerd, by miniflare.

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const { Log, LogLevel, Miniflare } = createRequire(new URL("../../target/node/", import.meta.url))("miniflare");

// Modules are named by their place below the working directory: that of the bundle, `entry.mjs` and `build/`. ACIP_WORKER_BUNDLE names
// another one than that which is deployed.
process.chdir(process.env.ACIP_WORKER_BUNDLE ?? fileURLToPath(new URL(".", import.meta.url)));

/** Starts it with these variables; `script` stands in for the gateway. Gives miniflare's handle. */
export const start = (bindings, { host = "127.0.0.1", port = 0, script } = {}) =>
  new Miniflare({
    host,
    port,
    log: new Log(LogLevel.WARN),
    name: "acip-gateway",
    modules: true,
    ...(script === undefined ? { scriptPath: "entry.mjs" } : { script }),
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
