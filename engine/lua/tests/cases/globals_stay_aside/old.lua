shared = shared or { hits = 0 }
function first() return second() end
function second() return "old" end
return { get = function() return _G.shared end, env = _G }
