local M = { untouched = 1, touched = 1, bool = false }
local a, b = "x", "y"
function M.a() return a end
function M.b(value) if value then b = value end return b end
return M
