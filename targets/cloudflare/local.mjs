// The built Worker under the real workerd and nothing else: the script of wrangler.toml, on the platform of its date and flags. The
// rest of that file is for wrangler. No server of a tool's stands in front of it or behind it, which would cost more than the gateway.

import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, readdirSync, rmdirSync, unlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const { default: workerd } = createRequire(new URL("../../target/node/", import.meta.url))("workerd");

// Where the bundle is: `entry.mjs` and `build/`. ACIP_WORKER_BUNDLE names another one than that which is deployed.
const bundle = resolve(process.env.ACIP_WORKER_BUNDLE ?? fileURLToPath(new URL(".", import.meta.url)));

const [settings] = readFileSync(new URL("../../wrangler.toml", import.meta.url), "utf8").split(/^\[/m);

/** What stands before the first table: a text or a list of texts on one line, which TOML writes as JSON does. */
const configured = (name) => {
  const line = settings.match(new RegExp(`^${name} = (.+)$`, "m"));
  if (line === null) throw new Error(`wrangler.toml: write \`${name} = …\` on one line, before the first table`);
  return JSON.parse(line[1]);
};

/** A text as Cap'n Proto writes it. */
const text = (value) => {
  const bytes = [...Buffer.from(value)];
  const plain = (byte) => byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c;
  const escaped = (byte) => `\\x${byte.toString(16).padStart(2, "0")}`;
  return `"${bytes.map((byte) => (plain(byte) ? String.fromCharCode(byte) : escaped(byte))).join("")}"`;
};

/** The gateway's modules, the one that the platform calls first, named by their place in the bundle. */
const modules = () => {
  const kinds = { ".mjs": "esModule", ".js": "esModule", ".wasm": "wasm" };
  const built = readdirSync(join(bundle, "build")).sort().map((name) => `build/${name}`);
  return ["entry.mjs", ...built].flatMap((name) => {
    const kind = kinds[name.slice(name.lastIndexOf("."))];
    return kind === undefined ? [] : [`(name = ${text(name)}, ${kind} = embed ${text(join(bundle, name))})`];
  });
};

/** What the platform does in front of a Worker where it is told something of the client: nobody knows where one of loopback is. */
const FRONT = "export default { fetch: (request, { GATEWAY, CF }) => GATEWAY.fetch(new Request(request, { cf: CF })) };";

/** One certificate of a PEM file (RFC 7468 §5). */
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----/g;

/** workerd's configuration. Variables are in it by their names alone: their values may be secrets, and stay in the environment. */
const configuration = (names, { host, port, script, cf }) => {
  const platform = [
    `compatibilityDate = ${text(configured("compatibility_date"))}`,
    `compatibilityFlags = [${configured("compatibility_flags").map(text).join(", ")}]`,
  ];
  const worker = (modules, bindings) =>
    `worker = (modules = [${modules.join(", ")}], bindings = [${bindings.join(", ")}], ${platform.join(", ")})`;
  const own = script === undefined ? modules() : [`(name = "script.mjs", esModule = ${text(script)})`];
  const variables = names.map((name) => `(name = ${text(name)}, fromEnvironment = ${text(name)})`);
  const services = [`(name = "gateway", ${worker(own, variables)})`];
  if (cf) {
    const bindings = ['(name = "GATEWAY", service = "gateway")', `(name = "CF", json = ${text(JSON.stringify(cf))})`];
    services.push(`(name = "front", ${worker([`(name = "front.mjs", esModule = ${text(FRONT)})`], bindings)})`);
  }
  const more = process.env.NODE_EXTRA_CA_CERTS;
  // Each by itself: several in one text would be a chain, and no chain is as long as a list of authorities.
  const trusted = (more ? readFileSync(more, "utf8").match(CERTIFICATE) ?? [] : []).map(text);
  const tls = `(trustBrowserCas = true, trustedCertificates = [${trusted.join(", ")}])`;
  services.push(`(name = "internet", network = (allow = ["public", "private"], tlsOptions = ${tls}))`);
  const address = text(`${host.includes(":") ? `[${host}]` : host}:${port}`);
  const socket = `(name = "http", address = ${address}, http = (), service = "${cf ? "front" : "gateway"}")`;
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [${services.join(",\n")}], sockets = [${socket}]);\n`;
};

/** A file with this text that is read as it was opened and has no name any more: whatever ends this process, nothing is left. */
const nameless = (content) => {
  const folder = mkdtempSync(join(tmpdir(), "acip-workerd-"));
  const path = join(folder, "workerd.capnp");
  try {
    writeFileSync(path, content);
    return openSync(path, "r");
  } finally {
    unlinkSync(path);
    rmdirSync(folder);
  }
};

/**
 * Starts it with these variables; `script` stands in for the gateway, `cf` is what the platform tells of every request. Gives
 * `ready`, its URL once it listens, and `dispose`, which ends it at once.
 */
export const start = (bindings, { host = "127.0.0.1", port = 0, script, cf } = {}) => {
  const file = nameless(configuration(Object.keys(bindings), { host, port, script, cf }));
  const options = ["serve", "-I/", "--control-fd=3", "/dev/stdin"];
  const child = spawn(workerd, options, { env: bindings, stdio: [file, "inherit", "inherit", "pipe"] });
  closeSync(file);
  const ended = new Promise((resolve) => child.once("close", resolve));
  const ready = new Promise((resolve, reject) => {
    child.once("error", reject);
    ended.then((code) => reject(new Error(`workerd ended with ${code}`)));
    createInterface({ input: child.stdio[3] }).on("line", (line) => {
      const told = JSON.parse(line);
      if (told.event === "listen" && told.socket === "http") resolve(new URL(`http://${host}:${told.port}`));
    });
  });
  const dispose = () => {
    child.kill("SIGKILL");
    return ended;
  };
  return { ready, ended, dispose };
};
