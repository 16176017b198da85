-- Stands before every script: the unit's state as a table, and the rules that several scripts share.
-- Each function has the name and the meaning of its twin in the core crate.
--
-- KEYS[1] state hash   KEYS[2] lock   KEYS[3] the key that readers read   KEYS[4] the credential's history
-- ARGV[1] channel of events   ARGV[2] credential id   ARGV[3] kind   the last of ARGV: who does this, for the history
-- Every script returns {verdict, detail ..., view}; a view is JSON: the time and the state without its token.

local VERSION, SLACK, LONGER_SLACK = 1, 1000, 9000
local REFUSALS_MAX, REFUSAL_SHOWN = 16, 86400000
local SCOPES = {worker = true, configuration = true, account = true, transient = true}
local STATUSES = {
  ok = true, pending = true, paused = true, retrying = true, throttled = true, ip_not_allowed = true,
  awaiting_admin = true, blocked = true, misconfigured = true, account_frozen = true,
}

local REASONS = {
  due = true, missing = true, reported = true, forced = true, doubt = true, epoch = true, takeover = true,
}

local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000)

-- A microsecond fence loses digits through '..', tostring and cjson.
local function int(number)
  return string.format('%.0f', number)
end

local s = {}
do
  local fields = redis.call('HGETALL', KEYS[1])
  for i = 1, #fields, 2 do s[fields[i]] = fields[i + 1] end
end
local found = {}
for name, value in pairs(s) do found[name] = value end

-- What somebody wrote by hand counts as what it can be read as, here as in core's state.rs: nothing of it may stop a
-- script. A field that is not named here may be a newer version's, and stays as it is.
local NUMBER_MAX, COUNT_MAX, TOKEN_MAX = 4503599627370496, 4294967295, 4096
local COUNTS = {
  v = true, unknowns = true, unknowns_before = true, report_count = true, strain = true, invalidate_count = true,
  failures = true,
}
local NUMBERS = {
  fence = true, token_fence = true, generation = true, report_day = true, invalidating = true, invalidate_day = true,
}

local function readable(name, value)
  if value == '' or value == '0' then return false end
  if COUNTS[name] or NUMBERS[name] or string.sub(name, -3) == '_ms' then
    return not string.find(value, '%D') and tonumber(value) <= (COUNTS[name] and COUNT_MAX or NUMBER_MAX)
  elseif name == 'intent' or name == 'drained' or name == 'assumed' or name == 'lost' then
    return value == '1'
  elseif name == 'fingerprint' or name == 'reported' or name == 'previous' then
    return #value == 16 and not string.find(value, '[^0-9a-f]')
  elseif name == 'token' then
    return #value <= TOKEN_MAX and not string.find(value, '[^\33-\126]')
  elseif name == 'rejected' then
    return value == 'reported' or value == 'adopted' or value == 'forced' or value == 'invalidated'
  elseif name == 'reason' then
    return REASONS[value] == true
  elseif name == 'doubt' then
    return string.find(value, '[^,]') ~= nil
  end
  return true
end

for name, value in pairs(found) do
  if not readable(name, value) then s[name] = nil end
end
-- A token of which there is no copy cannot be published again: it is none.
if not s.token then s.fingerprint = nil end

local function num(name)
  return tonumber(s[name]) or 0
end

-- Zero, empty, false and nil are all "absent".
local function set(name, value)
  if not value or value == '' or value == 0 then
    s[name] = nil
  elseif value == true then
    s[name] = '1'
  elseif type(value) == 'number' then
    s[name] = int(value)
  else
    s[name] = value
  end
end

-- A count that is as high as it can be read stays there.
local function one_more(name)
  return math.min(num(name) + 1, COUNT_MAX)
end

