-- Abandon: record the outcome of a claim that brought no token.
-- Rules R3, R4; the twin of core's abandon.rs.
--
-- ARGV[4] fence    [5] nonce    [6] drain ms    [7] 'not_sent' | 'refused' | 'unknown'
-- ARGV[8] message  [9] wait ms before the next try
-- ARGV[10] scope   [11] status  [12] code       (of a refusal)
-- Returns {'recorded' | 'late', view}.

local fence, nonce, drain = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local outcome, message, retry_in = ARGV[7], ARGV[8], tonumber(ARGV[9])

local function keep_only_the_last_to_end(list)
  while #list > REFUSALS_MAX do
    local first = 1
    for i, refusal in ipairs(list) do
      if refusal.retry_at_ms < list[first].retry_at_ms then first = i end
    end
    table.remove(list, first)
  end
end

local function refuse(scope, key, status, code)
  local kept, count = {}, 0
  for _, old in ipairs(refusals()) do
    if old.scope == scope and old.key == key then
      count = old.count
    elseif old.retry_at_ms + REFUSAL_SHOWN > now then
      kept[#kept + 1] = old
    end
  end
  kept[#kept + 1] = {
    scope = scope, key = key, status = status, code = code, message = message,
    at_ms = now, retry_at_ms = now + retry_in, count = math.min(count + 1, COUNT_MAX), by = s.holder or '',
  }
  keep_only_the_last_to_end(kept)
  set_refusals(kept)
  end_as(status)
  set('error_code', code)
  set('error_message', message)
  set('retry_at_ms', now + retry_in)
end

local own = fence > 0 and num('fence') == fence and s.nonce == nonce
if not own or not s.intent then
  local event
  if outcome == 'unknown' and not own then
    raise('unknown', now + drain, drain)
    save()
    remember('unknown', {by = BY, fence = ARGV[4], message = message})
    event = publish('doubted')
  end
  return {'late', event or view('doubted')}
end

local ended = {
  by = s.worker, reason = s.reason, fence = s.fence, message = message, retry_at_ms = now + retry_in,
}
set('intent', nil)
set('reason', nil)
set('drained', nil)
if num('invalidating') == fence and outcome ~= 'unknown' then
  set('invalidating', nil)
  if s.rejected == 'forced' then set('rejected', 'invalidated') end
end
local kind_of_event = 'released'
if outcome == 'unknown' then
  kind_of_event = 'doubted'
  raise('unknown', now + drain, drain)
  count_unknown()
  set('failures', one_more('failures'))
  refuse('transient', '', 'retrying', nil)
elseif outcome == 'refused' then
  kind_of_event = 'refused'
  local scope, key = ARGV[10], ''
  if scope == 'worker' then key = s.holder or ''
  elseif scope == 'configuration' then key = s.configuration or ''
  else set('failures', one_more('failures')) end
  refuse(scope, key, ARGV[11], tonumber(ARGV[12]))
  ended.scope, ended.status, ended.code = scope, ARGV[11], ARGV[12]
else
  refuse('worker', s.holder or '', 'retrying', nil)
end
save()
redis.call('DEL', KEYS[2])
remember(outcome, ended)
return {'recorded', publish(kind_of_event)}
