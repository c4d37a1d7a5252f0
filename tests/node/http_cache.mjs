// The public suite `http-cache-tests` against the gateway, on a route that is a shared cache: with the embedded store and with
// Redis. Prints Markdown: what came of it, beside what the suite itself publishes of other caches. `cargo xtask cache-tests`
// writes that into docs/conformance.md.
//
//     node http_cache.mjs GATEWAY_BINARY          all, fails below the marks
//     node http_cache.mjs GATEWAY_BINARY ID       one test, with the traffic that it makes
//
// The suite stands in node_modules of the working folder. Each run of it is a process of its own: it keeps its results in
// globals.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

// What must pass. More than any proxy of which results are published with the suite.
const MARKS = { required: 142, optimal: 75 };

const ROUTE = 'path = "/*"\nauth = "open"\ncache = { mode = "shared", heuristic = true }';

// Why a test does not pass, by the start of its id.
const REASONS = [
  ["stale-close-", "asks whether staleness is forbidden, of caches that serve stale answers unasked; this one never does"],
  ["headers-store-Set-Cookie", "an answer that sets cookies is never stored: it is for one client"],
  ["304-etag-update-response-Set-Cookie", "an answer that sets cookies is never stored: it is for one client"],
  ["other-set-cookie", "an answer that sets cookies is never stored: it is for one client"],
  ["304-etag-update-response-ETag", "a 304 with another strong tag is about another answer and freshens nothing (RFC 9111 §4.3.4)"],
  ["age-parse-prefix", "the test contradicts its name and its neighbours; an `Age` of two values is taken as too old"],
  ["conditional-lm-fresh-no-lm", "what came after the client's date was changed since, for all that is known (RFC 9111 §4.3.2)"],
  ["vary-normalise-lang-order", "many origins read the order of `Accept-Language` as preference, so it counts"],
  ["vary-normalise-lang-select", "which language an origin would choose is its own affair"],
  ["partial-store-partial", "parts are cut from whole answers; parts themselves are not stored"],
  ["method-POST", "an answer to `POST` is not stored"],
];

const [binary, only, store] = process.argv.slice(2);
const modules = path.resolve("node_modules");
const suite = path.join(modules, "http-cache-tests");
const load = (file) => import(pathToFileURL(path.join(suite, file)).href);

const children = [];

/** Starts a process and waits for what the pattern finds in what it says. */
function start(command, args, options, pattern) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  children.push(child);
  return new Promise((found, failed) => {
    let text = "";
    const read = (chunk) => {
      if (text === undefined) return;
      text += chunk;
      const match = text.match(pattern);
      if (match) {
        text = undefined;
        found(match[1]);
      }
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("error", failed);
    child.on("exit", (code) => failed(new Error(`${command} ended with ${code}: ${text ?? ""}`)));
  });
}

/** All tests that are not for browsers. */
async function tests() {
  const groups = (await load("tests/index.mjs")).default;
  return groups.flatMap((group) =>
    group.tests.filter((test) => !test.browser_only).map((test) => ({ group: group.name, test })),
  );
}

/** As the suite's own pages tell it. */
function verdict(test, results, find) {
  const result = results[test.id];
  if (result === undefined) return "untested";
  for (const id of test.depends_on ?? []) {
    if (!["pass", "yes"].includes(verdict(find(id), results, find))) return "depends";
  }
  if (result[0] === "Setup") return "setup";
  const good = result === true;
  return (test.kind ?? "required") === "check" ? (good ? "yes" : "no") : good ? "pass" : "fail";
}

