-- Pause and resume: no refresh of this unit, whoever asks. The twin of core's pause.rs.
--
-- ARGV[4] 'pause' | 'resume'
-- Returns {'done', '', view} | {'newer', v, view}.

local pausing = ARGV[4] == 'pause'
local event = pausing and 'paused' or 'resumed'
if num('v') > VERSION then return {'newer', s.v, view(event)} end
if pausing == is_paused() and (exists() or not pausing) then return {'done', '', view(event)} end
if pausing then
  set('v', VERSION)
  set('status', 'paused')
else
  set('status', s.fingerprint and 'ok' or 'pending')
end
save()
remember(event, {by = BY, fingerprint = s.fingerprint})
return {'done', '', publish(event)}
