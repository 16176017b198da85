-- Force: mark the token as to be replaced, whatever the status; refusals no longer bar anybody, spacing is waited out.
-- The twin of core's report.rs.
--
-- ARGV[4] spacing ms
-- Returns {'marked', from when it is served, view} | {'newer', v, view}.

if num('v') > VERSION then return {'newer', s.v, view('forced')} end
local from = now
if num('spaced_from_ms') > 0 and usable() then
  from = math.max(now, math.min(num('spaced_from_ms'), now) + tonumber(ARGV[4]))
end
set('rejected', 'forced')
set('rejected_from_ms', from)
for _, field in ipairs({'refusals', 'retry_at_ms', 'failures'}) do set(field, nil) end
save()
return {'marked', int(from), publish('forced')}
