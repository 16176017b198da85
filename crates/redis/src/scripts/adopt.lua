-- Adopt: a token that somebody else fetched, found at the key of an SDK, becomes the cluster's; one more fetch follows.
-- Rules R1, R8, R14; the twin of core's adopt.rs.
--
-- ARGV[4] nonce    [5] token    [6] its fingerprint    [7] fingerprint of the token that it stood over
-- ARGV[8] layout   [9] when it was found, ms    [10] epoch as the worker knows it    [11] remembered fence
-- ARGV[12] lease ms    [13] spacing ms    [14] overlap ms    [15] request timeout ms
-- ARGV[16] tokens that live at once; 0 = idempotent upstream
-- ARGV[17] ms that spacing grows to    [18] doublings at most
-- Returns {'adopted', fence, from when another is fetched, view} | {'doubted' | 'superseded' | 'known', '', '', view}
-- | {'newer', v, '', view}.

local nonce, token, fingerprint, over = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local layout, found_at, epoch, remembered = ARGV[8], tonumber(ARGV[9]), ARGV[10], tonumber(ARGV[11])
local lease, spacing, overlap = tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14])
local request_timeout, honours = tonumber(ARGV[15]), tonumber(ARGV[16])
local longest, doublings_max = tonumber(ARGV[17]), tonumber(ARGV[18])

-- No claim is open, and nothing of the state is in question. What the upstream said longer ago than a claim would hold says
-- nothing of now.
local function may_adopt()
  return now >= found_at and now <= found_at + lease and not s.intent and not is_paused() and usable()
    and not is_of_another(epoch) and remembered <= num('fence') and not clock_went_back()
end

-- Until when the token is sure to be honoured. The instants of the life stay: a newer token lives longer than the one that
-- it replaces, and an older one is doubted.
local function weigh()
  -- No request of the cluster's own is processed after this, and none of others' that it knows of was.
  local last = math.max(num('spaced_from_ms') + lease, num('drains_at_ms'))
  if last + overlap <= found_at then
    -- Accepted although whatever is older ended its overlap: it is newer than all that is known.
    for _, field in ipairs({'unknowns', 'unknowns_before', 'unsure_from_ms'}) do set(field, nil) end
    return
  end
  -- The upstream accepted it, so at most one token is newer; and what has not drained may bring more.
  if num('drains_at_ms') <= found_at then
    set('unknowns', nil)
    set('unknowns_before', 1)
  else
    set('unknowns_before', one_more('unknowns_before'))
  end
  -- The one before it was issued then or later, and it is honoured for the overlap after that.
  begin_unsure(num('issued_at_ms'))
end

-- When the next token has to be asked for, so that readers have it before the one that is published may end.
local function replaced_by()
  return math.max(now, (sure_until(epoch, honours, overlap) or now) - 2 * request_timeout)
end

local function owe_another()
  strain_by(marks_again(spacing, longest), doublings_max)
  if is_an_operators(s.rejected) then return end
  set('rejected', 'adopted')
  local spaced = served_from(strained_spacing(spacing, longest, doublings_max))
  set('rejected_from_ms', math.min(spaced, replaced_by()))
end

-- Ours stays, and dies like after a request of an unknown outcome that was made after ours was issued.
local function doubt_our_own()
  set('unknowns', one_more('unknowns'))
  begin_unsure(num('issued_at_ms'))
  -- A mark has a time of its own, which may be far.
  if s.rejected and not is_an_operators(s.rejected) then
    set('rejected_from_ms', math.min(num('rejected_from_ms'), replaced_by()))
  end
end

local function nothing(verdict)
  return {verdict, '', '', view('adopted')}
end

if num('v') > VERSION then return {'newer', s.v, '', view('adopted')} end
if exists() and s.nonce == nonce then
  return {'adopted', int(num('fence')), int(num('rejected_from_ms')), view('adopted')}
end
-- What the unit had before may be written late, by whoever read it then.
if s.fingerprint == fingerprint or s.previous == fingerprint then return nothing('known') end
local same = s.fingerprint == over
-- Whoever claims later asks later, and without doubt nothing else was asked since.
if not same and num('spaced_from_ms') > found_at and s.doubt == nil then return nothing('superseded') end

local was_doubted = string.find(',' .. (s.doubt or '') .. ',', ',foreign,', 1, true) ~= nil
local function told(entry)
  entry.by, entry.layout, entry.fingerprint = BY, layout, fingerprint
  return entry
end
local adopts = same and may_adopt()
if adopts then weigh() end
set('layout', layout)
-- Processed already, so only a claim that is made from now on is sure to be later.
raise('foreign', now, num('drain_ms'))
if not adopts then
  doubt_our_own()
  save()
  if not was_doubted then remember('doubted', told({doubt = 'foreign'})) end
  return {'doubted', '', '', was_doubted and view('doubted') or publish('doubted')}
end

local fence = next_fence(remembered)
set('fence', fence)
set('nonce', nonce)
set('token', token)
set('previous', s.fingerprint)
set('fingerprint', fingerprint)
set('token_fence', fence)
set('generation', num('generation') + 1)
set('assumed', true)
forget_reports()
-- Somebody fetched it a moment ago.
set('spaced_from_ms', now)
owe_another()
local left = num('expires_at_ms') - now
redis.call('SET', KEYS[3], token, 'PX', int(left))
save()
remember('adopted', told({
  fence = fence, generation = num('generation'), life_ms = left, doubt = s.doubt, retry_at_ms = num('rejected_from_ms'),
}))
if not was_doubted then publish('doubted') end
return {'adopted', int(fence), int(num('rejected_from_ms')), publish('adopted')}
