-- Everything a request asks of the store, in one call. Knows primitives only; policy lives in the gateway.
-- `store::script` writes the arguments, `store::memory` is the same meaning in Rust: change all three together.
--
-- ARGV[1] is the time of the asking gateway (unix ms); then the operations, each a letter and its arguments.
-- KEYS are consumed in the same order. The answer is one flat row: `false` is nil.
--
-- A function here takes no locals from outside: Redis runs the whole text anew for each call, and binding them would
-- cost more than what most calls then do.

-- A fixed or sliding window whose last count was at `last`: admitted, left, reset, retry; then the counts of the
-- present window and the one before, and the moment they are for. `x - x % 1` is the floor, `x + -x % 1` the ceiling;
-- weights are in 2^20ths, which keeps every product below 2^53.
local function windows(now, kind, limit, window, cost, last, cur, prev)
  local t = last > now and last or now
  local start, held = t - t % window, last - last % window
  local ends = start + window
  if start ~= held then
    prev = start == held + window and cur or 0
    cur = 0
  end
  local left = limit - cur
  if kind == 'F' then
    prev = 0
  elseif prev > 0 then
    local weight = (ends - t) * 1048576 / window
    local used = prev * (weight + -weight % 1) / 1048576
    left = left - (used + -used % 1)
  end
  if cost <= left then return 1, left, ends, 0, cur, prev, t end
  if cost > limit then return 0, left, ends, window, cur, prev, t end
  if kind == 'F' then return 0, left, ends, ends - t, cur, prev, t end
  local room, from, weighs = limit - cur - cost, ends, prev
  if room < 0 then room, from, weighs = limit - cost, ends + window, cur end
  local weight = room * 1048576 / weighs
  local overlap = (weight - weight % 1) * window / 1048576
  return 0, left, ends, from - (overlap - overlap % 1) - t, cur, prev, t
end

