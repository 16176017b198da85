-- Claim: take the lock for one refresh, and record the intent to call the upstream.
-- Rules R2, R5, R7, R8, R11; the twin of core's claim.rs and outlook.rs.
--
-- ARGV[4] worker's name     [5] worker's identity   [6] nonce            [7] configuration hash
-- ARGV[8] lease ms          [9] drain ms            [10] spacing ms      [11] overlap ms
-- ARGV[12] request timeout ms   [13] tokens that live at once; 0 = idempotent upstream
-- ARGV[14] remembered fence     [15] own last fence [16] own last nonce  [17] own last epoch ('' = none)
-- ARGV[18] fence of the token whose life the worker knows (0 = none)     [19] that life in ms
-- ARGV[20] epoch as the connection told it, for where INFO is refused to scripts; '-' where nothing is believed
-- ARGV[21] '1' if the life is the most that is left
-- Returns {'claimed', fence, reason, raised doubts} | {'held', until, '', ''} | {'not_owed', look at, '', ''}
-- | {'paused', '', '', ''} | {'newer', v, '', ''}, each followed by epoch, connected replicas, view.

local name, identity, nonce, configuration = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local lease, drain, spacing = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local overlap, request_timeout = tonumber(ARGV[11]), tonumber(ARGV[12])
local honours, remembered = tonumber(ARGV[13]), tonumber(ARGV[14])
local own_fence, own_nonce, own_epoch = tonumber(ARGV[15]), ARGV[16], ARGV[17]
local idempotent = honours == 0

-- The epoch is read here, so that nothing can come between it and the claim.
local believed = ARGV[20] ~= '-'
local epoch, replicas = believed and ARGV[20] or '', 0
do
  local info = redis.pcall('INFO', 'server', 'replication')
  if type(info) == 'string' then
    local run_id = string.match(info, 'run_id:(%x+)')
    local second = string.match(info, 'master_replid2:(%x+)')
    if run_id and second and believed then epoch = run_id .. ':' .. second end
    replicas = tonumber(string.match(info, 'connected_slaves:(%d+)')) or 0
  end
end

local function answer(verdict, detail, event, reason, raised)
  return {verdict, detail, reason or '', raised or '', epoch, replicas, event}
end

local function own_claim_is_lost()
  local shown = s.nonce == own_nonce and (own_fence == 0 or num('fence') == own_fence)
  return own_nonce ~= '' and epoch ~= '' and own_epoch ~= epoch and not shown
end

local function may_run_at()
  if not usable() then return 0 end
  local sure = sure_until(epoch, honours, overlap)
  local spaced = 0
  if sure and num('spaced_from_ms') > 0 then spaced = num('spaced_from_ms') + spacing end
  local drains_at = num('drains_at_ms')
  if s.doubt == nil or drains_at <= now or (idempotent and num('invalidating') == 0) then
    return spaced
  end
  -- One clean fetch after the drain instead of two, as long as readers can live with what they have.
  if (sure and sure > drains_at + 2 * request_timeout) or num('unknowns') == 0 then
    return math.max(drains_at, spaced)
  end
  return spaced
end

-- What was refused before the clock went back would bar everybody until it catches up.
local function barred_until()
  local latest = 0
  for _, refusal in ipairs(refusals()) do
    if concerns(refusal, identity, configuration) and not is_of_the_future(refusal) then
      latest = math.max(latest, refusal.retry_at_ms)
    end
  end
  return latest
end

-- Why a refresh is owed, and from when it may run; nil if none is.
local function owed()
  local reason
  -- What somebody else's refresh killed is marked, and that mark has a time of its own.
  local foreign = s.rejected ~= nil and s.doubt == 'foreign'
  if not usable() then reason = 'missing'
  elseif holder_is_dead() then reason = 'takeover'
  elseif (s.doubt ~= nil and not foreign) or clock_went_back() then reason = 'doubt'
  elseif now >= num('refresh_at_ms') then reason = 'due'
  elseif is_of_another(epoch) or remembered > num('fence') or own_claim_is_lost() then reason = 'epoch'
  end
  local at
  if reason then
    -- A dead worker's intent is fetched at once, and once more after its drain.
    at = (holder_is_dead() or clock_went_back()) and 0 or may_run_at()
  end
  if s.rejected and not (reason and at <= num('rejected_from_ms')) then
    reason, at = s.rejected, num('rejected_from_ms')
    if reason == 'invalidated' then reason = 'forced' end
    if reason == 'adopted' or (reason == 'reported' and foreign) then reason = 'doubt' end
  end
  if reason then at = math.max(at, barred_until()) end
  return reason, at
end

