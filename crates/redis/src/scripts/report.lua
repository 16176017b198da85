-- Report: a reader's word, or the probe's, that the current token is rejected.
-- The twin of core's report.rs.
--
-- ARGV[4] fingerprint of the rejected token
-- ARGV[5] 'word' | 'alive' | 'dead' | 'cannot_tell' (a reader's word, and what the probe says to it) | 'found' (no reader's)
-- ARGV[6] ms that a probe takes at most, for a 'word'; 0 = there is none
-- ARGV[7] spacing ms    [8] refreshes a day that reports may cause    [9] ms that spacing grows to
-- ARGV[10] ms that the probe's answer holds       [11] doublings at most
-- Returns {'already_newer' | 'still_valid' | 'under_way' | 'probe', '', '', view} | {'probing', until, '', view}
-- | {'marked', from when it is served, '1' if it is a stranger's doing, view} | {'newer', v, '', view}.

local fingerprint, evidence, probe_for = ARGV[4], ARGV[5], tonumber(ARGV[6])
local spacing, budget, longest = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local found_dead = evidence == 'found'

local function answer(verdict, detail, event, foreign)
  save()
  return {verdict, detail or '', foreign and '1' or '', event or view('reported')}
end

local function strained_spacing()
  local doubled = spacing * 2 ^ math.min(num('strain'), tonumber(ARGV[11]))
  return math.min(doubled, math.max(spacing, longest))
end

-- A reader that reports a good token must not cost a refresh; and a herd of readers costs one probe.
local function check_first()
  local alive = num('alive_at_ms')
  if alive > 0 and alive <= now and now < alive + tonumber(ARGV[10]) then
    return answer('still_valid')
  end
  -- One that ends further ahead than a probe takes was begun before the clock went back.
  local ends = num('probing_until_ms')
  if ends > now and ends <= now + probe_for then return answer('probing', int(ends)) end
  set('probing_until_ms', now + probe_for)
  return answer('probe')
end

-- The token is dead. Unless a doubt explains that already, somebody else's refresh killed it.
local function doubt_foreign()
  if s.doubt ~= nil then return false end
  -- Processed already, so only a claim that is made from now on is sure to be later.
  raise('foreign', now, num('drain_ms'))
  return true
end

local function mark()
  local day = today()
  if num('report_day') ~= day then
    set('report_day', day)
    set('report_count', 0)
  end
  local from
  if not found_dead and num('report_count') >= budget then
    from = (day + 1) * DAY - DAY_OFFSET
  else
    if not found_dead then set('report_count', num('report_count') + 1) end
    local again = num('marked_at_ms') > 0
      and now < math.min(num('marked_at_ms'), now) + 2 * strained_spacing()
    set('strain', again and math.min(tonumber(ARGV[11]), num('strain') + 1) or 0)
    set('marked_at_ms', now)
    from = served_from(strained_spacing())
  end
  set('rejected', 'reported')
  set('rejected_from_ms', from)
end

if num('v') > VERSION then return {'newer', s.v, '', view('reported')} end
if s.fingerprint ~= fingerprint then return answer('already_newer') end
if claim_is_current() then return answer('under_way') end
if s.rejected then
  local foreign = found_dead and doubt_foreign()
  if found_dead then
    -- Sure knowledge is served before what only readers say, whose budget may be spent.
    set('rejected_from_ms', math.min(num('rejected_from_ms'), served_from(strained_spacing())))
  end
  local event = foreign and publish('doubted') or (found_dead and publish('reported')) or nil
  return answer('marked', int(num('rejected_from_ms')), event, foreign)
end
if not found_dead and s.reported ~= fingerprint then
  set('reported', fingerprint)
  set('reported_at_ms', now)
end
local insisted = not found_dead and now >= math.min(num('reported_at_ms'), now) + spacing
if evidence == 'alive' then
  set('alive_at_ms', now)
  set('probing_until_ms', nil)
  if not insisted then return answer('still_valid') end
elseif evidence == 'word' and not insisted and probe_for > 0 then
  return check_first()
end
set('probing_until_ms', nil)
local foreign = (found_dead or evidence == 'dead') and doubt_foreign()
mark()
if foreign then publish('doubted') end
return answer('marked', int(num('rejected_from_ms')), publish('reported'), foreign)