-- Growing writes first, deletions last: a script may be stopped in the middle when memory runs out.
local function save()
  local written, gone = {}, {}
  for name, value in pairs(s) do
    if found[name] ~= value then
      written[#written + 1] = name
      written[#written + 1] = value
    end
  end
  for name in pairs(found) do
    if s[name] == nil then gone[#gone + 1] = name end
  end
  if #written > 0 then redis.call('HSET', KEYS[1], unpack(written)) end
  if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
end

local function view(kind_of_event)
  local state = {}
  for name, value in pairs(s) do
    if name ~= 'token' then state[name] = value end
  end
  return cjson.encode({
    type = kind_of_event,
    id = ARGV[2],
    kind = ARGV[3],
    worker = s.worker,
    fence = s.fence,
    generation = num('generation'),
    expires_at_ms = num('expires_at_ms'),
    until_ms = s.intent and num('claimed_at_ms') + num('lease_ms') or nil,
    time_ms = int(now),
    state = state,
  })
end

local function publish(kind_of_event)
  local event = view(kind_of_event)
  redis.call('PUBLISH', ARGV[1], event)
  return event
end

-- The history of the credential: for people, what came of refreshes and what was done to tokens. Never a token.
-- Nothing depends on it, and it is written last: where the stream is refused, the rest is done all the same.
local BY = ARGV[#ARGV]
local HISTORY_MAX, LOOKED_BACK = 200, 8
-- The same in every entry and in this order, so that the stream keeps the names once for many.
local HISTORY_FIELDS = {
  'type', 'kind', 'by', 'reason', 'fence', 'generation', 'fingerprint', 'life_ms', 'took_ms', 'doubt', 'scope',
  'status', 'code', 'message', 'retry_at_ms', 'times', 'since_ms', 'layout',
}
-- What comes again and again until it is mended: hours of it would push out all else, so it is counted instead.
local COUNTED = {
  unchanged = true, refused = true, unknown = true, not_sent = true, fenced = true, unfinished = true, doubted = true,
  reported = true, kept = true,
}
local ALIKE = {'type', 'kind', 'by', 'reason', 'fingerprint', 'doubt', 'scope', 'status', 'code'}

local function is_alike(old, new)
  for _, name in ipairs(ALIKE) do
    if (old[name] or '') ~= (new[name] or '') then return false end
  end
  return true
end

-- The entry that `entry` takes the place of: one like it, among the last few, since the kind's last new token.
local function replaced_by(entry)
  local last = redis.pcall('XREVRANGE', KEYS[4], '+', '-', 'COUNT', LOOKED_BACK)
  for _, found in ipairs(last) do
    local old = {}
    for i = 1, #found[2], 2 do old[found[2][i]] = found[2][i + 1] end
    if is_alike(old, entry) then return found[1], old end
    local is_token = old.type == 'refreshed' or old.type == 'adopted'
    if old.kind == entry.kind and is_token then return nil end
  end
end

local function remember(what, entry)
  for name, value in pairs(entry) do
    entry[name] = type(value) == 'number' and int(value) or value or nil
  end
  entry.type, entry.kind = what, ARGV[3]
  local gone
  if COUNTED[what] then
    local old
    gone, old = replaced_by(entry)
    if gone then
      local times = tonumber(old.times) or 1
      entry.times = int(math.min(times + 1, COUNT_MAX))
      entry.since_ms = times > 1 and old.since_ms or old.time_ms or string.match(gone, '^%d+')
    end
  end
  local words = {}
  for _, name in ipairs(HISTORY_FIELDS) do
    words[#words + 1] = name
    words[#words + 1] = entry[name] or ''
  end
  local function add(id)
    return redis.pcall('XADD', KEYS[4], 'MAXLEN', '=', HISTORY_MAX, id, unpack(words))
  end
  local added = add(int(now) .. '-*')
  if type(added) == 'table' then
    -- The clock went back: the stream puts this after the last entry, so it says itself when it was.
    words[#words + 1] = 'time_ms'
    words[#words + 1] = int(now)
    added = add('*')
  end
  if gone and type(added) == 'string' then redis.pcall('XDEL', KEYS[4], gone) end
end

local function exists() return num('v') > 0 end

local function usable()
  return s.fingerprint ~= nil and s.token ~= nil and num('expires_at_ms') > now
end

-- Whether the reader's key holds the state's token.
local function is_published()
  return s.token ~= nil and redis.call('TYPE', KEYS[3]).ok == 'string' and redis.call('GET', KEYS[3]) == s.token
end

local function claim_is_current()
  return s.intent ~= nil
    and now < num('claimed_at_ms') + num('lease_ms')
    and num('claimed_at_ms') <= now + SLACK
end

local function holder_is_dead()
  return s.intent ~= nil and not claim_is_current()
end

local function is_paused() return s.status == 'paused' end

-- How an attempt ended, which a pause outlasts.
local function end_as(status)
  if not is_paused() then set('status', status) end
end

-- The day of +08:00 to which now belongs, counted from 1970.
local DAY, DAY_OFFSET = 86400000, 28800000
local function today()
  return math.floor((now + DAY_OFFSET) / DAY)
end

-- From when a mark is served: spacing is waited out, unless no usable token is left.
local function served_from(spacing)
  if num('spaced_from_ms') == 0 or not usable() then return now end
  return math.max(now, math.min(num('spaced_from_ms'), now) + spacing)
end

-- A mark that no operator made; whether it came soon after another.
local function marks_again(spacing, longest)
  local again = num('marked_at_ms') > 0
    and now < math.min(num('marked_at_ms'), now) + 2 * math.max(longest, spacing)
  if not again then set('strain', nil) end
  set('marked_at_ms', now)
  return again
end

local function strain_by(again, doublings_max)
  if again then set('strain', math.min(doublings_max, num('strain') + 1)) end
end

local function strained_spacing(spacing, longest, doublings_max)
  local doubled = spacing * 2 ^ math.min(num('strain'), doublings_max)
  return math.min(doubled, math.max(spacing, longest))
end

-- There is another token: what was said of the one before is over.
local function forget_reports()
  for _, field in ipairs({'reported', 'reported_at_ms', 'alive_at_ms', 'probing_until_ms'}) do
    set(field, nil)
  end
end

local function lift_refusals()
  for _, field in ipairs({'refusals', 'retry_at_ms', 'failures'}) do set(field, nil) end
end

-- cjson writes no number of more than fourteen digits without loss.
local INSTANT_MAX = 99999999999999

local function is_whole(number, least, most)
  return type(number) == 'number' and number >= least and number <= most and number == math.floor(number)
end

local function is_refusal(refusal)
  if type(refusal) ~= 'table' then return false end
  local code, by = refusal.code, refusal.by
  return SCOPES[refusal.scope] and STATUSES[refusal.status]
    and type(refusal.key) == 'string' and type(refusal.message) == 'string'
    and (by == nil or type(by) == 'string')
    and (code == nil or code == cjson.null or is_whole(code, -INSTANT_MAX, INSTANT_MAX))
    and is_whole(refusal.at_ms, 0, INSTANT_MAX) and is_whole(refusal.retry_at_ms, 0, INSTANT_MAX)
    and is_whole(refusal.count, 0, COUNT_MAX)
end

local function refusals()
  if not s.refusals then return {} end
  local ok, list = pcall(cjson.decode, s.refusals)
  local kept = {}
  for _, refusal in ipairs(ok and type(list) == 'table' and list or {}) do
    if is_refusal(refusal) then kept[#kept + 1] = refusal end
  end
  return kept
end

local function set_refusals(list)
  set('refusals', #list > 0 and cjson.encode(list))
end

local function concerns(refusal, identity, configuration)
  if refusal.scope == 'worker' then return refusal.key == identity end
  if refusal.scope == 'configuration' then return refusal.key == configuration end
  return true
end

-- Met later than now: before the clock went back.
local function is_of_the_future(refusal) return refusal.at_ms > now + SLACK end

local function clock_went_back()
  local latest = now + SLACK
  if num('issued_at_ms') > latest or num('claimed_at_ms') > latest
    or num('spaced_from_ms') > latest
    or num('reported_at_ms') > latest or num('alive_at_ms') > latest or num('marked_at_ms') > latest
    or num('drains_at_ms') > latest + num('drain_ms') then
    return true
  end
  for _, refusal in ipairs(refusals()) do
    if is_of_the_future(refusal) then return true end
  end
  return false
end

-- A worker that only read the token, and did not hear of its commit, makes no life longer.
local function follow_boot_clock(alive_fence, alive_for, at_most)
  if alive_fence == 0 or alive_fence ~= num('token_fence') then return end
  local expires = now + alive_for
  local shorter = expires + SLACK < num('expires_at_ms')
  local longer = not at_most and expires > num('expires_at_ms') + LONGER_SLACK
  if not shorter and not longer then return end
  local life = math.max(0, num('expires_at_ms') - num('issued_at_ms'))
  local ahead = math.max(0, num('expires_at_ms') - num('refresh_at_ms'))
  set('expires_at_ms', expires)
  set('issued_at_ms', math.max(0, expires - life))
  set('refresh_at_ms', math.max(0, expires - ahead))
end

-- Rule R5: a doubt that is raised erases the claim's note, so the claim's commit may not clear it.
local function raise(doubt, drains_at, drain)
  local names = {[doubt] = true}
  for name in string.gmatch(s.doubt or '', '[^,]+') do names[name] = true end
  local sorted = {}
  for name in pairs(names) do sorted[#sorted + 1] = name end
  table.sort(sorted)
  set('doubt', table.concat(sorted, ','))
  set('drains_at_ms', math.max(num('drains_at_ms'), drains_at))
  set('drain_ms', math.max(num('drain_ms'), drain))
  set('drained', nil)
end

local function is_an_operators(mark) return mark == 'forced' or mark == 'invalidated' end

local function is_of_another(epoch) return epoch ~= '' and (s.epoch or '') ~= epoch end

-- Rule R8.
local function next_fence(remembered)
  return math.max(num('fence') + 1, now_us, remembered + 1)
end

-- Rule R14: until when the token is sure; an upstream that honours 0 is idempotent.
local function sure_until(epoch, honours, overlap)
  if not usable() or is_of_another(epoch) then return nil end
  if honours == 0 then return num('expires_at_ms') end
  local dead = holder_is_dead()
  if num('unknowns_before') + num('unknowns') + (dead and 1 or 0) >= honours then return nil end
  local first = num('unsure_from_ms') > 0 and num('unsure_from_ms') or math.huge
  if dead then first = math.min(first, num('claimed_at_ms')) end
  local ends = math.min(num('expires_at_ms'), first + overlap)
  return ends > now and ends or nil
end

-- Rule R14: the token may have begun to die then.
local function begin_unsure(at)
  if num('unsure_from_ms') == 0 or at < num('unsure_from_ms') then set('unsure_from_ms', at) end
end

-- Rule R14: the token may have begun to die when this claim was made.
local function count_unknown()
  set('unknowns', one_more('unknowns'))
  begin_unsure(num('claimed_at_ms'))
  set('spaced_from_ms', num('claimed_at_ms'))
end
