// Prints what workerd has computed until the first answer: with the gateway, and with a script that does nothing.

import { readdirSync, readFileSync } from "node:fs";

import { start } from "./local.mjs";

const TICKS_PER_SECOND = 100;
const EMPTY = "export default { fetch() { return new Response('ok'); } };";

/** CPU time of the children of this process, in milliseconds (proc(5): fields 4, 14 and 15 of `stat`). */
const children = () => {
  let ticks = 0;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    let fields;
    try {
      fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ");
    } catch {
      continue; // It has ended.
    }
    if (Number(fields[1]) === process.pid) ticks += Number(fields[11]) + Number(fields[12]);
  }
  return (ticks * 1000) / TICKS_PER_SECOND;
};

const measure = async (script) => {
  const worker = start({ AUTH_ENABLED: "false", LOG_LEVEL: "error" }, { script });
  const answer = await fetch(new URL("/gateway/livez", await worker.ready));
  if (answer.status !== 200) throw new Error(`/gateway/livez answered ${answer.status}`);
  const ms = children();
  await worker.dispose();
  return ms;
};

const empty = await measure(EMPTY);
const gateway = await measure();
console.log(`start-up until the first answer: ${gateway} ms of CPU, of which workerd itself ${empty} ms`);
