-- Report: a reader's word, or the probe's, that the current token is rejected.
-- The twin of core's report.rs.
--
-- ARGV[4] fingerprint of the rejected token
-- ARGV[5] 'word' | 'hearsay' | 'alive' | 'dead' | 'cannot_tell' (a reader's word, and what the probe says to it)
--         | 'found' (no reader's)
-- ARGV[6] ms that a probe takes at most, for a 'word'; 0 = there is none
-- ARGV[7] spacing ms    [8] refreshes a day that reports may cause    [9] ms that spacing grows to
-- ARGV[10] ms that the probe's answer holds    [11] doublings at most    [12] epoch as the worker knows it
-- ARGV[13] ms after midnight at which a mark is served that waits for the next day
-- ARGV[14] '1' if it may have been recorded before, so that it is no second word about the token
-- Returns {'already_newer' | 'still_valid' | 'under_way' | 'probe' | 'noted', '', '', view} | {'probing', until, '', view}
-- | {'marked', from when it is served, '1' if it is a stranger's doing, view} | {'newer', v, '', view}.

local fingerprint, evidence, probe_for = ARGV[4], ARGV[5], tonumber(ARGV[6])
local spacing, budget = tonumber(ARGV[7]), tonumber(ARGV[8])
local longest, doublings_max = tonumber(ARGV[9]), tonumber(ARGV[11])
local found_dead = evidence == 'found'
local is_death = found_dead or evidence == 'dead'

-- What is told is stored before: memory may run out in between.
local function answer(verdict, detail, news, foreign)
  save()
  if news == 'reported' then
    remember('reported', {
      by = BY, reason = evidence, fingerprint = fingerprint, retry_at_ms = num('rejected_from_ms'),
      doubt = foreign and 'foreign',
    })
  end
  if foreign then publish('doubted') end
  local event = news and publish(news) or view('reported')
  return {verdict, detail or '', foreign and '1' or '', event}
end

-- A reader that reports a good token must not cost a refresh; and a herd of readers costs one probe.
local function check_first(holds)
  local alive = num('alive_at_ms')
  if alive > 0 and alive <= now and now < alive + holds then return answer('still_valid') end
  -- One that ends further ahead than a probe takes was begun before the clock went back.
  local ends = num('probing_until_ms')
  if ends > now and ends <= now + probe_for then return answer('probing', int(ends)) end
  set('probing_until_ms', now + probe_for)
  return answer('probe')
end

local function lives()
  set('alive_at_ms', now)
  set('probing_until_ms', nil)
end

-- The token is dead. Unless something of the cluster's own explains that, somebody else's refresh killed it.
local function doubt_foreign()
  if s.doubt ~= nil or s.intent ~= nil or is_of_another(ARGV[12]) then return false end
  -- Processed already, so only a claim that is made from now on is sure to be later.
  raise('foreign', now, num('drain_ms'))
  return true
end

-- Whether reports have caused as many refreshes as they may on this day.
local function is_spent(day)
  return num('report_day') == day + 1
    or (num('report_day') == day and num('report_count') >= budget)
end

local function mark()
  local day = today()
  -- The next day may have begun already, for a mark that waits for it.
  if num('report_day') < day or num('report_day') > day + 1 then
    set('report_day', day)
    set('report_count', 0)
  end
  local again = marks_again(spacing, longest)
  local counts = not found_dead and usable()
  local from
  if counts and is_spent(day) and not is_death then
    if num('report_day') == day then
      set('report_day', day + 1)
      set('report_count', 1)
    end
    from = (day + 1) * DAY - DAY_OFFSET + tonumber(ARGV[13])
  else
    if counts and num('report_day') == day then set('report_count', one_more('report_count')) end
    strain_by(again, doublings_max)
    from = served_from(strained_spacing(spacing, longest, doublings_max))
  end
  set('rejected', 'reported')
  set('rejected_from_ms', from)
end

-- One more report of a token whose mark has its time already.
local function report_of_a_marked()
  local dead_from = served_from(strained_spacing(spacing, longest, doublings_max))
  -- What only readers say may have to wait longer than a death: whether it is one is looked at meanwhile.
  local waits = not is_an_operators(s.rejected) and num('rejected_from_ms') > dead_from
  if evidence == 'word' and waits and probe_for > 0 then return check_first(spacing) end
  if evidence == 'hearsay' and waits then return answer('noted', '', 'noted') end
  if evidence == 'alive' and waits then
    lives()
    return answer('still_valid')
  end
  local foreign = false
  if is_death then
    set('probing_until_ms', nil)
    foreign = doubt_foreign()
    if waits then set('rejected_from_ms', dead_from) end
  end
  return answer('marked', int(num('rejected_from_ms')), is_death and 'reported', foreign)
end

if num('v') > VERSION then return {'newer', s.v, '', view('reported')} end
if s.fingerprint ~= fingerprint then return answer('already_newer') end
if claim_is_current() then return answer('under_way') end
if s.rejected then return report_of_a_marked() end
if not found_dead and s.reported ~= fingerprint then
  set('reported', fingerprint)
  set('reported_at_ms', now)
end
local insisted = not found_dead and ARGV[14] ~= '1'
  and now >= math.min(num('reported_at_ms'), now) + spacing
-- What would have to wait for the next day is looked at, however often it was said.
if evidence == 'word' and (not insisted or is_spent(today())) and probe_for > 0 then
  return check_first(tonumber(ARGV[10]))
end
if evidence == 'hearsay' and not insisted then return answer('noted', '', 'noted') end
if evidence == 'alive' then
  lives()
  if not insisted then return answer('still_valid') end
end
set('probing_until_ms', nil)
local foreign = is_death and doubt_foreign()
mark()
return answer('marked', int(num('rejected_from_ms')), 'reported', foreign)
