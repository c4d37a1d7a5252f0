// Reads the gateway's own pages every two seconds and draws what changed. It keeps five minutes in memory, asks no other
// host, and holds the token in this tab alone.

const $ = (id) => document.getElementById(id);
const EVERY_MS = 2000;
const KEPT = 150;
const SVG = "http://www.w3.org/2000/svg";
const CLASSES = [["success", "2xx"], ["redirect", "3xx"], ["client", "4xx"], ["server", "5xx"]];
const PERCENTILES = [["first", 0.5, "p50"], ["second", 0.95, "p95"], ["third", 0.99, "p99"]];

let token = sessionStorage.getItem("token") ?? "";
let key = sessionStorage.getItem("key") ?? "";
let metricsPath = "/gateway/metrics";
let last = null;
// Why the last change was refused.
let refusal = "";
const history = [];

/** What this page and other watchers ask for is no traffic. */
const isOwn = (route) => route?.startsWith("/gateway/") || route === metricsPath;

/* Asking */

async function ask(path, credential) {
  const headers = credential ? { authorization: `Bearer ${credential}` } : {};
  const answer = await fetch(path, { headers, cache: "no-store", credentials: "omit" });
  if (answer.status === 401 || answer.status === 403) throw new Refused(path, answer.status);
  // A gateway that is not well says so with 503, and why.
  if (!answer.ok && !path.startsWith("/gateway/health")) throw new Error(`${path} answered ${answer.status}`);
  return answer;
}

class Refused extends Error {
  constructor(path, status) {
    super(token || key
      ? `${path} refused this credential (${status})`
      : `${path} wants the admin token (${status}); type it above`);
  }
}

/* Reading: the Prometheus text format */

function samples(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    if (!line || line.startsWith("#")) continue;
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[name] = value.replace(/\\(["\\n])/g, (_, c) => (c === "n" ? "\n" : c));
    }
    if (isOwn(labels.route)) continue;
    if (!found.has(match[1])) found.set(match[1], []);
    found.get(match[1]).push({ labels, value: Number(match[3]) });
  }
  return found;
}

const sum = (list) => (list ?? []).reduce((all, { value }) => all + value, 0);

/** Sums over everything but one label: Map of its values. */
function by(list, label) {
  const found = new Map();
  for (const { labels, value } of list ?? []) found.set(labels[label], (found.get(labels[label]) ?? 0) + value);
  return found;
}

/** What was added since the last look; a counter that went back began anew. */
function added(now, before) {
  const found = new Map();
  for (const [name, value] of now) {
    const was = before?.get(name) ?? 0;
    found.set(name, value >= was ? value - was : value);
  }
  return found;
}

/** The value below which this part of the observations lies, from cumulative buckets; interpolated, in seconds. */
function percentile(buckets, part) {
  const bounds = [...buckets].map(([le, count]) => [le === "+Inf" ? Infinity : Number(le), count]).sort((a, b) => a[0] - b[0]);
  const all = bounds.at(-1)?.[1] ?? 0;
  if (!all) return null;
  const wanted = all * part;
  let [low, below] = [0, 0];
  for (const [le, count] of bounds) {
    if (count >= wanted) return le === Infinity ? low : low + (le - low) * ((wanted - below) / Math.max(count - below, 1));
    [low, below] = [le, count];
  }
  return low;
}

/* Writing for people */

function time(seconds) {
  if (seconds == null) return "–";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  return `${seconds.toFixed(1)} s`;
}

const number = (value) => (value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(value < 10 ? 1 : 0));
const mib = (value) => (value >= 1024 ? `${(value / 1024).toFixed(1)} GiB` : `${Math.round(value)} MiB`);

function element(name, attributes = {}, ...inside) {
  const made = name === "svg" || attributes.svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) if (attribute !== "svg" && value != null) made.setAttribute(attribute, value);
  made.append(...inside.filter((it) => it != null));
  return made;
}

