shared = shared or { hits = 100 }
local real = _G
seen_at_load = rawequal(_G.second, second)
function first() return second() end
function second() return "new" end
seen_after = second()
return { get = function() return _G.shared end, env = _G, real = function() return real end }
