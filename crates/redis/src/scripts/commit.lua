-- Commit: publish the token of the claim that was made last, and clear the doubts that it may clear.
-- Rules R1, R3, R5, R11, R14; the twin of core's commit.rs.
--
-- ARGV[4] fence    [5] nonce    [6] token    [7] its fingerprint    [8] ms since the request was sent
-- ARGV[9] life ms  [10] ms before its end at which the next refresh is due
-- ARGV[11] '1' if the life is assumed        [12] '1' if the upstream is idempotent    [13] spacing ms
-- Returns {'committed', generation, '1' if it is another token, view} | {'fenced', '', '', view}.

local fence, nonce, token, fingerprint = tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7]
local age, life, ahead = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local idempotent = ARGV[12] == '1'

local own = fence > 0 and num('fence') == fence and s.nonce == nonce
if own and not s.intent and num('token_fence') == fence then
  return {'committed', int(num('generation')), '', view('refreshed')}
end
if not own or not s.intent then
  -- Processed already, so only a claim that is made from now on is sure to be later.
  raise('late', now, num('drain_ms'))
  save()
  remember('fenced', {by = BY, fence = ARGV[4], fingerprint = fingerprint, took_ms = age})
  return {'fenced', '', '', publish('doubted')}
end

local changed = s.fingerprint ~= fingerprint
if changed then
  set('generation', num('generation') + 1)
  set('issued_at_ms', math.max(0, now - age))
  forget_reports()
end
if s.rejected == 'invalidated' then
  -- Made after this claim, which did not take it on: it is still to be served.
elseif changed or idempotent then
  set('rejected', nil)
  set('rejected_from_ms', nil)
elseif s.rejected then
  -- The upstream insists on a token that is marked: it is asked again, but not at once.
  set('rejected_from_ms', math.max(num('rejected_from_ms'), num('claimed_at_ms') + tonumber(ARGV[13])))
end
local reason = s.reason
set('intent', nil)
set('reason', nil)
set('token', token)
set('fingerprint', fingerprint)
set('token_fence', fence)
set('expires_at_ms', math.max(0, now + life - age))
set('refresh_at_ms', math.max(0, num('expires_at_ms') - ahead))
set('assumed', ARGV[11] == '1')
set('layout', nil)
set('lost', nil)
set('spaced_from_ms', num('claimed_at_ms'))
-- A request to kill the token may still be under way, from another claim.
local killing = num('invalidating') > 0 and num('invalidating') ~= fence
if not killing or s.drained then set('invalidating', nil) end
if s.drained or (idempotent and not killing) then
  for _, field in ipairs({'doubt', 'drains_at_ms', 'drain_ms', 'unknowns_before', 'unsure_from_ms'}) do
    set(field, nil)
  end
else
  set('unknowns_before', math.max(1, math.min(num('unknowns_before') + num('unknowns'), COUNT_MAX)))
  set('unsure_from_ms', num('claimed_at_ms'))
end
set('unknowns', nil)
set('drained', nil)

-- What was refused to this worker, to this configuration or to all is over.
end_as('ok')
for _, field in ipairs({'error_code', 'error_message', 'retry_at_ms', 'failures'}) do
  set(field, nil)
end
local kept = {}
for _, refusal in ipairs(refusals()) do
  if not concerns(refusal, s.holder or '', s.configuration or '') then kept[#kept + 1] = refusal end
end
set_refusals(kept)

local left = num('expires_at_ms') - now
if left > 0 then redis.call('SET', KEYS[3], token, 'PX', int(left)) end
save()
redis.call('DEL', KEYS[2])
remember(changed and 'refreshed' or 'unchanged', {
  by = s.worker, reason = reason, fence = s.fence, generation = num('generation'), fingerprint = fingerprint,
  life_ms = life, took_ms = age, doubt = s.doubt,
})
-- An unchanged token is no news to people, but the other workers must know that the claim is over.
local event = publish(changed and 'refreshed' or 'unchanged')
return {'committed', int(num('generation')), changed and '1' or '', event}