const shape = (name, attributes, ...inside) => element(name, { svg: true, ...attributes }, ...inside);

/** A bar from 0 to 1. No inline style: the page's policy forbids it. */
function meter(part, label, tone = "first") {
  const width = Math.max(0, Math.min(1, part)) * 100;
  return element("div", { class: "meter", role: "meter", "aria-label": label, "aria-valuenow": Math.round(width), "aria-valuemin": 0, "aria-valuemax": 100 },
    element("svg", { viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" }, shape("rect", { width, height: 1, class: tone })));
}

function legend(id, entries) {
  $(id).replaceChildren(...entries.map(([tone, text]) => element("span", {}, element("i", { class: tone }), text)));
}

/* Drawing */

/** Lines or stacked areas over the history: `series` are [tone, point => number or null]. */
function chart(id, series, format, stacked = false) {
  const svg = $(id);
  const { width, height } = svg.getBoundingClientRect();
  if (!width) return;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const [left, bottom] = [44, 4];
  const values = history.map((point) => series.map(([, read]) => read(point)));
  const tops = values.map((row) => (stacked ? row.reduce((all, it) => all + (it ?? 0), 0) : Math.max(0, ...row.map((it) => it ?? 0))));
  const top = Math.max(...tops, 0) * 1.1 || 1;
  const x = (index) => left + ((index + KEPT - history.length) / (KEPT - 1)) * (width - left - 2);
  const y = (value) => height - bottom - (value / top) * (height - bottom - 10);
  const drawn = [0, 0.5, 1].flatMap((part) => [
    shape("line", { class: "grid", x1: left, x2: width, y1: y(top * part), y2: y(top * part) }),
    shape("text", { x: left - 5, y: y(top * part) + 3, "text-anchor": "end" }, format(top * part)),
  ]);
  if (stacked) {
    const floor = values.map(() => 0);
    series.forEach(([tone], which) => {
      const lower = floor.map((value, index) => `${x(index)},${y(value)}`);
      values.forEach((row, index) => { floor[index] += row[which] ?? 0; });
      const upper = floor.map((value, index) => `${x(index)},${y(value)}`);
      drawn.push(shape("polygon", { class: tone, points: [...upper, ...lower.reverse()].join(" ") }));
    });
  } else {
    series.forEach(([tone], which) => {
      let pen = "M";
      const path = values.map((row, index) => {
        if (row[which] == null) { pen = "M"; return ""; }
        const step = `${pen}${x(index)} ${y(row[which])}`;
        pen = "L";
        return step;
      });
      drawn.push(shape("path", { class: `drawn ${tone}`, d: path.join("") || "M0 0" }));
    });
  }
  svg.replaceChildren(...drawn);
}

function point(now, before, seconds) {
  const statuses = added(by(now.get("gateway_requests_total"), "status"), before && by(before.get("gateway_requests_total"), "status"));
  const perClass = [0, 0, 0, 0];
  for (const [status, count] of statuses) {
    const index = Number(status?.[0]) - 2;
    if (perClass[index] != null) perClass[index] += count / seconds;
  }
  const spread = (name) => {
    const buckets = added(by(now.get(name), "le"), before && by(before.get(name), "le"));
    return PERCENTILES.map(([, part]) => percentile(buckets, part));
  };
  const rise = (name) => [...added(new Map([["", sum(now.get(name))]]), before && new Map([["", sum(before.get(name))]])).values()][0];
  const [hits, misses] = [rise("gateway_cache_hits_total"), rise("gateway_cache_misses_total")];
  return {
    perClass,
    latency: spread("gateway_request_duration_seconds_bucket"),
    overhead: spread("gateway_overhead_seconds_bucket"),
    cache: hits + misses ? hits / (hits + misses) : null,
    limited: rise("gateway_ratelimit_rejected_total") / seconds,
    denied: rise("gateway_auth_failures_total") / seconds,
  };
}

function traffic() {
  const now = history.at(-1);
  if (!now) return;
  const latest = (read) => [...history].reverse().map(read).find((value) => value != null);
  $("rate").value = number(now.perClass.reduce((all, it) => all + it, 0));
  chart("traffic", CLASSES.map(([tone], index) => [tone, (it) => it.perClass[index]]), number, true);
  legend("rate-legend", CLASSES.map(([tone, name], index) => [tone, `${name} ${number(now.perClass[index])}`]));
  for (const [name, id, output] of [["latency", "latency-chart", "latency"], ["overhead", "overhead-chart", "overhead"]]) {
    $(output).value = time(latest((it) => it[name][0]));
    chart(id, PERCENTILES.map(([tone], index) => [tone, (it) => it[name][index]]), time);
    legend(`${name}-legend`, PERCENTILES.map(([tone, , text], index) => [tone, `${text} ${time(latest((it) => it[name][index]))}`]));
  }
  const ratio = latest((it) => it.cache);
  $("cache").value = ratio == null ? "–" : `${Math.round(ratio * 100)} %`;
  chart("cache-chart", [["first", (it) => it.cache]], (value) => `${Math.round(value * 100)} %`);
  $("limited").value = number(now.limited + now.denied);
  chart("limits-chart", [["second", (it) => it.limited], ["third", (it) => it.denied]], number);
  legend("limits-legend", [["second", `limits ${number(now.limited)}/s`], ["third", `credentials ${number(now.denied)}/s`]]);
}

/** The most of what was counted: `counts` are [name, number]. */
function bars(id, counts, what, tone) {
  const most = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 8);
  $(id).replaceChildren(...most.map(([name, count]) =>
    element("div", { class: "row" }, element("span", {}, name), meter(count / (most[0][1] || 1), `${name}: ${count} ${what}`, tone), element("span", {}, count.toLocaleString("en")))));
}

function card(state, title, facts, ...meters) {
  return element("div", { class: "card" },
    element("strong", {}, element("span", { class: `dot ${state}`, "aria-hidden": "true" }), title),
    ...facts.filter(Boolean).map((fact) => element("p", {}, fact)), ...meters);
}

function health(page) {
  $("condition-dot").className = `dot ${page.status}`;
  $("condition").textContent = [page.status, ...(page.errors ?? [])].join(": ");
  $("version").textContent = `version ${page.version}`;
  $("uptime").textContent = `up ${Math.floor(page.uptime / 3600)} h ${Math.floor((page.uptime % 3600) / 60)} min`;
  const { redis, fastapi } = page.checks;
  const ms = (value) => (value == null ? null : `${time(value / 1000)} to answer`);
  $("origins").replaceChildren(
    ...fastapi.origins.map((it) => card(it.status, it.name, [it.status, it.url === it.name ? null : it.url, it.region && `region ${it.region}`, ms(it.latency_ms), `${it.in_flight} under way`])),
    card(redis.status, "store", [redis.status, redis.mode, ms(redis.latency_ms), redis.error]));
}

function workers(page) {
  const regions = Map.groupBy ? Map.groupBy(page.workers, (it) => it.region ?? "unknown region") : new Map([["all regions", page.workers]]);
  const shown = [...regions].sort().flatMap(([region, list]) => [
    element("h3", {}, `${region}: ${list.filter((it) => it.status && !/offline$/.test(it.status)).length} of ${list.length}`),
    ...list.map((it) => {
      const gpu = it.gpu ?? {};
      const memory = gpu.memory_total_mb && gpu.memory_used_mb != null ? gpu.memory_used_mb / gpu.memory_total_mb : null;
      return card(it.status, it.worker_id, [
        [it.status, gpu.name].filter(Boolean).join(", "),
        it.jobs_completed == null ? null : `${it.jobs_completed} jobs`,
        memory == null ? null : `memory ${mib(gpu.memory_used_mb)} of ${mib(gpu.memory_total_mb)}`,
      ],
      memory == null ? null : meter(memory, "GPU memory", memory > 0.9 ? "server" : "first"),
      gpu.utilization_percent == null ? null : element("p", {}, `utilisation ${gpu.utilization_percent} %`),
      gpu.utilization_percent == null ? null : meter(gpu.utilization_percent / 100, "GPU utilisation"));
    }),
  ]);
  $("workers").replaceChildren(...(shown.length ? shown : [element("p", { class: "empty" }, "no worker has reported")]));
}

/** A list whose rows stay while what they show changes, so that a switch keeps the focus. */
function rows(id, items, flip) {
  const names = items.map((it) => it.name);
  const list = $(id);
  if (list.dataset.names !== names.join()) {
    list.dataset.names = names.join();
    list.replaceChildren(...names.map((name) => {
      const button = element("button", { type: "button", role: "switch", "aria-label": name });
      button.addEventListener("click", () => flip(name, button.getAttribute("aria-checked") !== "true"));
      return element("li", {}, element("span", { "aria-hidden": "true" }), element("strong"), element("small"), button);
    }));
  }
  items.forEach(({ state, on, title, facts }, index) => {
    const [dot, strong, small, button] = list.children[index].children;
    dot.className = `dot ${state}`;
    [strong.textContent, small.textContent] = [title, facts.filter(Boolean).join(" · ")];
    [button.textContent, button.ariaChecked] = on ? ["on", "true"] : ["off", "false"];
  });
}

async function change(path, body) {
  try {
    const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
    const answer = await fetch(path, { method: "PATCH", headers, body: JSON.stringify(body), credentials: "omit" });
    if (!answer.ok) refusal = (await answer.json()).error?.message ?? `${path} answered ${answer.status}`;
    else refusal = "";
  } catch (error) {
    refusal = error.message;
  }
  wake();
}

function plugins(page) {
  // The page lists those that are off last; here a row stays where it is.
  const inOrder = page.plugins.sort((a, b) => b.priority - a.priority || a.name.localeCompare(b.name));
  rows("plugins", inOrder.map((it) => ({
    name: it.name, title: it.name, state: it.status, on: it.status !== "loaded",
    facts: [it.status, it.fault, it.implementation, `priority ${it.priority}`],
  })), (name, enabled) => change(`/gateway/plugins/${name}`, { enabled }));
}

function keys(page) {
  $("keys-count").textContent = page.total ? `${page.keys.length} of ${page.total}` : "none was made here or on the command line";
  rows("keys", page.keys.map((it) => ({
    name: it.id, title: it.name || it.id, state: it.enabled ? "active" : "", on: it.enabled,
    facts: [it.tenant, it.prefix && `${it.prefix}…`, it.expires_at && `until ${it.expires_at}`, ...it.limits.map((limit) => `${limit.limit} in ${time(limit.window_ms / 1000)}`)],
  })), (id, enabled) => change(`/gateway/keys/${id}`, { enabled }));
}

/* Events, as they come; what this page itself asks for is left out */

let stream = new AbortController();
const heard = [];
const limited = new Map();

/** Counts a refusal by its key. The one that was refused longest ago makes room. */
function refused({ identity, tenant, limit }) {
  const who = [identity ?? "no key, by address", tenant !== identity && tenant, limit].filter(Boolean).join(" · ");
  const count = (limited.get(who) ?? 0) + 1;
  limited.delete(who);
  limited.set(who, count);
  if (limited.size > 200) limited.delete(limited.keys().next().value);
}

function hear(block) {
  const field = (name) => block.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const data = field("data");
  if (!data) return null;
  const { name, time: at, request_id, trace_id, ...facts } = JSON.parse(data);
  if (name === "gateway:ratelimit:exceeded") refused(facts);
  if (!isOwn(facts.route) && $("events-pause").ariaPressed !== "true") {
    heard.unshift([at?.slice(11, 23) ?? "", name.replace("gateway:", ""), Object.entries(facts).map(([fact, value]) => `${fact} ${value}`).join(" · ")]);
    heard.length = Math.min(heard.length, 100);
    if (heard.drawn !== false) requestAnimationFrame(show);
    heard.drawn = false;
  }
  return field("id");
}

function show() {
  heard.drawn = true;
  $("events").replaceChildren(...heard.map(([at, name, facts]) => element("li", {}, element("code", {}, at), element("strong", {}, name), element("small", {}, facts))));
}

async function listen() {
  let after;
  const says = (text) => { $("events-state").textContent = text; };
  for (;;) {
    stream = new AbortController();
    try {
      const headers = { ...(token && { authorization: `Bearer ${token}` }), ...(after && { "last-event-id": after }) };
      const answer = await fetch("/gateway/events", { headers, cache: "no-store", credentials: "omit", signal: stream.signal });
      if (answer.status === 501) {
        says("this build has no stream of events; the native gateway has");
        $("most").closest("section").hidden = true;
        return;
      }
      if (!answer.ok) throw new Error(answer.status === 401 || answer.status === 403 ? "wants the admin token" : `answered ${answer.status}`);
      says("live");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = ""; ;) {
        const { value, done } = await reader.read();
        if (done) throw new Error("the stream has ended");
        const blocks = (text + value).split("\n\n");
        text = blocks.pop();
        for (const block of blocks) after = hear(block) ?? after;
      }
    } catch (error) {
      says(error.message);
    }
    await new Promise((done) => { again = done; setTimeout(done, EVERY_MS); });
  }
}

/* Going on */

async function look() {
  const problems = [];
  const attempt = async (work) => { try { await work(); } catch (error) { problems.push(error.message); } };
  await attempt(async () => health(await (await ask("/gateway/health/detailed", token)).json()));
  await attempt(async () => {
    const answer = await ask(metricsPath, token);
    const [now, at] = [samples(await answer.text()), performance.now()];
    if (last) {
      history.push(point(now, last.now, (at - last.at) / 1000));
      if (history.length > KEPT) history.shift();
    }
    last = { now, at };
    traffic();
    bars("routes", by(now.get("gateway_requests_total"), "route"), "requests", "first");
  });
  await attempt(async () => plugins(await (await ask("/gateway/plugins", token)).json()));
  await attempt(async () => keys(await (await ask("/gateway/keys", token)).json()));
  if (key) await attempt(async () => workers(await (await ask("/api/v1/workers?format=gateway", key)).json()));
  $("workers-key").hidden = Boolean(key) && !problems.some((it) => it.startsWith("/api/"));
  if (limited.size) bars("most", limited, "refusals", "client");
  if (refusal) problems.unshift(refusal);
  $("problem").hidden = problems.length === 0;
  $("problem").textContent = problems[0] ?? "";
}

async function main() {
  try {
    const page = await (await ask("/gateway/config", token)).json();
    metricsPath = page.metrics?.path ?? metricsPath;
  } catch { /* The first look says what is wrong. */ }
  for (;;) {
    if (!document.hidden) await look();
    await new Promise((done) => { wake = done; setTimeout(done, EVERY_MS); });
  }
}

let wake = () => {};
let again = () => {};
const use = (id, name, set) => $(id).addEventListener("submit", (event) => {
  event.preventDefault();
  const input = event.target.querySelector("input");
  set(input.value.trim());
  sessionStorage.setItem(name, input.value.trim());
  input.value = "";
  wake();
});
use("credentials", "token", (value) => {
  [token, refusal] = [value, ""];
  stream.abort("another token");
  again();
});
use("workers-key", "key", (value) => { key = value; });
$("forget").addEventListener("click", () => {
  [token, key] = ["", ""];
  sessionStorage.clear();
  location.reload();
});
$("events-pause").addEventListener("click", ({ target }) => { target.ariaPressed = String(target.ariaPressed !== "true"); });
addEventListener("resize", traffic);
main();
listen();
