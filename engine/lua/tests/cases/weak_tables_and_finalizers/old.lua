local M = { cache = setmetatable({}, { __mode = "k" }) }
function M.f() return "old" end
M.guard = setmetatable({}, { __gc = function() end, __close = M.f })
M.cache[M.f] = "by function"
return M
