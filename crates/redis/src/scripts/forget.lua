-- Forget: remove the unit's keys, and the history of its credential. A worker that still has the credential begins anew, with the doubt of a cold start.
--
-- Returns {'done', how many keys there were, view}.

local gone = redis.call('DEL', KEYS[3], KEYS[2], KEYS[1], KEYS[4])
s, found = {}, {}
return {'done', gone, publish('forgotten')}
