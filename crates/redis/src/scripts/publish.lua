-- Publish: what an SDK reads of a token, unless a newer token was published there. It touches no state: in a cluster that is
-- in another slot.
-- The twin of core's publication.rs.
--
-- KEYS    for each key: its fence, the key
-- ARGV[1] fence of the token    [2] when its life ends, in ms    [3] what is left of that by the worker's clock, in ms
-- then for each key: how many fields (0 = a string), the longest that it lives in ms ('' = as long as the token), and the
-- value, or names and values
-- Returns for each key {'current' | 'written' | 'fenced' | 'ended'} or {'repaired', 'gone' | 'mistimed'} or
-- {'repaired', 'other', what stood there ...}.

local SLACK, FENCE_OUTLIVES, FOUND_MAX = 1000, 60000, 16384

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local fence = tonumber(ARGV[1])
local left = math.max(0, math.min(tonumber(ARGV[2]) - now, tonumber(ARGV[3])))

-- A microsecond fence loses digits through '..', tostring and cjson.
local function int(number)
  return string.format('%.0f', number)
end

local entries, at = {}, 4
for place = 1, #KEYS, 2 do
  local entry = {fence_key = KEYS[place], key = KEYS[place + 1], values = {}}
  entry.fields = tonumber(ARGV[at])
  entry.ttl = math.min(left, tonumber(ARGV[at + 1]) or left)
  at = at + 2
  for number = 1, math.max(1, 2 * entry.fields) do
    entry.values[number] = ARGV[at]
    at = at + 1
  end
  entry.fence = tonumber(redis.call('GET', entry.fence_key)) or 0
  entries[#entries + 1] = entry
end

local answers = {}
for _, entry in ipairs(entries) do
  if entry.fence > fence then
    for place = 1, #entries do answers[place] = {'fenced'} end
    return answers
  end
end

-- What stands at the key: nothing, or a list of texts; and whether that is what is to stand there.
local function found_at(entry)
  local form = redis.call('TYPE', entry.key).ok
  if form == 'none' then return nil, false end
  if entry.fields == 0 then
    if form ~= 'string' then return {}, false end
    local text = redis.call('GETRANGE', entry.key, 0, FOUND_MAX)
    return {text}, text == entry.values[1]
  end
  if form ~= 'hash' then
    entry.in_the_way = true
    return {}, false
  end
  local names = {}
  for number = 1, entry.fields do names[number] = entry.values[2 * number - 1] end
  local texts, same = redis.call('HMGET', entry.key, unpack(names)), true
  for number = 1, entry.fields do
    same = same and texts[number] == entry.values[2 * number]
    texts[number] = texts[number] or ''
  end
  return texts, same
end

local function is_in_time(entry)
  local ttl = redis.call('PTTL', entry.key)
  if ttl < 0 then return false end
  if entry.ttl < left then return ttl >= math.floor(entry.ttl / 2) and ttl <= entry.ttl + SLACK end
  return math.abs(ttl - entry.ttl) <= SLACK
end

for place, entry in ipairs(entries) do
  local found, same = found_at(entry)
  if left == 0 then
    if same then redis.call('DEL', entry.key) end
    answers[place] = {'ended'}
  elseif same and entry.fence == fence and is_in_time(entry) then
    answers[place] = {'current'}
  else
    if entry.fence < fence then
      answers[place] = {'written'}
    elseif same then
      answers[place] = {'repaired', 'mistimed'}
    elseif found then
      answers[place] = {'repaired', 'other', unpack(found)}
    else
      answers[place] = {'repaired', 'gone'}
    end
    -- The fence first: a script may be stopped in the middle, and an older token must not come between.
    local outlives = math.max(redis.call('PTTL', entry.fence_key), left + FENCE_OUTLIVES)
    redis.call('SET', entry.fence_key, int(fence), 'PX', int(outlives))
    if entry.fields == 0 then
      redis.call('SET', entry.key, entry.values[1], 'PX', int(entry.ttl))
    else
      if entry.in_the_way then redis.call('DEL', entry.key) end
      redis.call('HSET', entry.key, unpack(entry.values))
      redis.call('PEXPIRE', entry.key, int(entry.ttl))
    end
  end
end
return answers
