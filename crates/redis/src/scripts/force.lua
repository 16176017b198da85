-- Force: mark the token as to be replaced, whatever the status; refusals no longer bar anybody, spacing is waited out.
-- The twin of core's force.rs.
--
-- ARGV[4] spacing ms
-- Returns {'marked', from when it is served, view} | {'newer', v, view}.

if num('v') > VERSION then return {'newer', s.v, view('forced')} end
if s.rejected ~= 'invalidated' then
  set('rejected', 'forced')
  set('rejected_from_ms', served_from(tonumber(ARGV[4])))
end
lift_refusals()
save()
remember('forced', {by = BY, fingerprint = s.fingerprint, retry_at_ms = num('rejected_from_ms')})
return {'marked', int(num('rejected_from_ms')), publish('forced')}
