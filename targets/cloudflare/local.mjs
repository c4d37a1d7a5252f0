// The built Worker under the real workerd, by miniflare: the script of wrangler.toml, on the platform of its date and flags. The rest
// of that file is for wrangler.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

const { Log, LogLevel, Miniflare } = createRequire(new URL("../../target/node/", import.meta.url))("miniflare");

// Modules are named by their place below the working directory: that of the bundle, `entry.mjs` and `build/`. ACIP_WORKER_BUNDLE names
// another one than that which is deployed.
process.chdir(process.env.ACIP_WORKER_BUNDLE ?? fileURLToPath(new URL(".", import.meta.url)));

const [settings] = readFileSync(new URL("../../wrangler.toml", import.meta.url), "utf8").split(/^\[/m);

/** What stands before the first table: a text or a list of texts on one line, which TOML writes as JSON does. */
const configured = (name) => {
  const line = settings.match(new RegExp(`^${name} = (.+)$`, "m"));
  if (line === null) throw new Error(`wrangler.toml: write \`${name} = …\` on one line, before the first table`);
  return JSON.parse(line[1]);
};

/**
 * Starts it with these variables; `script` stands in for the gateway, `cf` is what the platform tells of a request: nothing where
 * nobody says so, for nobody knows where a client of loopback is. Gives miniflare's handle.
 */
export const start = (bindings, { host = "127.0.0.1", port = 0, script, cf = {} } = {}) =>
  new Miniflare({
    host,
    port,
    log: new Log(LogLevel.WARN),
    name: configured("name"),
    modules: true,
    ...(script === undefined ? { scriptPath: basename(configured("main")) } : { script }),
    modulesRules: [
      { type: "ESModule", include: ["entry.mjs", "build/*.js"] },
      { type: "CompiledWasm", include: ["build/*.wasm"] },
    ],
    compatibilityDate: configured("compatibility_date"),
    compatibilityFlags: configured("compatibility_flags"),
    bindings,
    cf,
    handleRuntimeStdio: (stdout, stderr) => {
      stdout.pipe(process.stdout);
      stderr.pipe(process.stderr);
    },
  });
