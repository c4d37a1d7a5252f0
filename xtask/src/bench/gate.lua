-- The usual nginx + Lua gate: hash the key, then one EVALSHA that reads the record and counts in a sliding window.
local redis = require "nginx.redis"
local sha256 = require "nginx.sha256"
local to_hex = require("nginx.string").to_hex

local SCRIPT = [[
local record = redis.call('HMGET', KEYS[1], 'id', 'tenant', 'enabled', 'expires_at')
if not record[1] then return {0, 0} end
local now, window, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local index = math.floor(now / window)
local count = redis.call('HMGET', KEYS[2], index, index - 1)
local weight = (window - now % window) / window
local used = (tonumber(count[1]) or 0) + (tonumber(count[2]) or 0) * weight
if used + 1 > limit then return {2, 0} end
redis.call('HINCRBY', KEYS[2], index, 1)
redis.call('PEXPIRE', KEYS[2], window * 2)
return {1, limit - used}
]]

local key = ngx.var.http_x_api_key
if not key then return ngx.exit(401) end
local hash = sha256:new()
hash:update("distributed-gpu-inference-v1:" .. key)
local stored = to_hex(hash:final())

local client = redis:new()
client:set_timeout(1000)
local connected = client:connect("127.0.0.1", @REDIS@)
if not connected then return ngx.exit(503) end
local digest = package.loaded.gate_digest
if not digest then
    digest = client:script("LOAD", SCRIPT)
    package.loaded.gate_digest = digest
end
local reply = client:evalsha(digest, 2, "bench:key:{" .. stored .. "}", "bench:limit:{" .. stored .. "}",
    math.floor(ngx.now() * 1000), 60000, 1000000000)
client:set_keepalive(60000, 128)
if not reply then return ngx.exit(503) end
if reply[1] == 0 then return ngx.exit(401) end
if reply[1] == 2 then return ngx.exit(429) end
ngx.header["X-RateLimit-Remaining"] = reply[2]
