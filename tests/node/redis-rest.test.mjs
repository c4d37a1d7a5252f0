// Upstash's own packages against `acip-gateway redis-rest`. The Rust test `redis_rest` starts both servers and runs this.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, beforeEach, describe, mock, test } from "node:test";

import { Direct } from "./direct.mjs";
import { Ratelimit, Redis } from "./packages.mjs";

const settings = { url: process.env.BRIDGE_URL, token: process.env.BRIDGE_TOKEN, retry: { retries: 0 } };
const redis = new Redis({ ...settings, enableAutoPipelining: false });
let direct;

before(async () => {
  direct = await Direct.open(Number(process.env.REDIS_PORT));
});
after(() => direct.close());
beforeEach(() => direct.command("FLUSHDB"));

const rejects = (promise, pattern) => assert.rejects(promise, { name: "UpstashError", message: pattern });

describe("@upstash/redis", () => {
  test("strings and lifetimes", async () => {
    assert.equal(await redis.set("k", "v"), "OK");
    assert.equal(await redis.get("k"), "v");
    assert.equal(await redis.get("none"), null);
    assert.equal(await redis.set("k", "w", { nx: true }), null);
    assert.equal(await redis.set("k", "w", { xx: true, get: true }), "v");
    assert.equal(await redis.set("short", 1, { px: 60_000 }), "OK");
    const left = await redis.pttl("short");
    assert.ok(left > 0 && left <= 60_000, `${left}`);
    assert.equal(await redis.ttl("k"), -1);
    assert.equal(await redis.ttl("none"), -2);
    assert.equal(await redis.expire("k", 100), 1);
    assert.equal(await redis.ttl("k"), 100);
    assert.equal(await redis.persist("k"), 1);
    assert.equal(await redis.pexpireat("k", 1), 1);
    assert.equal(await redis.exists("k"), 0);
    assert.equal(await redis.incr("n"), 1);
    assert.equal(await redis.incrby("n", 41), 42);
    assert.equal(await redis.get("n"), 42);
    assert.equal(await redis.incrbyfloat("n", 0.5), 42.5);
    assert.equal(await redis.append("s", "abc"), 3);
    assert.equal(await redis.getrange("s", 1, 2), "bc");
    assert.equal(await redis.setrange("s", 1, "XY"), 3);
    assert.equal(await redis.strlen("s"), 3);
    assert.equal(await redis.getdel("s"), "aXY");
    assert.equal(await redis.mset({ a: 1, b: "two" }), "OK");
    assert.deepEqual(await redis.mget("a", "b", "none"), [1, "two", null]);
    assert.equal(await redis.type("a"), "string");
    assert.equal(await redis.type("none"), "none");
    assert.equal(await redis.ping(), "PONG");
    assert.equal(await redis.echo("OK"), "OK");
    assert.deepEqual((await redis.keys("*")).sort(), ["a", "b", "n", "short"]);
    const [cursor, keys] = await redis.scan(0, { match: "?", count: 100 });
    assert.deepEqual([cursor, keys.sort()], ["0", ["a", "b", "n"]]);
    assert.equal(await redis.del("a", "b", "none"), 2);
  });

  test("objects, unicode and binary values", async () => {
    const value = { text: "naïve 漢字 🙂 \u0000\n\"\\", list: [1, null, true], nested: { deep: 1.5 } };
    await redis.set("object", value);
    assert.deepEqual(await redis.get("object"), value);
    await redis.set("ключ 🙂/?%", "значение 🙂");
    assert.equal(await redis.get("ключ 🙂/?%"), "значение 🙂");
    await redis.set("lone", "a\ud83d");
    assert.equal(await redis.get("lone"), "a\ufffd");
    const every = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
    const headers = { authorization: `Bearer ${settings.token}`, "upstash-encoding": "base64" };
    const put = await fetch(`${settings.url}/set/bytes`, { method: "POST", headers, body: every });
    assert.deepEqual(await put.json(), { result: "OK" });
    const got = await (await fetch(`${settings.url}/get/bytes`, { headers })).json();
    assert.deepEqual(Buffer.from(got.result, "base64"), every);
    assert.equal(await redis.strlen("bytes"), 256);
    assert.equal(await redis.getbit("bytes", 15), 1);
    const plain = new Redis({ ...settings, responseEncoding: false, automaticDeserialization: false });
    assert.equal(await plain.get("ключ 🙂/?%"), "значение 🙂");
    assert.equal(await plain.set("number", "1.0"), "OK");
    assert.equal(await plain.get("number"), "1.0");
  });

  test("hashes", async () => {
    assert.equal(await redis.hset("h", { a: 1, b: "two", c: { d: 3 } }), 3);
    assert.equal(await redis.hget("h", "b"), "two");
    assert.equal(await redis.hget("h", "none"), null);
    assert.deepEqual(await redis.hgetall("h"), { a: 1, b: "two", c: { d: 3 } });
    assert.equal(await redis.hgetall("none"), null);
    assert.deepEqual(await redis.hmget("h", "a", "none"), { a: 1, none: null });
    assert.equal(await redis.hincrby("h", "a", 2), 3);
    assert.equal(await redis.hincrbyfloat("h", "a", 0.25), 3.25);
    assert.deepEqual((await redis.hkeys("h")).sort(), ["a", "b", "c"]);
    assert.deepEqual(await redis.hvals("h"), [3.25, "two", { d: 3 }]);
    assert.equal(await redis.hlen("h"), 3);
    assert.equal(await redis.hexists("h", "a"), 1);
    assert.equal(await redis.hsetnx("h", "a", 9), 0);
    const [cursor, fields] = await redis.hscan("h", 0);
    assert.deepEqual([cursor, fields.length], ["0", 6]);
    assert.equal(await redis.hdel("h", "a", "b"), 2);
  });

  test("lists and sets", async () => {
    assert.equal(await redis.rpush("l", 1, "two", { three: 3 }), 3);
    assert.equal(await redis.lpush("l", "zero"), 4);
    assert.deepEqual(await redis.lrange("l", 0, -1), ["zero", 1, "two", { three: 3 }]);
    assert.equal(await redis.lpop("l"), "zero");
    assert.deepEqual(await redis.rpop("l", 2), [{ three: 3 }, "two"]);
    assert.equal(await redis.lindex("l", 0), 1);
    assert.equal(await redis.llen("l"), 1);
    assert.equal(await redis.sadd("s", "a", "b", 3), 3);
    assert.deepEqual((await redis.smembers("s")).map(String).sort(), ["3", "a", "b"]);
    assert.equal(await redis.sismember("s", "a"), 1);
    assert.deepEqual(await redis.smismember("s", ["a", "x"]), [1, 0]);
    await redis.sadd("t", "b", "c");
    assert.deepEqual(await redis.sinter("s", "t"), ["b"]);
    assert.equal(await redis.sunionstore("u", "s", "t"), 4);
    assert.equal(await redis.scard("u"), 4);
    assert.equal(await redis.srem("s", "a"), 1);
  });

  test("sorted sets", async () => {
    assert.equal(await redis.zadd("z", { score: 1.5, member: "a" }, { score: 2, member: "b" }, { score: -3, member: "c" }), 3);
    assert.equal(await redis.zscore("z", "a"), 1.5);
    assert.equal(await redis.zscore("z", "none"), null);
    assert.deepEqual(await redis.zrange("z", 0, -1), ["c", "a", "b"]);
    assert.deepEqual(await redis.zrange("z", 0, -1, { withScores: true }), ["c", -3, "a", 1.5, "b", 2]);
    assert.deepEqual(await redis.zrange("z", 0, 2, { byScore: true }), ["a", "b"]);
    assert.deepEqual(await redis.zrange("z", 0, 0, { rev: true }), ["b"]);
    assert.equal(await redis.zincrby("z", 10, "c"), 7);
    assert.equal(await redis.zrank("z", "c"), 2);
    assert.deepEqual(await redis.zmscore("z", ["a", "none"]), [1.5, null]);
    assert.equal(await redis.zcount("z", "-inf", "+inf"), 3);
    assert.deepEqual(await redis.zpopmax("z"), ["c", 7]);
    assert.equal(await redis.zremrangebyscore("z", 0, 10), 2);
  });

  test("streams", async () => {
    const id = await redis.xadd("x", "*", { field: "value", number: 7 });
    assert.match(id, /^\d+-\d+$/);
    await redis.xadd("x", "*", { field: "second" });
    assert.equal(await redis.xlen("x"), 2);
    const range = await redis.xrange("x", "-", "+");
    assert.deepEqual(range[id], { field: "value", number: 7 });
    assert.equal(await redis.xgroup("x", { type: "CREATE", group: "g", id: "0" }), "OK");
    const [[stream, entries]] = await redis.xreadgroup("g", "me", "x", ">", { count: 1 });
    assert.equal(stream, "x");
    assert.deepEqual(entries, [[id, ["field", "value", "number", 7]]]);
    assert.equal(await redis.xack("x", "g", id), 1);
    assert.equal(await redis.xdel("x", id), 1);
    assert.equal((await redis.xread("x", "0"))[0][1].length, 1);
    assert.equal(await redis.xread("x", "$"), null);
  });

  test("scripts", async () => {
    const script = "return {KEYS[1], ARGV[1], tonumber(ARGV[2]), {1, {2}}}";
    assert.deepEqual(await redis.eval(script, ["k"], ["a", 2]), ["k", "a", 2, [1, [2]]]);
    const hash = createHash("sha1").update(script).digest("hex");
    assert.equal(await redis.scriptLoad(script), hash);
    assert.deepEqual(await redis.evalsha(hash, ["k"], ["b", 3]), ["k", "b", 3, [1, [2]]]);
    assert.deepEqual(await redis.scriptExists(hash, "0".repeat(40)), [1, 0]);
    await rejects(redis.evalsha("0".repeat(40), [], []), /^NOSCRIPT/);
    await rejects(redis.eval("return redis.error_reply('ERR mine')", [], []), /^ERR mine/);
    const made = redis.createScript("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    assert.equal(await made.exec(["n"], ["5"]), 5);
    assert.equal(await made.exec(["n"], ["5"]), 10);
    const reads = redis.createScript("return redis.call('GET', KEYS[1])", { readonly: true });
    assert.equal(await reads.exec(["n"], []), 10);
    assert.equal(await redis.scriptFlush({ sync: true }), "OK");
    assert.deepEqual(await redis.scriptExists(hash), [0]);
  });

  test("pipelines and transactions", async () => {
    const pipeline = redis.pipeline().set("a", 1).incr("a").hset("h", { f: "v" }).hgetall("h").get("none");
    assert.deepEqual(await pipeline.exec(), ["OK", 2, 1, { f: "v" }, null]);
    const hundred = redis.pipeline();
    for (let n = 0; n < 100; n++) hundred.set(`k${n}`, n).get(`k${n}`);
    const results = await hundred.exec();
    assert.deepEqual(results.filter((_, index) => index % 2), Array.from({ length: 100 }, (_, n) => n));
    await redis.set("text", "x");
    await rejects(redis.pipeline().get("text").lpush("text", 1).exec(), /Command 2 \[ lpush \] failed: WRONGTYPE/);
    const kept = await redis.pipeline().get("text").lpush("text", 1).exec({ keepErrors: true });
    assert.deepEqual(kept[0], { result: "x", error: undefined });
    assert.match(kept[1].error, /^WRONGTYPE/);
    const multi = redis.multi().incr("m").incr("m").zadd("z", { score: 1, member: "a" }).zrange("z", 0, -1);
    assert.deepEqual(await multi.exec(), [1, 2, 1, ["a"]]);
    await rejects(redis.multi().incr("m").lpush("text", 1).exec(), /WRONGTYPE/);
    assert.equal(await redis.get("m"), 3);
    // Two at a time never see each other's half.
    const halves = Array.from({ length: 20 }, () => redis.multi().incr("p").incr("p").exec());
    for (const [first, second] of await Promise.all(halves)) assert.equal(second, first + 1);
  });

  test("auto-pipelining", async () => {
    const auto = new Redis({ ...settings, enableAutoPipelining: true });
    const [set, counts] = await Promise.all([
      auto.set("k", "v"),
      Promise.all(Array.from({ length: 50 }, () => auto.incr("n"))),
      auto.hset("h", { a: 1 }),
    ]);
    assert.equal(set, "OK");
    assert.deepEqual(counts, Array.from({ length: 50 }, (_, n) => n + 1));
    assert.deepEqual(await Promise.all([auto.get("k"), auto.hgetall("h"), auto.get("none")]), ["v", { a: 1 }, null]);
  });

  test("errors", async () => {
    await redis.set("text", "x");
    await rejects(redis.lpush("text", 1), /^WRONGTYPE/);
    await rejects(redis.incr("text"), /^ERR value is not an integer or out of range/);
    await rejects(redis.exec(["GET"]), /^ERR wrong number of arguments for 'get' command/);
    await rejects(redis.exec(["NOSUCH"]), /^ERR unknown command/);
    await rejects(redis.flushall(), /^NOPERM `FLUSHALL` is switched off here/);
    await rejects(new Redis({ ...settings, token: "wrong" }).get("k"), /^WRONGPASS/);
    await rejects(redis.set("large", "x".repeat(11 << 20)), /longer than 10485760 bytes/);
  });

  test("subscriptions", async () => {
    const subscriber = redis.subscribe(["news"]);
    const patterns = redis.psubscribe(["ne*"]);
    const heard = (from, type) => new Promise((resolve) => from.on(type, resolve));
    await Promise.all([heard(subscriber, "subscribe"), heard(patterns, "psubscribe")]);
    const messages = Promise.all([heard(subscriber, "message"), heard(patterns, "pmessage")]);
    assert.equal(await redis.publish("news", { headline: "🙂" }), 2);
    const [message, matched] = await messages;
    assert.deepEqual(message, { channel: "news", message: { headline: "🙂" } });
    assert.deepEqual(matched, { pattern: "ne*", channel: "news", message: { headline: "🙂" } });
    await Promise.all([subscriber.unsubscribe(), patterns.unsubscribe()]);
  });
});

describe("@upstash/ratelimit", () => {
  const NOW = 1_767_225_600_000;

  /** Admissions of one limiter at fixed instants, each `[ms after the start, requests at once]`. */
  async function admissions(client, prefix, limiter, steps) {
    const ratelimit = new Ratelimit({ redis: client, prefix, limiter, ephemeralCache: false });
    const all = [];
    for (const [at, requests] of steps) {
      mock.timers.setTime(NOW + at);
      for (let request = 0; request < requests; request++) {
        const { success, limit, remaining, reset } = await ratelimit.limit("client");
        all.push({ at, success, limit, remaining, reset });
      }
    }
    return all;
  }

  const steps = [[0, 4], [1_500, 3], [5_000, 2], [9_900, 2], [10_100, 4], [14_000, 3], [19_999, 2], [31_000, 7]];

  for (const [name, limiter] of [
    ["fixed window", () => Ratelimit.fixedWindow(5, "10 s")],
    ["sliding window", () => Ratelimit.slidingWindow(5, "10 s")],
    ["token bucket", () => Ratelimit.tokenBucket(2, "5 s", 5)],
  ]) {
    test(name, async () => {
      mock.timers.enable({ apis: ["Date"], now: NOW });
      try {
        const bridged = await admissions(redis, "bridged", limiter(), steps);
        const expected = await admissions(direct, "direct", limiter(), steps);
        assert.deepEqual(bridged, expected);
        assert.ok(bridged.some(({ success }) => success) && bridged.some(({ success }) => !success));
      } finally {
        mock.timers.reset();
      }
    });
  }

  test("many at once are never too many", async () => {
    mock.timers.enable({ apis: ["Date"], now: NOW });
    try {
      const limiter = Ratelimit.fixedWindow(10, "1 h");
      const ratelimit = new Ratelimit({ redis, prefix: "many", limiter, ephemeralCache: false });
      const results = await Promise.all(Array.from({ length: 50 }, () => ratelimit.limit("client")));
      assert.equal(results.filter(({ success }) => success).length, 10);
    } finally {
      mock.timers.reset();
    }
  });
});
