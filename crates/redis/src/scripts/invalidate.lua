-- Invalidate: mark the token as to be killed, within the day's number and apart from the one before.
-- The twin of core's force.rs.
--
-- ARGV[4] spacing ms    [5] invalidations a day    [6] least ms between two
-- Returns {'marked', from when it is served, view} | {'spent', '', view} | {'newer', v, view}.

if num('v') > VERSION then return {'newer', s.v, view('forced')} end
if s.rejected ~= 'invalidated' then
  if num('invalidate_day') ~= today() then
    set('invalidate_day', today())
    set('invalidate_count', 0)
  end
  if num('invalidate_count') >= tonumber(ARGV[5]) then
    save()
    return {'spent', '', view('forced')}
  end
  set('invalidate_count', num('invalidate_count') + 1)
  local from = served_from(tonumber(ARGV[4]))
  local last = math.min(num('invalidated_at_ms'), now)
  if last > 0 then from = math.max(from, last + tonumber(ARGV[6])) end
  set('invalidated_at_ms', from)
  set('rejected', 'invalidated')
  set('rejected_from_ms', from)
end
lift_refusals()
save()
remember('invalidated', {by = BY, fingerprint = s.fingerprint, retry_at_ms = num('rejected_from_ms')})
return {'marked', int(num('rejected_from_ms')), publish('forced')}