-- The strings of the JSON array at `key`; nil and the raw answer if there is none.
local function strings_at(key)
  local raw = redis.pcall('GET', key)
  if type(raw) ~= 'string' then return nil, raw end
  local decoded, list = pcall(cjson.decode, raw)
  if not decoded or not string.match(raw, '^%s*%[') then return nil, raw end
  local strings = {}
  for i = 1, #list do
    if type(list[i]) == 'string' then strings[#strings + 1] = list[i] end
  end
  return strings, raw
end

-- Makes the function that judges a list of spends and counts them all or none.
local function groups(now, row, records, windows)
  local call, try, num = redis.call, redis.pcall, tonumber
  local floor, ceil, format, match = math.floor, math.ceil, string.format, string.match
  local states, order, group, refused

  -- The state of a limit before this group, or as this group has left it. A value of another shape starts anew.
  local function state_of(key, kind, window)
    local s = states[key]
    if s and s.kind == kind and s.window == window then return s end
    local stale = s ~= nil
    s = { key = key, kind = kind, window = window, stale = stale }
    states[key] = s
    order[#order + 1] = s
    if kind == 'L' then
      local top = not stale and try('ZREVRANGE', key, 0, 0, 'WITHSCORES') or {}
      if top.err or top[1] and match(top[1], '^(%d+):') ~= format('%d', window) then s.stale, top = true, {} end
      s.last, s.used, s.by, s.members = num(top[2] or 0), 0, {}, {}
      if top[2] then
        local t = s.last > now and s.last or now
        s.used = call('ZCOUNT', key, '(' .. format('%d', t - window), '+inf')
      end
      s.kept = s.used
      return s
    end
    local raw = not stale and try('GET', key)
    local tag, w, b, c, d
    if type(raw) == 'string' then
      tag, w, b, c, d = match(raw, '^(%u) (%d+) (%d+) (%d+) (%d+)$')
      if tag ~= kind or num(w) ~= window then tag = nil end
    end
    if kind == 'B' then
      if tag then s.last, s.level, s.part = num(b), num(c), num(d) end
    elseif tag then
      s.last, s.cur, s.prev = num(b), num(c), num(d)
    else
      s.last, s.cur, s.prev = 0, 0, 0
    end
    return s
  end

  -- Ticks until a bucket has gained `deficit`: the estimate is at most one off, the loops make it exact.
  local function ticks(deficit, cap, width, part)
    if deficit <= 0 then return 0 end
    local whole = floor(cap / width)
    local rest = cap - whole * width
    local e = floor((deficit - part / width) / cap * width)
    if e < 0 then e = 0 end
    while e * whole + floor((e * rest + part) / width) < deficit do e = e + 1 end
    while e > 0 and (e - 1) * whole + floor(((e - 1) * rest + part) / width) >= deficit do e = e - 1 end
    return e
  end

  -- Judges one limit and, where it admits, counts in the group's state (not yet in the store).
  local function spend(cell, key, kind, limit, window, cost, member, name)
    local left, after, reset, reset0, retry = 0, 0, now + window, now + window, window
    local admitted = 0
    local s = limit > 0 and state_of(key, kind, window)
    if not s then
      refused = true
    elseif kind == 'W' or kind == 'F' then
      local cur, prev, t
      admitted, left, reset, retry, cur, prev, t = windows(now, kind, limit, window, cost, s.last, s.cur, s.prev)
      reset0 = reset
      if admitted == 1 and cost > 0 then s.cur, s.prev, s.last, s.dirty = cur + cost, prev, t, true end
    elseif kind == 'B' then
      local step = ceil(window / 90000000)
      local width, cap = ceil(window / step), limit * 1000
      local last, level, part = s.last or 0, s.level or cap, s.part or 0
      local t = last > now and last or now
      local steps = floor((t - last) / step)
      if s.level then
        last = last + steps * step
        if steps > width then steps = width end
        local whole = floor(cap / width)
        local gained = steps * (cap - whole * width) + part
        level = level + steps * whole + floor(gained / width)
        part = gained % width
      end
      if level >= cap then level, part, last = cap, 0, t end
      left = floor(level / 1000)
      reset0 = level == cap and t or last + ticks(cap - level, cap, width, part) * step
      reset = reset0
      if cost <= left then
        admitted = 1
        if cost > 0 then
          level = level - cost * 1000
          s.level, s.part, s.last, s.dirty = level, part, last, true
          reset = last + ticks(cap - level, cap, width, part) * step
        end
      elseif cost <= limit then
        retry = last + ticks(cost * 1000 - level, cap, width, part) * step - t
      end
    else
      local t = s.last > now and s.last or now
      left = limit - s.used
      reset0 = s.used > 0 and s.last + window or t
      reset = reset0
      if cost <= left then
        admitted = 1
        if cost > 0 then
          -- The window's length stands in each name, so that a log of another window is told by any of them.
          local had, first = s.by[member] or 0, format('%d:', window) .. member
          for i = had, had + cost - 1 do s.members[#s.members + 1] = i == 0 and first or first .. '#' .. i end
          s.by[member] = had + cost
          s.used, s.last, s.dirty, reset = s.used + cost, t, true, t + window
        end
      elseif cost <= limit then
        local nth = s.used + cost - limit
        if nth <= s.kept then
          local cut = '(' .. format('%d', t - window)
          local found = call('ZRANGEBYSCORE', s.key, cut, '+inf', 'WITHSCORES', 'LIMIT', nth - 1, 1)
          retry = num(found[2]) + window - t
        end
      end
    end
    if left < 0 then left = 0 end
    if admitted == 1 then
      after, retry = left - cost, 0
    else
      after, refused = left, true
    end
    group[#group + 1] = { cell, admitted, limit, after, reset, retry, window, name, left, reset0 }
  end

  -- The limits that a live record carries.
  local function spend_record(cell, record, prefix, factor, member, at, key)
    local limits, daily = record[10] or '', record[11] or ''
    local list, good = {}, true
    if limits ~= '' then
      local decoded, found = pcall(cjson.decode, limits)
      good = decoded and match(limits, '^%s*%[') and #found <= 16
      if good then list = found end
    end
    local own, names = #list > 0, {}
    if good and daily ~= '' then
      local count = #daily <= 10 and match(daily, '^%d+$')
      good = count and true
      list[#list + 1] = { name = 'daily', limit = num(count), window_ms = 86400000, algorithm = 'fixed-window' }
    end
    local kinds = { ['sliding-window'] = 'W', ['fixed-window'] = 'F', ['token-bucket'] = 'B', ['sliding-log'] = 'L' }
    local function whole(x, least)
      return type(x) == 'number' and x >= least and x <= 4294967295 and x == floor(x)
    end
    for i = 1, good and #list or 0 do
      local l = list[i]
      if type(l) ~= 'table' then good = false break end
      if l.cost == nil or l.cost == cjson.null then l.cost = 1 end
      if l.algorithm == nil or l.algorithm == cjson.null then l.algorithm = 'sliding-window' end
      good = type(l.name) == 'string' and #l.name > 0 and #l.name <= 64 and not names[l.name]
        and whole(l.limit, 0) and whole(l.window_ms, 1) and whole(l.cost, 0)
        and type(l.algorithm) == 'string' and kinds[l.algorithm]
      if not good then break end
      names[l.name] = true
    end
    if not good then
      group[#group + 1] = { cell, 0, 0, 0, now + 60000, 60000, 60000, 'invalid', 0, 0 }
      refused = true
      return
    end
    for i = 1, #list do
      local l = list[i]
      local limit = l.limit * factor
      if limit > 4294967295 then limit = 4294967295 end
      spend(cell, prefix .. l.name, kinds[l.algorithm], limit, l.window_ms, l.cost, member, l.name)
    end
    if not own and key then
      spend(cell, key, ARGV[at], num(ARGV[at + 1]), num(ARGV[at + 2]), num(ARGV[at + 3]), member, '')
    end
  end

  -- Judges the spend written at ARGV[at].
  local function judge(at, k, cell)
    if ARGV[at] == 'S' then
      spend(cell, KEYS[k], ARGV[at + 1], num(ARGV[at + 2]), num(ARGV[at + 3]), num(ARGV[at + 4]), ARGV[at + 6], '')
      return
    end
    local record = records[num(ARGV[at + 1])]
    if not record then return end
    local key = ARGV[at + 6] ~= '' and KEYS[k]
    if (record[10] or '') == '' and (record[11] or '') == '' then
      if key then
        spend(cell, key, ARGV[at + 6], num(ARGV[at + 7]), num(ARGV[at + 8]), num(ARGV[at + 9]), ARGV[at + 4], '')
      end
    else
      spend_record(cell, record, ARGV[at + 2], num(ARGV[at + 3]), ARGV[at + 4], at + 6, key)
    end
  end

  local function write(s)
    local window = s.window
    if s.kind == 'B' then
      call('SET', s.key, format('B %d %d %d %d', window, s.last, s.level, s.part), 'PX', format('%d', 2 * window))
    elseif s.kind ~= 'L' then
      call('SET', s.key, format('%s %d %d %d %d', s.kind, window, s.last, s.cur, s.prev), 'PX', format('%d', 2 * window))
    else
      if s.stale then call('DEL', s.key) end
      call('ZREMRANGEBYSCORE', s.key, '-inf', format('%d', s.last - window))
      local adds = {}
      for i = 1, #s.members do
        adds[#adds + 1] = s.last
        adds[#adds + 1] = s.members[i]
        if #adds == 2000 or i == #s.members then
          call('ZADD', s.key, unpack(adds))
          adds = {}
        end
      end
      call('PEXPIRE', s.key, format('%d', 2 * window))
    end
  end

  -- Counts the group if nothing in it was refused, and fills the row with the tightest limit of each spend.
  local function settle()
    for i = 1, #group do
      local g = group[i]
      local c, admitted, left, reset = g[1], g[2], g[4], g[5]
      if refused and admitted == 1 then left, reset = g[9], g[10] end
      local held = row[c]
      local tighter = not held or admitted < held
      if not tighter and admitted == held then
        if admitted == 1 then tighter = left < row[c + 2] else tighter = g[6] > row[c + 4] end
      end
      if tighter then
        row[c], row[c + 1], row[c + 2], row[c + 3] = admitted, g[3], left, reset
        row[c + 4], row[c + 5], row[c + 6] = g[6], g[7], g[8]
      end
    end
    if not refused then
      for i = 1, #order do
        if order[i].dirty then write(order[i]) end
      end
    end
  end

  return function(list)
    states, order, group, refused = {}, {}, {}, false
    for i = 1, #list do judge(list[i][1], list[i][2], list[i][3]) end
    settle()
  end
end

local call, try, num, match, format = redis.call, redis.pcall, tonumber, string.match, string.format
local KEYS, ARGV = KEYS, ARGV
local now = num(ARGV[1])
local row, n = {}, 0 -- n: cells given out so far
local records = {} -- live records by their first cell
local waiting = {} -- `together` spends that wait for the last of them: ARGV place, KEYS place, first cell
local k, a, argc, settle_group = 1, 2, #ARGV, nil
while a <= argc do
  local op = ARGV[a]
  if op == 'S' or op == 'P' then
    local at, cell, first, fin = a, n + 1, k, nil
    local limit, record -- where the limit's arguments begin, if there is just one
    n = n + 7
    for i = cell, n do row[i] = false end
    if op == 'S' then
      local guard = num(ARGV[a + 5])
      if guard == 0 or row[(guard - guard % 4) / 4] == guard % 4 then limit = a + 1 end
      fin, a, k = ARGV[a + 7], a + 8, k + 1
    else
      record = records[num(ARGV[a + 1])]
      if record then
        if (record[10] or '') ~= '' or (record[11] or '') ~= '' then
          limit = -1
        elseif ARGV[a + 6] ~= '' then
          limit = a + 6
        end
      end
      if ARGV[a + 6] ~= '' then k = k + 1 end
      fin, a = ARGV[a + 5], a + 10
    end
    if limit then
      local kind = ARGV[limit]
      local alone = fin == '0' or fin == '2' and #waiting == 0
      if alone and (kind == 'W' or kind == 'F') and ARGV[limit + 1] ~= '0' then
        -- A single window, as most requests have it, needs none of what groups need.
        local key, most, window, cost = KEYS[first], num(ARGV[limit + 1]), num(ARGV[limit + 2]), num(ARGV[limit + 3])
        local raw, last, cur, prev = try('GET', key), 0, 0, 0
        if type(raw) == 'string' then
          local tag, w, l, c, p = match(raw, '^(%u) (%d+) (%d+) (%d+) (%d+)$')
          if tag == kind and num(w) == window then last, cur, prev = num(l), num(c), num(p) end
        end
        local admitted, left, reset, retry, t
        admitted, left, reset, retry, cur, prev, t = windows(now, kind, most, window, cost, last, cur, prev)
        if left < 0 then left = 0 end
        if admitted == 1 and cost > 0 then
          left = left - cost
          local value = format('%s %d %d %d %d', kind, window, t, cur + cost, prev)
          call('SET', key, value, 'PX', format('%d', 2 * window))
        end
        row[cell], row[cell + 1], row[cell + 2], row[cell + 3] = admitted, most, left, reset
        row[cell + 4], row[cell + 5], row[cell + 6] = retry, window, ''
      elseif fin == '0' then
        settle_group = settle_group or groups(now, row, records, windows)
        settle_group({ { at, first, cell } })
      else
        waiting[#waiting + 1] = { at, first, cell }
      end
    end
    if fin == '2' and #waiting > 0 then
      settle_group = settle_group or groups(now, row, records, windows)
      settle_group(waiting)
    end
  elseif op == 'R' then
    local r = try('HMGET', KEYS[k], 'enabled', 'expires_at', 'id', 'name', 'tenant', 'role', 'worker_id', 'routes',
      'ip_allow', 'limits', 'daily_limit')
    local live = r[3] or r[1] or r[2] or r[4] or r[5] or r[6] or r[7] or r[8] or r[9] or r[10] or r[11]
    if r.err then r, live = {}, false end
    if live and r[1] == '0' then live = false end
    if live and r[2] and r[2] ~= '' then
      live = #r[2] <= 15 and match(r[2], '^%d+$') and num(r[2]) > now
    end
    if live then records[n + 1] = r end
    row[n + 1] = live and 1 or 0
    for i = 3, 9 do row[n + i - 1] = r[i] or false end
    n, a, k = n + 8, a + 1, k + 1
  elseif op == 'V' or op == 'X' then
    -- The version is read from the first bytes alone; nothing is version 0, what begins with none 10^15.
    local head = try('GETRANGE', KEYS[k], 0, 26)
    if type(head) ~= 'string' then head = '' end
    local version = match(head, '^{"version":([1-9]%d*),') or head == '' and '0' or '1000000000000000'
    local same = version == ARGV[a + 1]
    n = n + 1
    row[n] = false
    if not same then
      local text = try('GET', KEYS[k])
      row[n] = type(text) == 'string' and text or ''
      if op == 'V' then
        for i = n + 1, num(ARGV[a + 2]) do row[i] = false end
        return row
      end
    elseif op == 'X' then
      call('SET', KEYS[k], ARGV[a + 2])
      row[n] = 1
    end
    a, k = a + 3, k + 1
  elseif op == 'G' then
    local value = try('GET', KEYS[k])
    n, a, k = n + 1, a + 1, k + 1
    row[n] = type(value) == 'string' and value
  elseif op == 'W' then
    local r = try('HMGET', KEYS[k], 'hash', 'expires_at')
    local live = not r.err and r[1] and r[1] ~= ''
    if live and r[2] and r[2] ~= '' then
      live = #r[2] <= 15 and match(r[2], '^%d+$') and num(r[2]) > now
    end
    n = n + 1
    row[n] = not live and 0 or r[1] == ARGV[a + 1] and 1 or 2
    a, k = a + 2, k + 1
  elseif op == 'T' then
    local value, how = ARGV[a + 1], ARGV[a + 3]
    if how == '2' or how == '3' then
      -- Bytes that came as text: each character stands for the byte of its number.
      local bytes, char = {}, string.char
      for byte = 128, 255 do
        bytes[char(byte < 192 and 194 or 195, byte < 192 and byte or byte - 64)] = char(byte)
      end
      value = string.gsub(value, '[\194\195][\128-\191]', bytes)
    end
    local command = { 'SET', KEYS[k], value }
    if ARGV[a + 2] ~= '' then command[4], command[5] = 'PX', ARGV[a + 2] end
    if how == '1' or how == '3' then command[#command + 1] = 'NX' end
    call(unpack(command))
    a, k = a + 4, k + 1
  elseif op == 'U' then
    local top, i = try('ZREVRANGE', KEYS[k], 0, 0), 0
    local window = top[1] and match(top[1], '^%d+:')
    local member = (window or '') .. ARGV[a + 1]
    local gone = window and call('ZREM', KEYS[k], member)
    while gone == 1 do
      i = i + 1
      gone = call('ZREM', KEYS[k], member .. '#' .. i)
    end
    a, k = a + 2, k + 1
  elseif op == 'H' then
    local count = num(ARGV[a + 3])
    local keep = ARGV[a + 2] == '1' and (count == 0 or try('HMGET', KEYS[k], ARGV[a + 4])[1])
    if not keep then
      call('DEL', KEYS[k])
      for i = 1, count do call('HSET', KEYS[k], ARGV[a + 2 + 2 * i], ARGV[a + 3 + 2 * i]) end
      if count > 0 and ARGV[a + 1] ~= '' then call('PEXPIRE', KEYS[k], ARGV[a + 1]) end
    end
    a, k = a + 4 + 2 * count, k + 1
  elseif op == 'A' then
    local fields = try('HLEN', KEYS[k])
    n = n + 1
    row[n] = false
    if type(fields) == 'number' and fields > 0 and fields <= num(ARGV[a + 1]) then
      local all = call('HGETALL', KEYS[k])
      for i = 1, #all do all[i] = cjson.encode(all[i]) end
      row[n] = '[' .. table.concat(all, ',') .. ']'
    end
    a, k = a + 2, k + 1
  elseif op == 'E' then
    local value = try('HGET', KEYS[k], ARGV[a + 1])
    n = n + 1
    row[n] = type(value) == 'string' and value
    a, k = a + 2, k + 1
  elseif op == 'M' then
    local key, life, count = KEYS[k], ARGV[a + 3], num(ARGV[a + 4])
    local fields, last = try('HLEN', key), a + 2 + 3 * count
    local strange = type(fields) ~= 'number'
    local there = not strange and fields > 0
    local added = 0
    for i = a + 5, last, 3 do
      if ARGV[i + 1] == '1' and not (there and call('HEXISTS', key, ARGV[i]) == 1) then added = added + 1 end
    end
    local room = num(ARGV[a + 2]) - (there and fields or 0)
    n = n + 1
    row[n] = 0
    if (there or ARGV[a + 1] == '1') and (added == 0 or added <= room) then
      if strange then call('DEL', key) end
      -- Taking the last field takes the key too, and with it the time of its end.
      local left = life == '=' and call('PTTL', key)
      for i = a + 5, last, 3 do
        if ARGV[i + 1] == '1' then call('HSET', key, ARGV[i], ARGV[i + 2]) else call('HDEL', key, ARGV[i]) end
      end
      if life == '' then call('PERSIST', key)
      elseif not left then call('PEXPIRE', key, life)
      elseif left > 0 then call('PEXPIRE', key, left) end
      row[n] = 1
    end
    a, k = a + 5 + 3 * count, k + 1
  elseif op == 'C' then
    local key, most, count = KEYS[k], num(ARGV[a + 2]), num(ARGV[a + 3])
    local fields = count > 0 and try('HLEN', key)
    if count > 0 and type(fields) ~= 'number' then
      call('DEL', key)
      fields = 0
    end
    for i = a + 4, a + 1 + 3 * count, 3 do
      local field = ARGV[i]
      -- Where all would find room, none is asked after.
      if ARGV[i + 1] ~= '' and fields + count > most and call('HLEN', key) >= most and call('HEXISTS', key, field) == 0 then
        field = ARGV[i + 1]
      end
      if type(try('HINCRBY', key, field, ARGV[i + 2])) ~= 'number' then call('HSET', key, field, ARGV[i + 2]) end
    end
    if count > 0 then call('PEXPIRE', key, ARGV[a + 1]) end
    a, k = a + 4 + 3 * count, k + 1
  elseif op == 'D' then
    call('DEL', KEYS[k])
    a, k = a + 1, k + 1
  elseif op == 'N' then
    try('PUBLISH', KEYS[k], ARGV[a + 1])
    a, k = a + 2, k + 1
  elseif op == 'K' then
    local snapshot = try('GET', KEYS[k])
    n = n + 1
    if type(snapshot) == 'string' and snapshot ~= '' then
      row[n] = snapshot
    else
      local ids, max = strings_at(KEYS[k + 1]) or {}, num(ARGV[a + 2])
      local parts = { {}, {}, {}, {} }
      for i = 1, #ids < max and #ids or max do
        local base = ARGV[a + 1] .. ids[i] .. ':'
        parts[1][i] = cjson.encode(ids[i])
        for j, what in ipairs({ 'status', 'gpu', 'heartbeat' }) do
          local value = try('GET', base .. what)
          parts[j + 1][i] = type(value) == 'string' and cjson.encode(value) or 'false'
        end
      end
      for j = 1, 4 do parts[j] = table.concat(parts[j], ',') end
      row[n] = '{"ids":[' .. parts[1] .. '],"status":[' .. parts[2] .. '],"gpu":[' .. parts[3]
        .. '],"heartbeat":[' .. parts[4] .. ']}'
    end
    a, k = a + 3, k + 2
  else -- 'I'
    local member, list, raw = ARGV[a + 1], strings_at(KEYS[k])
    local found, kept = false, {}
    for i = 1, list and #list or 0 do
      if list[i] == member then found = true end
      if list[i] ~= member or ARGV[a + 3] ~= '1' then kept[#kept + 1] = list[i] end
    end
    local changed = found
    if ARGV[a + 3] ~= '1' then
      changed = not found and #kept < num(ARGV[a + 2])
      if changed then kept[#kept + 1] = member end
    end
    if changed then
      for i = 1, #kept do kept[i] = cjson.encode(kept[i]) end
      local value = '[' .. table.concat(kept, ',') .. ']'
      if type(raw) == 'string' then
        call('SET', KEYS[k], value, 'KEEPTTL')
      else
        call('SET', KEYS[k], value)
      end
    end
    a, k = a + 4, k + 1
  end
end
return row
