-- Keep: publish the state's copy again where the reader's key is gone or was overwritten; no upstream call.
-- Rule R13; the twin of core's keep.rs.
--
-- ARGV[4] fence of the token whose life the worker knows (0 = none)    [5] that life in ms
-- Returns {'kept' | 'republished' | 'no_token', ttl ms, '1' if the end of the token is news, view}.

if num('v') > VERSION then return {'kept', '', '', view('kept')} end
follow_boot_clock(tonumber(ARGV[4]), tonumber(ARGV[5]))
if not usable() then
  local announce = s.fingerprint ~= nil and not s.lost
  if not announce then
    save()
    return {'no_token', '', '', view('lost')}
  end
  set('lost', true)
  save()
  return {'no_token', '', '1', publish('lost')}
end

local left = num('expires_at_ms') - now
local ttl = redis.call('PTTL', KEYS[3])
local current = ttl ~= -2 and redis.call('TYPE', KEYS[3]).ok == 'string'
  and redis.call('GET', KEYS[3]) == s.token
if current and ttl >= 0 and math.abs(ttl - left) <= SLACK then
  save()
  return {'kept', '', '', view('kept')}
end
redis.call('SET', KEYS[3], s.token, 'PX', int(left))
save()
return {'republished', int(left), '', publish('kept')}
