local M = { cache = setmetatable({}, { __mode = "k" }) }
function M.f() return "new" end
M.guard = setmetatable({}, { __gc = function() end, __close = M.f })
M.more = setmetatable({ f = M.f }, { __gc = function() end })
return M
