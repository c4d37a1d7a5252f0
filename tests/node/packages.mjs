// Loads the packages that `cargo xtask test` installed into target/node.
import { createRequire } from "node:module";

const load = createRequire(new URL("../../target/node/package.json", import.meta.url));

export const { Redis } = load("@upstash/redis");
export const { Ratelimit } = load("@upstash/ratelimit");
