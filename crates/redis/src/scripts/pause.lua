-- Pause and resume: no refresh of this unit, whoever asks. The twin of core's pause.rs.
--
-- ARGV[4] 'pause' | 'resume'
-- Returns {'done', '', view} | {'newer', v, view}.

if num('v') > VERSION then return {'newer', s.v, view('paused')} end
if ARGV[4] == 'pause' then
  set('v', VERSION)
  set('status', 'paused')
elseif is_paused() then
  set('status', s.fingerprint and 'ok' or 'pending')
end
save()
return {'done', '', publish(ARGV[4] == 'pause' and 'paused' or 'resumed')}