/** Runs the suite once; the results go to standard output. */
async function run() {
  const folder = mkdtempSync(path.join(tmpdir(), "acip-cache-"));
  try {
    const config = path.join(folder, "gateway.toml");
    writeFileSync(config, `[[routes]]\n${ROUTE}\n`);
    const variables = {};
    if (store === "redis") {
      const socket = path.join(folder, "redis.sock");
      const args = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", folder];
      await start("redis-server", args, {}, /(ready to accept connections)/i);
      variables.REDIS_URL = `redis+unix://${socket}`;
    }
    const origin = await start(
      process.execPath,
      ["server/server.mjs"],
      {
        cwd: suite,
        env: {
          ...process.env,
          npm_config_protocol: "http",
          npm_config_port: "0",
          npm_config_pidfile: path.join(folder, "pid"),
        },
      },
      /Listening on \S+:(\d+)\//,
    );
    const address = await start(
      path.resolve(binary),
      ["serve", "--config", config],
      {
        env: {
          PATH: process.env.PATH,
          ...variables,
          GATEWAY_HOST: "127.0.0.1",
          GATEWAY_PORT: "0",
          FASTAPI_URL: `http://127.0.0.1:${origin}`,
          RATE_LIMIT_ENABLED: "no",
          CACHE_MAX_SIZE: "10000",
          // The suite counts on nobody waiting; a machine under load keeps it waiting.
          REDIS_TIMEOUT: "2000",
          LOG_FORMAT: "json",
        },
      },
      /"address":"([^"]+)"/,
    );
    const { runTests, getResults } = await load("client/runner.mjs");
    const fetch = createRequire(path.join(modules, "x.js"))("node-fetch");
    const chosen = (await tests()).map(({ test }) => test).filter((test) => only === "all" || test.id === only);
    for (const test of chosen) test.dump = only !== "all";
    await runTests([{ tests: chosen }], fetch, false, `http://${address}`);
    process.stdout.write(JSON.stringify(getResults()));
  } finally {
    for (const child of children) {
      child.removeAllListeners("exit");
      child.kill("SIGTERM");
    }
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The results of a run in a process of its own. */
async function results(name) {
  const args = [fileURLToPath(import.meta.url), binary, "all", name];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (chunk) => (text += chunk));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`the run with ${name} ended with ${code}`);
  return JSON.parse(text);
}

/** How many tests of a kind pass. */
function count(all, told, kind) {
  const find = (id) => all.find(({ test }) => test.id === id).test;
  const of = all.filter(({ test }) => (test.kind ?? "required") === kind);
  const passed = of.filter(({ test }) => verdict(test, told, find) === "pass");
  return [passed.length, of.length];
}

async function report() {
  const all = await tests();
  const find = (id) => all.find(({ test }) => test.id === id).test;
  const [embedded, redis] = await Promise.all([results("embedded"), results("redis")]);
  const ours = [
    ["**acip-gateway, embedded store**", embedded],
    ["**acip-gateway, Redis**", redis],
  ];
  const others = (await load("results/index.mjs")).default
    .filter(({ type }) => type !== "browser")
    .map(({ name, version, file }) => [`${name} ${version}`, JSON.parse(readFileSync(path.join(suite, "results", file), "utf8"))]);
  const lines = ["| cache | required | optimal |", "|---|---|---|"];
  for (const [name, told] of [...ours, ...others]) {
    const [required, optimal] = ["required", "optimal"].map((kind) => count(all, told, kind).join(" of "));
    lines.push(`| ${name} | ${required} | ${optimal} |`);
  }
  lines.push("", "What does not pass, and why:", "", "| test | kind | with | why |", "|---|---|---|---|");
  const unexplained = [];
  for (const { test } of all.filter(({ test }) => test.kind !== "check")) {
    const bad = ours.filter(([, told]) => verdict(test, told, find) !== "pass");
    if (bad.length === 0) continue;
    const reason = REASONS.find(([id]) => test.id.startsWith(id))?.[1];
    if (!reason) unexplained.push(`${test.id}: ${bad.map(([, told]) => told[test.id]?.[1] ?? "not run").join("; ")}`);
    const where = bad.length === 2 ? "both" : bad[0][1] === redis ? "Redis" : "embedded";
    lines.push(`| \`${test.id}\` | ${test.kind ?? "required"} | ${where} | ${reason ?? "?"} |`);
  }
  process.stdout.write(`${lines.join("\n")}\n`);
  const short = ours.flatMap(([name, told]) =>
    Object.entries(MARKS)
      .filter(([kind, mark]) => count(all, told, kind)[0] < mark)
      .map(([kind, mark]) => `${name}: ${count(all, told, kind)[0]} ${kind}, must be ${mark}`),
  );
  for (const line of [...short, ...unexplained]) process.stderr.write(`${line}\n`);
  if (short.length > 0 || unexplained.length > 0) process.exitCode = 1;
}

await (only ? run() : report());
