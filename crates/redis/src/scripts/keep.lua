-- Keep: publish the state's copy again where the reader's key is gone or was overwritten, and withdraw it where its life
-- is over; no upstream call.
-- Rule R13; the twin of core's keep.rs.
--
-- ARGV[4] fence of the token whose life the worker knows (0 = none)    [5] that life in ms    [6] '1' if that is the most
-- Returns {'kept' | 'republished' | 'no_token', ttl ms, '1' if the end of the token is news, view}.

if num('v') > VERSION then return {'kept', '', '', view('kept')} end
follow_boot_clock(tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1')
if not usable() then
  local announce = s.fingerprint ~= nil and not s.lost
  if announce then set('lost', true) end
  save()
  if is_published() then redis.call('DEL', KEYS[3]) end
  if announce then remember('lost', {by = BY, fingerprint = s.fingerprint}) end
  return {'no_token', '', announce and '1' or '', announce and publish('lost') or view('lost')}
end

local left = num('expires_at_ms') - now
local ttl = redis.call('PTTL', KEYS[3])
if is_published() and ttl >= 0 and math.abs(ttl - left) <= SLACK then
  save()
  return {'kept', '', '', view('kept')}
end
redis.call('SET', KEYS[3], s.token, 'PX', int(left))
save()
remember('kept', {by = BY, fingerprint = s.fingerprint})
return {'republished', int(left), '', publish('kept')}