-- Instants that lie ahead of a clock that went back would hold everything up until it catches up.
local function forget_future_instants()
  for _, field in ipairs({
    'drains_at_ms', 'spaced_from_ms', 'unsure_from_ms', 'claimed_at_ms', 'reported_at_ms', 'alive_at_ms',
    'marked_at_ms', 'rejected_from_ms', 'invalidated_at_ms',
  }) do
    set(field, math.min(num(field), now))
  end
  local kept = {}
  for _, refusal in ipairs(refusals()) do
    if not is_of_the_future(refusal) then kept[#kept + 1] = refusal end
  end
  set_refusals(kept)
  local life = math.max(0, num('expires_at_ms') - num('issued_at_ms'))
  set('issued_at_ms', math.min(num('issued_at_ms'), now))
  set('expires_at_ms', math.min(num('expires_at_ms'), now + life))
  set('refresh_at_ms', math.min(num('refresh_at_ms'), now))
end

-- The reader's key ends by the clock of Redis, and would outlive a token whose life was cut.
local function save_and_let_the_key_follow(found_ms)
  save()
  if num('expires_at_ms') >= found_ms or not is_published() then return end
  local left = num('expires_at_ms') - now
  if left > 0 then
    redis.call('SET', KEYS[3], s.token, 'PX', int(left))
  else
    redis.call('DEL', KEYS[3])
  end
end

if num('v') > VERSION then return answer('newer', s.v, view('claimed')) end
if exists() and s.nonce == nonce then
  return answer('claimed', int(num('fence')), view('claimed'), s.reason or 'due')
end
local found_ms = num('expires_at_ms')
follow_boot_clock(tonumber(ARGV[18]), tonumber(ARGV[19]), ARGV[21] == '1')
if claim_is_current() then
  save_and_let_the_key_follow(found_ms)
  return answer('held', int(num('claimed_at_ms') + num('lease_ms')), view('claimed'))
end
if is_paused() then
  save_and_let_the_key_follow(found_ms)
  return answer('paused', '', view('paused'))
end
local reason, at = owed()
if not reason or at > now then
  save_and_let_the_key_follow(found_ms)
  return answer('not_owed', int(reason and at or num('refresh_at_ms')), view('released'))
end

local known = {}
for name in string.gmatch(s.doubt or '', '[^,]+') do known[name] = true end
if clock_went_back() then
  forget_future_instants()
  raise('clock', now + drain, drain)
end
-- How many calls a lost history hides is unknown, so it counts as all that make a token unsure (rule R14).
local function raise_lost_history(doubt)
  raise(doubt, now + drain, drain)
  set('unknowns', math.max(num('unknowns'), honours))
end
-- A unit that was paused before its first claim has a state, and no history.
if num('fence') == 0 then
  raise_lost_history('cold_start')
elseif is_of_another(epoch) then
  raise_lost_history('epoch')
end
if remembered > num('fence') then raise_lost_history('rewound') end
if own_claim_is_lost() then raise_lost_history('lost_claim') end
if epoch ~= '' then set('epoch', epoch) end
if s.intent then
  raise('takeover', now + drain, drain)
  count_unknown()
end

local unfinished = s.intent and {by = s.worker, reason = s.reason, fence = s.fence}
local fence = next_fence(remembered)
set('v', VERSION)
if not s.status then set('status', 'pending') end
set('drained', s.doubt == nil or num('drains_at_ms') <= now)
set('fence', fence)
set('nonce', nonce)
set('holder', identity)
set('worker', name)
set('configuration', configuration)
set('claimed_at_ms', now)
set('lease_ms', lease)
set('intent', true)
set('reason', reason)
if s.rejected == 'invalidated' then
  -- One claim takes it on: whatever becomes of that, no second request kills the token that replaced it.
  -- While an earlier one may still be under way it waits: that one would kill this one's token.
  if idempotent and num('invalidating') > 0 and not s.drained then
    set('rejected_from_ms', math.max(num('rejected_from_ms'), num('drains_at_ms')))
  else
    set('rejected', 'forced')
    set('invalidated_at_ms', now)
    if idempotent then set('invalidating', fence) end
  end
end
save_and_let_the_key_follow(found_ms)
redis.call('SET', KEYS[2], int(fence) .. ':' .. name, 'PX', int(lease))
local raised, told = {}, {}
for name in string.gmatch(s.doubt or '', '[^,]+') do
  if not known[name] then
    raised[#raised + 1] = name
    if name ~= 'takeover' then told[#told + 1] = name end
  end
end
-- A claim alone is none of the history: its outcome is. One that never told it has its line here.
if unfinished then remember('unfinished', unfinished) end
if #told > 0 then
  remember('doubted', {by = name, fence = int(fence), doubt = table.concat(told, ',')})
end
if #raised > 0 then publish('doubted') end
return answer('claimed', int(fence), publish('claimed'), reason, table.concat(raised, ','))
