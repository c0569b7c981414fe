existing = { 1, 2, nested = { a = 1 } }
local M = { cfg = setmetatable({}, { __index = { old = true } }) }
function M.f() return "old" end
return M
